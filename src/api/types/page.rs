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

/// Number of rejected requests in quarantine that match a filter of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct MatchingRejections {
    #[cfg_attr(test, schema(examples(3)))]
    pub count: u64,
    /// False if the count stopped at its bound, so that more may match.
    pub complete: bool,
}

/// One page of a search, newest first.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct SearchPage<T> {
    /// A page before the last may have fewer than `limit` items, or none: the search for one page
    /// is bounded.
    pub items: Vec<T>,
    /// `cursor` of the next page; null after the last one.
    #[cfg_attr(test, schema(examples(1234)))]
    pub next_cursor: Option<i64>,
    /// False if the search stopped at its bound before the page was full. `next_cursor` continues.
    #[serde(default = "yes")]
    #[cfg_attr(test, schema(required = true))]
    pub complete: bool,
    /// Time of the last item that was examined, if the page is not complete.
    #[serde(default)]
    #[cfg_attr(test, schema(format = DateTime, examples("2026-11-22T14:31:00.000000Z"), required = true))]
    pub looked_back_to: Option<String>,
    /// Rejected requests in quarantine that match the same filters; 0 if a filter has a condition
    /// that no rejected request can meet, e.g. an event. Only on the first page of a list of
    /// messages with a filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matching_rejections: Option<MatchingRejections>,
}

/// Pages of other lists, and of older services, are complete.
fn yes() -> bool {
    true
}

impl<T> Page<T> {
    pub fn new<S>(items: Vec<S>, next_cursor: Option<i64>) -> Self
    where
        T: From<S>,
    {
        Self { items: items.into_iter().map(T::from).collect(), next_cursor }
    }
}
