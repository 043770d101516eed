//! Pages of lists.

use serde::{Deserialize, Serialize};

/// One page, newest first; sources are sorted by name, and listeners are oldest first.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Page<T> {
    /// A page before the last may have fewer than `limit` items, or none: the search for one page
    /// is bounded.
    pub items: Vec<T>,
    /// `cursor` of the next page; null after the last one.
    #[cfg_attr(test, schema(examples(1234)))]
    pub next_cursor: Option<i64>,
}

impl<T> Page<T> {
    pub fn new<S>(items: Vec<S>, next_cursor: Option<i64>) -> Self
    where
        T: From<S>,
    {
        Self { items: items.into_iter().map(T::from).collect(), next_cursor }
    }
}
