//! The database file as seen in the sqlite3 shell, while the service runs or is stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::types::FromSql;
use rusqlite::{Connection, OpenFlags};

pub struct Database {
    path: PathBuf,
}

/// The columns of a message that tests read.
#[derive(Debug)]
pub struct Message {
    pub id: i64,
    pub received_at: String,
    pub source: String,
    pub event: String,
    pub delivery_id: Option<String>,
    pub method: String,
    pub query: Option<String>,
    pub remote_ip: String,
    pub headers: serde_json::Value,
    pub payload: Option<String>,
    /// The exact bytes, from the column that contains them.
    pub body: Vec<u8>,
    pub body_sha256: Vec<u8>,
    pub not_json: bool,
    pub body_unsigned: bool,
    pub conflict_of: Option<i64>,
    pub duplicates: i64,
}

const COLUMNS: &str = "id, received_at, source, event, delivery_id, method, query, remote_ip, headers, payload, \
    coalesce(body, CAST(payload AS BLOB), x''), body_sha256, not_json, body_unsigned, conflict_of, duplicates";

impl Database {
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn reader(&self) -> Connection {
        let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection
    }

    /// A connection for changes that bypass the service.
    pub fn writer(&self) -> Connection {
        let connection = Connection::open_with_flags(&self.path, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        connection.busy_timeout(Duration::from_secs(10)).unwrap();
        connection
    }

    #[track_caller]
    pub fn change(&self, sql: &str) -> usize {
        self.writer().execute(sql, []).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Stores copies of the first message, without delivery ids.
    #[track_caller]
    pub fn copy_message(&self, copies: usize) {
        let columns = "received_at, source, event, method, remote_ip, body_sha256, headers, payload";
        let copied = self.change(&format!(
            "INSERT INTO messages ({columns})
             WITH RECURSIVE copies (number) AS (VALUES (1) UNION ALL SELECT number + 1 FROM copies LIMIT {copies})
             SELECT {columns} FROM messages, copies WHERE id = 1",
        ));
        assert_eq!(copied, copies);
    }

    #[track_caller]
    pub fn value<T: FromSql>(&self, sql: &str) -> T {
        let value = self.reader().query_row(sql, [], |row| row.get(0));
        value.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    #[track_caller]
    pub fn column<T: FromSql>(&self, sql: &str) -> Vec<T> {
        let reader = self.reader();
        let mut statement = reader.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[track_caller]
    pub fn count(&self, table: &str) -> i64 {
        self.value(&format!("SELECT count(*) FROM {table}"))
    }

    pub fn messages(&self) -> Vec<Message> {
        self.messages_where("1")
    }

    #[track_caller]
    pub fn messages_where(&self, condition: &str) -> Vec<Message> {
        let reader = self.reader();
        let sql = format!("SELECT {COLUMNS} FROM messages WHERE {condition} ORDER BY id");
        let mut statement = reader.prepare(&sql).unwrap();
        statement.query_map([], message).unwrap().map(Result::unwrap).collect()
    }

    #[track_caller]
    pub fn only_message(&self) -> Message {
        let mut messages = self.messages();
        assert_eq!(messages.len(), 1, "{messages:?}");
        messages.remove(0)
    }

    #[track_caller]
    pub fn newest_message(&self) -> Message {
        self.messages_where("id = (SELECT max(id) FROM messages)").pop().expect("there is a message")
    }

    /// The number of messages of each delivery id.
    pub fn delivery_ids(&self) -> BTreeMap<String, i64> {
        let reader = self.reader();
        let mut statement = reader
            .prepare("SELECT delivery_id, count(*) FROM messages WHERE delivery_id IS NOT NULL GROUP BY 1")
            .unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[track_caller]
    pub fn assert_sound(&self) {
        assert_eq!(self.column::<String>("PRAGMA integrity_check"), ["ok"]);
    }
}

fn message(row: &rusqlite::Row<'_>) -> rusqlite::Result<Message> {
    let headers: String = row.get(8)?;
    Ok(Message {
        id: row.get(0)?,
        received_at: row.get(1)?,
        source: row.get(2)?,
        event: row.get(3)?,
        delivery_id: row.get(4)?,
        method: row.get(5)?,
        query: row.get(6)?,
        remote_ip: row.get(7)?,
        headers: serde_json::from_str(&headers).expect("headers are a JSON object"),
        payload: row.get(9)?,
        body: row.get(10)?,
        body_sha256: row.get(11)?,
        not_json: row.get(12)?,
        body_unsigned: row.get(13)?,
        conflict_of: row.get(14)?,
        duplicates: row.get(15)?,
    })
}
