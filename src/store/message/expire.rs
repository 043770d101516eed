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

/// Messages by the time of their arrival.
pub const OLD: Walk =
    Walk { select: "SELECT id, received_at FROM messages", at: "received_at", id: "id", and: "" };

/// Messages by the time of their release from quarantine.
pub const RELEASED: Walk =
    Walk { select: "SELECT id, released_at FROM messages", at: "released_at", id: "id", and: "" };

/// Messages that failed confirmation, by the time of the provider's answer.
pub const REFUSED: Walk = Walk {
    select: "SELECT message_id, settled_at FROM confirmations",
    at: "settled_at",
    id: "message_id",
    and: " AND state = 'refused'",
};

/// Deliveries of one message that are deleted between two checks of the clock.
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

/// Selects expired messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpirySelection {
    pub since: RetainedSince,
    /// Starts after this message in the order of time.
    pub after: TimePosition,
    /// Received or released before this.
    pub before: Timestamp,
    pub sources: SourceSelection,
    pub keeping: RetentionRule,
}

/// The conditions under which a message is retained.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionRule {
    /// A dead delivery keeps its message, so that it can be replayed, if it became a dead letter at
    /// this time or later. `None`: dead letters keep no message.
    pub by_dead_since: Option<Timestamp>,
    pub yielding: YieldingTargets,
}

/// Targets whose pending deliveries keep no message, because the database is above its limit or the
/// disk nearly full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum YieldingTargets {
    #[default]
    NoTargets,
    /// Removed targets, and listeners that are not connected.
    Absent,
    /// These, all other listeners, targets of replays, disabled targets, and those that were paused
    /// before this time.
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

/// Some of the selected messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpiryPage {
    pub ids: Vec<MessageId>,
    /// The greatest id among the messages examined.
    pub scanned_through: MessageId,
    /// Start of the next page; `None` after the last one.
    pub next: Option<TimePosition>,
}

/// The sources that a retention covers.
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

/// Matches a message that must not be deleted: it awaits its confirmation, has a pending delivery,
/// or a dead one that can still be replayed, except to a listener or a target that cannot return.
/// No row if the message does not exist. The result is whether the message is kept.
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
    keeping: &RetentionRule,
) -> rusqlite::Result<Option<bool>> {
    let (level, paused_before) = keeping.yielding.parameters();
    connection
        .prepare_cached(IS_RETAINED)?
        .query_row(params![id, keeping.by_dead_since, level, paused_before], |row| row.get(0))
        .optional()
}

/// Selects a page of old messages without a reason to be kept, oldest first. Runs on a reader. A
/// page limits the rows examined, not the rows found: a source with a long retention must not keep
/// a reader, and with it the WAL, busy for long.
pub fn select(connection: &Connection, selection: &ExpirySelection) -> rusqlite::Result<ExpiryPage> {
    let ExpirySelection { since, after, before, sources, keeping } = selection;
    // From the index alone, so that a damaged row only fails when it is read by itself.
    let (rows, next) = since.walk().page(connection, after, *before, |row| row.get(0))?;
    let mut page = ExpiryPage { next, ..ExpiryPage::default() };
    for id in rows {
        page.scanned_through = page.scanned_through.max(id);
        let source = damage::skip("messages", source_of(connection, id, *since))?.flatten();
        if source.is_some_and(|source| sources.contains(&source)) && is_free(connection, id, keeping)? {
            page.ids.push(id);
        }
    }
    Ok(page)
}

/// Returns `None` if the retention of the message starts at the other time.
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

/// Whether the message exists and nothing keeps it. A damaged one is skipped.
fn is_free(connection: &Connection, id: MessageId, keeping: &RetentionRule) -> rusqlite::Result<bool> {
    Ok(damage::skip("messages", is_retained(connection, id, keeping))?.flatten() == Some(false))
}

/// Selects the oldest messages with an id above `after` that nothing keeps, of any age, at most
/// `limit` of them, for the size limit. Runs on a reader.
pub fn oldest(
    connection: &Connection,
    after: MessageId,
    limit: usize,
    keeping: &RetentionRule,
) -> rusqlite::Result<OldestPage> {
    let ids = oldest_ids(connection, after)?;
    let mut page = OldestPage { ids: Vec::new(), scanned_through: after, is_last: false };
    for id in &ids {
        page.scanned_through = *id;
        if is_free(connection, *id, keeping)? {
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
    // Reads no page of the table, but the whole index.
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

/// Some of the messages, in the order of their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldestPage {
    pub ids: Vec<MessageId>,
    /// The last message examined: the next page starts after it.
    pub scanned_through: MessageId,
    pub is_last: bool,
}

/// A message without a reason to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpiryCandidate {
    pub id: MessageId,
    pub source: String,
    /// The time of its arrival, or of its release from quarantine.
    pub retained_since: TimeText,
}

/// Returns those of `ids` that nothing keeps. Runs on a reader.
pub fn candidates(
    connection: &Connection,
    ids: &[MessageId],
    keeping: &RetentionRule,
) -> rusqlite::Result<Vec<ExpiryCandidate>> {
    let mut found = Vec::new();
    for id in ids {
        if !is_free(connection, *id, keeping)? {
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

/// Selects a page of messages that were rejected before `before`, after the position `after`. Runs
/// on a reader.
pub fn refused(
    connection: &Connection,
    after: &TimePosition,
    before: Timestamp,
) -> rusqlite::Result<RefusedPage> {
    let (ids, next) = REFUSED.page(connection, after, before, |row| row.get(0))?;
    Ok(RefusedPage { ids, next })
}

/// A page of rejected messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedPage {
    pub ids: Vec<MessageId>,
    pub next: Option<TimePosition>,
}

/// Pending deliveries of these messages, by target. Runs on a reader.
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

/// Deletes messages with all their rows until the time of the step is used up. A message whose key
/// is not merged yet stays, because the key would be lost with it.
pub fn delete(
    database: &mut Database<'_>,
    ids: &[MessageId],
    keeping: &RetentionRule,
) -> rusqlite::Result<StepResult> {
    let began = Instant::now();
    let merged_through = database.keys.merged_through();
    let connection = database.connection;
    let mut done = StepResult::default();
    for id in ids {
        if is_retained(connection, *id, keeping)? == Some(true) || *id > merged_through {
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

/// Returns false if the time of the step is used up before the last delivery is deleted.
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
