//! New deliveries. Those of a new message are inserted in its transaction.

use rusqlite::{Connection, params};

use crate::store::delivery::dead;
use crate::store::id::{DeliveryId, MessageId, ReplayId, TargetId};
use crate::store::timestamp::Timestamp;

/// Inserts one delivery in the writer's transaction. Returns its id, or `None` if the message or
/// the target does not exist, the target is removed, or it has an owner other than the message's.
/// Some callers take the target from a user's request, so the owner is checked here, for all
/// callers.
pub fn insert(
    connection: &Connection,
    message: MessageId,
    target: TargetId,
    replay: Option<ReplayId>,
    now: Timestamp,
) -> rusqlite::Result<Option<DeliveryId>> {
    let made = connection
        .prepare_cached(
            "INSERT INTO deliveries (message_id, target_id, created_at, due_at, replay_id)
             SELECT ?1, targets.id, ?3, ?3, ?4 FROM targets
             WHERE targets.id = ?2 AND targets.state <> 'removed' AND EXISTS (SELECT 1 FROM messages WHERE id = ?1)
               AND (targets.owner IS NULL OR targets.owner IS (SELECT messages.owner FROM messages WHERE messages.id = ?1))",
        )?
        .execute(params![message, target, now, replay])?;
    Ok((made == 1).then(|| DeliveryId::of_rowid(connection.last_insert_rowid())))
}

/// Inserts another delivery of a message to the same target, and settles the dead letters there.
/// Returns `None` in the same cases as `insert`.
pub fn insert_again(
    connection: &Connection,
    message: MessageId,
    target: TargetId,
    replay: Option<ReplayId>,
    now: Timestamp,
) -> rusqlite::Result<Option<DeliveryId>> {
    let id = insert(connection, message, target, replay, now)?;
    if id.is_some() {
        dead::settle(connection, message, target)?;
    }
    Ok(id)
}
