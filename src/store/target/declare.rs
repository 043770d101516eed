//! Targets that the environment declares at each start.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::json;

use crate::store::id::TargetId;
use crate::store::target;
use crate::store::target::settings::{TargetDraft, TargetError};
use crate::store::timestamp::Timestamp;

/// Updates the targets of the environment; returns their ids in the order of `declared`. `Err` if a
/// target from outside the environment has one of the names; nothing is changed then.
///
/// A target declared again with the same name and owner stays the same target and keeps its pending
/// deliveries. With another owner it is a new one: pending deliveries of the first owner must not
/// go to the second.
pub fn declare(
    connection: &Connection,
    declared: &[TargetDraft],
    now: Timestamp,
) -> rusqlite::Result<Result<Vec<TargetId>, TargetError>> {
    for target in declared {
        if has_other(connection, &target.settings.name)? {
            return Ok(Err(TargetError::DeclaredNameTaken(target.settings.name.clone())));
        }
    }
    remove_others(connection, declared, now)?;
    let mut ids = Vec::with_capacity(declared.len());
    for target in declared {
        let name = &target.settings.name;
        let outcome = match known(connection, target)? {
            Some(id) => {
                connection
                    .prepare_cached(
                        "UPDATE targets SET kind = ?2, state = 'active', state_reason = NULL, state_since = ?3
                         WHERE id = ?1 AND (state = 'removed' OR kind <> ?2)",
                    )?
                    .execute(params![id, target.kind, now])?;
                target::change::update(connection, id, &target.settings, now)?.map(|()| id)
            }
            None => target::change::insert(connection, target, None, now)?,
        };
        match outcome {
            Ok(id) => ids.push(id),
            Err(_) => return Ok(Err(TargetError::DeclaredNameTaken(name.clone()))),
        }
    }
    Ok(Ok(ids))
}

/// Whether a target from outside the environment has the name.
fn has_other(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM targets WHERE name = ?1 AND state <> 'removed' AND origin <> 'environment')",
        )?
        .query_row([name], |row| row.get(0))
}

fn remove_others(connection: &Connection, declared: &[TargetDraft], now: Timestamp) -> rusqlite::Result<()> {
    let kept =
        declared.iter().map(|target| json!({"name": target.settings.name, "owner": target.settings.owner}));
    let kept = serde_json::Value::from_iter(kept).to_string();
    connection
        .prepare_cached(
            "UPDATE targets SET state = 'removed', state_since = ?2, state_reason = 'no longer declared'
             WHERE origin = 'environment' AND state <> 'removed' AND NOT EXISTS (
               SELECT 1 FROM json_each(?1) AS kept
               WHERE kept.value ->> '$.name' = targets.name AND kept.value ->> '$.owner' IS targets.owner)",
        )?
        .execute(params![kept, now])
        .map(drop)
}

/// Returns the newest target of this name and owner, in any state.
fn known(connection: &Connection, target: &TargetDraft) -> rusqlite::Result<Option<TargetId>> {
    connection
        .prepare_cached(
            "SELECT id FROM targets WHERE origin = 'environment' AND name = ?1 AND owner IS ?2 ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![target.settings.name, target.settings.owner], |row| row.get(0))
        .optional()
}
