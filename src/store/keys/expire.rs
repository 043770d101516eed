//! Expiry of keys. Keys are merged into the table before their messages are deleted, and are
//! deleted one generation at a time.

use rusqlite::params;

use crate::store::id::MessageId;
use crate::store::timestamp::Timestamp;
use crate::store::writer::job::Database;

/// Requests a merge of the keys in memory. Returns true once the keys of messages up to `through`
/// are merged, or if merging was stopped. The writer merges the keys in slices, one in each of its
/// transactions.
pub fn merge_keys(database: &mut Database<'_>, through: MessageId) -> bool {
    // The id of a manually inserted row may be higher than that of the newest message tracked here.
    let goal = through.min(database.keys.newest_message());
    let is_done = database.keys.merged_through() >= goal || database.keys.is_merging_stopped();
    if !is_done {
        database.keys.request_merge();
    }
    is_done
}

/// Deletes some keys of a generation whose newest key is older than `cut_off`. Returns true when no
/// such generation remains.
pub fn forget_keys(database: &mut Database<'_>, cut_off: Timestamp) -> rusqlite::Result<bool> {
    let generation: Option<i64> = database.connection.query_row(
        "SELECT min(generation) FROM key_generations WHERE newest_at < ?1 AND generation <> ?2",
        params![cut_off, database.keys.generation()],
        |row| row.get(0),
    )?;
    let Some(generation) = generation else { return Ok(true) };
    let deleted = database.connection.execute(
        "DELETE FROM delivery_keys WHERE generation = ?1 AND (key, message_id) IN
           (SELECT key, message_id FROM delivery_keys WHERE generation = ?1 LIMIT 1024)",
        [generation],
    )?;
    if deleted == 0 {
        database.connection.execute("DELETE FROM key_generations WHERE generation = ?1", [generation])?;
        database.keys.forget_generations(database.connection)?;
    }
    Ok(false)
}
