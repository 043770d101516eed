//! Used and free space of the file, and the return of free pages.

use std::time::Instant;

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::store::id::MessageId;
use crate::store::timestamp::Timestamp;
use crate::store::walk::STEP_TIME;
use crate::store::writer::job::Database;
use crate::store::{checkpoint, damage};

const PAGES_PER_STEP: u32 = 128;
/// Limit on named holders of space.
const MAX_HOLDERS: u32 = 5;
/// Share of the file that stays free for new messages; at least `MIN_FREE_PAGES` pages.
const MIN_FREE_PAGES_PERCENT: i64 = 5;
const MIN_FREE_PAGES: i64 = 256;

/// Returns the used and the free bytes of the file. Takes microseconds.
pub fn used_and_free_bytes(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    let pragma = |sql| connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, u64>(0));
    let size = pragma("PRAGMA page_size")?;
    let (pages, free) = (pragma("PRAGMA page_count")?, pragma("PRAGMA freelist_count")?);
    Ok((pages.saturating_sub(free) * size, free * size))
}

/// Returns the bytes of each message with its deliveries and their attempts; 0 for a deleted or
/// damaged one. The lengths are in the headers of the rows: no body is read.
pub fn message_sizes(connection: &Connection, ids: &[MessageId]) -> rusqlite::Result<Vec<u64>> {
    let mut statement = connection.prepare_cached(MESSAGE_SIZE)?;
    let mut size = |id| statement.query_row([id], |row| row.get(0)).optional();
    ids.iter().map(|id| Ok(damage::skip("messages", size(id))?.flatten().unwrap_or_default())).collect()
}

/// The constants are upper bounds for the other columns and the index entries.
const MESSAGE_SIZE: &str = "SELECT 800 + octet_length(headers) + coalesce(octet_length(payload), 0) + coalesce(octet_length(body), 0)
     + coalesce(octet_length(query), 0)
     + (SELECT coalesce(sum(800 + (SELECT coalesce(sum(400 + coalesce(octet_length(error), 0) + coalesce(octet_length(excerpt), 0)), 0)
            FROM attempts WHERE delivery_id = deliveries.id)), 0) FROM deliveries WHERE message_id = messages.id)
   FROM messages WHERE id = ?1";

/// Condition for targets whose pending deliveries retain messages even if the database is above its
/// size limit, because the targets are not expendable, see
/// [`crate::store::message::expire::YieldingTargets`]. `?1`: targets paused before this time are
/// expendable.
const NOT_EXPENDABLE: &str =
    "kind <> 'listener' AND origin <> 'replay' AND targets.state NOT IN ('removed', 'disabled')
       AND NOT (targets.state = 'paused' AND state_since < ?1)";

/// Whether any message is retained even if the database is above its size limit, by a pending
/// confirmation or by a pending delivery to a target that is not expendable.
pub fn is_room_held(connection: &Connection, paused_before: Timestamp) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(&format!(
            "SELECT EXISTS (SELECT 1 FROM targets WHERE {NOT_EXPENDABLE} AND EXISTS
                (SELECT 1 FROM deliveries WHERE target_id = targets.id AND deliveries.state = 'pending'))
               OR EXISTS (SELECT 1 FROM confirmations WHERE state = 'awaiting')"
        ))?
        .query_row([paused_before], |row| row.get(0))
}

/// A target with pending deliveries, or a source with pending confirmations, that retain messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomHolder {
    /// Name of the target or source.
    pub name: String,
    pub state: String,
    pub pending: u64,
}

/// Returns the holders with the most pending deliveries or confirmations, without expendable
/// targets. Runs on a read-only connection.
pub fn room_holders(connection: &Connection, paused_before: Timestamp) -> rusqlite::Result<Vec<RoomHolder>> {
    connection
        .prepare_cached(&format!(
            "SELECT name, state, pending FROM (
               SELECT targets.name AS name, targets.state AS state, count(*) AS pending
               FROM deliveries JOIN targets ON targets.id = target_id
               WHERE deliveries.state = 'pending' AND {NOT_EXPENDABLE} GROUP BY target_id
               UNION ALL
               SELECT source, 'awaiting confirmation', count(*) FROM confirmations WHERE state = 'awaiting' GROUP BY source)
             ORDER BY pending DESC LIMIT ?2"
        ))?
        .query_map(params![paused_before, MAX_HOLDERS], |row| {
            Ok(RoomHolder { name: row.get(0)?, state: row.get(1)?, pending: row.get(2)? })
        })?
        .collect()
}

/// Returns up to `PAGES_PER_STEP` free pages to the file system, within about `STEP_TIME`. Returns
/// true when the remaining free pages stay in the file for new messages. The pragma frees one page
/// for each row that is read from it, so it must be run as a query.
pub fn vacuum(database: &mut Database<'_>) -> rusqlite::Result<bool> {
    let connection = database.connection;
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (pages, free) = (pragma("page_count")?, pragma("freelist_count")?);
    let kept = MIN_FREE_PAGES.max(pages * MIN_FREE_PAGES_PERCENT / 100);
    if free <= kept {
        return Ok(true);
    }
    let began = Instant::now();
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_PER_STEP})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() && began.elapsed() < STEP_TIME {}
    drop(rows);
    drop(statement);
    // The next checkpoint, in any process, truncates the file to this length.
    database.files.database_may_shrink_to(checkpoint::content_bytes(connection));
    Ok(false)
}
