//! Targets that the environment declares at each start.

use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::json;

use crate::store::error::ChangeError;
use crate::store::id::TargetId;
use crate::store::target;
use crate::store::target::settings::{TargetDraft, TargetError};
use crate::store::timestamp::Timestamp;

/// Updates the targets of the environment; returns their ids in the order of `declared`.
///
/// A target declared again with the same name and owner stays the same target and keeps its pending
/// deliveries. With another owner it is a different target: pending deliveries of one owner must
/// not go to another.
///
/// # Errors
/// `DeclaredNameTaken` if a declared name is also that of a target from outside the environment, or
/// of another declared target. The caller must roll back then.
pub fn declare(
    connection: &Connection,
    declared: &[TargetDraft],
    now: Timestamp,
) -> Result<Vec<TargetId>, ChangeError<TargetError>> {
    for target in declared {
        if has_other(connection, &target.settings.name)? {
            return Err(TargetError::DeclaredNameTaken(target.settings.name.clone()).into());
        }
    }
    remove_others(connection, declared, now)?;
    let mut ids = Vec::with_capacity(declared.len());
    for target in declared {
        let id = match known(connection, target)? {
            Some(id) => {
                connection
                    .prepare_cached(
                        "UPDATE targets SET kind = ?2, state = 'active', state_reason = NULL, state_since = ?3
                         WHERE id = ?1 AND (state = 'removed' OR kind <> ?2)",
                    )?
                    .execute(params![id, target.kind, now])?;
                target::change::update(connection, id, &target.settings, now).map(|()| id)
            }
            None => target::change::insert(connection, target, None, now),
        };
        ids.push(id.map_err(|error| error.map(|why| of_declared(why, target)))?);
    }
    Ok(ids)
}

/// Adds the name to the reason, because several targets are declared at the same time.
fn of_declared(why: TargetError, target: &TargetDraft) -> TargetError {
    match why {
        TargetError::NameTaken => TargetError::DeclaredNameTaken(target.settings.name.clone()),
        why => why,
    }
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
