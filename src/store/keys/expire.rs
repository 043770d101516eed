//! Keys of delivery ids: merged before their messages go, and forgotten a generation at a time.

use rusqlite::params;

use crate::store::writer::job::Database;

/// Has the keys that are only in memory written, up to the message `through`; true once they are. The writer itself
/// does it, in slices between the messages.
pub fn merge_keys(database: &mut Database<'_>, through: i64) -> bool {
    // A row that somebody has added by hand may be beyond what is known here.
    let goal = through.min(database.keys.newest_message());
    let is_done = database.keys.merged_through() >= goal || database.keys.is_merging_stopped();
    if !is_done {
        database.keys.want_merge();
    }
    is_done
}

/// Deletes keys of generations that were last added to before `cut_off`; true when nothing is left to delete.
pub fn forget_keys(database: &mut Database<'_>, cut_off: &str) -> rusqlite::Result<bool> {
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
