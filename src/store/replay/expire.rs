//! Deletes finished replays.

use crate::store::timestamp::Timestamp;
use rusqlite::{Connection, params};

const MAX_DELETED_PER_STEP: usize = 100;

/// Deletes some replays that finished before `before`; returns their number.
pub fn delete_replays(connection: &Connection, before: Timestamp) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "DELETE FROM replays WHERE id IN
               (SELECT id FROM replays WHERE state <> 'running' AND updated_at < ?1 LIMIT ?2)",
        )?
        .execute(params![before, MAX_DELETED_PER_STEP])
}
