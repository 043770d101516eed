//! Support for tests of other modules: changes to the file that bypass the service.

use std::path::Path;

use rusqlite::Connection;

pub fn change(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

/// Blocks all other writers until it is dropped.
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
