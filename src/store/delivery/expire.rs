//! Deletes deliveries that finished long ago, and discards pending ones, see [`DiscardRequest`].

use std::time::Instant;

use rusqlite::types::Value;
use rusqlite::{Connection, params};

use crate::store::delivery::dead::FAILED_STATE;
use crate::store::delivery::state::DeliveryState;
use crate::store::id::{DeliveryId, MessageId, TargetId};
use crate::store::timestamp::Timestamp;
use crate::store::walk::{MAX_SCANNED_PER_PAGE, STEP_TIME, StepResult, TimePosition, Walk};
use crate::store::writer::job::Database;

/// Finished deliveries in order of completion.
pub const FINISHED: Walk = Walk {
    select: "SELECT id, finished_at, message_id, state,
               EXISTS (SELECT 1 FROM attempts WHERE delivery_id = deliveries.id) FROM deliveries",
    at: "finished_at",
    id: "id",
    and: "",
};

/// Messages of finished deliveries, in order of completion.
pub const MESSAGES_FINISHED: Walk = Walk {
    select: "SELECT id, finished_at, message_id FROM deliveries",
    at: "finished_at",
    id: "id",
    and: "",
};

/// A finished delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishedDelivery {
    pub id: DeliveryId,
    pub message: MessageId,
    pub state: DeliveryState,
    pub has_attempts: bool,
}

/// A page of finished deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinishedPage {
    pub deliveries: Vec<FinishedDelivery>,
    /// Position of the next page; `None` after the last one.
    pub next: Option<TimePosition>,
}

/// Returns a page of deliveries that finished before `before`, starting after the position `after`,
/// oldest first. Runs on a read-only connection.
pub fn finished(
    connection: &Connection,
    after: &TimePosition,
    before: Timestamp,
) -> rusqlite::Result<FinishedPage> {
    let (deliveries, next) = FINISHED.page(connection, after, before, |row| {
        Ok(FinishedDelivery {
            id: row.get(0)?,
            message: row.get(2)?,
            state: row.get(3)?,
            has_attempts: row.get(4)?,
        })
    })?;
    Ok(FinishedPage { deliveries, next })
}

/// Returns one page of messages up to `through` with a delivery that finished after the position
/// `after`, and the next position. A message may be on several pages. Runs on a read-only
/// connection.
pub fn messages_finished(
    connection: &Connection,
    after: &TimePosition,
    through: MessageId,
) -> rusqlite::Result<(Vec<MessageId>, Option<TimePosition>)> {
    let (mut messages, next) =
        MESSAGES_FINISHED.page(connection, after, Timestamp::MAX, |row| row.get::<_, MessageId>(2))?;
    messages.retain(|id| *id <= through);
    messages.sort_unstable();
    messages.dedup();
    Ok((messages, next))
}

pub fn delete_one(connection: &Connection, id: DeliveryId) -> rusqlite::Result<usize> {
    connection.prepare_cached("DELETE FROM attempts WHERE delivery_id = ?1")?.execute([id])?;
    connection.prepare_cached("DELETE FROM deliveries WHERE id = ?1")?.execute([id])
}

/// Deletes the attempts of the finished deliveries `ids`, and also the deliveries themselves,
/// unless they are dead letters. Stops after `STEP_TIME`.
pub fn delete_finished(database: &mut Database<'_>, ids: &[DeliveryId]) -> rusqlite::Result<StepResult> {
    let connection = database.connection;
    step(ids, |id| {
        connection.prepare_cached("DELETE FROM attempts WHERE delivery_id = ?1")?.execute([id])?;
        connection
            .prepare_cached("DELETE FROM deliveries WHERE id = ?1 AND state IN ('delivered', 'replayed')")?
            .execute([id])
    })
}

/// Deletes dead letters until `STEP_TIME` has passed.
pub fn delete_dead(database: &mut Database<'_>, ids: &[DeliveryId]) -> rusqlite::Result<StepResult> {
    step(ids, |id| delete_one(database.connection, id))
}

/// Returns one page of a target's pending deliveries that were created before `before` and are due
/// before it, in order of their due time; `Timestamp::MAX` selects all. Runs on a read-only
/// connection.
pub fn pending_before(
    connection: &Connection,
    target: TargetId,
    before: Timestamp,
) -> rusqlite::Result<Vec<DeliveryId>> {
    connection
        .prepare_cached(
            "SELECT id FROM deliveries
             WHERE target_id = ?1 AND state = 'pending' AND due_at < ?2 AND created_at < ?2
             ORDER BY due_at LIMIT ?3",
        )?
        .query_map(params![target, upper_bound(before), MAX_SCANNED_PER_PAGE], |row| row.get(0))?
        .collect()
}

/// Deliveries to discard: they become dead letters without a further attempt, or `replayed` if a
/// newer delivery exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscardRequest {
    pub deliveries: Vec<DeliveryId>,
    /// If set, discards a delivery only if its target became inactive before this time. A target
    /// that is active again keeps its deliveries. `Timestamp::MAX`: became inactive at any time.
    pub inactive_since: Option<Timestamp>,
    pub why: String,
}

/// Discards the requested deliveries until `STEP_TIME` has passed.
pub fn discard(
    database: &mut Database<'_>,
    request: &DiscardRequest,
    now: Timestamp,
) -> rusqlite::Result<StepResult> {
    let connection = database.connection;
    let inactive_since = request.inactive_since.map(upper_bound);
    step(&request.deliveries, |id| {
        connection
            .prepare_cached(&format!(
                "UPDATE deliveries SET state = {FAILED_STATE}, finished_at = ?4, outcome = ?3
                 WHERE id = ?1 AND state = 'pending' AND (?2 IS NULL OR EXISTS
                   (SELECT 1 FROM targets WHERE id = target_id AND state <> 'active' AND state_since < ?2))"
            ))?
            .execute(params![id, inactive_since, request.why, now])
    })
}

/// Returns the value that stored times before `before` sort before. An edited time can sort after
/// `Timestamp::MAX`, so that becomes a BLOB, which sorts after all text.
fn upper_bound(before: Timestamp) -> Value {
    if before == Timestamp::MAX { Value::Blob(Vec::new()) } else { Value::Text(before.to_string()) }
}

fn step(
    ids: &[DeliveryId],
    mut change: impl FnMut(DeliveryId) -> rusqlite::Result<usize>,
) -> rusqlite::Result<StepResult> {
    let began = Instant::now();
    let mut done = StepResult::default();
    for id in ids {
        done.changed += change(*id)?;
        done.taken += 1;
        if began.elapsed() >= STEP_TIME {
            break;
        }
    }
    Ok(done)
}
