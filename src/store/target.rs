//! Targets: where messages go. What the environment says of one is not written here but for its name and its state.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::{Deserialize, Serialize};

use super::subscription::{Filter, Pattern, Subscription, Subscriptions};

pub(super) use super::words::words;

words!(
    /// What a target is.
    TargetKind { Http = "http", Command = "command", Listener = "listener" }
);
words!(
    /// Who made a target.
    Origin { Environment = "environment", Api = "api", Replay = "replay", Listener = "listener" }
);
words!(
    /// Whether a target is served. Deliveries to one that is not wait, and die after a week.
    TargetState { Active = "active", Paused = "paused", Disabled = "disabled", Removed = "removed" }
);
words!(
    /// Whether a delivery waits until the one before it is delivered or dead.
    Ordering { Any = "any", Strict = "strict" }
);
words!(
    /// What a body is turned into.
    ContentType { Json = "json", Form = "form" }
);

/// At most `count` in `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryRate {
    pub count: u32,
    pub per: Duration,
}

impl DeliveryRate {
    /// `50/s`, `100/m`, `1000/h`.
    pub fn to_text(self) -> String {
        let unit = match self.per.as_secs() {
            0..60 => "s",
            60..3600 => "m",
            _ => "h",
        };
        format!("{}/{unit}", self.count)
    }

    pub fn from_text(text: &str) -> Option<Self> {
        let (count, unit) = text.trim().split_once('/')?;
        let seconds = match unit {
            "s" => 1,
            "m" => 60,
            "h" => 3_600,
            _ => return None,
        };
        let count = count.parse().ok().filter(|count| (1..=1_000_000).contains(count))?;
        Some(Self { count, per: Duration::from_secs(seconds) })
    }
}

/// What can be changed of a target.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetSettings {
    pub name: String,
    pub owner: Option<String>,
    pub events: Vec<Pattern>,
    pub filter: Option<Filter>,
    /// `None` for commands, listeners, and what the environment says.
    pub url: Option<String>,
    /// `None`: as it was received; JSON for emitted events.
    pub content_type: Option<ContentType>,
    pub concurrency: u32,
    pub ordering: Ordering,
    pub rate: Option<DeliveryRate>,
    pub timeout: Duration,
}

/// A target to be made. Not `Debug`: it has secrets.
#[derive(Clone)]
pub struct NewTarget {
    pub kind: TargetKind,
    pub origin: Origin,
    pub settings: TargetSettings,
    /// `None` for those of the environment, whose secrets are not written.
    pub secrets: Option<TargetSecrets>,
}

/// One row of `targets`, without what is sealed.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub id: i64,
    pub kind: TargetKind,
    pub origin: Origin,
    pub state: TargetState,
    pub state_since: String,
    pub state_reason: Option<String>,
    pub settings: TargetSettings,
    pub created_at: String,
    pub updated_at: String,
}

impl Target {
    /// Targets of the API always have a secret, unless `creel serve --forget-sealed` has dropped it.
    pub fn has_lost(&self, secrets: &TargetSecrets) -> bool {
        self.kind == TargetKind::Http && self.origin == Origin::Api && secrets.secrets.is_empty()
    }
}

/// What is sealed of a target.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetSecrets {
    /// The newest first.
    pub secrets: Vec<TargetSecret>,
    /// Sent with every request.
    pub headers: Vec<(String, String)>,
}

/// A secret that signs, for ever or until then.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetSecret {
    pub secret: String,
    /// As timestamps are written.
    pub until: Option<String>,
}

impl std::fmt::Debug for TargetSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Why a target cannot be made or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TargetRefused {
    #[error("another target has this name")]
    NameTaken,
    #[error("there is no such target")]
    NotFound,
    #[error("its secrets were sealed under another key")]
    Sealed,
    /// It would be delivered to unsigned. With its id.
    #[error("its secrets were dropped with a lost key")]
    SecretsLost(i64),
    /// What waits for one owner would go to another.
    #[error("the owner of a target cannot be changed; make another target")]
    OwnerIsFixed,
}

const COLUMNS: &str =
    "id, name, kind, origin, state, state_since, state_reason, owner, events, filter, url, content_type,
  concurrency, ordering, rate, timeout_seconds, created_at, updated_at";

fn read_row(row: &Row<'_>) -> rusqlite::Result<Target> {
    let events: String = row.get("events")?;
    let filter: Option<String> = row.get("filter")?;
    let rate: Option<String> = row.get("rate")?;
    // What somebody has broken by hand gets nothing, rather than everything.
    let events: Vec<String> = serde_json::from_str(&events).unwrap_or_default();
    let nothing = || Filter(vec![super::subscription::Condition::never()]);
    let parse = |text: String| serde_json::from_str(&text).unwrap_or_else(|_| nothing());
    Ok(Target {
        id: row.get("id")?,
        kind: row.get("kind")?,
        origin: row.get("origin")?,
        state: row.get("state")?,
        state_since: row.get("state_since")?,
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
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}

/// All that are not removed, and those removed that still have something to deliver.
pub fn all(connection: &Connection) -> rusqlite::Result<Vec<Target>> {
    let sql = format!("SELECT {COLUMNS} FROM targets WHERE state <> 'removed' ORDER BY id");
    connection.prepare_cached(&sql)?.query_map([], read_row)?.collect()
}

/// Whatever its state.
pub fn one(connection: &Connection, id: i64) -> rusqlite::Result<Option<Target>> {
    let sql = format!("SELECT {COLUMNS} FROM targets WHERE id = ?1");
    connection.prepare_cached(&sql)?.query_row([id], read_row).optional()
}

/// The one of that name that is not removed.
pub fn by_name(connection: &Connection, name: &str) -> rusqlite::Result<Option<Target>> {
    let sql = format!("SELECT {COLUMNS} FROM targets WHERE name = ?1 AND state <> 'removed'");
    connection.prepare_cached(&sql)?.query_row([name], read_row).optional()
}

/// All that are not removed, each with what is sealed of it: in one look, so that they belong together.
pub fn all_with_sealed(connection: &Connection) -> rusqlite::Result<Vec<(Target, Option<String>)>> {
    let sql = format!("SELECT {COLUMNS}, sealed_secrets FROM targets WHERE state <> 'removed' ORDER BY id");
    let read = |row: &Row<'_>| Ok((read_row(row)?, row.get("sealed_secrets")?));
    connection.prepare_cached(&sql)?.query_map([], read)?.collect()
}

/// It has said that it wants nothing any more; unless it is somewhere else by now, or nobody asks it.
pub fn disable(
    connection: &Connection,
    id: i64,
    url: &str,
    reason: &str,
    now: &str,
) -> rusqlite::Result<bool> {
    let changed = connection
        .prepare_cached(
            "UPDATE targets SET state = 'disabled', state_reason = ?3, state_since = ?4
             WHERE id = ?1 AND state = 'active' AND (url IS NULL OR url = ?2)",
        )?
        .execute(params![id, url, reason, now])?;
    if changed == 1 {
        super::declaration::remember_gone_url(connection, id, url, now)?;
    }
    Ok(changed == 1)
}

/// What the metrics show of targets and dead letters.
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

/// The sealed column of a target.
pub fn sealed_secrets(connection: &Connection, id: i64) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT sealed_secrets FROM targets WHERE id = ?1")?
        .query_row([id], |row| row.get(0))
        .optional()
        .map(Option::flatten)
}

fn events_text(settings: &TargetSettings) -> String {
    let events: Vec<&str> = settings.events.iter().map(Pattern::as_str).collect();
    serde_json::Value::from(events).to_string()
}

fn filter_text(settings: &TargetSettings) -> Option<String> {
    settings.filter.as_ref().and_then(|filter| serde_json::to_string(filter).ok())
}

fn name_is_taken(connection: &Connection, name: &str, by_other_than: i64) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM targets WHERE name = ?1 AND state <> 'removed' AND id <> ?2)",
        )?
        .query_row(params![name, by_other_than], |row| row.get(0))
}

/// `sealed`: secrets and headers, sealed already.
pub fn insert(
    connection: &Connection,
    target: &NewTarget,
    sealed: Option<&str>,
    now: &str,
) -> rusqlite::Result<Result<i64, TargetRefused>> {
    let settings = &target.settings;
    if name_is_taken(connection, &settings.name, 0)? {
        return Ok(Err(TargetRefused::NameTaken));
    }
    let id = connection
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
    Ok(Ok(id))
}

/// Writes all settings anew, but for the owner.
pub fn update(
    connection: &Connection,
    id: i64,
    settings: &TargetSettings,
    now: &str,
) -> rusqlite::Result<Result<(), TargetRefused>> {
    if name_is_taken(connection, &settings.name, id)? {
        return Ok(Err(TargetRefused::NameTaken));
    }
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
        return Ok(Ok(()));
    }
    let is_there = one(connection, id)?.is_some_and(|target| target.state != TargetState::Removed);
    Ok(Err(if is_there { TargetRefused::OwnerIsFixed } else { TargetRefused::NotFound }))
}

pub fn set_sealed_secrets(
    connection: &Connection,
    id: i64,
    sealed: &str,
    now: &str,
) -> rusqlite::Result<Result<(), TargetRefused>> {
    let changed = connection
        .prepare_cached(
            "UPDATE targets SET sealed_secrets = ?2, updated_at = ?3 WHERE id = ?1 AND state <> 'removed'",
        )?
        .execute(params![id, sealed, now])?;
    Ok(if changed == 1 { Ok(()) } else { Err(TargetRefused::NotFound) })
}

/// A target that is removed stays so, but for one of the environment that is declared again (`declaration`).
pub fn set_state(
    connection: &Connection,
    id: i64,
    state: TargetState,
    reason: Option<&str>,
    now: &str,
) -> rusqlite::Result<Result<(), TargetRefused>> {
    let changed = connection
        .prepare_cached(
            "UPDATE targets SET state = ?2, state_reason = ?3,
               state_since = CASE state WHEN ?2 THEN state_since ELSE ?4 END
             WHERE id = ?1 AND state <> 'removed'",
        )?
        .execute(params![id, state, reason, now])?;
    Ok(if changed == 1 { Ok(()) } else { Err(TargetRefused::NotFound) })
}

/// Who gets new messages: also those who are paused or disabled, for their deliveries wait.
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
