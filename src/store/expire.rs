//! What the clean-up does to the tables, in steps that are short enough to stand between two batches of messages.

use std::time::{Duration, Instant};

use rusqlite::{Connection, params};

use super::checkpoint;
use super::writer::Database;

/// A step stops after this: what is left is the next step's.
const STEP: Duration = Duration::from_millis(2);
const PAGES_PER_STEP: u32 = 128;
const LOOKED_AT_A_PAGE: usize = 1_000;
/// Free pages up to this share of the file are left for new messages, and at least so many.
const FREE_PAGES_KEPT_PERCENT: i64 = 5;
const FREE_PAGES_KEPT: i64 = 256;

/// Which messages are old.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Behind this message in the order of time.
    pub after: Position,
    /// Received before this.
    pub before: String,
    pub sources: Sources,
}

/// A place in the order of time: when it was received, and its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub received_at: String,
    pub id: i64,
}

/// Some of the selected messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub ids: Vec<i64>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<Position>,
}

/// Whose messages a retention is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sources {
    Only(String),
    AllBut(Vec<String>),
}

impl Sources {
    fn contains(&self, source: &str) -> bool {
        match self {
            Self::Only(name) => name == source,
            Self::AllBut(names) => !names.iter().any(|name| name == source),
        }
    }
}

/// A page of old messages, oldest first. Runs on a reader. A page is bounded by what is looked at, not by what is
/// found: a source whose messages are kept for long must not keep a reader, and with it the WAL, busy for long.
pub fn select(connection: &Connection, selection: &Selection) -> rusqlite::Result<Page> {
    let mut statement = connection.prepare_cached(
        "SELECT id, source, received_at FROM messages
         WHERE (received_at, id) > (?1, ?2) AND received_at < ?3
         ORDER BY received_at, id LIMIT ?4",
    )?;
    let Selection { after, before, sources } = selection;
    let mut rows = statement.query(params![after.received_at, after.id, before, LOOKED_AT_A_PAGE])?;
    let mut page = Page::default();
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        looked_at += 1;
        let id = row.get(0)?;
        if sources.contains(row.get_ref(1)?.as_str()?) {
            page.ids.push(id);
        }
        if looked_at == LOOKED_AT_A_PAGE {
            page.next = Some(Position { received_at: row.get(2)?, id });
        }
    }
    Ok(page)
}

/// The oldest messages whatever their age, for the size limit. Runs on a reader.
pub fn select_oldest(connection: &Connection, limit: usize) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare_cached("SELECT id FROM messages ORDER BY id LIMIT ?1")?
        .query_map([limit], |row| row.get(0))?
        .collect()
}

/// Bytes of the file that hold data, and those that are free inside it. Runs on a reader.
pub fn used_and_free_bytes(connection: &Connection) -> rusqlite::Result<(u64, u64)> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    let (size, pages, free) = (pragma("page_size")?, pragma("page_count")?, pragma("freelist_count")?);
    Ok((pages.saturating_sub(free) * size, free * size))
}

/// Deletes messages until the step is over; how many it took of `ids`. A message whose key is not merged yet stays,
/// because the key would be lost with it.
pub fn delete(database: &mut Database<'_>, ids: &[i64]) -> rusqlite::Result<usize> {
    let began = Instant::now();
    let merged_through = database.keys.merged_through();
    let mut statement =
        database.connection.prepare_cached("DELETE FROM messages WHERE id = ?1 AND id <= ?2")?;
    let mut taken = 0;
    for id in ids {
        statement.execute([*id, merged_through])?;
        taken += 1;
        if began.elapsed() >= STEP {
            break;
        }
    }
    Ok(taken)
}

/// Has the keys that are only in memory written, up to the message `through`; true once they are. The writer itself
/// does it, in slices between the messages.
pub fn merge_keys(database: &mut Database<'_>, through: i64) -> bool {
    // A row that somebody has added by hand may be beyond what is known here.
    let goal = through.min(database.keys.newest_message());
    let is_done = database.keys.merged_through() >= goal;
    if !is_done {
        database.keys.want_merge();
    }
    is_done
}

/// Deletes keys of generations that were last added to before `cut_off`; true when nothing is left to delete.
pub fn forget_keys(database: &mut Database<'_>, cut_off: &str) -> rusqlite::Result<bool> {
    let generation: Option<i64> = database.connection.query_row(
        "SELECT min(generation) FROM key_generations WHERE newest_at < ?1 AND generation <> ?2",
        params![cut_off, database.keys.generation()],
        |row| row.get(0),
    )?;
    let Some(generation) = generation else { return Ok(true) };
    let deleted = database.connection.execute(
        "DELETE FROM delivery_keys WHERE generation = ?1 AND (key, message_id) IN
           (SELECT key, message_id FROM delivery_keys WHERE generation = ?1 LIMIT 1024)",
        [generation],
    )?;
    if deleted == 0 {
        database.connection.execute("DELETE FROM key_generations WHERE generation = ?1", [generation])?;
        database.keys.forget_generations(database.connection)?;
    }
    Ok(false)
}

/// Gives free pages back to the file system; true when nothing more is worth it. The pragma frees one page a step,
/// so it must be run as a query and drained.
pub fn vacuum(database: &mut Database<'_>) -> rusqlite::Result<bool> {
    let connection = database.connection;
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (pages, free) = (pragma("page_count")?, pragma("freelist_count")?);
    let kept = FREE_PAGES_KEPT.max(pages * FREE_PAGES_KEPT_PERCENT / 100);
    if free <= kept {
        return Ok(true);
    }
    let began = Instant::now();
    let mut statement = connection.prepare(&format!("PRAGMA incremental_vacuum({PAGES_PER_STEP})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() && began.elapsed() < STEP {}
    drop(rows);
    drop(statement);
    // The next checkpoint, whosever it is, cuts the file down to this.
    database.files.database_may_shrink_to(checkpoint::content_bytes(connection));
    Ok(false)
}
