//! Unused targets: those created by a replay or a listener, and removed ones.

use rusqlite::{Connection, params};

use crate::store::damage;
use crate::store::id::{DeliveryId, TargetId};
use crate::store::target::settings::{Origin, TargetKind, TargetState};
use crate::store::timestamp::Timestamp;

/// Limit on rows of `deliveries` examined in one page.
const MAX_SCANNED_PER_PAGE: usize = 20_000;

/// An inactive target, or one created for a replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InactiveTarget {
    pub id: TargetId,
    pub kind: TargetKind,
    pub origin: Origin,
    pub state: TargetState,
    pub state_since: Timestamp,
    pub state_reason: Option<String>,
    /// Whether it has pending deliveries or a running replay.
    pub is_busy: bool,
}

impl InactiveTarget {
    /// Whether deliveries to it can never resume. A removed target of the environment returns if it
    /// is declared again.
    pub fn is_removed_for_good(&self) -> bool {
        self.state == TargetState::Removed && self.origin != Origin::Environment
    }
}

/// Returns targets that are not active, and all created for a replay. Runs on a reader.
pub fn inactive(connection: &Connection) -> rusqlite::Result<Vec<InactiveTarget>> {
    connection
        .prepare_cached(
            "SELECT id, kind, origin, state, state_since, state_reason,
               EXISTS (SELECT 1 FROM deliveries WHERE target_id = targets.id AND state = 'pending')
                 OR EXISTS (SELECT 1 FROM replays WHERE target_id = targets.id AND state = 'running')
             FROM targets WHERE state <> 'active' OR origin = 'replay' ORDER BY id",
        )?
        .query_map([], |row| {
            Ok(InactiveTarget {
                id: row.get(0)?,
                kind: row.get(1)?,
                origin: row.get(2)?,
                state: row.get(3)?,
                state_since: damage::time("targets", row, 4)?,
                state_reason: row.get(5)?,
                is_busy: row.get(6)?,
            })
        })?
        .collect()
}

/// Removes an idle target that was created for a replay; true if it was removed.
pub fn retire_replay_target(connection: &Connection, id: TargetId, now: Timestamp) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "UPDATE targets SET state = 'removed', state_since = ?2, state_reason = 'all its replays have finished'
             WHERE id = ?1 AND origin = 'replay' AND state <> 'removed'
               AND NOT EXISTS (SELECT 1 FROM deliveries WHERE target_id = ?1 AND state = 'pending')
               AND NOT EXISTS (SELECT 1 FROM replays WHERE target_id = ?1 AND state = 'running')",
        )?
        .execute(params![id, now])
        .map(|changed| changed > 0)
}

/// Removes listeners without a connection since `before`; returns their number.
pub fn retire_listeners(
    connection: &Connection,
    before: Timestamp,
    now: Timestamp,
) -> rusqlite::Result<usize> {
    connection
        .prepare_cached(
            "UPDATE targets SET state = 'removed', state_since = ?2, state_reason = 'no client connected'
             WHERE kind = 'listener' AND state = 'paused' AND state_since < ?1",
        )?
        .execute(params![before, now])
}

/// Returns the targets of one page of deliveries after `after`, and the position of the next page.
/// Runs on a reader.
pub fn in_use(
    connection: &Connection,
    after: DeliveryId,
) -> rusqlite::Result<(Vec<TargetId>, Option<DeliveryId>)> {
    let (last, scanned): (Option<DeliveryId>, usize) = connection
        .prepare_cached(
            "SELECT max(id), count(*) FROM (SELECT id FROM deliveries WHERE id > ?1 ORDER BY id LIMIT ?2)",
        )?
        .query_row(params![after, MAX_SCANNED_PER_PAGE], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let targets = connection
        .prepare_cached("SELECT DISTINCT target_id FROM deliveries WHERE id > ?1 AND id <= ?2")?
        .query_map(params![after, last], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    Ok((targets, last.filter(|_| scanned == MAX_SCANNED_PER_PAGE)))
}

/// Deletes the row of a target removed before `before`; true if it was deleted.
pub fn delete_removed(connection: &Connection, id: TargetId, before: Timestamp) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "DELETE FROM targets WHERE id = ?1 AND state = 'removed' AND state_since < ?2
               AND NOT EXISTS (SELECT 1 FROM deliveries WHERE target_id = ?1 AND state = 'pending')",
        )?
        .execute(params![id, before])
        .map(|changed| changed > 0)
}
