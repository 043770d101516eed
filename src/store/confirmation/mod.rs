//! Messages that are delivered only after their provider's API has confirmed them.
//! `deliver/confirm` sends the queries to the API; this module stores their schedule and results.

pub mod settlements;

use std::borrow::Cow;

use rusqlite::{Connection, OptionalExtension as _, params};
use time::{Duration, OffsetDateTime};

use crate::store::id::{MessageId, TargetId};
use crate::store::keys::KeyIndex;
use crate::store::keys::key::KeyMatch;
use crate::store::message::original;
use crate::store::stored_time::StoredTime;
use crate::store::text_enum::words;
use crate::store::timestamp::Timestamp;
use crate::store::{damage, delivery};

/// Name for sealing the request: a value sealed for one name cannot be opened for another.
pub const SEALED_AS: &str = "confirmation";
/// Minimum pause between a failed confirmation and the next query about the message. Limits the
/// queries that a client can cause by resending the message.
const MIN_PAUSE_AFTER_REJECTION: Duration = Duration::MINUTE;

words!(
    /// State of a message that needs confirmation.
    ConfirmationState { Awaiting = "awaiting", Confirmed = "confirmed", Refused = "refused" }
);

/// A message whose next query is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueConfirmation {
    pub message: MessageId,
    pub source: String,
    /// Queries so far.
    pub tries: u32,
    /// "Not found" answers so far.
    pub unknowns: u32,
    /// The request that was passed to `NewMessage`; `None` if it cannot be unsealed.
    pub request: Option<String>,
}

/// A due message and its sealed request.
pub type SealedConfirmation = (DueConfirmation, Option<String>);

/// Result of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    Confirmed,
    Refused,
    /// Retry at `at`.
    Again {
        at: Timestamp,
    },
}

/// The result of one query, to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmationOutcome {
    pub message: MessageId,
    pub tries: u32,
    pub unknowns: u32,
    pub reason: String,
    pub settlement: Settlement,
}

/// One row of `confirmations`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredConfirmation {
    pub state: ConfirmationState,
    pub tries: u32,
    pub due_at: StoredTime,
    pub settled_at: Option<StoredTime>,
    pub reason: Option<String>,
}

pub fn insert(
    connection: &Connection,
    message: MessageId,
    source: &str,
    sealed_request: &str,
    now: Timestamp,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO confirmations (message_id, source, state, due_at, sealed_request)
             VALUES (?1, ?2, 'awaiting', ?3, ?4)",
        )?
        .execute(params![message, source, now, sealed_request])
        .map(drop)
}

/// Schedules another query about a message that failed confirmation and was received again.
pub fn schedule_again(
    connection: &Connection,
    message: MessageId,
    source: &str,
    sealed_request: &str,
    received_at: OffsetDateTime,
) -> rusqlite::Result<()> {
    let settled_at: Option<Timestamp> = connection
        .prepare_cached("SELECT settled_at, message_id AS id FROM confirmations WHERE message_id = ?1")?
        .query_row([message], |row| damage::readable_time("confirmations", row, 0))
        .optional()?
        .flatten()
        .flatten();
    let rested_at = settled_at.map(|at| at.to_time().saturating_add(MIN_PAUSE_AFTER_REJECTION));
    let due_at = rested_at.map_or(received_at, |rested_at| rested_at.max(received_at));
    connection
        .prepare_cached(
            "INSERT INTO confirmations (message_id, source, state, due_at, sealed_request)
             VALUES (?1, ?2, 'awaiting', ?3, ?4)
             ON CONFLICT (message_id) DO UPDATE SET state = 'awaiting', tries = 0, unknowns = 0,
               due_at = excluded.due_at, settled_at = NULL, sealed_request = excluded.sealed_request",
        )?
        .execute(params![message, source, Timestamp::from(due_at), sealed_request])?;
    connection
        .prepare_cached("UPDATE messages SET confirmation = 'awaiting' WHERE id = ?1")?
        .execute([message])
        .map(drop)
}

/// Notes that the headers of a message were replaced, so that the search index does not have their
/// words.
pub fn note_new_headers(connection: &Connection, message: MessageId) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE confirmations SET has_new_headers = 1 WHERE message_id = ?1")?
        .execute([message])
        .map(drop)
}

/// Schedules another query about a message that failed confirmation, with the stored request.
/// Returns false if the message has not failed confirmation, or its request is not stored.
pub fn requeue_refused(
    connection: &Connection,
    message: MessageId,
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let changed = connection
        .prepare_cached(
            "UPDATE confirmations SET state = 'awaiting', tries = 0, unknowns = 0, due_at = ?2, settled_at = NULL
             WHERE message_id = ?1 AND state = 'refused' AND sealed_request IS NOT NULL",
        )?
        .execute(params![message, now])?;
    if changed == 0 {
        return Ok(false);
    }
    connection
        .prepare_cached("UPDATE messages SET confirmation = 'awaiting' WHERE id = ?1")?
        .execute([message])?;
    Ok(true)
}

/// Returns the sealed request of an awaiting message.
pub fn sealed_request(connection: &Connection, message: MessageId) -> rusqlite::Result<Option<String>> {
    let request = connection
        .prepare_cached(
            "SELECT sealed_request FROM confirmations WHERE message_id = ?1 AND state = 'awaiting'",
        )?
        .query_row([message], |row| row.get(0))
        .optional()?;
    Ok(request.flatten())
}

/// Counts the awaiting messages of a source.
pub fn awaiting(connection: &Connection, source: &str) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT count(*) FROM confirmations WHERE source = ?1 AND state = 'awaiting'")?
        .query_row([source], |row| row.get(0))
}

/// Returns the sources with awaiting messages.
pub fn sources(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    // One index lookup for each source, regardless of the number of awaiting messages.
    let mut statement = connection.prepare_cached(
        "WITH RECURSIVE sources (name) AS (
           SELECT min(source) FROM confirmations WHERE state = 'awaiting'
           UNION ALL
           SELECT (SELECT min(source) FROM confirmations WHERE state = 'awaiting' AND source > name) FROM sources
           WHERE name IS NOT NULL)
         SELECT name FROM sources WHERE name IS NOT NULL",
    )?;
    let rows = statement.query_map([], |row| row.get(0))?;
    rows.collect()
}

/// Returns the due messages of a source with their sealed requests, and the due time of the next
/// message. Runs on a read-only connection.
pub fn due(
    connection: &Connection,
    source: &str,
    now: Timestamp,
    limit: usize,
) -> rusqlite::Result<(Vec<SealedConfirmation>, Option<Timestamp>)> {
    let mut statement = connection.prepare_cached(
        "SELECT message_id AS id, source, tries, unknowns, sealed_request, due_at FROM confirmations
         WHERE state = 'awaiting' AND source = ?1 ORDER BY due_at LIMIT ?2",
    )?;
    let mut rows = statement.query(params![source, limit + 1])?;
    let (mut found, mut next) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        let due_at = damage::due_time("confirmations", row, 5, now)?;
        if found.len() == limit {
            return Ok((found, Some(due_at)));
        }
        if due_at > now {
            next = next.or(Some(due_at));
            // Continues, because a row with an unreadable time counts as due but may sort after
            // rows that are not due yet.
            continue;
        }
        let confirmation = DueConfirmation {
            message: row.get(0)?,
            source: row.get(1)?,
            tries: row.get(2)?,
            unknowns: row.get(3)?,
            request: None,
        };
        found.push((confirmation, row.get(4)?));
    }
    Ok((found, next))
}

pub fn one(connection: &Connection, message: MessageId) -> rusqlite::Result<Option<StoredConfirmation>> {
    connection
        .prepare_cached(
            "SELECT state, tries, due_at, settled_at, reason, message_id AS id FROM confirmations WHERE message_id = ?1",
        )?
        .query_row([message], |row| {
            Ok(StoredConfirmation {
                state: row.get(0)?,
                tries: row.get(1)?,
                due_at: damage::stored_time("confirmations", row, 2)?,
                settled_at: damage::stored_time("confirmations", row, 3)?,
                reason: row.get(4)?,
            })
        })
        .optional()
}

/// Stops the queries about a damaged message.
pub fn reject_damaged(connection: &Connection, message: MessageId, now: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE confirmations SET state = 'refused', settled_at = ?2, reason = 'the message is damaged', sealed_request = NULL
             WHERE message_id = ?1 AND state = 'awaiting'",
        )?
        .execute(params![message, now])
        .map(drop)
}

/// Stores the result of a query. The deliveries of a confirmed message are created in the same
/// transaction, unless it repeats another confirmed message or conflicts with it. Returns false if
/// the message is not awaiting confirmation, e.g. because it was settled before.
pub fn settle(
    connection: &Connection,
    keys: &KeyIndex,
    outcome: &ConfirmationOutcome,
    targets: &[TargetId],
    now: Timestamp,
) -> rusqlite::Result<bool> {
    let message = outcome.message;
    let mut reason = Cow::Borrowed(outcome.reason.as_str());
    let mut conflict_of = None;
    let (mut state, due_at) = match &outcome.settlement {
        Settlement::Confirmed => (ConfirmationState::Confirmed, None),
        Settlement::Refused => (ConfirmationState::Refused, None),
        Settlement::Again { at } => (ConfirmationState::Awaiting, Some(at)),
    };
    let mut repeated = None;
    if state == ConfirmationState::Confirmed {
        match original::of_confirmed(connection, keys, message)? {
            KeyMatch::Nothing => {}
            KeyMatch::Same(of) => {
                state = ConfirmationState::Refused;
                reason = format!("repeats the confirmed message {of}").into();
                repeated = Some(of);
            }
            KeyMatch::Other(of) => {
                reason =
                    format!("{reason}, but confirmed message {of} has the same id and another body").into();
                conflict_of = Some(of);
            }
        }
    }
    let settled_at = due_at.is_none().then_some(now);
    let changed = connection
        .prepare_cached(
            "UPDATE confirmations SET state = ?2, tries = ?3, unknowns = ?4, due_at = coalesce(?5, due_at), settled_at = ?6,
               reason = ?7, sealed_request = CASE ?2 WHEN 'confirmed' THEN NULL ELSE sealed_request END
             WHERE message_id = ?1 AND state = 'awaiting'",
        )?
        .execute(params![message, state, outcome.tries, outcome.unknowns, due_at, settled_at, reason])?;
    if changed == 0 || settled_at.is_none() {
        return Ok(changed > 0);
    }
    connection
        .prepare_cached(
            "UPDATE messages SET confirmation = ?2,
               conflict_of = CASE ?2 WHEN 'confirmed' THEN ?3 ELSE conflict_of END
             WHERE id = ?1",
        )?
        .execute(params![message, state, conflict_of])?;
    if let Some(of) = repeated {
        count_duplicate(connection, of, now)?;
    }
    if state == ConfirmationState::Confirmed && conflict_of.is_none() {
        for target in targets {
            delivery::insert::insert(connection, message, *target, None, now)?;
        }
    }
    Ok(true)
}

/// Counts a duplicate of the message `of`.
pub fn count_duplicate(connection: &Connection, of: MessageId, at: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "UPDATE messages SET duplicates = duplicates + 1, last_duplicate_at = ?2 WHERE id = ?1",
        )?
        .execute(params![of, at])
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirmation_with_edited_time_is_due() {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::store::schema::migrate(&mut connection).unwrap();
        let now = Timestamp::try_from("2026-11-22T14:31:00.000000Z").unwrap();
        let times =
            ["yesterday", "2026-11-22T15:00:00.000000Z", "2026-11-22 16:00:00", "2026-11-22T14:31:00Z"];
        for (id, at) in times.into_iter().enumerate() {
            insert(&connection, MessageId::from(id as i64 + 1), "mollie", "sealed", now).unwrap();
            connection
                .execute("UPDATE confirmations SET due_at = ?1 WHERE message_id = ?2", params![at, id + 1])
                .unwrap();
        }
        let (found, next) = due(&connection, "mollie", now, 9).unwrap();
        let ids: Vec<MessageId> = found.iter().map(|(one, _)| one.message).collect();
        assert_eq!(ids, [3, 4, 1]);
        assert_eq!(next, Timestamp::try_from(times[1]).ok());
    }
}
