//! Dead letters: failed deliveries, until another delivery of the same message to the same target
//! settles them: a newer one, or an older one that succeeds. At most one delivery of a message to a
//! target is dead.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use crate::store::id::{DeliveryId, MessageId, TargetId, ids_text};
use crate::store::target::settings::TargetState;

/// SQL expression for the state of a delivery that failed permanently: `replayed` if a newer
/// delivery of the message to the target exists, otherwise `dead`.
pub const FAILED_STATE: &str = "CASE WHEN EXISTS (
     SELECT 1 FROM deliveries AS newer
     WHERE newer.message_id = deliveries.message_id AND newer.target_id = deliveries.target_id AND newer.id > deliveries.id)
   THEN 'replayed' ELSE 'dead' END";

/// Number of dead letters of one target among the messages that a replay selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetterCount {
    pub target: TargetId,
    pub name: String,
    pub state: TargetState,
    pub deliveries: u64,
}

/// Settles the dead deliveries of a message to a target: their state becomes `replayed`.
pub fn settle(connection: &Connection, message: MessageId, target: TargetId) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "UPDATE deliveries SET state = 'replayed' WHERE target_id = ?1 AND message_id = ?2 AND state = 'dead'",
        )?
        .execute(params![target, message])
}

/// Settles the dead deliveries of the same message to the same target as this delivery.
pub fn settle_delivered(connection: &Connection, delivery: DeliveryId) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "UPDATE deliveries SET state = 'replayed' WHERE state = 'dead' AND (target_id, message_id) =
               (SELECT target_id, message_id FROM deliveries WHERE id = ?1)",
        )?
        .execute([delivery])
}

/// Whether there are any dead deliveries.
pub fn exist(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM deliveries INDEXED BY deliveries_dead WHERE state = 'dead')",
        )?
        .query_row([], |row| row.get(0))
}

/// Whether the message has a dead letter at the target.
pub fn is_dead(connection: &Connection, message: MessageId, target: TargetId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM deliveries WHERE target_id = ?1 AND message_id = ?2 AND state = 'dead')",
        )?
        .query_row(params![target, message], |row| row.get(0))
}

/// Whether a delivery that a bulk replay created is still pending, so that another replay would add
/// nothing.
pub fn is_being_replayed(
    connection: &Connection,
    message: MessageId,
    target: TargetId,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM deliveries
               WHERE message_id = ?2 AND target_id = ?1 AND state = 'pending' AND replay_id IS NOT NULL)",
        )?
        .query_row(params![target, message], |row| row.get(0))
}

/// Returns, for each message, the targets where it is a dead letter, without removed targets and
/// listeners; with `at`, considers only the target `at`.
pub fn targets_of(
    connection: &Connection,
    messages: &[MessageId],
    at: Option<TargetId>,
) -> rusqlite::Result<BTreeMap<MessageId, Vec<TargetId>>> {
    let mut found: BTreeMap<MessageId, Vec<TargetId>> = BTreeMap::new();
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT target_id FROM deliveries
         WHERE message_id = ?1 AND state = 'dead' AND (?2 IS NULL OR target_id = ?2) AND EXISTS (
           SELECT 1 FROM targets WHERE id = target_id AND kind <> 'listener' AND state <> 'removed')
         ORDER BY target_id",
    )?;
    for message in messages {
        let targets: Vec<TargetId> =
            statement.query_map(params![message, at], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
        found.insert(*message, targets);
    }
    Ok(found)
}

/// Counts the dead letters of the messages by target, or only those of the target `at`. Listeners
/// have no dead letters.
pub fn letters_of(
    connection: &Connection,
    messages: Vec<MessageId>,
    at: Option<TargetId>,
) -> rusqlite::Result<BTreeMap<TargetId, DeadLetterCount>> {
    let messages = ids_text(&messages);
    connection
        .prepare_cached(
            "SELECT target_id, targets.name, targets.state, count(*) FROM deliveries JOIN targets ON targets.id = target_id
             WHERE deliveries.state = 'dead' AND kind <> 'listener' AND (?2 IS NULL OR target_id = ?2)
               AND message_id IN (SELECT value FROM json_each(?1))
             GROUP BY target_id",
        )?
        .query_map(params![messages, at], |row| {
            let target = row.get(0)?;
            let letters =
                DeadLetterCount { target, name: row.get(1)?, state: row.get(2)?, deliveries: row.get(3)? };
            Ok((target, letters))
        })?
        .collect()
}

/// Counts all dead letters.
pub fn count(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "SELECT count(*) FROM deliveries JOIN targets ON targets.id = target_id
             WHERE deliveries.state = 'dead' AND kind <> 'listener'",
        )?
        .query_row([], |row| row.get(0))
}
