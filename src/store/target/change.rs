//! New and changed targets.

use rusqlite::{Connection, params};

use crate::store::error::ChangeError;
use crate::store::id::TargetId;
use crate::store::target::gone_url;
use crate::store::target::read::one;
use crate::store::target::settings::{DeliveryRate, TargetDraft, TargetError, TargetSettings, TargetState};
use crate::store::target::subscription::Pattern;
use crate::store::timestamp::Timestamp;

fn events_text(settings: &TargetSettings) -> String {
    let events: Vec<&str> = settings.events.iter().map(Pattern::as_str).collect();
    serde_json::Value::from(events).to_string()
}

fn filter_text(settings: &TargetSettings) -> Option<String> {
    settings.filter.as_ref().and_then(|filter| serde_json::to_string(filter).ok())
}

/// # Errors
/// `NameTaken` if another target has the name.
fn check_name(
    connection: &Connection,
    name: &str,
    by_other_than: TargetId,
) -> Result<(), ChangeError<TargetError>> {
    let is_taken: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM targets WHERE name = ?1 AND state <> 'removed' AND id <> ?2)",
        )?
        .query_row(params![name, by_other_than], |row| row.get(0))?;
    if is_taken { Err(TargetError::NameTaken.into()) } else { Ok(()) }
}

/// Inserts a target. `sealed`: its secrets and headers, already sealed.
///
/// # Errors
/// `NameTaken` if another target has its name.
pub fn insert(
    connection: &Connection,
    target: &TargetDraft,
    sealed: Option<&str>,
    now: Timestamp,
) -> Result<TargetId, ChangeError<TargetError>> {
    let settings = &target.settings;
    check_name(connection, &settings.name, TargetId::START)?;
    let rowid = connection
        .prepare_cached(
            "INSERT INTO targets (name, kind, origin, state, state_since, owner, events, filter, url, content_type,
               sealed_secrets, concurrency, ordering, rate, timeout_seconds, created_at, updated_at)
             VALUES (?1, ?2, ?3, 'active', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?4, ?4)",
        )?
        .insert(params![
            settings.name,
            target.kind,
            target.origin,
            now,
            settings.owner,
            events_text(settings),
            filter_text(settings),
            settings.url,
            settings.content_type,
            sealed,
            settings.concurrency,
            settings.ordering,
            settings.rate.map(DeliveryRate::to_text),
            settings.timeout.as_secs(),
        ])?;
    Ok(TargetId::of_rowid(rowid))
}

/// Overwrites all settings except the owner.
///
/// # Errors
/// `NameTaken`, `NotFound`, or `OwnerIsFixed` if the owner differs.
pub fn update(
    connection: &Connection,
    id: TargetId,
    settings: &TargetSettings,
    now: Timestamp,
) -> Result<(), ChangeError<TargetError>> {
    check_name(connection, &settings.name, id)?;
    let changed = connection
        .prepare_cached(
            "UPDATE targets SET name = ?2, events = ?4, filter = ?5, url = ?6, content_type = ?7,
               concurrency = ?8, ordering = ?9, rate = ?10, timeout_seconds = ?11, updated_at = ?12
             WHERE id = ?1 AND state <> 'removed' AND owner IS ?3",
        )?
        .execute(params![
            id,
            settings.name,
            settings.owner,
            events_text(settings),
            filter_text(settings),
            settings.url,
            settings.content_type,
            settings.concurrency,
            settings.ordering,
            settings.rate.map(DeliveryRate::to_text),
            settings.timeout.as_secs(),
            now,
        ])?;
    if changed == 1 {
        return Ok(());
    }
    let exists = one(connection, id)?.is_some_and(|target| target.state != TargetState::Removed);
    Err(if exists { TargetError::OwnerIsFixed } else { TargetError::NotFound }.into())
}

/// # Errors
/// `NotFound` if the target does not exist or was removed.
pub fn set_sealed_secrets(
    connection: &Connection,
    id: TargetId,
    sealed: &str,
    now: Timestamp,
) -> Result<(), ChangeError<TargetError>> {
    let changed = connection
        .prepare_cached(
            "UPDATE targets SET sealed_secrets = ?2, updated_at = ?3 WHERE id = ?1 AND state <> 'removed'",
        )?
        .execute(params![id, sealed, now])?;
    if changed == 1 { Ok(()) } else { Err(TargetError::NotFound.into()) }
}

/// Sets the state of a target that is not removed. Only `declare` can restore a removed one.
///
/// # Errors
/// `NotFound` if the target does not exist or was removed.
pub fn set_state(
    connection: &Connection,
    id: TargetId,
    state: TargetState,
    reason: Option<&str>,
    now: Timestamp,
) -> Result<(), ChangeError<TargetError>> {
    let changed = connection
        .prepare_cached(
            "UPDATE targets SET state = ?2, state_reason = ?3,
               state_since = CASE state WHEN ?2 THEN state_since ELSE ?4 END
             WHERE id = ?1 AND state <> 'removed'",
        )?
        .execute(params![id, state, reason, now])?;
    if changed == 1 { Ok(()) } else { Err(TargetError::NotFound.into()) }
}

/// Disables a target that answered 410 Gone, if it is active and still has this URL.
pub fn disable(
    connection: &Connection,
    id: TargetId,
    url: &str,
    reason: &str,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let changed = connection
        .prepare_cached(
            "UPDATE targets SET state = 'disabled', state_reason = ?3, state_since = ?4
             WHERE id = ?1 AND state = 'active' AND (url IS NULL OR url = ?2)",
        )?
        .execute(params![id, url, reason, now])?;
    if changed == 1 {
        gone_url::remember(connection, id, url, now)?;
    }
    Ok(changed == 1)
}
