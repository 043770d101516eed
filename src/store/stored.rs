//! Messages as they are read again: whole for those who deliver them, without the body for lists.

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension as _, Row, named_params};
use serde::{Deserialize, Serialize};

use super::subscription::Pattern;

/// One row of `messages` without what is long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageHead {
    pub id: i64,
    pub received_at: String,
    pub source: String,
    pub event: String,
    pub owner: Option<String>,
    pub delivery_id: Option<String>,
    pub method: String,
    pub query: Option<String>,
    pub remote_ip: String,
    pub body_sha256: Vec<u8>,
    pub not_json: bool,
    pub body_unsigned: bool,
    pub unverified: bool,
    pub conflict_of: Option<i64>,
    pub duplicates: i64,
    pub last_duplicate_at: Option<String>,
    /// awaiting, confirmed, refused; `None`: nobody was asked.
    pub confirmation: Option<String>,
    /// JSON object: name to value, or to an array of values.
    pub headers: String,
    pub body_bytes: i64,
}

/// A message with its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMessage {
    pub head: MessageHead,
    /// Exactly as received.
    pub body: Bytes,
    /// The form as JSON, where the body is a form; `None` also where the body itself is the JSON.
    pub form: Option<String>,
}

impl StoredMessage {
    /// The payload as JSON text; `None` where it is not JSON.
    pub fn payload(&self) -> Option<&[u8]> {
        match &self.form {
            Some(form) => Some(form.as_bytes()),
            None if self.head.not_json || self.body.is_empty() => None,
            None => Some(&self.body),
        }
    }

    pub fn is_emitted(&self) -> bool {
        self.head.source == super::subscription::EMITTED
    }
}

const HEAD: &str =
    "id, received_at, source, event, owner, delivery_id, method, query, remote_ip, body_sha256, not_json,
  body_unsigned, unverified, conflict_of, duplicates, last_duplicate_at, confirmation, headers,
  octet_length(coalesce(body, payload)) AS body_bytes";

fn read_head(row: &Row<'_>) -> rusqlite::Result<MessageHead> {
    Ok(MessageHead {
        id: row.get(0)?,
        received_at: row.get(1)?,
        source: row.get(2)?,
        event: row.get(3)?,
        owner: row.get(4)?,
        delivery_id: row.get(5)?,
        method: row.get(6)?,
        query: row.get(7)?,
        remote_ip: row.get(8)?,
        body_sha256: row.get(9)?,
        not_json: row.get(10)?,
        body_unsigned: row.get(11)?,
        unverified: row.get(12)?,
        conflict_of: row.get(13)?,
        duplicates: row.get(14)?,
        last_duplicate_at: row.get(15)?,
        confirmation: row.get(16)?,
        headers: row.get(17)?,
        body_bytes: row.get::<_, Option<i64>>(18)?.unwrap_or(0),
    })
}

/// One message with its body.
pub fn one(connection: &Connection, id: i64) -> rusqlite::Result<Option<StoredMessage>> {
    let sql = format!("SELECT {HEAD}, body, payload FROM messages WHERE id = ?1");
    connection
        .prepare_cached(&sql)?
        .query_row([id], |row| {
            let head = read_head(row)?;
            let body: Option<Vec<u8>> = row.get(19)?;
            let payload: Option<String> = row.get(20)?;
            Ok(match (body, payload) {
                (Some(body), form) => StoredMessage { head, body: body.into(), form },
                (None, payload) => {
                    StoredMessage { head, body: payload.unwrap_or_default().into_bytes().into(), form: None }
                }
            })
        })
        .optional()
}

/// Whether the message is still there.
pub fn exists(connection: &Connection, id: i64) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM messages WHERE id = ?1)")?
        .query_row([id], |row| row.get(0))
}

/// Which messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MessageFilter {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<i64>,
    /// Received at this time or later, as timestamps are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Received before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// A pattern.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Stands in the body, in this case and spelling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Only those with a dead delivery.
    pub dead: bool,
}

/// Some of the messages, and where the next page begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessagePage {
    pub messages: Vec<MessageHead>,
    /// `None` after the last page. A page may be short, or empty, and still not be the last: what is looked at is bounded.
    pub next: Option<i64>,
}

/// A page looks at no more rows than this, so that no reader holds up the WAL for long.
const LOOKED_AT_A_PAGE: i64 = 20_000;
/// Where their bodies are searched.
const SEARCHED_A_PAGE: i64 = 2_000;

fn looked_at_a_page(filter: &MessageFilter) -> i64 {
    if filter.text.is_some() { SEARCHED_A_PAGE } else { LOOKED_AT_A_PAGE }
}

/// In which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    NewestFirst,
    OldestFirst,
}

/// What a filter asks of a message.
const MATCHES: &str = "(:ids IS NULL OR id IN (SELECT value FROM json_each(:ids)))
  AND (:since IS NULL OR received_at >= :since) AND (:until IS NULL OR received_at < :until)
  AND (:source IS NULL OR source = :source) AND (:event IS NULL OR event GLOB :event)
  AND (:owner IS NULL OR owner = :owner)
  AND (:text IS NULL OR instr(coalesce(body, CAST(payload AS BLOB)), CAST(:text AS BLOB)) > 0
       OR instr(CAST(payload AS BLOB), CAST(:text AS BLOB)) > 0)
  AND (NOT :dead OR EXISTS (SELECT 1 FROM deliveries WHERE message_id = messages.id AND state = 'dead'))";

/// `from`: only messages beyond this id in the direction.
pub fn page(
    connection: &Connection,
    filter: &MessageFilter,
    direction: Direction,
    from: Option<i64>,
    limit: usize,
) -> rusqlite::Result<MessagePage> {
    let from = from.unwrap_or(if direction == Direction::NewestFirst { i64::MAX } else { 0 });
    let (beyond, order, edge) = match direction {
        Direction::NewestFirst => ("<", "DESC", "min"),
        Direction::OldestFirst => (">", "ASC", "max"),
    };
    let end: (Option<i64>, i64) = connection
        .prepare_cached(&format!(
            "SELECT {edge}(id), count(*) FROM (SELECT id FROM messages WHERE id {beyond} ?1 ORDER BY id {order} LIMIT ?2)"
        ))?
        .query_row([from, looked_at_a_page(filter)], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(last), looked_at) = end else { return Ok(MessagePage::default()) };
    let within = if direction == Direction::NewestFirst { ">=" } else { "<=" };
    let ids = ids_text(filter);
    let sql = format!(
        "SELECT {HEAD} FROM messages
         WHERE id {beyond} :from AND id {within} :last
           AND {MATCHES}
         ORDER BY id {order} LIMIT :limit"
    );
    let messages: Vec<MessageHead> = connection
        .prepare_cached(&sql)?
        .query_map(
            named_params! {
                ":from": from, ":last": last, ":ids": ids, ":since": filter.since, ":until": filter.until,
                ":source": filter.source, ":event": filter.event.as_deref().map(glob), ":owner": filter.owner,
                ":text": filter.text, ":dead": filter.dead, ":limit": limit,
            },
            read_head,
        )?
        .collect::<rusqlite::Result<_>>()?;
    let next = match messages.last() {
        Some(message) if messages.len() == limit => Some(message.id),
        _ => (looked_at == looked_at_a_page(filter)).then_some(last),
    };
    Ok(MessagePage { messages, next })
}

fn ids_text(filter: &MessageFilter) -> Option<String> {
    (!filter.ids.is_empty()).then(|| serde_json::Value::from(filter.ids.clone()).to_string())
}

/// How many of the messages behind `from`, up to `through`, a replay would deliver: those that the filter wants and that
/// need not be confirmed any more, and where the target has an owner, only that owner's. Looks at no more than for a page;
/// with where to go on.
pub fn count_step(
    connection: &Connection,
    filter: &MessageFilter,
    target_owner: Option<&str>,
    from: i64,
    through: i64,
) -> rusqlite::Result<(u64, Option<i64>)> {
    let last: Option<i64> = connection
        .prepare_cached(
            "SELECT max(id) FROM (SELECT id FROM messages WHERE id > ?1 AND id <= ?2 ORDER BY id LIMIT ?3)",
        )?
        .query_row([from, through, looked_at_a_page(filter)], |row| row.get(0))?;
    let Some(last) = last else { return Ok((0, None)) };
    let sql = format!(
        "SELECT count(*) FROM messages
         WHERE id > :from AND id <= :last AND {MATCHES} AND (confirmation IS NULL OR confirmation = 'confirmed')
           AND (:target_owner IS NULL OR owner = :target_owner)"
    );
    let count = connection.prepare_cached(&sql)?.query_row(
        named_params! {
            ":from": from, ":last": last, ":ids": ids_text(filter), ":since": filter.since,
            ":until": filter.until, ":source": filter.source, ":event": filter.event.as_deref().map(glob),
            ":owner": filter.owner, ":text": filter.text, ":dead": filter.dead, ":target_owner": target_owner,
        },
        |row| row.get(0),
    )?;
    Ok((count, (last < through).then_some(last)))
}

/// A pattern as SQLite's GLOB writes it: only the star is special.
fn glob(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    for character in Pattern::new(pattern).as_str().chars() {
        match character {
            '?' | '[' => text.extend(['[', character, ']']),
            other => text.push(other),
        }
    }
    text
}

/// 0 where there is none.
pub fn newest_id(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT coalesce(max(id), 0) FROM messages", [], |row| row.get(0))
}

/// The first message that was received at this time or later; `None` where there is none.
pub fn first_since(connection: &Connection, since: &str) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT id FROM messages WHERE received_at >= ?1 ORDER BY received_at, id LIMIT 1")?
        .query_row([since], |row| row.get(0))
        .optional()
}
