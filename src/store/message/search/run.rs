//! Runs a search, with the index of words if there is one.

use rusqlite::{Connection, Row};

use crate::store::damage;
use crate::store::id::MessageId;
use crate::store::index::SearchIndex;
use crate::store::message::filter::Direction;
use crate::store::message::search::indexed::IndexedError;
use crate::store::message::search::rows::RowRanges;
use crate::store::message::search::scan::{OnDamage, Scan, ScanState};
use crate::store::message::search::search::Search;

/// The matches, and the id after which the next search starts.
type FoundPage<T> = (Vec<T>, Option<MessageId>);

impl Search<'_> {
    /// Returns the matching messages, and the id after which the next search starts; `None` if no
    /// rows remain.
    ///
    /// Rows in a damaged page of the file are omitted and noted.
    pub fn run<T>(
        &self,
        connection: &Connection,
        columns: &str,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T> + Copy,
    ) -> rusqlite::Result<FoundPage<T>> {
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
    ) -> rusqlite::Result<FoundPage<T>> {
        if let Some(scope) = self.known_rows(connection)? {
            return self.run_in(connection, scope, columns, OnDamage::Fail, read);
        }
        if let Some(view) = self.index.and_then(SearchIndex::view) {
            let mut scan = Scan::new(self, connection, columns, OnDamage::Fail, read)?;
            match self.run_indexed(connection, &view, &mut scan) {
                Ok(next) => return Ok((scan.items, next)),
                Err(IndexedError::Database(error)) => return Err(error),
                Err(IndexedError::Index(error)) => view.note_error(&error),
                Err(IndexedError::Unsuitable) => {}
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
    ) -> rusqlite::Result<FoundPage<T>> {
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
