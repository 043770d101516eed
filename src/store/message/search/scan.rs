//! Examines rows and collects the matches.

use rusqlite::{CachedStatement, Connection, Row};

use crate::store::damage;
use crate::store::id::MessageId;
use crate::store::message;
use crate::store::message::filter::Direction;
use crate::store::message::search::condition::SqlCondition;
use crate::store::message::search::search::{Search, bind_if_used};
use crate::store::message::search::text::{TEXT_COLUMNS, TextReader};

/// The handling of an unreadable row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDamage {
    Fail,
    /// Skips the rest of the range.
    Skip,
}

/// The state of a scan after some ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanState {
    /// All rows of the ranges were examined.
    Finished,
    /// The limit on matches is reached.
    Full,
    /// The limit on bytes or time is reached after this row.
    Exhausted(MessageId),
}

/// A statement that reads ranges of rows, and the matches so far.
pub struct Scan<'s, T, R> {
    statement: CachedStatement<'s>,
    text: Option<TextReader<'s>>,
    read: R,
    on_damage: OnDamage,
    limit: usize,
    pub items: Vec<T>,
    /// The id of the last match.
    pub last: Option<MessageId>,
}

impl<'s, T, R: Fn(&Row<'_>) -> rusqlite::Result<T>> Scan<'s, T, R> {
    pub fn new(
        search: &Search<'s>,
        connection: &'s Connection,
        columns: &str,
        on_damage: OnDamage,
        read: R,
    ) -> rusqlite::Result<Self> {
        let filter = search.filter;
        let condition = filter.q.as_ref().map(SqlCondition::new).unwrap_or_default();
        let mut statement = connection.prepare_cached(&sql(search, columns, &condition))?;
        message::filter::bind(&mut statement, filter)?;
        bind_if_used(&mut statement, ":target_owner", search.target_owner)?;
        bind_if_used(&mut statement, ":only_dead_letters", search.only_dead_letters)?;
        for (number, value) in condition.values.iter().enumerate() {
            bind_if_used(&mut statement, &format!(":q{number}"), value)?;
        }
        let text_column = statement.column_count().saturating_sub(TEXT_COLUMNS.split(',').count());
        let query = filter.q.as_ref().filter(|query| query.needs_text());
        let text = query.map(|query| TextReader::new(query, text_column));
        Ok(Self { statement, text, read, on_damage, limit: search.limit, items: Vec::new(), last: None })
    }

    /// Whether most rows that do not match are skipped quickly.
    pub fn skips_rows(&self) -> bool {
        self.text.as_ref().is_some_and(TextReader::skips_rows)
    }

    /// Examines ranges of ids, both included, in the direction of the search.
    pub fn examine(&mut self, ranges: &[(MessageId, MessageId)]) -> rusqlite::Result<ScanState> {
        for range in ranges {
            match self.examine_range(*range) {
                Ok(ScanState::Finished) => {}
                Err(error) if self.on_damage == OnDamage::Skip && damage::is_damage(&error) => {}
                ended => return ended,
            }
        }
        Ok(ScanState::Finished)
    }

    fn examine_range(&mut self, (first, last): (MessageId, MessageId)) -> rusqlite::Result<ScanState> {
        if self.items.len() >= self.limit {
            return Ok(ScanState::Full);
        }
        bind_if_used(&mut self.statement, ":first", first)?;
        bind_if_used(&mut self.statement, ":last", last)?;
        let mut rows = self.statement.raw_query();
        while let Some(row) = rows.next()? {
            let id: MessageId = row.get(0)?;
            if self.text.as_mut().map_or(Ok(true), |text| text.matches(row))? {
                self.items.push((self.read)(row)?);
                self.last = Some(id);
                if self.items.len() >= self.limit {
                    return Ok(ScanState::Full);
                }
            }
            if self.text.as_ref().is_some_and(TextReader::is_exhausted) {
                return Ok(ScanState::Exhausted(id));
            }
        }
        Ok(ScanState::Finished)
    }
}

/// Returns the statement. Its first column is the id, its last ones are those of the text, if the
/// filter needs them.
fn sql(search: &Search<'_>, columns: &str, condition: &SqlCondition) -> String {
    let order = match search.direction {
        Direction::NewestFirst => "DESC",
        Direction::OldestFirst => "ASC",
    };
    let text = if search.filter.needs_text() { format!(", {TEXT_COLUMNS}") } else { String::new() };
    format!(
        "SELECT id, {columns}{text} FROM messages WHERE id BETWEEN :first AND :last AND {}{}{} ORDER BY messages.id {order}",
        message::filter::MATCHES,
        search.and,
        condition.sql
    )
}
