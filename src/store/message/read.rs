//! Reads stored messages: whole for delivery, without the body for lists.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use rusqlite::types::Type;
use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row};

use crate::json;
use crate::store::damage;
use crate::store::delivery::dead::DeadLetterCount;
use crate::store::id::MessageId;
use crate::store::index::SearchIndex;
use crate::store::message::content::UnreadableReason;
use crate::store::message::filter::{Direction, MessageFilter};
use crate::store::message::search::Search;
use crate::store::stored_time::StoredTime;
use crate::store::time_text::TimeText;
use crate::store::timestamp::Timestamp;

/// One row of `messages` without its long columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageRow {
    pub id: MessageId,
    pub received_at: StoredTime,
    pub source: String,
    pub event: String,
    pub owner: Option<String>,
    pub delivery_id: Option<String>,
    pub method: String,
    pub query: Option<String>,
    pub remote_ip: String,
    pub body_sha256: Vec<u8>,
    pub not_json: bool,
    /// Reason why the body could not be read; `None` if it was.
    pub unreadable: Option<UnreadableReason>,
    pub body_unsigned: bool,
    pub unverified: bool,
    /// Time of the release from quarantine; `None` for messages that were never in it.
    pub released_at: Option<StoredTime>,
    pub conflict_of: Option<MessageId>,
    pub duplicates: i64,
    pub last_duplicate_at: Option<StoredTime>,
    /// `awaiting`, `confirmed` or `refused`; `None`: the message needs no confirmation.
    pub confirmation: Option<String>,
    /// JSON object: name to value, or to an array of values.
    pub headers: String,
    pub body_bytes: i64,
}

/// A message with its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    pub head: MessageRow,
    /// Exactly as received.
    pub body: Bytes,
    /// The JSON decoded from the body; `None` if the body itself is JSON, or cannot be read.
    pub decoded: Option<String>,
}

impl StoredMessage {
    /// Returns the payload as JSON text; `None` if the body cannot be read.
    pub fn payload(&self) -> Option<&[u8]> {
        match &self.decoded {
            Some(decoded) => Some(decoded.as_bytes()),
            None if self.head.unreadable.is_some() => None,
            None => Some(&self.body),
        }
    }

    /// Returns the query without the field whose JSON is stored as the body; `None` if there is no
    /// such field.
    pub fn query_without_content(&self) -> Option<String> {
        query_without_content(&self.head.method, self.head.query.as_deref()?, &self.body)
    }

    /// Returns the payload as bytes; copies it only if it differs from the body.
    pub fn payload_bytes(&self) -> Option<Bytes> {
        match &self.decoded {
            Some(decoded) => Some(Bytes::copy_from_slice(decoded.as_bytes())),
            None => self.payload().map(|_| self.body.clone()),
        }
    }

    /// Returns the bytes of its long columns.
    pub fn bytes(&self) -> usize {
        self.body.len() + self.decoded.as_ref().map_or(0, String::len) + self.head.headers.len()
    }

    pub fn is_emitted(&self) -> bool {
        self.head.source == crate::store::target::subscription::EMITTED
    }
}

/// Returns the query of a GET without the field whose JSON is stored as the body; `None` if no
/// field has the body as its value.
pub fn query_without_content(method: &str, query: &str, body: &[u8]) -> Option<String> {
    let body = json::without_mark(body);
    let is_json = matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
    if method != "GET" || !is_json {
        return None;
    }
    let is_body = |field: &&str| {
        form_urlencoded::parse(field.as_bytes())
            .any(|(_, value)| json::without_mark(value.as_bytes()) == body)
    };
    let (taken, others): (Vec<&str>, Vec<&str>) = query.split('&').partition(is_body);
    (!taken.is_empty()).then(|| others.join("&"))
}

const HEAD: &str =
    "id, received_at, source, event, owner, delivery_id, method, query, remote_ip, body_sha256, not_json,
  body_unsigned, unverified, conflict_of, duplicates, last_duplicate_at, confirmation, headers,
  octet_length(coalesce(body, payload)) AS body_bytes, released_at,
  CASE WHEN payload IS NULL THEN coalesce(unreadable, iif(not_json, 'older_version', 'empty')) END AS unreadable";

/// Reads the columns of `HEAD`, which begin at the column `first`.
fn read_head(row: &Row<'_>, first: usize) -> rusqlite::Result<MessageRow> {
    Ok(MessageRow {
        id: row.get(first)?,
        received_at: damage::stored_time("messages", row, first + 1)?,
        source: row.get(first + 2)?,
        event: row.get(first + 3)?,
        owner: row.get(first + 4)?,
        delivery_id: row.get(first + 5)?,
        method: row.get(first + 6)?,
        query: row.get(first + 7)?,
        remote_ip: row.get(first + 8)?,
        body_sha256: row.get(first + 9)?,
        not_json: row.get(first + 10)?,
        body_unsigned: row.get(first + 11)?,
        unverified: row.get(first + 12)?,
        conflict_of: row.get(first + 13)?,
        duplicates: row.get(first + 14)?,
        last_duplicate_at: damage::stored_time("messages", row, first + 15)?,
        confirmation: row.get(first + 16)?,
        headers: row.get(first + 17)?,
        body_bytes: row.get::<_, Option<i64>>(first + 18)?.unwrap_or(0),
        released_at: damage::stored_time("messages", row, first + 19)?,
        unreadable: row.get(first + 20)?,
    })
}

/// Index of the body among the columns that `one` selects, after those of `HEAD`.
const BODY_COLUMN: usize = 21;

/// Number and length of the blocks of ids that are counted to estimate the number of messages.
const SAMPLE_BLOCKS: i64 = if cfg!(test) { 16 } else { 512 };
const IDS_PER_BLOCK: i64 = if cfg!(test) { 4 } else { 32 };

/// A statement that reads messages with their bodies.
pub struct MessageReader<'c>(CachedStatement<'c>);

impl<'c> MessageReader<'c> {
    pub fn new(connection: &'c Connection) -> rusqlite::Result<Self> {
        static ONE: LazyLock<String> =
            LazyLock::new(|| format!("SELECT {HEAD}, body, payload FROM messages WHERE id = ?1"));
        connection.prepare_cached(&ONE).map(Self)
    }

    /// Returns one message, or an error that `damage::is_damage` recognises if it cannot be read as
    /// stored.
    pub fn one(&mut self, id: MessageId) -> rusqlite::Result<Option<StoredMessage>> {
        let Self(statement) = self;
        statement
            .query_row([id], |row| {
                let head = read_head(row, 0)?;
                let body: Option<Vec<u8>> = row.get(BODY_COLUMN)?;
                let payload: Option<String> = row.get(BODY_COLUMN + 1)?;
                let message = match (body, payload) {
                    (Some(body), decoded) => StoredMessage { head, body: body.into(), decoded },
                    (None, payload) => StoredMessage {
                        head,
                        body: payload.unwrap_or_default().into_bytes().into(),
                        decoded: None,
                    },
                };
                check_body(&message).map(|()| message)
            })
            .optional()
    }
}

/// Returns one message with its body, as `MessageReader::one`.
pub fn one(connection: &Connection, id: MessageId) -> rusqlite::Result<Option<StoredMessage>> {
    MessageReader::new(connection)?.one(id)
}

/// Compares the body with its hash: only this detects a flipped bit in a page that is otherwise
/// intact.
fn check_body(message: &StoredMessage) -> rusqlite::Result<()> {
    if digest(&SHA256, &message.body).as_ref() == message.head.body_sha256 {
        return Ok(());
    }
    let problem = format!("the body of message {} does not match its SHA-256", message.head.id);
    Err(rusqlite::Error::FromSqlConversionFailure(BODY_COLUMN, Type::Blob, problem.into()))
}

/// Whether the message still exists.
pub fn exists(connection: &Connection, id: MessageId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM messages WHERE id = ?1)")?
        .query_row([id], |row| row.get(0))
}

/// The messages that a replay selects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplayEstimate {
    pub messages: u64,
    /// With the filter `dead`: the dead letters of each target, including removed targets.
    pub dead_letters: Vec<DeadLetterCount>,
}

/// A page of messages, and the start of the next page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessagePage {
    pub messages: Vec<MessageRow>,
    /// `None` after the last page. A page may be short or empty without being the last, because it
    /// limits the rows examined.
    pub next: Option<MessageId>,
    /// The page ended at this limit before it was full.
    pub is_cut: bool,
    /// Time of the last examined message, if the page is cut; `None` also if the time is damaged.
    pub looked_back_to: Option<StoredTime>,
}

/// Returns a page of messages; with `from`, only those beyond this id in the direction.
pub fn page(
    connection: &Connection,
    index: Option<&Arc<SearchIndex>>,
    filter: &MessageFilter,
    direction: Direction,
    from: Option<MessageId>,
    limit: usize,
) -> rusqlite::Result<MessagePage> {
    let (above, below) = match direction {
        Direction::NewestFirst => (MessageId::START, from.unwrap_or(MessageId::END)),
        Direction::OldestFirst => (from.unwrap_or_default(), MessageId::END),
    };
    let search = Search { limit, index, ..Search::new(filter, direction, above, below) };
    let (messages, next) = search.run(connection, HEAD, |row| read_head(row, 1))?;
    let cut_at = next.filter(|_| messages.len() < limit);
    let looked_back_to = match cut_at {
        Some(id) => received_at(connection, id)?,
        None => None,
    };
    Ok(MessagePage { messages, next, is_cut: cut_at.is_some(), looked_back_to })
}

/// Returns the time of a message, or of the next one if it was deleted; `None` if its row is
/// damaged.
fn received_at(connection: &Connection, id: MessageId) -> rusqlite::Result<Option<StoredTime>> {
    let found = connection
        .prepare_cached("SELECT received_at FROM messages WHERE id >= ?1 ORDER BY id LIMIT 1")?
        .query_row([id], |row| damage::stored_time("messages", row, 0))
        .optional();
    match found {
        Err(error) if damage::is_damage(&error) => Ok(None),
        found => found,
    }
}

/// Returns the time of the oldest message, by the time of its arrival; `None` if there is no
/// message or its time is unreadable.
pub fn oldest_time(connection: &Connection) -> rusqlite::Result<Option<Timestamp>> {
    let oldest: Option<TimeText> = connection
        .prepare_cached("SELECT min(received_at) FROM messages")?
        .query_row([], |row| row.get(0))?;
    Ok(oldest.and_then(|at| at.to_timestamp()))
}

/// Returns the number of messages: exactly for short ranges of ids, otherwise estimated from evenly
/// spaced blocks of ids, so that the time does not depend on the number. Damaged blocks count as
/// empty.
pub fn estimate_number(connection: &Connection) -> rusqlite::Result<u64> {
    let ids =
        "SELECT coalesce((SELECT min(id) FROM messages), 1), coalesce((SELECT max(id) FROM messages), 0)";
    let (first, last): (i64, i64) = connection.query_row(ids, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut statement =
        connection.prepare_cached("SELECT count(*) FROM messages WHERE id BETWEEN ?1 AND ?2")?;
    let mut count = |from: i64, to: i64| {
        let counted = statement.query_row([from, to], |row| row.get::<_, u64>(0));
        damage::skip("messages", counted).map(Option::unwrap_or_default)
    };
    let length = last.saturating_sub(first).saturating_add(1);
    if length <= SAMPLE_BLOCKS * IDS_PER_BLOCK {
        return count(first, last);
    }
    let mut sampled = 0;
    for block in 0..SAMPLE_BLOCKS {
        let from = first + length / SAMPLE_BLOCKS * block;
        sampled += count(from, from + IDS_PER_BLOCK - 1)?;
    }
    let sampled_ids = (SAMPLE_BLOCKS * IDS_PER_BLOCK).unsigned_abs();
    Ok(u64::try_from(u128::from(sampled) * u128::from(length.unsigned_abs()) / u128::from(sampled_ids))
        .unwrap_or(u64::MAX))
}

/// Returns the id of the newest message; 0 if there is no message.
pub fn newest_id(connection: &Connection) -> rusqlite::Result<MessageId> {
    connection.query_row("SELECT coalesce(max(id), 0) FROM messages", [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use crate::store::message::read::query_without_content;

    #[test]
    fn query_field_that_is_the_body_is_left_out() {
        let without =
            |method: &str, query: &str, body: &str| query_without_content(method, query, body.as_bytes());
        let some = |rest: &str| Some(rest.to_owned());
        assert_eq!(without("GET", "payload=%7B%7D", "{}"), some(""));
        for body in ["{}", "\u{feff}{}"] {
            assert_eq!(without("GET", "payload=%EF%BB%BF%7B%7D", body), some(""));
        }
        assert_eq!(without("GET", "a=1&payload=%7B%22b%22%3A+1%7D&c=%2F", r#"{"b": 1}"#), some("a=1&c=%2F"));
        for (method, query, body) in [
            ("GET", "payload=%7B%7D", ""),
            ("GET", "payload=%7B%7D", r#"{"b": 1}"#),
            ("GET", "a=1", "1"),
            ("GET", "", "{}"),
            ("POST", "payload=%7B%7D", "{}"),
        ] {
            assert_eq!(without(method, query, body), None, "{method} {query} {body}");
        }
    }
}
