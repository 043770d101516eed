//! Searches messages: chooses the rows that are examined for one page of results. A time range is
//! found in the index on time, regardless of the number of messages outside it. Lists are
//! nevertheless ordered by id.
//!
//! Times follow the ids only approximately: clocks are set back, and a released rejection keeps the
//! time of its arrival. So no range of ids is derived from a time without an index.
//!
//! With the index of words (`store/index`), only messages with the required words are examined.

mod condition;
mod indexed;
mod rows;
mod scan;
mod text;

use std::sync::Arc;

use rusqlite::{CachedStatement, Connection, Row};

use crate::store::damage;
use crate::store::id::MessageId;
use crate::store::index::SearchIndex;
use crate::store::message::filter::{Direction, MessageFilter};
use indexed::IndexedError;
use rows::RowRanges;
use scan::{OnDamage, Scan, ScanState};

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

type SearchPage<T> = (Vec<T>, Option<MessageId>);

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

    /// Returns the matching messages, and the id after which the next search starts; `None` if no
    /// rows remain.
    ///
    /// Rows in a damaged page of the file are omitted and noted.
    pub fn run<T>(
        &self,
        connection: &Connection,
        columns: &str,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T> + Copy,
    ) -> rusqlite::Result<SearchPage<T>> {
        match self.run_undamaged(connection, columns, read) {
            Err(error) if damage::is_damage(&error) => {
                damage::note("messages", &error);
                let scope = self.listed(connection)?;
                self.run_in(connection, scope, columns, OnDamage::Skip, read)
            }
            found => found,
        }
    }

    fn run_undamaged<T>(
        &self,
        connection: &Connection,
        columns: &str,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T> + Copy,
    ) -> rusqlite::Result<SearchPage<T>> {
        if let Some(scope) = self.known_rows(connection)? {
            return self.run_in(connection, scope, columns, OnDamage::Fail, read);
        }
        if let Some(view) = self.index.and_then(SearchIndex::view) {
            let mut scan = Scan::new(self, connection, columns, OnDamage::Fail, read)?;
            match self.run_indexed(connection, &view, &mut scan) {
                Ok(next) => return Ok((scan.items, next)),
                Err(IndexedError::Database(error)) => return Err(error),
                Err(IndexedError::Index(error)) => view.note_damage(&error),
            }
        }
        let scope = self.scope(connection)?;
        self.run_in(connection, scope, columns, OnDamage::Fail, read)
    }

    /// Examines the rows of a scope.
    fn run_in<T>(
        &self,
        connection: &Connection,
        scope: RowRanges,
        columns: &str,
        on_damage: OnDamage,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<SearchPage<T>> {
        let end = scope.ranges.last().map(|(first, last)| match self.direction {
            Direction::NewestFirst => *first,
            Direction::OldestFirst => *last,
        });
        let mut scan = Scan::new(self, connection, columns, on_damage, read)?;
        let next = match scan.examine(&scope.ranges)? {
            ScanState::Full => scan.last,
            ScanState::Exhausted(id) if Some(id) != end => Some(id),
            ScanState::Exhausted(_) | ScanState::Finished => scope.next,
        };
        Ok((scan.items, next))
    }
}

fn bind_if_used(
    statement: &mut CachedStatement<'_>,
    name: &str,
    value: impl rusqlite::ToSql,
) -> rusqlite::Result<()> {
    match statement.parameter_index(name)? {
        Some(index) => statement.raw_bind_parameter(index, value),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
