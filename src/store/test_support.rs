//! For tests of other modules: what somebody does to the file behind the service's back.

use std::path::Path;

use rusqlite::Connection;

pub fn change(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

/// Keeps everybody else from writing, until it is dropped.
pub struct Lock {
    _connection: Connection,
}

impl Lock {
    pub fn take(path: &Path) -> Self {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch("BEGIN IMMEDIATE").unwrap();
        Self { _connection: connection }
    }
}
