//! Names of sources, events and targets that occur in the database. They have no index, so the
//! names of messages come from a sample: the newest messages, and some of each age.

use std::collections::BTreeSet;

use rusqlite::Connection;

use crate::store::damage;
use crate::store::id::MessageId;

/// Number of newest messages in the sample.
const MAX_NEWEST: usize = 5_000;
/// Number of other messages, at equal distances of their ids.
const MAX_OLDER: i64 = 1_000;
/// Limit on the different events in the sample: an emitted or unlisted event can have any name.
const MAX_EVENTS: usize = 2_000;

/// Names that occur in the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameSample {
    pub sources: BTreeSet<String>,
    /// Events with their source.
    pub events: BTreeSet<(String, String)>,
    /// The sample could not be read, so no name is known to be absent.
    pub is_damaged: bool,
}

/// Returns the sources and events of a sample of messages. Damage is noted.
pub fn sample(connection: &Connection) -> rusqlite::Result<NameSample> {
    let found = damage::skip("messages", undamaged_sample(connection))?;
    Ok(found.unwrap_or_else(|| NameSample { is_damaged: true, ..NameSample::default() }))
}

fn undamaged_sample(connection: &Connection) -> rusqlite::Result<NameSample> {
    let mut sample = NameSample::default();
    let mut add = |(source, event): (String, String)| {
        if sample.events.len() < MAX_EVENTS {
            sample.events.insert((source.clone(), event));
        }
        sample.sources.insert(source);
    };
    let mut statement = connection.prepare_cached(
        "SELECT DISTINCT source, event FROM (SELECT source, event FROM messages ORDER BY id DESC LIMIT ?1)",
    )?;
    let newest: Vec<_> = statement
        .query_map([MAX_NEWEST], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    newest.into_iter().for_each(&mut add);
    let (first, last): (Option<i64>, Option<i64>) =
        connection
            .query_row("SELECT min(id), max(id) FROM messages", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (Some(first), Some(last)) = (first, last) else { return Ok(sample) };
    let mut statement = connection
        .prepare_cached("SELECT id, source, event FROM messages WHERE id >= ?1 ORDER BY id LIMIT 1")?;
    let step = last.saturating_sub(first) / MAX_OLDER + 1;
    let mut next = first;
    while next <= last {
        let mut rows = statement.query([next])?;
        let Some(row) = rows.next()? else { break };
        let id: MessageId = row.get(0)?;
        add((row.get(1)?, row.get(2)?));
        next = id.get().saturating_add(step);
    }
    Ok(sample)
}

/// Returns the names of all targets other than listeners, even removed ones.
pub fn targets(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    connection
        .prepare_cached("SELECT DISTINCT name FROM targets WHERE kind <> 'listener'")?
        .query_map([], |row| row.get(0))?
        .collect()
}
