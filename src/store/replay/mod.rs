//! Replays of old messages. They run in steps, and continue after a restart.

pub mod count;
pub mod expire;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::store::damage;
use crate::store::delivery::{self, dead};
use crate::store::id::{MessageId, ReplayId, TargetId};
use crate::store::message::filter::MessageFilter;
use crate::store::stored_time::StoredTime;
use crate::store::text_enum::words;
use crate::store::timestamp::Timestamp;

words!(
    /// State of a replay.
    ReplayState { Running = "running", Done = "done", Cancelled = "cancelled" }
);

/// A replay to be created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReplay {
    pub filter: MessageFilter,
    /// `None` for the targets that currently subscribe to the messages, or, with the filter `dead`,
    /// for those where the messages are dead letters.
    pub target: Option<TargetId>,
    /// Messages per second.
    pub rate: u32,
    /// The newest message included; `None`: the newest stored one.
    pub through: Option<MessageId>,
}

/// One row of `replays`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReplay {
    pub id: ReplayId,
    pub created_at: StoredTime,
    pub filter: MessageFilter,
    pub target: Option<TargetId>,
    pub rate: u32,
    pub state: ReplayState,
    pub position: MessageId,
    pub through: MessageId,
    pub messages: i64,
    pub deliveries: i64,
    pub updated_at: StoredTime,
}

/// One step of a replay: the targets of each message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayStep {
    pub replay: ReplayId,
    /// Position before the step: if the replay has another position, nothing is written.
    pub from: MessageId,
    /// The last message examined.
    pub to: MessageId,
    pub messages: Vec<(MessageId, Vec<TargetId>)>,
    /// Whether a message is delivered only if it is still a dead letter at that target.
    pub only_dead_letters: bool,
    pub is_last: bool,
}

const COLUMNS: &str =
    "id, created_at, filter, target_id, rate, state, position, through, messages, deliveries, updated_at";

fn read_row(row: &Row<'_>) -> rusqlite::Result<StoredReplay> {
    let filter: String = row.get(2)?;
    let filter = MessageFilter::parse_stored(&filter).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(2, rusqlite::types::Type::Text, Box::new(error))
    })?;
    Ok(StoredReplay {
        id: row.get(0)?,
        created_at: damage::stored_time("replays", row, 1)?,
        filter,
        target: row.get(3)?,
        rate: row.get(4)?,
        state: row.get(5)?,
        position: row.get(6)?,
        through: row.get(7)?,
        messages: row.get(8)?,
        deliveries: row.get(9)?,
        updated_at: damage::stored_time("replays", row, 10)?,
    })
}

pub fn insert(connection: &Connection, replay: &NewReplay, now: Timestamp) -> rusqlite::Result<ReplayId> {
    let filter = serde_json::to_string(&replay.filter).unwrap_or_default();
    connection
        .prepare_cached(
            "INSERT INTO replays (created_at, filter, target_id, rate, state, position, through, messages, deliveries, updated_at)
             VALUES (?1, ?2, ?3, ?4, 'running', 0, coalesce(?5, (SELECT max(id) FROM messages), 0), 0, 0, ?1)",
        )?
        .insert(params![now, filter, replay.target, replay.rate, replay.through])
        .map(ReplayId::of_rowid)
}

pub fn one(connection: &Connection, id: ReplayId) -> rusqlite::Result<Option<StoredReplay>> {
    let sql = format!("SELECT {COLUMNS} FROM replays WHERE id = ?1");
    connection.prepare_cached(&sql)?.query_row([id], read_row).optional()
}

/// Returns a page of replays with ids below `from`, newest first.
pub fn page(
    connection: &Connection,
    from: Option<ReplayId>,
    limit: usize,
) -> rusqlite::Result<Vec<StoredReplay>> {
    let sql = format!("SELECT {COLUMNS} FROM replays WHERE id < ?1 ORDER BY id DESC LIMIT ?2");
    connection
        .prepare_cached(&sql)?
        .query_map(params![from.unwrap_or(ReplayId::END), limit], read_row)?
        .collect()
}

pub fn running(connection: &Connection) -> rusqlite::Result<Vec<StoredReplay>> {
    let sql = format!("SELECT {COLUMNS} FROM replays WHERE state = 'running' ORDER BY id");
    connection.prepare_cached(&sql)?.query_map([], read_row)?.collect()
}

/// Cancels a replay; true if it was running.
pub fn cancel(connection: &Connection, id: ReplayId, now: Timestamp) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "UPDATE replays SET state = 'cancelled', updated_at = ?2 WHERE id = ?1 AND state = 'running'",
        )?
        .execute(params![id, now])
        .map(|changed| changed == 1)
}

/// Writes a step; false if the replay was cancelled or has already advanced.
pub fn step(connection: &Connection, step: &ReplayStep, now: Timestamp) -> rusqlite::Result<bool> {
    let state = if step.is_last { ReplayState::Done } else { ReplayState::Running };
    let changed = connection
        .prepare_cached(
            "UPDATE replays SET position = ?3, state = ?4, messages = messages + ?5, updated_at = ?6
             WHERE id = ?1 AND position = ?2 AND state = 'running'",
        )?
        .execute(params![step.replay, step.from, step.to, state, step.messages.len(), now])?;
    if changed == 0 {
        return Ok(false);
    }
    let mut made = 0;
    for (message, targets) in &step.messages {
        for target in targets {
            let is_wanted = match step.only_dead_letters {
                true => dead::is_dead(connection, *message, *target)?,
                false => !dead::is_being_replayed(connection, *message, *target)?,
            };
            if is_wanted {
                let id =
                    delivery::insert::insert_again(connection, *message, *target, Some(step.replay), now)?;
                made += i64::from(id.is_some());
            }
        }
    }
    connection
        .prepare_cached("UPDATE replays SET deliveries = deliveries + ?2 WHERE id = ?1")?
        .execute(params![step.replay, made])?;
    Ok(true)
}
