//! Searches messages: chooses the rows that are examined for one page of results. A time range is
//! found in the index on time, regardless of the number of messages outside it. Lists are
//! nevertheless ordered by id.
//!
//! Times follow the ids only approximately: clocks are set back, and a released rejection keeps the
//! time of its arrival. So no range of ids is derived from a time without the index.

pub mod condition;
pub mod text;

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, params};

use crate::store::id::MessageId;
use crate::store::message::filter::{Direction, MessageFilter};
use crate::store::time_text::TimeText;
use crate::store::timestamp::Timestamp;
use crate::store::{damage, message};
use condition::SqlCondition;
use text::{TEXT_COLUMNS, TextReader};

/// Maximum number of messages in a time range that is read from the index as a whole.
const MAX_LISTED: usize = if cfg!(test) { 60 } else { 20_000 };

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
}

/// The rows that a search examines, as inclusive ranges of ids in its direction.
#[derive(Debug, Default, PartialEq, Eq)]
struct RowRanges {
    ranges: Vec<(MessageId, MessageId)>,
    /// The last id of these ranges if more rows may remain; the next search starts after it.
    next: Option<MessageId>,
}

/// The matches in some rows.
#[derive(Debug)]
struct Matches<T> {
    items: Vec<T>,
    /// The id of the last match.
    last: Option<MessageId>,
    /// The last examined id, if the limit on bytes or time ended the search before its last row.
    stopped_at: Option<MessageId>,
}

/// Sorts after every text that does not begin with this character.
const AFTER_ALL_TEXT: &str = "\u{10ffff}";

/// The handling of an unreadable row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OnDamage {
    Fail,
    Skip,
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
    ) -> rusqlite::Result<(Vec<T>, Option<MessageId>)> {
        let found = self.scope(connection).and_then(|scope| {
            self.within(connection, &scope, columns, OnDamage::Fail, read).map(|found| (scope, found))
        });
        let (scope, Matches { items, last, stopped_at }) = match found {
            Err(error) if damage::is_damage(&error) => {
                damage::note("messages", &error);
                let scope = self.listed(connection)?;
                let found = self.within(connection, &scope, columns, OnDamage::Skip, read)?;
                (scope, found)
            }
            found => found?,
        };
        let next = if items.len() == self.limit { last } else { stopped_at.or(scope.next) };
        Ok((items, next))
    }

    fn scope(&self, connection: &Connection) -> rusqlite::Result<RowRanges> {
        let ids = self.filter.only_ids();
        if !ids.is_empty() {
            return Ok(self.of_ids(ids));
        }
        if self.filter.time_range() == (None, None) {
            return self.walk(connection, self.edge());
        }
        let (since, until) = self.bounds_of_time();
        let ids: Vec<MessageId> = connection
            .prepare_cached(IDS_OF_TIME)?
            .query_map(params![since, until, MAX_LISTED + 1], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
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
    fn bounds_of_time(&self) -> (String, String) {
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

    fn of_ids(&self, mut ids: Vec<MessageId>) -> RowRanges {
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

    fn max_scanned(&self) -> usize {
        message::filter::max_scanned_per_page(self.filter)
    }

    /// Returns the range of ids of one page, from `first` on.
    fn walk(&self, connection: &Connection, first: MessageId) -> rusqlite::Result<RowRanges> {
        let (sql, until) = match self.direction {
            Direction::NewestFirst => (WALK_DOWN, self.above),
            Direction::OldestFirst => (WALK_UP, self.below),
        };
        let (last, count): (Option<MessageId>, usize) = connection
            .prepare_cached(sql)?
            .query_row(params![first, until, self.max_scanned()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let Some(last) = last else { return Ok(RowRanges::default()) };
        let (remaining, above, below) = match self.direction {
            Direction::NewestFirst => (NEAREST_DOWN, self.above, last),
            Direction::OldestFirst => (NEAREST_UP, last, self.below),
        };
        let has_more = count == self.max_scanned()
            && connection.prepare_cached(remaining)?.exists(params![above, below])?;
        let next = has_more.then_some(last);
        Ok(RowRanges { ranges: vec![(first.min(last), first.max(last))], next })
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
    fn listed(&self, connection: &Connection) -> rusqlite::Result<RowRanges> {
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

    /// Returns the matches within the scope, up to the limit.
    fn within<T>(
        &self,
        connection: &Connection,
        scope: &RowRanges,
        columns: &str,
        on_damage: OnDamage,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Matches<T>> {
        let condition = self.filter.q.as_ref().map(SqlCondition::new).unwrap_or_default();
        let mut statement = connection.prepare_cached(&self.sql(columns, &condition))?;
        message::filter::bind(&mut statement, self.filter)?;
        bind_if_used(&mut statement, ":target_owner", self.target_owner)?;
        bind_if_used(&mut statement, ":only_dead_letters", self.only_dead_letters)?;
        for (number, value) in condition.values.iter().enumerate() {
            bind_if_used(&mut statement, &format!(":q{number}"), value)?;
        }
        let text_column = statement.column_count().saturating_sub(TEXT_COLUMNS.split(',').count());
        let query = self.filter.q.as_ref().filter(|query| query.needs_text());
        let mut text = query.map(|query| TextReader::new(query, text_column));
        let end = scope.ranges.last().map(|(first, last)| match self.direction {
            Direction::NewestFirst => *first,
            Direction::OldestFirst => *last,
        });
        let mut found = Matches { items: Vec::new(), last: None, stopped_at: None };
        for (first, last) in &scope.ranges {
            bind_if_used(&mut statement, ":first", first)?;
            bind_if_used(&mut statement, ":last", last)?;
            let mut rows = statement.raw_query();
            let mut next = |text: &mut Option<TextReader<'_>>| -> rusqlite::Result<Option<_>> {
                let Some(row) = rows.next()? else { return Ok(None) };
                let id: MessageId = row.get(0)?;
                let is_match = text.as_mut().map_or(Ok(true), |text| text.matches(row))?;
                Ok(Some((id, if is_match { Some(read(row)?) } else { None })))
            };
            while found.items.len() < self.limit && found.stopped_at.is_none() {
                match next(&mut text) {
                    Ok(Some((id, item))) => {
                        found.last = if item.is_some() { Some(id) } else { found.last };
                        found.items.extend(item);
                        found.stopped_at = Some(id).filter(|id| {
                            Some(*id) != end && text.as_ref().is_some_and(TextReader::is_exhausted)
                        });
                    }
                    Ok(None) => break,
                    Err(error) if on_damage == OnDamage::Skip && damage::is_damage(&error) => break,
                    Err(error) => return Err(error),
                }
            }
            if found.items.len() == self.limit || found.stopped_at.is_some() {
                break;
            }
        }
        Ok(found)
    }

    /// Returns the statement. Its first column is the id, its last ones are those of the text, if
    /// the filter needs them.
    fn sql(&self, columns: &str, condition: &SqlCondition) -> String {
        let order = match self.direction {
            Direction::NewestFirst => "DESC",
            Direction::OldestFirst => "ASC",
        };
        let text = if self.filter.needs_text() { format!(", {TEXT_COLUMNS}") } else { String::new() };
        format!(
            "SELECT id, {columns}{text} FROM messages WHERE id BETWEEN :first AND :last AND {}{}{} ORDER BY messages.id {order}",
            message::filter::MATCHES,
            self.and,
            condition.sql
        )
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

const IDS_OF_TIME: &str = "SELECT id FROM messages WHERE received_at >= ?1 AND received_at < ?2 LIMIT ?3";
/// Finds the last id in a range of time. Without the index name and the unary plus, SQLite scans
/// the table by id instead.
const LAST_OF_TIME: &str = "SELECT max(+id) FROM messages INDEXED BY messages_received_at
  WHERE received_at >= ?1 AND received_at < ?2 AND +id > ?3 AND +id < ?4";
const FIRST_OF_TIME: &str = "SELECT min(+id) FROM messages INDEXED BY messages_received_at
  WHERE received_at >= ?1 AND received_at < ?2 AND +id > ?3 AND +id < ?4";
const LISTED_DOWN: &str = "SELECT id FROM messages INDEXED BY messages_received_at
  WHERE received_at >= ?1 AND received_at < ?2 AND +id > ?3 AND +id < ?4 ORDER BY +id DESC LIMIT ?5";
const LISTED_UP: &str = "SELECT id FROM messages INDEXED BY messages_received_at
  WHERE received_at >= ?1 AND received_at < ?2 AND +id > ?3 AND +id < ?4 ORDER BY +id LIMIT ?5";
const NEAREST_DOWN: &str =
    "SELECT id, received_at FROM messages WHERE id > ?1 AND id < ?2 ORDER BY id DESC LIMIT 1";
const NEAREST_UP: &str = "SELECT id, received_at FROM messages WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT 1";
const WALK_DOWN: &str = "SELECT min(id), count(*) FROM
  (SELECT id FROM messages WHERE id <= ?1 AND id > ?2 ORDER BY id DESC LIMIT ?3)";
const WALK_UP: &str = "SELECT max(id), count(*) FROM
  (SELECT id FROM messages WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3)";

#[cfg(test)]
mod tests;
