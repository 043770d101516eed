//! Rows of `messages` in creel's format, for comparing creel with other ways to write them.

use std::path::Path;
use std::time::{Duration, Instant};

use ring::digest::{SHA256, digest};
use rusqlite::{Connection, params};
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::Outcome;
use crate::payload::{BodySize, DeliveryIds, EVENT, Request};

const BATCH: usize = 64;
const TIMESTAMP: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// Creates the schema in a new file.
pub fn create(path: &Path) -> Outcome<()> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.execute_batch(include_str!("../../schema.sql"))?;
    Ok(())
}

/// Sets creel's durability options; SQLite runs its default checkpoints.
pub fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)
}

/// One message, ready to be bound.
#[derive(Debug)]
pub struct Row<'a> {
    pub received_at: &'a str,
    pub delivery_id: &'a str,
    pub body_sha256: &'a [u8],
    pub headers: &'a str,
    pub payload: &'a str,
}

impl Row<'_> {
    pub fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection
            .prepare_cached(
                "INSERT INTO messages (received_at, source, event, delivery_id, method, query, remote_ip, body_sha256,
                   not_json, body_unsigned, conflict_of, headers, payload, body)
                 VALUES (?1, 'github', ?2, ?3, 'POST', NULL, '127.0.0.1', ?4, 0, 0, NULL, ?5, ?6, NULL)",
            )?
            .execute(params![
                self.received_at,
                format!("github.{EVENT}.opened"),
                self.delivery_id,
                self.body_sha256,
                self.headers,
                self.payload
            ])
            .map(|_| ())
    }
}

pub fn timestamp() -> Outcome<String> {
    timestamp_of(OffsetDateTime::now_utc())
}

pub fn timestamp_of(time: OffsetDateTime) -> Outcome<String> {
    Ok(time.format(TIMESTAMP)?)
}

/// Formats the headers as a JSON object with lower-case names.
pub fn headers_as_json<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>) -> Outcome<String> {
    let object: serde_json::Map<String, serde_json::Value> =
        headers.map(|(name, value)| (name.to_ascii_lowercase(), value.into())).collect();
    Ok(serde_json::to_string(&object)?)
}

/// Measures the rows per second that one thread inserts in transactions of 64, with all possible
/// work done in advance.
pub fn raw_insert_rate(path: &Path, size: BodySize, duration: Duration) -> Outcome<f64> {
    create(path)?;
    let connection = Connection::open(path)?;
    prepare(&connection)?;
    let request = Request::new(size, 0);
    let headers = headers_as_json(request.headers.iter().map(|(name, value)| (*name, value.as_str())))?;
    let body_sha256 = digest(&SHA256, request.body.as_bytes());
    let mut ids = DeliveryIds::new()?;
    let mut id = *b"00000000-0000-0000-0000-000000000000";
    let begin = Instant::now();
    let mut rows = 0;
    while begin.elapsed() < duration {
        let received_at = timestamp()?;
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for _ in 0..BATCH {
            ids.write(&mut id);
            let row = Row {
                received_at: &received_at,
                delivery_id: std::str::from_utf8(&id)?,
                body_sha256: body_sha256.as_ref(),
                headers: &headers,
                payload: &request.body,
            };
            row.insert(&connection)?;
            rows += 1;
        }
        connection.execute_batch("COMMIT")?;
    }
    Ok(f64::from(rows) / begin.elapsed().as_secs_f64())
}
