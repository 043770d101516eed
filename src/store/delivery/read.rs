//! Reads deliveries and their attempts.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::store::damage;
use crate::store::delivery::state::{AttemptOutcome, DeliveryState};
use crate::store::id::{DeliveryId, MessageId, ReplayId, TargetId};
use crate::store::stored_time::StoredTime;

/// One row of `deliveries`, with the event of its message and the name of its target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDelivery {
    pub id: DeliveryId,
    pub message: MessageId,
    /// `None` if the message was deleted.
    pub event: Option<String>,
    pub target: TargetId,
    pub target_name: String,
    pub state: DeliveryState,
    pub attempts: u32,
    pub created_at: StoredTime,
    /// Time of the next attempt, while the delivery is pending.
    pub due_at: StoredTime,
    pub finished_at: Option<StoredTime>,
    pub outcome: Option<String>,
    pub replay: Option<ReplayId>,
    /// The newest other delivery of the message to the target, if the state is `Replayed`.
    pub replayed_by: Option<DeliveryId>,
}

/// Selection of deliveries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    pub message: Option<MessageId>,
    pub target: Option<TargetId>,
    pub state: Option<DeliveryState>,
    pub replay: Option<ReplayId>,
    /// Excludes deliveries to listeners.
    pub is_without_listeners: bool,
}

const COLUMNS: &str =
    "deliveries.id, message_id, messages.event, target_id, targets.name, deliveries.state, attempts,
  deliveries.created_at, max(due_at, coalesce(not_before, due_at)), finished_at, outcome, replay_id,
  CASE deliveries.state WHEN 'replayed' THEN (SELECT max(other.id) FROM deliveries AS other
    WHERE other.message_id = deliveries.message_id AND other.target_id = deliveries.target_id
      AND other.id <> deliveries.id) END";
const FROM: &str =
    "deliveries LEFT JOIN targets ON targets.id = target_id LEFT JOIN messages ON messages.id = message_id";

fn read_row(row: &Row<'_>) -> rusqlite::Result<StoredDelivery> {
    Ok(StoredDelivery {
        id: row.get(0)?,
        message: row.get(1)?,
        event: row.get(2)?,
        target: row.get(3)?,
        target_name: row.get::<_, Option<String>>(4)?.unwrap_or_default(),
        state: row.get(5)?,
        attempts: row.get(6)?,
        created_at: damage::stored_time("deliveries", row, 7)?,
        due_at: damage::stored_time("deliveries", row, 8)?,
        finished_at: damage::stored_time("deliveries", row, 9)?,
        outcome: row.get(10)?,
        replay: row.get(11)?,
        replayed_by: row.get(12)?,
    })
}

pub fn one(connection: &Connection, id: DeliveryId) -> rusqlite::Result<Option<StoredDelivery>> {
    let sql = format!("SELECT {COLUMNS} FROM {FROM} WHERE deliveries.id = ?1");
    connection.prepare_cached(&sql)?.query_row([id], read_row).optional()
}

/// A pending delivery becomes a dead letter if it is older than this, and its target has been in
/// its current state for longer than this and is either inactive (paused, disabled or no longer
/// declared) or failing (its circuit breaker is open).
pub const MAX_DELIVERY_WAIT: Duration = Duration::from_secs(7 * 86_400);

/// Limit on rows examined for a page.
const MAX_SCANNED_PER_PAGE: i64 = 20_000;

/// Returns a page of deliveries with ids below `from`, newest first, and the position of the next
/// page. A short page is not necessarily the last one.
pub fn page(
    connection: &Connection,
    filter: &DeliveryFilter,
    from: Option<DeliveryId>,
    limit: usize,
) -> rusqlite::Result<(Vec<StoredDelivery>, Option<DeliveryId>)> {
    let from = from.unwrap_or(DeliveryId::END);
    // The deliveries of one message are few and have an index, so the number of rows examined has
    // no limit.
    let (last, scanned): (DeliveryId, i64) = match filter.message {
        Some(_) => (DeliveryId::START, 0),
        None => connection
            .prepare_cached(
                "SELECT coalesce(min(id), 0), count(*) FROM (SELECT id FROM deliveries WHERE id < ?1 ORDER BY id DESC LIMIT ?2)",
            )?
            .query_row(params![from, MAX_SCANNED_PER_PAGE], |row| Ok((row.get(0)?, row.get(1)?)))?,
    };
    let of_message = if filter.message.is_some() { "message_id = ?3" } else { "?3 IS NULL" };
    let sql = format!(
        "SELECT {COLUMNS} FROM {FROM}
         WHERE deliveries.id < ?1 AND deliveries.id >= ?2 AND {of_message} AND (?4 IS NULL OR target_id = ?4)
           AND (?5 IS NULL OR deliveries.state = ?5) AND (?6 IS NULL OR replay_id = ?6)
           AND (NOT ?8 OR targets.kind IS NOT 'listener')
         ORDER BY deliveries.id DESC LIMIT ?7"
    );
    let deliveries: Vec<StoredDelivery> = connection
        .prepare_cached(&sql)?
        .query_map(
            params![
                from,
                last,
                filter.message,
                filter.target,
                filter.state,
                filter.replay,
                limit,
                filter.is_without_listeners
            ],
            read_row,
        )?
        .collect::<rusqlite::Result<_>>()?;
    let next = match deliveries.last() {
        Some(delivery) if deliveries.len() == limit => Some(delivery.id),
        _ => (scanned == MAX_SCANNED_PER_PAGE).then_some(last),
    };
    Ok((deliveries, next))
}

/// One row of `attempts`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAttempt {
    pub number: u32,
    pub began_at: StoredTime,
    pub took_ms: i64,
    pub outcome: AttemptOutcome,
    pub status: Option<i64>,
    pub error: Option<String>,
    pub excerpt: Option<String>,
}

/// Returns the attempts, oldest first.
pub fn attempts(connection: &Connection, delivery: DeliveryId) -> rusqlite::Result<Vec<StoredAttempt>> {
    connection
        .prepare_cached(
            "SELECT number, began_at, took_ms, outcome, status, error, excerpt, delivery_id AS id FROM attempts
             WHERE delivery_id = ?1 ORDER BY number",
        )?
        .query_map([delivery], |row| {
            Ok(StoredAttempt {
                number: row.get(0)?,
                began_at: damage::stored_time("attempts", row, 1)?,
                took_ms: row.get(2)?,
                outcome: row.get(3)?,
                status: row.get(4)?,
                error: row.get(5)?,
                excerpt: row.get(6)?,
            })
        })?
        .collect()
}
