//! Due deliveries of a target, with their messages. Unreadable deliveries and messages are listed
//! separately, so that they do not block others.

use std::collections::HashSet;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::store::damage;
use crate::store::delivery::loaded::LoadedMessages;
use crate::store::id::{DeliveryId, MessageId, ReplayId, TargetId};
use crate::store::message::read::{MessageReader, StoredMessage};
use crate::store::target::settings::DeliveryOrdering;
use crate::store::timestamp::Timestamp;

/// Query for the due deliveries of a target.
#[derive(Clone, Debug)]
pub struct DueQuery {
    pub target: TargetId,
    pub ordering: DeliveryOrdering,
    pub now: Timestamp,
    /// Deliveries to leave out, e.g. because they are already loaded or in flight.
    pub held: Vec<DeliveryId>,
    pub limit: usize,
    /// Number of message bytes after which no further message is read.
    pub bytes: usize,
}

/// A due delivery, with its message.
#[derive(Clone, Debug)]
pub struct DueDelivery {
    pub id: DeliveryId,
    pub attempts: u32,
    pub created_at: Timestamp,
    pub replay: Option<ReplayId>,
    pub message: Arc<StoredMessage>,
}

/// A page of due deliveries.
#[derive(Clone, Debug, Default)]
pub struct DuePage {
    pub deliveries: Vec<DueDelivery>,
    /// Deliveries whose message was deleted.
    pub orphans: Vec<DeliveryId>,
    /// Unreadable deliveries, and those with an unreadable message.
    pub damaged: Vec<DeliveryId>,
    /// Earliest due time among the examined deliveries that are not due yet; `None` without any.
    pub next_due: Option<Timestamp>,
    /// Whether more may be due now.
    pub is_full: bool,
}

/// A row of `deliveries` that may be due.
struct DueRow {
    message: MessageId,
    attempts: u32,
    created_at: Timestamp,
    due_at: Timestamp,
    not_before: Option<Timestamp>,
    replay: Option<ReplayId>,
}

/// Returns the ids of a target's next pending deliveries, in the order of its queue, without held
/// ones. Reads only the index, because a page can leave out more deliveries than it returns.
fn pending_ids(connection: &Connection, query: &DueQuery) -> rusqlite::Result<Vec<DeliveryId>> {
    let wanted = if query.ordering == DeliveryOrdering::Strict { 1 } else { query.limit + 1 };
    let held: HashSet<DeliveryId> = query.held.iter().copied().collect();
    let mut statement = connection.prepare_cached(
        "SELECT id FROM deliveries INDEXED BY deliveries_due
         WHERE target_id = ?1 AND state = 'pending' ORDER BY due_at, id LIMIT ?2",
    )?;
    let ids = statement.query_map(params![query.target, wanted + held.len()], |row| row.get(0))?;
    ids.filter(|id| !id.as_ref().is_ok_and(|id| held.contains(id))).collect()
}

fn read_due_row(row: &Row<'_>, now: Timestamp) -> rusqlite::Result<DueRow> {
    Ok(DueRow {
        message: row.get(1)?,
        attempts: row.get(2)?,
        created_at: damage::time("deliveries", row, 3)?,
        due_at: damage::due_time("deliveries", row, 4, now)?,
        not_before: damage::readable_time("deliveries", row, 5)?.flatten(),
        replay: row.get(6)?,
    })
}

/// Returns the due deliveries of a target, in the order that the target requires. Runs on a
/// read-only connection.
pub fn due(connection: &Connection, loaded: &LoadedMessages, query: &DueQuery) -> rusqlite::Result<DuePage> {
    let is_strict = query.ordering == DeliveryOrdering::Strict;
    let mut page = DuePage::default();
    let mut bytes = 0;
    // One snapshot: a delivery that ends meanwhile is still read as pending, with its message.
    let snapshot = connection.unchecked_transaction()?;
    let mut one = snapshot.prepare_cached(
        "SELECT id, message_id, attempts, created_at, due_at, not_before, replay_id FROM deliveries
         WHERE id = ?1",
    )?;
    let mut messages = MessageReader::new(&snapshot)?;
    for id in pending_ids(&snapshot, query)? {
        let row = one.query_row([id], |row| read_due_row(row, query.now)).optional();
        let Some(row) = damage::skip("deliveries", row)? else {
            page.damaged.push(id);
            continue;
        };
        let Some(row) = row else {
            damage::note_text(format!("deliveries: the index lists {id}, which does not exist"));
            page.damaged.push(id);
            continue;
        };
        let is_postponed = row.not_before.is_some_and(|at| at > query.now);
        let due_at = row.not_before.filter(|at| *at > row.due_at).unwrap_or(row.due_at);
        // A delivery without an attempt is due even if the clock was ahead when it was created.
        if due_at > query.now && (row.attempts > 0 || is_postponed) {
            page.next_due = Some(page.next_due.map_or(due_at, |next| next.min(due_at)));
            // Due deliveries may follow: a delivery that was postponed in strict order stays before
            // others after the ordering has changed, and a delivery with an unreadable time is due
            // but sorts after others.
            if !is_strict {
                continue;
            }
            break;
        }
        if page.deliveries.len() + page.orphans.len() >= query.limit || bytes >= query.bytes {
            page.is_full = true;
            break;
        }
        let message = match loaded.get(row.message) {
            Some(message) => message,
            None => match damage::skip("messages", messages.one(row.message))? {
                Some(Some(message)) => loaded.add(message),
                Some(None) => {
                    page.orphans.push(id);
                    continue;
                }
                None => {
                    page.damaged.push(id);
                    continue;
                }
            },
        };
        bytes += message.bytes();
        page.deliveries.push(DueDelivery {
            id,
            attempts: row.attempts,
            created_at: row.created_at,
            replay: row.replay,
            message,
        });
    }
    // More may follow the head of a strict queue, or the unreadable deliveries.
    page.is_full |= (is_strict && !page.deliveries.is_empty()) || !page.damaged.is_empty();
    Ok(page)
}
