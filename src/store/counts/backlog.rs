//! Messages that were stored but not counted: those from before the counts existed, and those of
//! the last seconds before a crash. They are counted in the background, in bounded steps.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, Row, params};
use time::OffsetDateTime;

use crate::store::counts::period::CountMinute;
use crate::store::counts::tally::Tally;
use crate::store::counts::write;
use crate::store::damage;
use crate::store::id::MessageId;
use crate::store::timestamp::Timestamp;

/// Limits on the messages that a step reads, and on the counts that it writes.
const MESSAGES_PER_STEP: usize = if cfg!(test) { 50 } else { 2_000 };
const ENTRIES_PER_STEP: usize = 256;

const COLUMNS: &str =
    "id, received_at, source, event, coalesce(octet_length(body), octet_length(payload), 0)";

/// The counts of the first messages of a range.
#[derive(Debug)]
pub struct BacklogPage {
    first: MessageId,
    /// The first message of the rest; `None` if the range is finished.
    next: Option<MessageId>,
    tally: Tally,
}

/// Adds the messages above `counted_through` to the ranges to count. Runs at the start, before the
/// first message is stored, and takes the same time for any number of messages.
pub fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT OR REPLACE INTO uncounted_messages (first_id, last_id)
         SELECT counted_through + 1, seq FROM count_progress, sqlite_sequence
         WHERE count_progress.id = 1 AND name = 'messages' AND seq > counted_through",
        [],
    )?;
    connection
        .execute(
            "UPDATE count_progress SET counted_through =
               max(counted_through, coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'messages'), 0))",
            [],
        )
        .map(drop)
}

/// Whether messages are still to be counted.
pub fn is_waiting(connection: &Connection) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM uncounted_messages)")?
        .query_row([], |row| row.get(0))
}

/// Counts the next messages, without writing; `None` if no range is left. The newest range is
/// counted first.
pub fn read(connection: &Connection) -> rusqlite::Result<Option<BacklogPage>> {
    let range = connection
        .prepare_cached("SELECT first_id, last_id FROM uncounted_messages ORDER BY first_id DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((first, last)) = range else { return Ok(None) };
    let page = match read_range(connection, first, last) {
        Err(error) if damage::is_damage(&error) => {
            damage::note("messages", &error);
            read_individually(connection, first, last)?
        }
        page => page?,
    };
    Ok(Some(page))
}

fn read_range(connection: &Connection, first: MessageId, last: MessageId) -> rusqlite::Result<BacklogPage> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM messages WHERE id BETWEEN ?1 AND ?2 ORDER BY id LIMIT ?3"
    ))?;
    let mut rows = statement.query(params![first, last, MESSAGES_PER_STEP])?;
    let (mut tally, mut source, mut read, mut newest) = (Tally::default(), Arc::from(""), 0, None);
    while tally.entries() < ENTRIES_PER_STEP {
        let Some(row) = rows.next()? else { break };
        newest = Some(count(row, &mut tally, &mut source)?);
        read += 1;
    }
    let is_cut = read == MESSAGES_PER_STEP || tally.entries() >= ENTRIES_PER_STEP;
    let next = newest.filter(|newest| is_cut && *newest < last).map(MessageId::next);
    tally.settle();
    Ok(BacklogPage { first, next, tally })
}

/// Reads the rows one by one, without those in damaged pages.
fn read_individually(
    connection: &Connection,
    first: MessageId,
    last: MessageId,
) -> rusqlite::Result<BacklogPage> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM messages WHERE id = ?1"))?;
    let (mut tally, mut source, mut id, mut next) = (Tally::default(), Arc::from(""), first, None);
    for _ in 0..MESSAGES_PER_STEP {
        let counted = statement.query_row([id], |row| count(row, &mut tally, &mut source)).optional();
        damage::skip("messages", counted)?;
        next = (id < last).then(|| id.next());
        let Some(following) = next.filter(|_| tally.entries() < ENTRIES_PER_STEP) else { break };
        id = following;
    }
    tally.settle();
    Ok(BacklogPage { first, next, tally })
}

/// Counts a message; returns its id. A message with an unreadable time is not counted.
fn count(row: &Row<'_>, tally: &mut Tally, source: &mut Arc<str>) -> rusqlite::Result<MessageId> {
    let id = row.get(0)?;
    let Some(received_at) = damage::readable_time::<Timestamp>("messages", row, 1)? else { return Ok(id) };
    let name = row.get_ref(2)?.as_str()?;
    if **source != *name {
        *source = Arc::from(name);
    }
    let event = row.get_ref(3)?.as_str()?;
    tally.add_message(id, CountMinute::of(received_at.to_time()), source, event, row.get(4)?);
    Ok(id)
}

/// Adds the counts of a page, and removes its messages from the ranges to count.
pub fn write(connection: &Connection, page: &BacklogPage, now: OffsetDateTime) -> rusqlite::Result<()> {
    let changed = match page.next {
        Some(next) => connection
            .prepare_cached("UPDATE uncounted_messages SET first_id = ?2 WHERE first_id = ?1")?
            .execute(params![page.first, next])?,
        None => connection
            .prepare_cached("DELETE FROM uncounted_messages WHERE first_id = ?1")?
            .execute([page.first])?,
    };
    // A repeated write, e.g. after a timeout, finds the range changed and adds nothing.
    if changed == 1 { write::add(connection, &page.tally, now) } else { Ok(()) }
}
