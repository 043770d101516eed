//! Deliveries that have ended long ago, and those whose target takes nothing any more.

use std::time::Instant;

use rusqlite::{Connection, params};

use super::{LOOKED_AT_A_PAGE, Position, STEP_TIME, Step};
use crate::store::delivery::DeliveryState;
use crate::store::writer::Database;

/// A delivery that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    pub id: i64,
    pub message: i64,
    pub state: DeliveryState,
    pub has_attempts: bool,
}

/// Some of what has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FinishedPage {
    pub deliveries: Vec<Finished>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<Position>,
}

/// A page of deliveries that ended before `before`, behind `after`, the oldest first. Runs on a reader.
pub fn finished(connection: &Connection, after: &Position, before: &str) -> rusqlite::Result<FinishedPage> {
    let mut statement = connection.prepare_cached(
        "SELECT id, message_id, state, EXISTS (SELECT 1 FROM attempts WHERE delivery_id = deliveries.id), finished_at
         FROM deliveries WHERE (finished_at, id) > (?1, ?2) AND finished_at < ?3
         ORDER BY finished_at, id LIMIT ?4",
    )?;
    let mut rows = statement.query(params![after.at, after.id, before, LOOKED_AT_A_PAGE])?;
    let mut page = FinishedPage::default();
    while let Some(row) = rows.next()? {
        let id = row.get(0)?;
        let (message, state, has_attempts) = (row.get(1)?, row.get(2)?, row.get(3)?);
        page.deliveries.push(Finished { id, message, state, has_attempts });
        if page.deliveries.len() == LOOKED_AT_A_PAGE {
            page.next = Some(Position { at: row.get(4)?, id });
        }
    }
    Ok(page)
}

/// The messages up to `through` of which a delivery has ended behind `after`, one page; an id may come again. Runs on a
/// reader.
pub fn messages_finished(
    connection: &Connection,
    after: &Position,
    through: i64,
) -> rusqlite::Result<(Vec<i64>, Option<Position>)> {
    let mut statement = connection.prepare_cached(
        "SELECT id, message_id, finished_at FROM deliveries WHERE (finished_at, id) > (?1, ?2)
         ORDER BY finished_at, id LIMIT ?3",
    )?;
    let mut rows = statement.query(params![after.at, after.id, LOOKED_AT_A_PAGE])?;
    let mut messages = Vec::new();
    let mut looked_at = 0;
    let mut next = None;
    while let Some(row) = rows.next()? {
        looked_at += 1;
        let message = row.get(1)?;
        if message <= through {
            messages.push(message);
        }
        if looked_at == LOOKED_AT_A_PAGE {
            next = Some(Position { at: row.get(2)?, id: row.get(0)? });
        }
    }
    messages.sort_unstable();
    messages.dedup();
    Ok((messages, next))
}

pub fn delete_one(connection: &Connection, id: i64) -> rusqlite::Result<usize> {
    connection.prepare_cached("DELETE FROM attempts WHERE delivery_id = ?1")?.execute([id])?;
    connection.prepare_cached("DELETE FROM deliveries WHERE id = ?1")?.execute([id])
}

/// Deletes the attempts of deliveries that have ended, and the delivered ones themselves, until the step is over.
pub fn delete_finished(database: &mut Database<'_>, ids: &[i64]) -> rusqlite::Result<Step> {
    let connection = database.connection;
    step(ids, |id| {
        connection.prepare_cached("DELETE FROM attempts WHERE delivery_id = ?1")?.execute([id])?;
        connection
            .prepare_cached("DELETE FROM deliveries WHERE id = ?1 AND state = 'delivered'")?
            .execute([id])
    })
}

/// Deletes dead deliveries until the step is over.
pub fn delete_dead(database: &mut Database<'_>, ids: &[i64]) -> rusqlite::Result<Step> {
    step(ids, |id| delete_one(database.connection, id))
}

/// Pending deliveries of a target that are older than `before`, the oldest first: one page. Runs on a reader.
pub fn waiting(connection: &Connection, target: i64, before: &str) -> rusqlite::Result<Vec<i64>> {
    connection
        .prepare_cached(
            "SELECT id FROM deliveries
             WHERE target_id = ?1 AND state = 'pending' AND due_at < ?2 AND created_at < ?2
             ORDER BY due_at LIMIT ?3",
        )?
        .query_map(params![target, before, LOOKED_AT_A_PAGE], |row| row.get(0))?
        .collect()
}

/// Deliveries of targets that take nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burial {
    pub deliveries: Vec<i64>,
    /// Since before this their target has been inactive. One that has become active meanwhile keeps them.
    pub before: String,
    pub why: String,
}

/// Ends deliveries until the step is over.
pub fn bury(database: &mut Database<'_>, burial: &Burial, now: &str) -> rusqlite::Result<Step> {
    let connection = database.connection;
    step(&burial.deliveries, |id| {
        connection
            .prepare_cached(
                "UPDATE deliveries SET state = 'dead', finished_at = ?4, outcome = ?3
                 WHERE id = ?1 AND state = 'pending' AND EXISTS
                   (SELECT 1 FROM targets WHERE id = target_id AND state <> 'active' AND state_since < ?2)",
            )?
            .execute(params![id, burial.before, burial.why, now])
    })
}

fn step(ids: &[i64], mut change: impl FnMut(i64) -> rusqlite::Result<usize>) -> rusqlite::Result<Step> {
    let began = Instant::now();
    let mut done = Step::default();
    for id in ids {
        done.changed += change(*id)?;
        done.taken += 1;
        if began.elapsed() >= STEP_TIME {
            break;
        }
    }
    Ok(done)
}
