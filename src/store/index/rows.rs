//! Reads messages for the index, in short transactions.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::query::{
    MAX_BODY_BYTES, MessageFacts, MessageFlags, MessageText, MessageWords, SearchedMessage,
    add_message_words, add_run_words,
};
use crate::store::damage;
use crate::store::headers::{self, REDACTED, StoredHeaders};
use crate::store::target::subscription::EMITTED;

/// Limits on one batch, so that its read is short.
const BATCH_ROWS: usize = 256;
const BATCH_BYTES: usize = 512 << 10;

/// The first and the last id of the messages, if there are any, and the highest id that any message
/// ever had.
pub type FeedBounds = (Option<(i64, i64)>, i64);

/// Messages with their words.
#[derive(Debug, Default)]
pub struct FeedBatch {
    pub documents: Vec<IndexDocument>,
    /// All messages up to this id were read.
    pub through: i64,
    /// The last answer to a request.
    pub is_last: bool,
}

/// A message as the index stores it.
#[derive(Debug)]
pub struct IndexDocument {
    pub id: i64,
    pub received_at: String,
    /// Separated by spaces.
    pub words: String,
}

/// Messages as read.
#[derive(Debug)]
pub struct RowBatch {
    pub messages: Vec<FedMessage>,
    pub through: i64,
    pub is_last: bool,
}

impl RowBatch {
    pub fn into_documents(self, words: &mut MessageWords) -> FeedBatch {
        let documents = self.messages.into_iter().map(|message| {
            words.clear();
            message.add_words(words);
            IndexDocument {
                id: message.id,
                received_at: message.received_at,
                words: words.as_text().to_owned(),
            }
        });
        FeedBatch { documents: documents.collect(), through: self.through, is_last: self.is_last }
    }
}

/// The indexed columns of a message.
#[derive(Debug)]
pub struct FedMessage {
    id: i64,
    received_at: String,
    source: String,
    event: String,
    owner: Option<String>,
    delivery_id: Option<String>,
    method: String,
    query: Option<String>,
    remote_ip: String,
    flags: MessageFlags,
    headers: String,
    payload: Option<String>,
    body: Option<Vec<u8>>,
}

impl FedMessage {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let source: String = row.get(2)?;
        let flags = MessageFlags {
            is_not_json: row.get(9)?,
            is_unsigned: row.get(10)?,
            is_unverified: row.get(11)?,
            is_emitted: source == EMITTED,
            ..MessageFlags::default()
        };
        Ok(Self {
            id: row.get(0)?,
            received_at: row.get(1)?,
            source,
            event: row.get(3)?,
            owner: row.get(4)?,
            delivery_id: row.get(5)?,
            method: row.get(6)?,
            query: row.get(7)?,
            remote_ip: row.get(8)?,
            flags,
            headers: row.get(12)?,
            payload: row.get(13)?,
            body: row.get(14)?,
        })
    }

    fn bytes(&self) -> usize {
        let texts = [&self.query, &self.payload].into_iter().flatten().map(String::len).sum::<usize>();
        self.headers.len() + texts + self.body.as_ref().map_or(0, Vec::len)
    }

    /// Adds the words of the message.
    fn add_words(&self, words: &mut MessageWords) {
        let stored = StoredHeaders::parse(&self.headers).unwrap_or_default();
        let headers: Vec<(&str, &str)> = stored
            .pairs()
            .filter(|(_, value)| *value != REDACTED)
            .map(|(name, value)| (name, headers::readable(value)))
            .collect();
        let facts = MessageFacts {
            id: Some(self.id),
            received_at: time::OffsetDateTime::UNIX_EPOCH,
            source: &self.source,
            event: Some(&self.event),
            owner: self.owner.as_deref(),
            method: &self.method,
            remote_ip: self.remote_ip.parse().ok(),
            body_bytes: 0,
            flags: self.flags,
            deliveries: &[],
        };
        let text = MessageText {
            delivery_id: self.delivery_id.as_deref(),
            query: self.query.as_deref(),
            headers: &headers,
            body: self.body.as_deref().map(without_cut_character),
            payload: self.payload.as_deref(),
        };
        add_message_words(words, &SearchedMessage { facts, text });
        // The part that was not read can show that the body is binary.
        if let Some(body) = self.body.as_deref().filter(|body| body.len() >= READ_LENGTH) {
            add_run_words(words, body);
        }
    }
}

/// Characters of a payload and bytes of a body that are read: somewhat more than those whose words
/// are indexed, so that a message with more is recognised.
const READ_LENGTH: usize = MAX_BODY_BYTES + 4;

/// The columns, with the beginning of a long payload or body.
static COLUMNS: LazyLock<String> = LazyLock::new(|| {
    let start = |column: &str| {
        format!("iif(octet_length({column}) > {READ_LENGTH}, substr({column}, 1, {READ_LENGTH}), {column})")
    };
    format!("{COLUMNS_BEFORE_CONTENT}, {}, {}", start("payload"), start("body"))
});
const COLUMNS_BEFORE_CONTENT: &str =
    "id, received_at, source, event, owner, delivery_id, method, query, remote_ip, not_json, body_unsigned,
  unverified, headers";

/// Removes a character of which only the beginning was read.
fn without_cut_character(body: &[u8]) -> &[u8] {
    match std::str::from_utf8(body) {
        Err(error) if error.error_len().is_none() && body.len() >= READ_LENGTH => {
            &body[..error.valid_up_to()]
        }
        _ => body,
    }
}

pub fn batch(connection: &Connection, after: i64, through: i64) -> rusqlite::Result<RowBatch> {
    match undamaged_rows(connection, after, through) {
        Err(error) if damage::is_damage(&error) => readable_rows(connection, after, through),
        rows => rows,
    }
}

fn undamaged_rows(connection: &Connection, after: i64, through: i64) -> rusqlite::Result<RowBatch> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {} FROM messages WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3",
        *COLUMNS
    ))?;
    let mut rows = statement.query(params![after, through, BATCH_ROWS])?;
    let mut messages = Vec::new();
    let mut bytes = 0;
    while bytes < BATCH_BYTES {
        let Some(row) = rows.next()? else { break };
        let message = FedMessage::read(row)?;
        bytes += message.bytes();
        messages.push(message);
    }
    let is_end = bytes < BATCH_BYTES && messages.len() < BATCH_ROWS;
    let read = messages.last().map_or(through, |last| last.id);
    Ok(RowBatch { messages, through: if is_end { through } else { read }, is_last: true })
}

/// Reads row by row. A message with a damaged payload or body has only its other columns, and one
/// that cannot be read at all is left out.
fn readable_rows(connection: &Connection, after: i64, through: i64) -> rusqlite::Result<RowBatch> {
    let last = through.min(after.saturating_add(BATCH_ROWS as i64));
    let without_content = COLUMNS_BEFORE_CONTENT.to_owned() + ", NULL, NULL";
    let read = |columns: &str, id: i64| {
        connection
            .prepare_cached(&format!("SELECT {columns} FROM messages WHERE id = ?1"))?
            .query_row([id], FedMessage::read)
            .optional()
    };
    let mut messages = Vec::new();
    for id in after.saturating_add(1)..=last {
        let message = match read(&COLUMNS, id) {
            Err(error) if damage::is_damage(&error) => read(&without_content, id),
            message => message,
        };
        match message {
            Err(error) if damage::is_damage(&error) => {}
            message => messages.extend(message?),
        }
    }
    Ok(RowBatch { messages, through: last, is_last: true })
}

pub fn count(connection: &Connection, first: i64, last: i64, max: i64) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT count(*) FROM (SELECT 1 FROM messages WHERE id BETWEEN ?1 AND ?2 LIMIT ?3)")?
        .query_row(params![first, last, max], |row| row.get(0))
}

pub fn bounds(connection: &Connection) -> rusqlite::Result<FeedBounds> {
    connection
        .prepare_cached(
            "SELECT (SELECT min(id) FROM messages), (SELECT max(id) FROM messages),
               (SELECT seq FROM sqlite_sequence WHERE name = 'messages')",
        )?
        .query_row([], |row| {
            let bounds: Option<(i64, i64)> = row.get::<_, Option<i64>>(0)?.zip(row.get(1)?);
            let last = bounds.map_or(0, |(_, last)| last);
            Ok((bounds, row.get::<_, Option<i64>>(2)?.unwrap_or(0).max(last)))
        })
}
