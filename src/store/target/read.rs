//! Reads targets.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row};

use crate::store::damage;
use crate::store::id::TargetId;
use crate::store::target::settings::{DeliveryRate, StoredTarget, TargetSettings, TargetState};
use crate::store::target::subscription::{Filter, Pattern, Subscription, Subscriptions};

const COLUMNS: &str =
    "id, name, kind, origin, state, state_since, state_reason, owner, events, filter, url, content_type,
  concurrency, ordering, rate, timeout_seconds, created_at, updated_at";

fn read_row(row: &Row<'_>) -> rusqlite::Result<StoredTarget> {
    let events: String = row.get("events")?;
    let filter: Option<String> = row.get("filter")?;
    let rate: Option<String> = row.get("rate")?;
    // After a manual edit that broke the column, the target receives no events instead of all.
    let events: Vec<String> = serde_json::from_str(&events).unwrap_or_default();
    let nothing = || Filter(vec![crate::store::target::subscription::PayloadCondition::never()]);
    let parse = |text: String| serde_json::from_str(&text).unwrap_or_else(|_| nothing());
    Ok(StoredTarget {
        id: row.get("id")?,
        kind: row.get("kind")?,
        origin: row.get("origin")?,
        state: row.get("state")?,
        state_since: damage::stored_time("targets", row, "state_since")?,
        state_reason: row.get("state_reason")?,
        settings: TargetSettings {
            name: row.get("name")?,
            owner: row.get("owner")?,
            events: events.iter().map(|event| Pattern::new(event)).collect(),
            filter: filter.map(parse),
            url: row.get("url")?,
            content_type: row.get("content_type")?,
            concurrency: row.get("concurrency")?,
            ordering: row.get("ordering")?,
            rate: rate.as_deref().and_then(DeliveryRate::from_text),
            timeout: Duration::from_secs(row.get("timeout_seconds")?),
        },
        created_at: damage::stored_time("targets", row, "created_at")?,
        updated_at: damage::stored_time("targets", row, "updated_at")?,
    })
}

/// Returns all targets that are not removed.
pub fn all(connection: &Connection) -> rusqlite::Result<Vec<StoredTarget>> {
    let sql = format!("SELECT {COLUMNS} FROM targets WHERE state <> 'removed' ORDER BY id");
    connection.prepare_cached(&sql)?.query_map([], read_row)?.collect()
}

/// Returns a target in any state.
pub fn one(connection: &Connection, id: TargetId) -> rusqlite::Result<Option<StoredTarget>> {
    let sql = format!("SELECT {COLUMNS} FROM targets WHERE id = ?1");
    connection.prepare_cached(&sql)?.query_row([id], read_row).optional()
}

/// Returns the target of that name that is not removed.
pub fn by_name(connection: &Connection, name: &str) -> rusqlite::Result<Option<StoredTarget>> {
    let sql = format!("SELECT {COLUMNS} FROM targets WHERE name = ?1 AND state <> 'removed'");
    connection.prepare_cached(&sql)?.query_row([name], read_row).optional()
}

/// Returns all targets that are not removed, with their sealed values, in one consistent read.
pub fn all_with_sealed(connection: &Connection) -> rusqlite::Result<Vec<(StoredTarget, Option<String>)>> {
    let sql = format!("SELECT {COLUMNS}, sealed_secrets FROM targets WHERE state <> 'removed' ORDER BY id");
    let read = |row: &Row<'_>| Ok((read_row(row)?, row.get("sealed_secrets")?));
    connection.prepare_cached(&sql)?.query_map([], read)?.collect()
}

/// Metrics of targets and dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetNumbers {
    pub dead_letters: i64,
    /// Name and state of each target that is neither removed nor a listener.
    pub targets: Vec<(String, TargetState)>,
}

/// Name and state of each target that is neither removed nor a listener.
pub fn states(connection: &Connection) -> rusqlite::Result<Vec<(String, TargetState)>> {
    connection
        .prepare_cached(
            "SELECT name, state FROM targets WHERE state <> 'removed' AND kind <> 'listener' ORDER BY id",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// Returns the sealed secrets of a target.
pub fn sealed_secrets(connection: &Connection, id: TargetId) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT sealed_secrets FROM targets WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()
        .map(Option::flatten)
}

/// Returns the subscriptions to new messages, including those of paused and disabled targets, whose
/// deliveries stay pending.
pub fn subscriptions(connection: &Connection) -> rusqlite::Result<Subscriptions> {
    let subscribed = all(connection)?.into_iter().filter(|target| !target.settings.events.is_empty());
    Ok(Subscriptions::new(
        subscribed
            .map(|target| Subscription {
                target: target.id,
                owner: target.settings.owner,
                events: target.settings.events,
                filter: target.settings.filter,
            })
            .collect(),
    ))
}
