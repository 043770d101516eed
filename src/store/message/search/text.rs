//! Matches the text of messages and rejections, which SQL cannot test: words, exact text, paths and
//! headers.

use std::time::{Duration, Instant};

use rusqlite::Row;

use crate::query::{MessageQuery, MessageText};
use crate::store::headers::{self, REDACTED, StoredHeaders};
use crate::store::message::filter::MAX_SEARCHED_BYTES_PER_PAGE;
use crate::store::message::search::condition::SearchedTable;

/// The columns of a message's text.
pub const TEXT_COLUMNS: &str = "delivery_id, query, headers, payload, body";

/// The columns of a rejection's text, in the order of `TEXT_COLUMNS`.
pub const REJECTION_TEXT_COLUMNS: &str = "NULL, query, headers, NULL, body";

/// Limit on the time of a page that reads text: after it, the page ends. Tests with it would depend
/// on the speed of the machine.
pub const MAX_SEARCH_TIME: Duration = Duration::from_millis(if cfg!(test) { 600_000 } else { 200 });

/// Matches rows of the text columns until the limit on their bytes or on time.
#[derive(Debug)]
pub struct TextReader<'q> {
    query: &'q MessageQuery,
    table: SearchedTable,
    /// The first of the text columns.
    column: usize,
    bytes_left: usize,
    started: Instant,
    max_time: Duration,
}

impl<'q> TextReader<'q> {
    pub fn new(query: &'q MessageQuery, column: usize) -> Self {
        Self::of_table(query, SearchedTable::Messages, column, MAX_SEARCH_TIME)
    }

    /// As `new`, for a table and with a limit on the time.
    pub fn of_table(
        query: &'q MessageQuery,
        table: SearchedTable,
        column: usize,
        max_time: Duration,
    ) -> Self {
        Self {
            query,
            table,
            column,
            bytes_left: MAX_SEARCHED_BYTES_PER_PAGE,
            started: Instant::now(),
            max_time,
        }
    }

    /// Whether a limit is reached, so that the next row is for the next page.
    pub fn is_exhausted(&self) -> bool {
        self.bytes_left == 0 || self.started.elapsed() >= self.max_time
    }

    /// Whether the text of a row matches.
    pub fn matches(&mut self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let text = |at: usize| -> rusqlite::Result<Option<&str>> {
            Ok(row.get_ref(self.column + at)?.as_str_or_null()?)
        };
        let (delivery_id, query, stored, payload) = (text(0)?, text(1)?, text(2)?, text(3)?);
        let body = row.get_ref(self.column + 4)?.as_blob_or_null()?;
        let bytes = [query, stored, payload].into_iter().flatten().map(str::len).sum::<usize>()
            + body.map_or(0, <[u8]>::len);
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        let fields = StoredHeaders::parse(stored.unwrap_or_default()).unwrap_or_default();
        let headers: Vec<(&str, &str)> = fields
            .pairs()
            .filter(|(_, value)| *value != REDACTED)
            .map(|(name, value)| (name, headers::readable(value)))
            .collect();
        let text = match self.table {
            SearchedTable::Messages => MessageText { delivery_id, query, headers: &headers, body, payload },
            SearchedTable::Rejections => MessageText::of_rejection(query, &headers, body),
        };
        Ok(self.query.matches_text(&text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reader_is_exhausted_after_its_time() {
        let query = MessageQuery::parse("word").unwrap();
        let reader = TextReader::new(&query, 0);
        assert!(!reader.is_exhausted());
        assert!(TextReader { max_time: Duration::ZERO, ..reader }.is_exhausted());
    }
}
