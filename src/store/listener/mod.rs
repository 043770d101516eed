//! Listeners: targets that a program on a developer's machine connects to. A delivery is pending
//! until the program has acknowledged it.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _, ToSql, params};
use time::OffsetDateTime;

use crate::store::delivery::state::AttemptOutcome;
use crate::store::error::{ChangeError, Unavailable};
use crate::store::id::{DeliveryId, MessageId, TargetId};
use crate::store::target::settings::{
    DeliveryOrdering, Origin, StoredTarget, TargetDraft, TargetError, TargetKind, TargetSettings, TargetState,
};
use crate::store::target::subscription::Pattern;
use crate::store::time_text::TimeText;
use crate::store::timestamp::Timestamp;
use crate::store::{damage, target};

/// Limit on listeners. Every matching message is queued for each of them, connected or not.
pub const MAX_LISTENERS: usize = 32;
/// Maximum time from the creation of a listener until all messages that were matched to targets
/// earlier are committed.
pub const LATE_MESSAGE_TIMEOUT: Duration = Duration::from_secs(3);
/// Prefix of listener names, so that they never conflict with targets declared in the environment.
const NAMED: &str = "listener:";
/// Maximum time by which one step that adds old messages delays incoming ones, not counting its
/// commit.
const FILL_STEP_TIME: Duration = Duration::from_millis(2);
/// Placeholder for a required column: a listener acknowledges at its own pace.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A listener, with its target and the size of its queue.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredListener {
    pub name: String,
    pub target: StoredTarget,
    /// Unacknowledged deliveries.
    pub pending: i64,
}

/// An open connection to a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerSession {
    pub target: TargetId,
    pub is_new: bool,
    /// Whether old messages remain to be added.
    pub must_be_filled: bool,
}

/// Reason why a listener cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ListenerError {
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    #[error("the limit of {MAX_LISTENERS} listeners is reached")]
    TooMany,
    /// Its target cannot be written.
    #[error(transparent)]
    Target(#[from] TargetError),
}

impl From<ListenerError> for ChangeError<ListenerError> {
    fn from(why: ListenerError) -> Self {
        Self::Rejected(why)
    }
}

/// Acknowledgement of a delivery by the program that is connected to a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryAcknowledgement {
    pub delivery: DeliveryId,
    pub answer: Option<ListenerAnswer>,
}

/// Response of the developer's app, to which the program forwarded the message: stored for display.
/// Any response completes the delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerAnswer {
    pub status: u16,
    pub took: Duration,
    pub excerpt: Option<String>,
}

/// Position of the next page of old messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FillPosition {
    /// Position in order of arrival.
    ByTime { received_at: TimeText, message: MessageId },
    /// Position in order of ids, after `message`, among messages received since `since`.
    ById { since: Timestamp, message: MessageId },
}

/// Result of one step of adding old messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FillStep {
    /// Messages examined.
    pub taken: usize,
    pub added: usize,
}

/// A page of old messages that are missing from a listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillPage {
    pub messages: Vec<MessageId>,
    /// `None` after the last page.
    pub next: Option<FillPosition>,
}

impl FillPosition {
    /// Returns the start of a walk over all messages since `since`; with `after`, only over those
    /// committed after that message.
    pub fn new(since: Timestamp, after: Option<MessageId>) -> Self {
        match after {
            Some(message) => Self::ById { since, message },
            None => Self::ByTime { received_at: since.into(), message: MessageId::START },
        }
    }

    fn advanced_to(&self, received_at: TimeText, message: MessageId) -> Self {
        match self {
            Self::ByTime { .. } => Self::ByTime { received_at, message },
            Self::ById { since, .. } => Self::ById { since: *since, message },
        }
    }
}

fn stored_name(name: &str) -> String {
    format!("{NAMED}{name}")
}

pub fn by_name(connection: &Connection, name: &str) -> rusqlite::Result<Option<StoredTarget>> {
    target::read::by_name(connection, &stored_name(name))
}

/// Creates the listener, or changes the subscription of an existing one. A new one also receives
/// the messages since `since`.
///
/// # Errors
/// `TooMany` if the limit on listeners is reached.
pub fn open(
    connection: &Connection,
    name: &str,
    events: Vec<Pattern>,
    since: Option<Timestamp>,
    now: Timestamp,
) -> Result<ListenerSession, ChangeError<ListenerError>> {
    if let Some(known) = by_name(connection, name)? {
        if known.settings.events != events {
            let settings = TargetSettings { events, ..known.settings };
            target::change::update(connection, known.id, &settings, now)
                .map_err(|error| error.map(ListenerError::Target))?;
        }
        // Set before the connection is established, so that cleanup does not remove the listener as
        // unused.
        set_connected(connection, known.id, true, now)?;
        let must_be_filled = wanted_since(connection, known.id)?.is_some();
        return Ok(ListenerSession { target: known.id, is_new: false, must_be_filled });
    }
    let listeners: usize = connection
        .prepare_cached("SELECT count(*) FROM targets WHERE kind = 'listener' AND state <> 'removed'")?
        .query_row([], |row| row.get(0))?;
    if listeners >= MAX_LISTENERS {
        return Err(ListenerError::TooMany.into());
    }
    let target = target::change::insert(connection, &new(name, events), None, now)
        .map_err(|error| error.map(ListenerError::Target))?;
    connection
        .prepare_cached("UPDATE targets SET wanted_since = ?2 WHERE id = ?1")?
        .execute(params![target, since])?;
    Ok(ListenerSession { target, is_new: true, must_be_filled: since.is_some() })
}

fn new(name: &str, events: Vec<Pattern>) -> TargetDraft {
    TargetDraft {
        kind: TargetKind::Listener,
        origin: Origin::Listener,
        settings: TargetSettings {
            name: stored_name(name),
            owner: None,
            events,
            filter: None,
            url: None,
            content_type: None,
            concurrency: 1,
            ordering: DeliveryOrdering::Any,
            rate: None,
            timeout: TIMEOUT,
        },
        secrets: None,
    }
}

/// Counts the unacknowledged deliveries of a listener. Runs on a read-only connection, because
/// large numbers take a while.
pub fn pending(connection: &Connection, target: TargetId) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT count(*) FROM deliveries WHERE target_id = ?1 AND state = 'pending'")?
        .query_row([target], |row| row.get(0))
}

pub fn all(connection: &Connection) -> rusqlite::Result<Vec<StoredListener>> {
    let listeners =
        target::read::all(connection)?.into_iter().filter(|target| target.kind == TargetKind::Listener);
    listeners
        .map(|target| {
            let name = target.settings.name.strip_prefix(NAMED).unwrap_or(&target.settings.name).to_owned();
            Ok(StoredListener { name, pending: pending(connection, target.id)?, target })
        })
        .collect()
}

/// Marks pending deliveries as delivered, and stores the answers as attempts. Returns the number of
/// deliveries that were pending.
pub fn acknowledge(
    connection: &Connection,
    target: TargetId,
    acknowledgements: &[DeliveryAcknowledgement],
    now: OffsetDateTime,
) -> rusqlite::Result<usize> {
    let now_stored = Timestamp::from(now);
    let mut done = 0;
    for DeliveryAcknowledgement { delivery, answer } in acknowledgements {
        let status = answer.as_ref().map(|answer| answer.status);
        let number: Option<u32> = connection
            .prepare_cached(
                "UPDATE deliveries
                 SET state = 'delivered', attempts = attempts + 1, finished_at = ?3, outcome = CAST(?4 AS TEXT)
                 WHERE id = ?1 AND target_id = ?2 AND state = 'pending' RETURNING attempts",
            )?
            .query_row(params![delivery, target, now_stored, status], |row| row.get(0))
            .optional()?;
        let Some(number) = number else { continue };
        done += 1;
        if let Some(answer) = answer {
            connection
                .prepare_cached(
                    "INSERT OR REPLACE INTO attempts (delivery_id, number, began_at, took_ms, outcome, status, excerpt)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![
                    delivery,
                    number,
                    Timestamp::from(now - answer.took),
                    u64::try_from(answer.took.as_millis()).unwrap_or(u64::MAX),
                    AttemptOutcome::Delivered,
                    answer.status,
                    answer.excerpt,
                ])?;
        }
    }
    Ok(done)
}

/// Pauses all listeners: none can be connected when the service starts.
pub fn pause_all(connection: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .execute(
            "UPDATE targets SET state = 'paused', state_since = ?1 WHERE kind = 'listener' AND state = 'active'",
            [now],
        )
        .map(drop)
}

/// Returns the time since which old messages remain to be added; `None` without any.
pub fn wanted_since(connection: &Connection, target: TargetId) -> rusqlite::Result<Option<Timestamp>> {
    connection
        .prepare_cached("SELECT wanted_since, id FROM targets WHERE id = ?1 AND state <> 'removed'")?
        .query_row([target], |row| damage::time("targets", row, 0))
        .optional()
        .map(Option::flatten)
}

/// Records that all old messages were added.
pub fn filled(connection: &Connection, target: TargetId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE targets SET wanted_since = NULL WHERE id = ?1")?
        .execute([target])
        .map(drop)
}

/// Finds old messages that match the target and have no delivery to it, among one page of messages.
/// Runs on a read-only connection.
pub fn missing(
    connection: &Connection,
    target: &StoredTarget,
    from: &FillPosition,
    limit: usize,
) -> rusqlite::Result<FillPage> {
    let mut messages = Vec::new();
    let mut last = None;
    let mut scanned = 0;
    for (received_at, id) in positions_after(connection, from, limit)? {
        scanned += 1;
        let event = damage::skip("messages", wanted_event(connection, target.id, id))?.flatten();
        if event.is_some_and(|event| target.settings.events.iter().any(|pattern| pattern.matches(&event))) {
            messages.push(id);
        }
        last = Some(from.advanced_to(received_at, id));
    }
    Ok(FillPage { messages, next: last.filter(|_| scanned == limit) })
}

/// Returns the next messages as (time of arrival, id). The order by time takes two queries: for a
/// comparison of the pair, SQLite uses the index only for the time, so a single query would scan
/// all messages with the same time for each page.
fn positions_after(
    connection: &Connection,
    from: &FillPosition,
    limit: usize,
) -> rusqlite::Result<Vec<(TimeText, MessageId)>> {
    let read = |sql: &str, values: &[&dyn ToSql]| -> rusqlite::Result<Vec<(TimeText, MessageId)>> {
        let mut statement = connection.prepare_cached(sql)?;
        let rows = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    match from {
        FillPosition::ById { since, message } => read(POSITIONS_BY_ID, params![since, message, limit]),
        FillPosition::ByTime { received_at, message } => {
            let mut found = read(POSITIONS_SAME_TIME, params![received_at, message, limit])?;
            found.extend(read(POSITIONS_LATER, params![received_at, limit - found.len()])?);
            Ok(found)
        }
    }
}

const POSITIONS_BY_ID: &str =
    "SELECT received_at, id FROM messages WHERE id > ?2 AND received_at >= ?1 ORDER BY id LIMIT ?3";
const POSITIONS_SAME_TIME: &str =
    "SELECT received_at, id FROM messages WHERE received_at = ?1 AND id > ?2 ORDER BY id LIMIT ?3";
const POSITIONS_LATER: &str =
    "SELECT received_at, id FROM messages WHERE received_at > ?1 ORDER BY received_at, id LIMIT ?2";

/// Returns the event of the message; `None` if the target already has a delivery of the message, or
/// if the message is unconfirmed or a conflict, because those are not delivered automatically.
fn wanted_event(
    connection: &Connection,
    target: TargetId,
    message: MessageId,
) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached(
            "SELECT event FROM messages
             WHERE id = ?2 AND conflict_of IS NULL AND coalesce(confirmation, 'confirmed') = 'confirmed'
               AND NOT EXISTS (SELECT 1 FROM deliveries WHERE message_id = ?2 AND target_id = ?1)",
        )?
        .query_row(params![target, message], |row| row.get(0))
        .optional()
}

/// Adds old messages until `FILL_STEP_TIME` has passed. Their due time is their time of arrival, so
/// they are delivered before newer messages.
pub fn fill(
    connection: &Connection,
    target: TargetId,
    messages: &[MessageId],
    now: Timestamp,
) -> rusqlite::Result<FillStep> {
    let began = Instant::now();
    let mut step = FillStep::default();
    for message in messages {
        step.added += connection
            .prepare_cached(
                "INSERT INTO deliveries (message_id, target_id, created_at, due_at)
                 SELECT id, ?2, ?3, received_at FROM messages
                 WHERE id = ?1
                   AND EXISTS (SELECT 1 FROM targets WHERE id = ?2 AND state <> 'removed')
                   AND NOT EXISTS (SELECT 1 FROM deliveries WHERE message_id = ?1 AND target_id = ?2)",
            )?
            .execute(params![message, target, now])?;
        step.taken += 1;
        if began.elapsed() >= FILL_STEP_TIME {
            break;
        }
    }
    Ok(step)
}

/// Sets whether a program is connected to the listener; does nothing if it was removed.
pub fn set_connected(
    connection: &Connection,
    target: TargetId,
    is_connected: bool,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let state = if is_connected { TargetState::Active } else { TargetState::Paused };
    match target::change::set_state(connection, target, state, None, now) {
        Ok(()) | Err(ChangeError::Rejected(_)) => Ok(()),
        Err(ChangeError::Database(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests;
