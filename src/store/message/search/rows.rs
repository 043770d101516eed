//! Chooses the rows that a search examines without the index of words.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::query::MessageState;
use crate::store::id::MessageId;
use crate::store::message;
use crate::store::message::filter::Direction;
use crate::store::message::search::search::Search;
use crate::store::time_text::TimeText;
use crate::store::timestamp::Timestamp;

/// Maximum number of messages in a time range that is read from the index as a whole.
pub const MAX_LISTED: usize = if cfg!(test) { 60 } else { 20_000 };
/// The same for a search that then reads only these messages.
const MAX_KNOWN_OF_TIME: usize = if cfg!(test) { 30 } else { 1_000 };
/// Sorts after every text that does not begin with this character.
const AFTER_ALL_TEXT: &str = "\u{10ffff}";

/// The rows that a search examines, as inclusive ranges of ids in its direction.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RowRanges {
    pub ranges: Vec<(MessageId, MessageId)>,
    /// The last id of these ranges if more rows may remain; the next search starts after it.
    pub next: Option<MessageId>,
}

/// Some rows next to each other.
#[derive(Clone, Copy, Debug)]
pub struct WalkedRange {
    pub first: MessageId,
    pub last: MessageId,
    pub rows: usize,
    /// The last row in the direction if more follow.
    pub next: Option<MessageId>,
}

impl Search<'_> {
    /// Returns the rows that are known without a search: those named by the filter, or, if they are
    /// not many, those in a state or in the time range.
    pub fn known_rows(&self, connection: &Connection) -> rusqlite::Result<Option<RowRanges>> {
        let ids = self.filter.only_ids();
        if !ids.is_empty() {
            return Ok(Some(self.of_ids(ids)));
        }
        if let Some(sql) = self.filter.driving_state().map(ids_in_state) {
            let ids: Vec<MessageId> = connection
                .prepare_cached(sql)?
                .query_map(params![self.above, self.below, MAX_LISTED + 1], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?;
            return Ok((ids.len() <= MAX_LISTED).then(|| self.of_ids(ids)));
        }
        if self.filter.time_range() == (None, None) || self.filter.needs_text() {
            return Ok(None);
        }
        let ids = self.ids_of_time(connection, MAX_KNOWN_OF_TIME + 1)?;
        Ok((ids.len() <= MAX_KNOWN_OF_TIME).then(|| self.of_ids(ids)))
    }

    /// Returns messages in the time range, in no order.
    fn ids_of_time(&self, connection: &Connection, limit: usize) -> rusqlite::Result<Vec<MessageId>> {
        let (since, until) = self.bounds_of_time();
        connection
            .prepare_cached(IDS_OF_TIME)?
            .query_map(params![since, until, limit], |row| row.get(0))?
            .collect()
    }

    /// Chooses the rows of a page from the ids or the times.
    pub fn scope(&self, connection: &Connection) -> rusqlite::Result<RowRanges> {
        if self.filter.time_range() == (None, None) {
            return self.walk(connection, self.edge());
        }
        let ids = self.ids_of_time(connection, MAX_LISTED + 1)?;
        if ids.len() <= MAX_LISTED {
            return Ok(self.of_ids(ids));
        }
        match self.first_of_time(connection)? {
            Some(first) => self.walk(connection, first),
            None => Ok(RowRanges::default()),
        }
    }

    /// Returns the time range as text, so that without a bound every stored time is in it, even an
    /// edited one.
    pub fn bounds_of_time(&self) -> (String, String) {
        let (since, until) = self.filter.time_range();
        let text = |bound: Option<Timestamp>, without: &str| {
            bound.map_or_else(|| without.to_owned(), |bound| bound.to_string())
        };
        (text(since, ""), text(until, AFTER_ALL_TEXT))
    }

    /// Returns the first id within the bounds, in the direction of the search.
    fn edge(&self) -> MessageId {
        match self.direction {
            Direction::NewestFirst => self.below.previous(),
            Direction::OldestFirst => self.above.next(),
        }
    }

    pub fn of_ids(&self, mut ids: Vec<MessageId>) -> RowRanges {
        ids.retain(|id| (self.above < *id) && (*id < self.below));
        ids.sort_unstable();
        ids.dedup();
        if self.direction == Direction::NewestFirst {
            ids.reverse();
        }
        let is_cut = ids.len() > self.max_scanned();
        ids.truncate(self.max_scanned());
        let next = ids.last().copied().filter(|_| is_cut);
        RowRanges { ranges: ids.into_iter().map(|id| (id, id)).collect(), next }
    }

    pub fn max_scanned(&self) -> usize {
        message::filter::max_scanned_per_page(self.filter)
    }

    /// Returns the range of ids of one page, from `first` on.
    fn walk(&self, connection: &Connection, first: MessageId) -> rusqlite::Result<RowRanges> {
        let bounds = match self.direction {
            Direction::NewestFirst => (self.above.next(), first),
            Direction::OldestFirst => (first, self.below.previous()),
        };
        let Some(walked) = self.walk_within(connection, bounds, self.max_scanned())? else {
            return Ok(RowRanges::default());
        };
        Ok(RowRanges { ranges: vec![(walked.first, walked.last)], next: walked.next })
    }

    /// Returns the range of the next `max` rows within the bounds, both included; `None` without
    /// rows.
    pub fn walk_within(
        &self,
        connection: &Connection,
        (first, last): (MessageId, MessageId),
        max: usize,
    ) -> rusqlite::Result<Option<WalkedRange>> {
        let sql = match self.direction {
            Direction::NewestFirst => WALK_DOWN,
            Direction::OldestFirst => WALK_UP,
        };
        let (end, rows): (Option<MessageId>, usize) = connection
            .prepare_cached(sql)?
            .query_row(params![first, last, max], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Some(end) = end else { return Ok(None) };
        let (remaining, above, below) = match self.direction {
            Direction::NewestFirst => (NEAREST_DOWN, first.previous(), end),
            Direction::OldestFirst => (NEAREST_UP, end, last.next()),
        };
        let has_more = rows == max && connection.prepare_cached(remaining)?.exists(params![above, below])?;
        let (first, last) = match self.direction {
            Direction::NewestFirst => (end, last),
            Direction::OldestFirst => (first, end),
        };
        Ok(Some(WalkedRange { first, last, rows, next: has_more.then_some(end) }))
    }

    /// Finds the first message in the direction that is in the range of time. Reads the whole range
    /// in the index, unless the nearest message is in it.
    fn first_of_time(&self, connection: &Connection) -> rusqlite::Result<Option<MessageId>> {
        let (since, until) = self.bounds_of_time();
        let (nearest, first) = match self.direction {
            Direction::NewestFirst => (NEAREST_DOWN, LAST_OF_TIME),
            Direction::OldestFirst => (NEAREST_UP, FIRST_OF_TIME),
        };
        let nearest: Option<(MessageId, TimeText)> = connection
            .prepare_cached(nearest)?
            .query_row(params![self.above, self.below], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        match nearest {
            None => Ok(None),
            Some((id, at)) if (since.as_bytes()..until.as_bytes()).contains(&at.as_bytes()) => Ok(Some(id)),
            Some(_) => connection
                .prepare_cached(first)?
                .query_row(params![since, until, self.above, self.below], |row| row.get(0)),
        }
    }

    /// Lists the ids in the time range for one page of results. Reads only the index, not the
    /// table, whose pages may be damaged.
    pub fn listed(&self, connection: &Connection) -> rusqlite::Result<RowRanges> {
        let (since, until) = self.bounds_of_time();
        let sql = match self.direction {
            Direction::NewestFirst => LISTED_DOWN,
            Direction::OldestFirst => LISTED_UP,
        };
        let ids: Vec<MessageId> = connection
            .prepare_cached(sql)?
            .query_map(params![since, until, self.above, self.below, self.max_scanned() + 1], |row| {
                row.get(0)
            })?
            .collect::<rusqlite::Result<_>>()?;
        Ok(self.of_ids(ids))
    }
}

/// Returns the statement for the messages in a state, from the index on this state.
fn ids_in_state(state: MessageState) -> &'static str {
    match state {
        MessageState::Dead => {
            "SELECT message_id FROM deliveries INDEXED BY deliveries_dead
             WHERE state = 'dead' AND +message_id > ?1 AND +message_id < ?2 LIMIT ?3"
        }
        MessageState::Pending => {
            "SELECT message_id FROM deliveries INDEXED BY deliveries_due
             WHERE state = 'pending' AND +message_id > ?1 AND +message_id < ?2 LIMIT ?3"
        }
        _ => {
            "SELECT message_id FROM confirmations INDEXED BY confirmations_due
             WHERE state = 'awaiting' AND +message_id > ?1 AND +message_id < ?2 LIMIT ?3"
        }
    }
}

pub(super) const IDS_OF_TIME: &str =
    "SELECT id FROM messages WHERE received_at >= ?1 AND received_at < ?2 LIMIT ?3";
/// Finds the last id in a range of time. Without the index name and the unary plus, SQLite scans
/// the table by id instead.
pub(super) const LAST_OF_TIME: &str = "SELECT max(+id) FROM messages INDEXED BY messages_received_at
  WHERE received_at >= ?1 AND received_at < ?2 AND +id > ?3 AND +id < ?4";
pub(super) const FIRST_OF_TIME: &str = "SELECT min(+id) FROM messages INDEXED BY messages_received_at
  WHERE received_at >= ?1 AND received_at < ?2 AND +id > ?3 AND +id < ?4";
pub(super) const LISTED_DOWN: &str = "SELECT id FROM messages INDEXED BY messages_received_at
  WHERE received_at >= ?1 AND received_at < ?2 AND +id > ?3 AND +id < ?4 ORDER BY +id DESC LIMIT ?5";
pub(super) const LISTED_UP: &str = "SELECT id FROM messages INDEXED BY messages_received_at
  WHERE received_at >= ?1 AND received_at < ?2 AND +id > ?3 AND +id < ?4 ORDER BY +id LIMIT ?5";
pub(super) const NEAREST_DOWN: &str =
    "SELECT id, received_at FROM messages WHERE id > ?1 AND id < ?2 ORDER BY id DESC LIMIT 1";
pub(super) const NEAREST_UP: &str =
    "SELECT id, received_at FROM messages WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT 1";
pub(super) const WALK_DOWN: &str = "SELECT min(id), count(*) FROM
  (SELECT id FROM messages WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT ?3)";
pub(super) const WALK_UP: &str = "SELECT max(id), count(*) FROM
  (SELECT id FROM messages WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3)";
