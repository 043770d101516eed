//! The index during one search.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, params};

use crate::store::id::MessageId;
use crate::store::index::expression::MatchExpression;
use crate::store::index::file;
use crate::store::index::generation::{self, GenerationRow};
use crate::store::index::search_index::{MAX_IDLE_READERS, SearchIndex};
use crate::store::message::filter::Direction;

/// A range of ids, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexSegment {
    pub first: MessageId,
    pub last: MessageId,
    /// The generation that has its words; `None` if it has to be read.
    pub generation: Option<i64>,
}

/// Number of ids from which a range that is not indexed is large.
const MIN_LARGE_GAP: i64 = if cfg!(test) { 50 } else { 20_000 };

impl IndexSegment {
    /// Whether the segment is not indexed and has many ids.
    pub fn is_large_gap(&self) -> bool {
        self.generation.is_none() && self.last.get() - self.first.get() >= MIN_LARGE_GAP
    }

    /// Divides ascending segments so that a message is a separate segment, which is read.
    pub fn split_at(segments: Vec<Self>, id: MessageId) -> Vec<Self> {
        let split = |segment: Self| {
            let is_in = segment.first <= id && id <= segment.last && segment.generation.is_some();
            let parts = match is_in {
                true => vec![
                    Self { last: id.previous(), ..segment },
                    Self { first: id, last: id, generation: None },
                    Self { first: id.next(), ..segment },
                ],
                false => vec![segment],
            };
            parts.into_iter().filter(|part| part.first <= part.last)
        };
        segments.into_iter().flat_map(split).collect()
    }
}

/// A snapshot of the index.
#[derive(Debug)]
pub struct IndexView {
    index: Arc<SearchIndex>,
    epoch: u64,
    connection: Option<Connection>,
    generations: Vec<GenerationRow>,
}

impl SearchIndex {
    /// Opens a snapshot; `None` if the file cannot be searched now.
    pub fn view(self: &Arc<Self>) -> Option<IndexView> {
        if !self.is_open.load(Ordering::Acquire) {
            return None;
        }
        let epoch = self.epoch.load(Ordering::Acquire);
        let idle = self.readers.lock().pop().filter(|(of, _)| *of == epoch);
        let open = || -> rusqlite::Result<IndexView> {
            let connection =
                idle.map_or_else(|| file::reader(&self.path), |(_, connection)| Ok(connection))?;
            connection.execute_batch("BEGIN")?;
            let generations = generation::all(&connection)?;
            Ok(IndexView { index: self.clone(), epoch, connection: Some(connection), generations })
        };
        open().inspect_err(|error| self.note_error(error, epoch)).ok()
    }
}

impl IndexView {
    /// Notes an error. A damaged file is then replaced.
    pub fn note_error(&self, error: &rusqlite::Error) {
        self.index.note_error(error, self.epoch);
    }

    fn connection(&self) -> rusqlite::Result<&Connection> {
        self.connection.as_ref().ok_or(rusqlite::Error::InvalidQuery)
    }

    /// Divides the ids between the bounds (both excluded) into segments, in ascending order. Leaves
    /// out ids that have no message between the times `since` and `until`.
    pub fn segments(
        &self,
        above: MessageId,
        below: MessageId,
        (since, until): (&str, &str),
    ) -> rusqlite::Result<Vec<IndexSegment>> {
        let (first, last) = (above.next().get(), below.previous().get());
        let mut segments = Vec::new();
        let mut add = |from: i64, to: i64, generation: Option<i64>| {
            let (from, to) = (from.max(first), to.min(last));
            if from <= to {
                let (first, last) = (MessageId::of_rowid(from), MessageId::of_rowid(to));
                segments.push(IndexSegment { first, last, generation });
            }
        };
        let mut next = i64::MIN;
        for row in &self.generations {
            if next < row.first_id {
                add(next, row.first_id - 1, None);
            }
            next = row.last_id + 1;
            let is_outside = row.messages == 0 || *row.latest_at < *since || *row.earliest_at >= *until;
            if is_outside || row.last_id < first || row.first_id > last {
                continue;
            }
            if *row.earliest_at >= *since && *row.latest_at < *until {
                add(row.first_id, row.last_id, Some(row.number));
            } else {
                for (from, to) in self.runs(row, since, until)? {
                    add(from, to, Some(row.number));
                }
            }
        }
        add(next, i64::MAX, None);
        Ok(segments)
    }

    /// Returns the ranges of ids of a generation that may have messages in a range of times.
    fn runs(&self, row: &GenerationRow, since: &str, until: &str) -> rusqlite::Result<Vec<(i64, i64)>> {
        let mut statement = self.connection()?.prepare_cached(
            "SELECT first_id, last_id FROM blocks
             WHERE first_id BETWEEN ?1 AND ?2 AND latest_at >= ?3 AND earliest_at < ?4 ORDER BY first_id",
        )?;
        let mut rows = statement.query(params![row.first_id, row.last_id, since, until])?;
        let mut runs: Vec<(i64, i64)> = Vec::new();
        while let Some(block) = rows.next()? {
            let (first, last): (i64, i64) = (block.get(0)?, block.get(1)?);
            match runs.last_mut().filter(|(_, end)| *end + 1 == first) {
                Some(run) => run.1 = last,
                None => runs.push((first, last)),
            }
        }
        Ok(runs)
    }

    /// Returns the ids in a segment whose words match, in the direction, at most `limit`.
    pub fn candidates(
        &self,
        segment: IndexSegment,
        words: &MatchExpression,
        direction: Direction,
        limit: usize,
    ) -> rusqlite::Result<Vec<MessageId>> {
        let Some(number) = segment.generation else { return Ok(Vec::new()) };
        let order = match direction {
            Direction::NewestFirst => "DESC",
            Direction::OldestFirst => "ASC",
        };
        let sql = format!(
            "SELECT rowid FROM words_{number} WHERE words_{number} MATCH ?1 AND rowid BETWEEN ?2 AND ?3
             ORDER BY rowid {order} LIMIT ?4"
        );
        self.connection()?
            .prepare_cached(&sql)?
            .query_map(params![words.as_str(), segment.first, segment.last, limit], |row| row.get(0))?
            .collect()
    }
}

impl Drop for IndexView {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        if connection.execute_batch("COMMIT").is_err() {
            return;
        }
        let mut readers = self.index.readers.lock();
        if readers.len() < MAX_IDLE_READERS && self.epoch == self.index.epoch.load(Ordering::Acquire) {
            readers.push((self.epoch, connection));
        }
    }
}
