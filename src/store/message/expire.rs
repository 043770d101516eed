//! Selects and deletes old messages, except those that must be retained at any age.

use std::collections::BTreeMap;
use std::time::Instant;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::store::damage;
use crate::store::id::{DeliveryId, MessageId, TargetId};
use crate::store::message::original;
use crate::store::time_text::TimeText;
use crate::store::timestamp::Timestamp;
use crate::store::walk::{MAX_SCANNED_PER_PAGE, STEP_TIME, StepResult, TimePosition, Walk};
use crate::store::writer::job::Database;

/// Messages in order of arrival.
pub const OLD: Walk =
    Walk { select: "SELECT id, received_at FROM messages", at: "received_at", id: "id", and: "" };

/// Messages in order of their release from quarantine.
pub const RELEASED: Walk =
    Walk { select: "SELECT id, released_at FROM messages", at: "released_at", id: "id", and: "" };

/// Messages whose confirmation failed, in the order of these failures.
pub const REFUSED: Walk = Walk {
    select: "SELECT message_id, settled_at FROM confirmations",
    at: "settled_at",
    id: "message_id",
    and: " AND state = 'refused'",
};

/// Number of deliveries of one message that are deleted between two checks of the clock.
const MAX_DELIVERIES_PER_BATCH: usize = 64;

/// The time at which the retention of a message starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RetainedSince {
    Arrival,
    /// Release from quarantine, maybe days after its arrival.
    Release,
}

impl RetainedSince {
    pub const BOTH: [Self; 2] = [Self::Arrival, Self::Release];

    const fn walk(self) -> Walk {
        match self {
            Self::Arrival => OLD,
            Self::Release => RELEASED,
        }
    }
}

/// Selection of expired messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpirySelection {
    pub since: RetainedSince,
    /// Position in order of time after which the page starts.
    pub after: TimePosition,
    /// Received or released before this.
    pub before: Timestamp,
    pub sources: SourceSelection,
    pub retention: RetentionRule,
}

/// The conditions under which a message is retained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionRule {
    /// A delivery that became a dead letter at this time or later retains its message, so that it
    /// can be replayed. `None`: dead letters retain no message.
    pub by_dead_since: Option<Timestamp>,
    pub yielding: YieldingTargets,
}

/// Targets whose pending deliveries do not retain messages, because the database is above its limit
/// or the disk is nearly full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum YieldingTargets {
    #[default]
    NoTargets,
    /// Removed targets, and listeners that are not connected.
    Absent,
    /// The targets of `Absent`, all other listeners, targets created for a replay, disabled
    /// targets, and targets that were paused before `paused_before`.
    Expendable { paused_before: Timestamp },
}

impl YieldingTargets {
    fn parameters(&self) -> (u8, Option<Timestamp>) {
        match self {
            Self::NoTargets => (0, None),
            Self::Absent => (1, None),
            Self::Expendable { paused_before } => (2, Some(*paused_before)),
        }
    }
}

/// A page of expired messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpiryPage {
    pub ids: Vec<MessageId>,
    /// The greatest id among the messages examined.
    pub scanned_through: MessageId,
    /// Start of the next page; `None` after the last one.
    pub next: Option<TimePosition>,
}

/// The sources to which a retention period applies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceSelection {
    Only(String),
    AllBut(Vec<String>),
}

impl SourceSelection {
    fn contains(&self, source: &str) -> bool {
        match self {
            Self::Only(name) => name == source,
            Self::AllBut(names) => !names.iter().any(|name| name == source),
        }
    }
}

/// Selects whether a message must be retained: it awaits confirmation, or has a pending delivery,
/// or a dead letter since `by_dead_since` (`?2`). Pending deliveries of yielding targets do not
/// count, and neither do dead letters that cannot be replayed, because they are of a listener or of
/// a removed target that cannot return. No row if the message does not exist.
const IS_RETAINED: &str = "SELECT coalesce(confirmation, '') = 'awaiting' OR EXISTS
       (SELECT 1 FROM deliveries WHERE message_id = messages.id AND ((state = 'pending' AND (?3 = 0 OR NOT EXISTS
          (SELECT 1 FROM targets WHERE id = target_id AND (targets.state = 'removed'
            OR (kind = 'listener' AND (targets.state <> 'active' OR ?3 = 2))
            OR (?3 = 2 AND (origin = 'replay' OR targets.state = 'disabled'
              OR (targets.state = 'paused' AND state_since < ?4))))))) OR (state = 'dead' AND finished_at >= ?2
          AND NOT EXISTS (SELECT 1 FROM targets WHERE id = target_id AND (kind = 'listener'
            OR (targets.state = 'removed' AND origin <> 'environment'))))))
     FROM messages WHERE id = ?1";

fn is_retained(
    connection: &Connection,
    id: MessageId,
    retention: &RetentionRule,
) -> rusqlite::Result<Option<bool>> {
    let (level, paused_before) = retention.yielding.parameters();
    connection
        .prepare_cached(IS_RETAINED)?
        .query_row(params![id, retention.by_dead_since, level, paused_before], |row| row.get(0))
        .optional()
}

/// Selects a page of old messages that nothing retains, oldest first. Runs on a read-only
/// connection. A page limits the rows examined, not the rows found: otherwise, a source with a long
/// retention would cause long reads, which block the WAL.
pub fn select(connection: &Connection, selection: &ExpirySelection) -> rusqlite::Result<ExpiryPage> {
    let ExpirySelection { since, after, before, sources, retention } = selection;
    // Reads only the index, so that a damaged row fails alone, when it is read below.
    let (rows, next) = since.walk().page(connection, after, *before, |row| row.get(0))?;
    let mut page = ExpiryPage { next, ..ExpiryPage::default() };
    for id in rows {
        page.scanned_through = page.scanned_through.max(id);
        let source = damage::skip("messages", source_of(connection, id, *since))?.flatten();
        if source.is_some_and(|source| sources.contains(&source)) && is_free(connection, id, retention)? {
            page.ids.push(id);
        }
    }
    Ok(page)
}

/// Returns the source of a message; `None` if its retention does not start at `since`.
fn source_of(
    connection: &Connection,
    id: MessageId,
    since: RetainedSince,
) -> rusqlite::Result<Option<String>> {
    connection
        .prepare_cached("SELECT source FROM messages WHERE id = ?1 AND (released_at IS NOT NULL) = ?2")?
        .query_row(params![id, since == RetainedSince::Release], |row| row.get(0))
        .optional()
}

/// Whether the message exists and nothing retains it. False for a damaged message.
fn is_free(connection: &Connection, id: MessageId, retention: &RetentionRule) -> rusqlite::Result<bool> {
    Ok(damage::skip("messages", is_retained(connection, id, retention))?.flatten() == Some(false))
}

/// Selects the oldest messages with an id above `after` that nothing retains, regardless of age and
/// at most `limit`, to enforce the size limit. Runs on a read-only connection.
pub fn oldest(
    connection: &Connection,
    after: MessageId,
    limit: usize,
    retention: &RetentionRule,
) -> rusqlite::Result<OldestPage> {
    let ids = oldest_ids(connection, after)?;
    let mut page = OldestPage { ids: Vec::new(), scanned_through: after, is_last: false };
    for id in &ids {
        page.scanned_through = *id;
        if is_free(connection, *id, retention)? {
            page.ids.push(*id);
        }
        if page.ids.len() == limit {
            return Ok(page);
        }
    }
    page.is_last = ids.len() < MAX_SCANNED_PER_PAGE;
    Ok(page)
}

fn oldest_ids(connection: &Connection, after: MessageId) -> rusqlite::Result<Vec<MessageId>> {
    let by_table = "SELECT id FROM messages WHERE id > ?1 ORDER BY id LIMIT ?2";
    // Used after damage: reads no page of the table, but the whole index.
    let by_index =
        "SELECT id FROM messages INDEXED BY messages_received_at WHERE +id > ?1 ORDER BY +id LIMIT ?2";
    let read = |sql| {
        connection
            .prepare_cached(sql)?
            .query_map(params![after, MAX_SCANNED_PER_PAGE], |row| row.get(0))?
            .collect::<rusqlite::Result<Vec<MessageId>>>()
    };
    match damage::skip("messages", read(by_table))? {
        Some(ids) => Ok(ids),
        None => read(by_index),
    }
}

/// A page of messages that nothing retains, in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldestPage {
    pub ids: Vec<MessageId>,
    /// The last message examined: the next page starts after it.
    pub scanned_through: MessageId,
    pub is_last: bool,
}

/// A message that nothing retains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryCandidate {
    pub id: MessageId,
    pub source: String,
    /// The time of its arrival, or of its release from quarantine.
    pub retained_since: TimeText,
}

/// Returns the messages in `ids` that nothing retains. Runs on a read-only connection.
pub fn candidates(
    connection: &Connection,
    ids: &[MessageId],
    retention: &RetentionRule,
) -> rusqlite::Result<Vec<ExpiryCandidate>> {
    let mut found = Vec::new();
    for id in ids {
        if !is_free(connection, *id, retention)? {
            continue;
        }
        let read =
            |row: &Row<'_>| Ok(ExpiryCandidate { id: *id, source: row.get(0)?, retained_since: row.get(1)? });
        let candidate = connection
            .prepare_cached("SELECT source, coalesce(released_at, received_at) FROM messages WHERE id = ?1")?
            .query_row([id], read)
            .optional()?;
        found.extend(candidate);
    }
    Ok(found)
}

/// Selects a page of messages whose confirmation failed before `before`, starting after the
/// position `after`. Runs on a read-only connection.
pub fn refused(
    connection: &Connection,
    after: &TimePosition,
    before: Timestamp,
) -> rusqlite::Result<RefusedPage> {
    let (ids, next) = REFUSED.page(connection, after, before, |row| row.get(0))?;
    Ok(RefusedPage { ids, next })
}

/// A page of messages whose confirmation failed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedPage {
    pub ids: Vec<MessageId>,
    pub next: Option<TimePosition>,
}

/// Counts the pending deliveries of these messages by target. Runs on a read-only connection.
pub fn pending_of(connection: &Connection, ids: &[MessageId]) -> rusqlite::Result<BTreeMap<TargetId, u64>> {
    let mut statement = connection
        .prepare_cached("SELECT target_id FROM deliveries WHERE message_id = ?1 AND state = 'pending'")?;
    let mut pending = BTreeMap::new();
    for id in ids {
        let mut rows = statement.query([id])?;
        while let Some(row) = rows.next()? {
            *pending.entry(row.get(0)?).or_default() += 1;
        }
    }
    Ok(pending)
}

/// Deletes messages with all their rows until `STEP_TIME` has passed. A message whose key is not
/// merged yet stays, because the key would be lost with it.
pub fn delete(
    database: &mut Database<'_>,
    ids: &[MessageId],
    retention: &RetentionRule,
) -> rusqlite::Result<StepResult> {
    let began = Instant::now();
    let merged_through = database.keys.merged_through();
    let connection = database.connection;
    let mut done = StepResult::default();
    for id in ids {
        if is_retained(connection, *id, retention)? == Some(true) || *id > merged_through {
            done.taken += 1;
        } else {
            if !delete_deliveries(connection, *id, began)? {
                return Ok(done);
            }
            done.taken += 1;
            let forgotten = original::forget_refused(connection, database.keys, *id);
            if damage::skip("delivery_keys", forgotten)?.is_none() {
                continue;
            }
            done.changed += connection.prepare_cached("DELETE FROM messages WHERE id = ?1")?.execute([id])?;
            connection.prepare_cached("DELETE FROM confirmations WHERE message_id = ?1")?.execute([id])?;
        }
        if began.elapsed() >= STEP_TIME {
            break;
        }
    }
    Ok(done)
}

/// Deletes the deliveries of a message. Returns false if `STEP_TIME` has passed before the last one
/// is deleted.
fn delete_deliveries(connection: &Connection, message: MessageId, began: Instant) -> rusqlite::Result<bool> {
    loop {
        let deliveries: Vec<DeliveryId> = connection
            .prepare_cached("SELECT id FROM deliveries WHERE message_id = ?1 LIMIT ?2")?
            .query_map(params![message, MAX_DELIVERIES_PER_BATCH], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for delivery in &deliveries {
            crate::store::delivery::expire::delete_one(connection, *delivery)?;
        }
        match deliveries.len() {
            MAX_DELIVERIES_PER_BATCH if began.elapsed() >= STEP_TIME => return Ok(false),
            MAX_DELIVERIES_PER_BATCH => {}
            _ => return Ok(true),
        }
    }
}
