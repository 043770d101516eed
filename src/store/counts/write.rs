//! Adds counts to the tables.

use rusqlite::{Connection, OptionalExtension as _, params};
use time::OffsetDateTime;

use crate::store::counts::expire::{oldest_hour, oldest_minute};
use crate::store::counts::period::CountMinute;
use crate::store::counts::tally::{MinuteTally, SourceTally, Tally};
use crate::store::counts::traffic::TrafficCount;
use crate::store::counts::{MAX_EVENTS, OTHER_EVENT, is_collective};

/// Adds the counts of a flush, and stores the newest counted message.
pub fn flush(
    connection: &Connection,
    tally: &Tally,
    flushes: u64,
    now: OffsetDateTime,
) -> rusqlite::Result<()> {
    add(connection, tally, now)?;
    connection
        .prepare_cached(
            "INSERT INTO count_progress (id, counted_through, flushes) VALUES (1, ?1, ?2)
             ON CONFLICT (id) DO UPDATE SET counted_through = max(counted_through, ?1), flushes = ?2",
        )?
        .execute(params![tally.counted_through, flushes])?;
    Ok(())
}

/// Returns the number of flushes so far.
pub fn flushes(connection: &Connection) -> rusqlite::Result<u64> {
    let flushes = connection
        .prepare_cached("SELECT flushes FROM count_progress WHERE id = 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    Ok(flushes.unwrap_or_default())
}

/// Adds the counts of a tally. Counts that are already past their retention are skipped.
pub fn add(connection: &Connection, tally: &Tally, now: OffsetDateTime) -> rusqlite::Result<()> {
    let (oldest_hour, oldest_minute) = (oldest_hour(now), oldest_minute(now));
    for (hour, sources) in tally.hours().range(oldest_hour..) {
        for (source, events) in sources {
            add_source(connection, *hour, source, events, oldest_minute)?;
        }
    }
    Ok(())
}

fn add_source(
    connection: &Connection,
    hour: CountMinute,
    source: &str,
    events: &SourceTally,
    oldest_minute: CountMinute,
) -> rusqlite::Result<()> {
    let mut named = None;
    for (event, minutes) in events {
        let count = minutes.values().copied().sum();
        let mut name: &str = event;
        if !increase_hour(connection, hour, source, name, count)? {
            let rows = match named {
                Some(rows) => rows,
                None => count_events(connection, hour, source)?,
            };
            let has_name = !is_collective(name) && rows < MAX_EVENTS;
            named = Some(rows + usize::from(has_name));
            name = if has_name || is_collective(name) { name } else { OTHER_EVENT };
            insert_hour(connection, hour, source, name, count)?;
        }
        add_minutes(connection, source, name, minutes, oldest_minute)?;
    }
    Ok(())
}

fn increase_hour(
    connection: &Connection,
    hour: CountMinute,
    source: &str,
    event: &str,
    count: TrafficCount,
) -> rusqlite::Result<bool> {
    let changed = connection
        .prepare_cached(
            "UPDATE hourly_counts SET messages = messages + ?4, bytes = bytes + ?5, rejections = rejections + ?6
             WHERE hour = ?1 AND source = ?2 AND event = ?3",
        )?
        .execute(params![hour, source, event, count.messages, count.bytes, count.rejections])?;
    Ok(changed > 0)
}

fn insert_hour(
    connection: &Connection,
    hour: CountMinute,
    source: &str,
    event: &str,
    count: TrafficCount,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO hourly_counts (hour, source, event, messages, bytes, rejections) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (hour, source, event)
             DO UPDATE SET messages = messages + ?4, bytes = bytes + ?5, rejections = rejections + ?6",
        )?
        .execute(params![hour, source, event, count.messages, count.bytes, count.rejections])?;
    Ok(())
}

fn add_minutes(
    connection: &Connection,
    source: &str,
    event: &str,
    minutes: &MinuteTally,
    oldest_minute: CountMinute,
) -> rusqlite::Result<()> {
    for (minute, count) in minutes {
        let Some(minute) = minute.filter(|minute| *minute >= oldest_minute) else { continue };
        connection
            .prepare_cached(
                "INSERT INTO minute_counts (minute, source, event, messages, bytes, rejections)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (minute, source, event)
                 DO UPDATE SET messages = messages + ?4, bytes = bytes + ?5, rejections = rejections + ?6",
            )?
            .execute(params![minute, source, event, count.messages, count.bytes, count.rejections])?;
    }
    Ok(())
}

/// Returns the number of events of a source and hour that are counted by name.
fn count_events(connection: &Connection, hour: CountMinute, source: &str) -> rusqlite::Result<usize> {
    let mut statement =
        connection.prepare_cached("SELECT event FROM hourly_counts WHERE hour = ?1 AND source = ?2")?;
    let mut rows = statement.query(params![hour, source])?;
    let mut named = 0;
    while let Some(row) = rows.next()? {
        named += usize::from(!is_collective(row.get_ref(0)?.as_str()?));
    }
    Ok(named)
}
