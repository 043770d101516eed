//! The targets of the environment, as it declares them at each start.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use ring::digest::{SHA256, digest};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde_json::json;

use super::setting::{self, Sealing};
use super::target::{self, NewTarget};

/// Makes those of the environment what it says now; the ids, in the order of `declared`. `Err`: the name that another
/// target has; then nothing is changed.
///
/// One that is declared again is the same target, with what still waits for it, if it has the same name and owner. With
/// another owner it is a new one: what waits for the first owner must not go to the second.
pub fn declare(
    connection: &Connection,
    declared: &[NewTarget],
    now: &str,
) -> rusqlite::Result<Result<Vec<i64>, String>> {
    for target in declared {
        if has_other(connection, &target.settings.name)? {
            return Ok(Err(target.settings.name.clone()));
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
                target::update(connection, id, &target.settings, now)?.map(|()| id)
            }
            None => target::insert(connection, target, None, now)?,
        };
        match outcome {
            Ok(id) => ids.push(id),
            Err(_) => return Ok(Err(name.clone())),
        }
    }
    Ok(Ok(ids))
}

/// Whether a target that was not declared has the name.
fn has_other(connection: &Connection, name: &str) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM targets WHERE name = ?1 AND state <> 'removed' AND origin <> 'environment')",
        )?
        .query_row([name], |row| row.get(0))
}

fn remove_others(connection: &Connection, declared: &[NewTarget], now: &str) -> rusqlite::Result<()> {
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

/// The newest one of this name and owner, whatever its state.
fn known(connection: &Connection, target: &NewTarget) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT id FROM targets WHERE origin = 'environment' AND name = ?1 AND owner IS ?2 ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![target.settings.name, target.settings.owner], |row| row.get(0))
        .optional()
}

/// The setting that remembers which URL of a declared target answered 410. The database does not hold URLs of the
/// environment, so it is a digest.
fn setting_of_gone_url(id: i64) -> String {
    format!("gone_url:{id}")
}

fn digest_of(url: &str) -> String {
    BASE64_STANDARD.encode(digest(&SHA256, url.as_bytes()))
}

/// Remembers the URL that answered 410, if the environment declares the target.
pub fn remember_gone_url(connection: &Connection, id: i64, url: &str, now: &str) -> rusqlite::Result<()> {
    let is_declared = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM targets WHERE id = ?1 AND origin = 'environment')")?
        .query_row([id], |row| row.get::<_, bool>(0))?;
    if !is_declared {
        return Ok(());
    }
    setting::write(connection, &setting_of_gone_url(id), &digest_of(url), Sealing::Plain, now)
}

/// Activates a declared target that answered 410 at another URL than its present one. False where it is not disabled, or
/// the URL is the same or unknown.
pub fn activate_if_moved(connection: &Connection, id: i64, url: &str, now: &str) -> rusqlite::Result<bool> {
    let gone = setting::read(connection, &setting_of_gone_url(id))?;
    if gone.is_none_or(|(gone, _)| gone == digest_of(url)) {
        return Ok(false);
    }
    connection
        .prepare_cached(
            "UPDATE targets SET state = 'active', state_reason = NULL, state_since = ?2
             WHERE id = ?1 AND state = 'disabled' AND origin = 'environment' AND kind = 'http'",
        )?
        .execute(params![id, now])
        .map(|changed| changed == 1)
}
