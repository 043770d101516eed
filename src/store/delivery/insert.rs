//! New deliveries. One is written in the transaction of its message.

use rusqlite::{Connection, params};

use crate::store::delivery::dead;

/// One delivery to be made within the writer's transaction; its id. `None`: the target must not have the message. Who
/// gets what was decided before, perhaps by a person who named the target: this is where no one passes by the owner.
pub fn insert(
    connection: &Connection,
    message: i64,
    target: i64,
    replay: Option<i64>,
    now: &str,
) -> rusqlite::Result<Option<i64>> {
    let made = connection
        .prepare_cached(
            "INSERT INTO deliveries (message_id, target_id, created_at, due_at, replay_id)
             SELECT ?1, targets.id, ?3, ?3, ?4 FROM targets
             WHERE targets.id = ?2 AND targets.state <> 'removed' AND EXISTS (SELECT 1 FROM messages WHERE id = ?1)
               AND (targets.owner IS NULL OR targets.owner IS (SELECT messages.owner FROM messages WHERE messages.id = ?1))",
        )?
        .execute(params![message, target, now, replay])?;
    Ok((made == 1).then(|| connection.last_insert_rowid()))
}

/// A further delivery of a message that the target may have had before, with the dead ones settled by it. `None` if the
/// target must not have the message.
pub fn insert_again(
    connection: &Connection,
    message: i64,
    target: i64,
    replay: Option<i64>,
    now: &str,
) -> rusqlite::Result<Option<i64>> {
    let id = insert(connection, message, target, replay, now)?;
    if id.is_some() {
        dead::settle(connection, message, target)?;
    }
    Ok(id)
}
