//! The search for one page of results.

use std::sync::Arc;

use rusqlite::CachedStatement;

use crate::store::id::MessageId;
use crate::store::index::SearchIndex;
use crate::store::message::filter::{Direction, MessageFilter};

/// A bounded search in one direction.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    pub filter: &'a MessageFilter,
    pub direction: Direction,
    /// Bounds of the ids, both excluded.
    pub above: MessageId,
    pub below: MessageId,
    /// Maximum number of results.
    pub limit: usize,
    /// Further conditions, or none: ` AND …`. May use `:target_owner`.
    pub and: &'static str,
    pub target_owner: Option<&'a str>,
    /// With `filter.dead`, restricts the search to messages that a replay may deliver to the
    /// targets where they became dead letters.
    pub only_dead_letters: bool,
    pub index: Option<&'a Arc<SearchIndex>>,
}

impl<'a> Search<'a> {
    /// Creates a search for all messages that the filter selects between the two ids.
    pub fn new(filter: &'a MessageFilter, direction: Direction, above: MessageId, below: MessageId) -> Self {
        Self {
            filter,
            direction,
            above,
            below,
            limit: usize::MAX,
            and: "",
            target_owner: None,
            only_dead_letters: false,
            index: None,
        }
    }
}

pub fn bind_if_used(
    statement: &mut CachedStatement<'_>,
    name: &str,
    value: impl rusqlite::ToSql,
) -> rusqlite::Result<()> {
    match statement.parameter_index(name)? {
        Some(index) => statement.raw_bind_parameter(index, value),
        None => Ok(()),
    }
}
