//! Outcomes of attempts, written in batches.

use std::borrow::Cow;
use std::sync::LazyLock;

use rusqlite::{Connection, params};

use crate::store::damage;
use crate::store::delivery::dead::{self, FAILED_STATE};
use crate::store::delivery::state::{AttemptOutcome, DeliveryState};
use crate::store::id::DeliveryId;
use crate::store::target::settings::DeliveryOrdering;
use crate::store::timestamp::Timestamp;

/// Record of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    pub delivery: DeliveryId,
    /// Number of the attempt, from 1 on.
    pub number: u32,
    pub began_at: Timestamp,
    pub took_ms: u64,
    pub outcome: AttemptOutcome,
    /// HTTP status or exit code.
    pub status: Option<i64>,
    pub error: Option<String>,
    pub excerpt: Option<String>,
    pub next: Disposition,
}

/// Effect of an attempt on its delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    Delivered,
    /// Retried at `at`. In strict order, the delivery keeps its position in the queue.
    Again {
        at: Timestamp,
        ordering: DeliveryOrdering,
    },
    Dead,
}

impl AttemptRecord {
    /// Returns a summary for display.
    fn summary(&self) -> Cow<'_, str> {
        match (&self.error, self.status) {
            (Some(error), _) => error.into(),
            (None, Some(status)) => status.to_string().into(),
            (None, None) => self.outcome.name().into(),
        }
    }
}

/// Writes the outcomes. If a delivery is not pending at that time, its attempt is stored, and its
/// row stays unchanged.
pub fn record(connection: &Connection, records: &[AttemptRecord], now: Timestamp) -> rusqlite::Result<()> {
    let mut update = connection.prepare_cached(&UPDATE)?;
    let mut insert = connection.prepare_cached(
        "INSERT OR REPLACE INTO attempts (delivery_id, number, began_at, took_ms, outcome, status, error, excerpt)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    // Settling dead letters costs a statement for each delivery, and most databases have none. A
    // damaged index must not prevent the other outcomes.
    let mut has_dead = damage::skip("deliveries", dead::exist(connection))?.unwrap_or(true);
    for record in records {
        let (state, due_at, not_before) = match &record.next {
            Disposition::Delivered => (DeliveryState::Delivered, None, None),
            Disposition::Dead => (DeliveryState::Dead, None, None),
            Disposition::Again { at, ordering: DeliveryOrdering::Any } => {
                (DeliveryState::Pending, Some(at), None)
            }
            Disposition::Again { at, ordering: DeliveryOrdering::Strict } => {
                (DeliveryState::Pending, None, Some(at))
            }
        };
        let finished_at = (state != DeliveryState::Pending).then_some(now);
        let was_pending = update.execute(params![
            record.delivery,
            state,
            record.number,
            due_at,
            not_before,
            finished_at,
            record.summary(),
        ])? == 1;
        // A delivery can be deleted with its message while an attempt is in flight.
        if !was_pending && !exists(connection, record.delivery)? {
            continue;
        }
        insert.execute(params![
            record.delivery,
            record.number,
            record.began_at,
            record.took_ms,
            record.outcome,
            record.status,
            record.error,
            record.excerpt,
        ])?;
        // Another delivery of this batch can settle it.
        has_dead |= state == DeliveryState::Dead;
        if was_pending && has_dead && state == DeliveryState::Delivered {
            dead::settle_delivered(connection, record.delivery)?;
        }
    }
    Ok(())
}

static UPDATE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "UPDATE deliveries SET state = CASE ?2 WHEN 'dead' THEN {FAILED_STATE} ELSE ?2 END,
           attempts = ?3, due_at = coalesce(?4, due_at), not_before = ?5, finished_at = ?6, outcome = ?7
         WHERE id = ?1 AND state = 'pending'"
    )
});

fn exists(connection: &Connection, delivery: DeliveryId) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM deliveries WHERE id = ?1)")?
        .query_row([delivery], |row| row.get(0))
}
