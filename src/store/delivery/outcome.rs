//! Outcomes of attempts, written in batches.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::store::delivery::dead::{self, FAILED_STATE};
use crate::store::delivery::state::{AttemptOutcome, DeliveryState};
use crate::store::id::{DeliveryId, MessageId, TargetId};
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
    fn summary(&self) -> String {
        match (&self.error, self.status) {
            (Some(error), _) => error.clone(),
            (None, Some(status)) => status.to_string(),
            (None, None) => self.outcome.name().to_owned(),
        }
    }
}

/// Writes the outcomes. If a delivery is not pending at that time, its attempt is stored, and its
/// row stays unchanged.
pub fn record(connection: &Connection, records: &[AttemptRecord], now: Timestamp) -> rusqlite::Result<()> {
    for record in records {
        // A delivery can be deleted with its message while an attempt is in flight.
        let is_stored = connection
            .prepare_cached(
                "INSERT OR REPLACE INTO attempts (delivery_id, number, began_at, took_ms, outcome, status, error, excerpt)
                 SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8 FROM deliveries WHERE id = ?1",
            )?
            .execute(params![
                record.delivery,
                record.number,
                record.began_at,
                record.took_ms,
                record.outcome,
                record.status,
                record.error,
                record.excerpt,
            ])?;
        if is_stored == 0 {
            continue;
        }
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
        let settled: Option<(MessageId, TargetId)> = connection
            .prepare_cached(&format!(
                "UPDATE deliveries SET state = CASE ?2 WHEN 'dead' THEN {FAILED_STATE} ELSE ?2 END,
                   attempts = ?3, due_at = coalesce(?4, due_at), not_before = ?5, finished_at = ?6, outcome = ?7
                 WHERE id = ?1 AND state = 'pending' RETURNING message_id, target_id"
            ))?
            .query_row(
                params![
                    record.delivery,
                    state,
                    record.number,
                    due_at,
                    not_before,
                    finished_at,
                    record.summary(),
                ],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )
            .optional()?;
        if let (Some((message, target)), DeliveryState::Delivered) = (settled, state) {
            dead::settle(connection, message, target)?;
        }
    }
    Ok(())
}
