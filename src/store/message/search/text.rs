//! Matches the text of messages and rejections, which SQL cannot test: words, exact text, paths and
//! headers.

use std::time::{Duration, Instant};

use memchr::memmem::Finder;
use rusqlite::Row;

use crate::query::{MessageQuery, MessageText};
use crate::store::headers::{self, REDACTED, StoredHeaders};
use crate::store::message::filter::MAX_SEARCHED_BYTES_PER_PAGE;
use crate::store::message::search::condition::SearchedTable;

/// The columns of a message's text.
pub const TEXT_COLUMNS: &str = "delivery_id, query, headers, payload, body";

/// The columns of a rejection's text, in the order of `TEXT_COLUMNS`.
pub const REJECTION_TEXT_COLUMNS: &str = "NULL, query, headers, NULL, body";

/// Share of the bytes of a skipped row that counts towards the limit, because skipping is faster.
const SKIPPED_BYTES_SHARE: usize = 8;
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
    skipping: Option<RowSkipper>,
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
            skipping: query.required_literal().map(|word| RowSkipper::new(&word)),
            bytes_left: MAX_SEARCHED_BYTES_PER_PAGE,
            started: Instant::now(),
            max_time,
        }
    }

    /// Whether rows without a certain word are skipped.
    pub fn skips_rows(&self) -> bool {
        self.skipping.is_some()
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
        if let Some(skipping) = &mut self.skipping
            && !skipping.may_match([delivery_id, query, stored, payload].into_iter().flatten(), query, body)
        {
            self.bytes_left = self.bytes_left.saturating_sub(bytes / SKIPPED_BYTES_SHARE);
            return Ok(false);
        }
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

/// Finds out quickly that a row does not have a word.
#[derive(Debug)]
struct RowSkipper {
    word: Finder<'static>,
    escape: Finder<'static>,
    lowered: Vec<u8>,
}

impl RowSkipper {
    /// The word has lower-case ASCII letters and digits.
    fn new(word: &str) -> Self {
        Self { word: Finder::new(word).into_owned(), escape: Finder::new("\\u"), lowered: Vec::new() }
    }

    /// Whether the columns of a row can have the word: as it is, in other case, or written with
    /// escapes.
    fn may_match<'t>(
        &mut self,
        texts: impl Iterator<Item = &'t str>,
        query: Option<&str>,
        body: Option<&'t [u8]>,
    ) -> bool {
        query.is_some_and(|query| query.contains('%'))
            || texts.map(str::as_bytes).chain(body).any(|text| self.may_have(text))
    }

    fn may_have(&mut self, text: &[u8]) -> bool {
        if !text.is_ascii() {
            return true;
        }
        self.lowered.clear();
        self.lowered.extend_from_slice(text);
        self.lowered.make_ascii_lowercase();
        self.word.find(&self.lowered).is_some() || self.escape.find(text).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_without_the_word_is_skipped() {
        let mut skipper = RowSkipper::new("order17");
        let mut may_match = |text: &str| skipper.may_match([text].into_iter(), None, None);
        assert!(may_match("an ORDER17"));
        assert!(!may_match("an order 17"));
        assert!(may_match(r#"{"a":"\u006frder17"}"#));
        assert!(may_match("é"));
        assert!(skipper.may_match([].into_iter(), Some("a=%6frder17"), None));
        assert!(!skipper.may_match([].into_iter(), Some("a=order"), Some(b"17")));
        let literal = |query| MessageQuery::parse(query).unwrap().required_literal();
        assert_eq!(literal("an ORDER-1234567 \"x order\"").as_deref(), Some("1234567"));
        assert_eq!(literal(".customer.id:>5").as_deref(), Some("customer"));
        for query in ["-order", "a OR b", "日本", "source:shop"] {
            assert_eq!(literal(query), None, "{query}");
        }
    }

    #[test]
    fn reader_is_exhausted_after_its_time() {
        let query = MessageQuery::parse("word").unwrap();
        let reader = TextReader::new(&query, 0);
        assert!(!reader.is_exhausted());
        assert!(TextReader { max_time: Duration::ZERO, ..reader }.is_exhausted());
    }
}
