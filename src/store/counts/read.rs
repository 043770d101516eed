//! Reads the counts of a time as buckets and series. The counts in memory are included.

use std::collections::BTreeMap;
use std::time::Instant;

use rusqlite::{Connection, params};

use crate::store::counts::pending::PendingSnapshot;
use crate::store::counts::period::{CountMinute, MINUTES_PER_HOUR};
use crate::store::counts::tally::Tally;
use crate::store::counts::traffic::TrafficCount;
use crate::store::counts::{OTHER_EVENT, UNKNOWN_EVENT, backlog, write};
use crate::store::target::subscription::Pattern;

/// Limit on buckets.
pub const MAX_BUCKETS: usize = 1_000;
/// Limit on series with a name. The rest is one more series.
pub const MAX_SERIES: usize = if cfg!(test) { 3 } else { 50 };
/// Limit on names that are compared to find the largest series.
const MAX_NAMES: usize = if cfg!(test) { 20 } else { 10_000 };
/// Number of rows between two looks at the clock.
const ROWS_PER_CHECK: usize = 4_096;

/// Time, filter and grouping of counts.
#[derive(Clone, Debug)]
pub struct CountQuery {
    pub from: CountMinute,
    /// Length of a bucket. If it is not a number of whole hours, the counts by minute are read.
    pub step_minutes: i64,
    pub buckets: usize,
    pub source: Option<String>,
    pub event: Option<Pattern>,
    pub by: Option<CountGrouping>,
}

/// The name of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountGrouping {
    Source,
    Event,
}

/// Counts of a time, in total and by bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountSeries {
    /// `UNKNOWN_EVENT` for rejections, `OTHER_EVENT` for the rest.
    pub name: Box<str>,
    pub total: TrafficCount,
    pub buckets: Vec<TrafficCount>,
}

/// The result of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountReport {
    pub all: CountSeries,
    /// The largest series, by messages and rejections, largest first; then the rest, if any.
    pub series: Vec<CountSeries>,
    /// Whether older messages are still to be counted, or counts by minute have lost their minutes.
    pub is_incomplete: bool,
}

/// Result of one read.
#[derive(Debug)]
pub enum CountReadOutcome {
    Report(CountReport),
    /// The counts in memory were written to the tables between the snapshot and the read.
    OutdatedSnapshot,
    TimedOut,
}

/// Counts of one source for a forecast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceTraffic {
    /// Counts of the recent time, from which the rate is computed.
    pub recent: TrafficCount,
    /// Counts of the messages that are still stored.
    pub stored: TrafficCount,
}

/// Times for the counts of a forecast.
#[derive(Clone, Debug)]
pub struct TrafficWindows {
    pub recent_from: CountMinute,
    /// End of the recent time, excluded.
    pub recent_to: CountMinute,
    /// End of the counts.
    pub now: CountMinute,
    /// Start of the stored messages of each source with its own retention, and of the others. Of
    /// its hour, the part after it is used.
    pub stored_from: BTreeMap<String, CountMinute>,
    pub others_stored_from: CountMinute,
}

/// Reads a report. The tables and the number of flushes are read in one transaction.
pub fn report(
    connection: &Connection,
    query: &CountQuery,
    pending: &PendingSnapshot,
    deadline: Instant,
) -> rusqlite::Result<CountReadOutcome> {
    let transaction = connection.unchecked_transaction()?;
    if write::flushes(&transaction)? != pending.flushes {
        return Ok(CountReadOutcome::OutdatedSnapshot);
    }
    let scan = CountScan { connection: &transaction, query, pending, deadline };
    let Some(names) = scan.largest_names()? else { return Ok(CountReadOutcome::TimedOut) };
    let Some((all, series)) = scan.fill(&names)? else { return Ok(CountReadOutcome::TimedOut) };
    let Some(has_all_minutes) = scan.has_all_minutes(all.total)? else {
        return Ok(CountReadOutcome::TimedOut);
    };
    let is_incomplete = !has_all_minutes || backlog::is_waiting(&transaction)?;
    Ok(CountReadOutcome::Report(CountReport { all, series, is_incomplete }))
}

struct CountScan<'a> {
    connection: &'a Connection,
    query: &'a CountQuery,
    pending: &'a PendingSnapshot,
    deadline: Instant,
}

impl CountScan<'_> {
    /// Returns the names of the largest series; `None` after the deadline.
    fn largest_names(&self) -> rusqlite::Result<Option<Vec<Box<str>>>> {
        let Some(by) = self.query.by else { return Ok(Some(Vec::new())) };
        let mut totals: BTreeMap<Box<str>, u64> = BTreeMap::new();
        let is_finished = self.visit(|_, source, event, count| {
            let name = name_of(by, source, event);
            let requests = count.messages.saturating_add(count.rejections);
            if let Some(total) = totals.get_mut(name) {
                *total = total.saturating_add(requests);
            } else if totals.len() < MAX_NAMES && name != OTHER_EVENT {
                totals.insert(name.into(), requests);
            }
        })?;
        let mut sorted: Vec<(Box<str>, u64)> = totals.into_iter().collect();
        // Stable, so that equal totals stay in the order of their names.
        sorted.sort_by_key(|(_, total)| std::cmp::Reverse(*total));
        sorted.truncate(MAX_SERIES);
        Ok(is_finished.then(|| sorted.into_iter().map(|(name, _)| name).collect()))
    }

    /// Returns the total and the series; `None` after the deadline.
    fn fill(&self, names: &[Box<str>]) -> rusqlite::Result<Option<(CountSeries, Vec<CountSeries>)>> {
        let new = |name: &str| CountSeries {
            name: name.into(),
            total: TrafficCount::default(),
            buckets: vec![TrafficCount::default(); self.query.buckets],
        };
        let places: BTreeMap<&str, usize> =
            names.iter().enumerate().map(|(place, name)| (&**name, place)).collect();
        let (mut all, mut rest) = (new(""), new(OTHER_EVENT));
        let mut series: Vec<CountSeries> = names.iter().map(|name| new(name)).collect();
        let is_finished = self.visit(|bucket, source, event, count| {
            all.add(bucket, count);
            if let Some(by) = self.query.by {
                let place = places.get(name_of(by, source, event));
                place.and_then(|place| series.get_mut(*place)).unwrap_or(&mut rest).add(bucket, count);
            }
        })?;
        if !rest.total.is_zero() {
            series.push(rest);
        }
        Ok(is_finished.then_some((all, series)))
    }

    /// Calls `visit` with the bucket, source, event and counts of each selected row. Returns false
    /// after the deadline.
    fn visit(&self, mut visit: impl FnMut(usize, &str, &str, TrafficCount)) -> rusqlite::Result<bool> {
        let CountQuery { from, step_minutes, .. } = self.query;
        let is_hourly = self.is_hourly();
        let mut visit_row = |at: CountMinute, of_source: &str, of_event: &str, count| {
            let bucket = usize::try_from((at.get() - from.get()).div_euclid(*step_minutes));
            if let Ok(bucket) = bucket
                && bucket < self.query.buckets
                && self.selects(of_source, of_event)
            {
                visit(bucket, of_source, of_event, count);
            }
        };
        let end = self.end();
        let table = if is_hourly { HOURS } else { MINUTES };
        if !scan(self.connection, table, *from, end, self.deadline, &mut visit_row)? {
            return Ok(false);
        }
        for tally in self.tallies() {
            tally.visit(|hour, source, event, minute, count| {
                let at = if is_hourly { Some(hour) } else { minute };
                at.into_iter().for_each(|at| visit_row(at, source, event, count));
            });
        }
        Ok(true)
    }

    /// Whether the counts by minute have the same sum as the counts by hour. Counts that were
    /// compacted in memory have no minute. `total` is the sum of the buckets, which are extended
    /// to whole hours. Returns `None` after the deadline.
    fn has_all_minutes(&self, total: TrafficCount) -> rusqlite::Result<Option<bool>> {
        if self.is_hourly() {
            return Ok(Some(true));
        }
        let (from, end) = (self.query.from, self.end());
        let (first, last) = (from.hour(), end.plus(MINUTES_PER_HOUR - 1).hour());
        let Some(mut by_hour) = self.sum(HOURS, first, last)? else { return Ok(None) };
        let mut by_minute = total;
        for (from, to) in [(first, from), (end, last)] {
            let Some(sum) = self.sum(MINUTES, from, to)? else { return Ok(None) };
            by_minute += sum;
        }
        for tally in self.tallies() {
            tally.visit(|hour, source, event, minute, count| {
                if (first..last).contains(&hour) && self.selects(source, event) {
                    by_hour += count;
                    if minute.is_some_and(|minute| !(from..end).contains(&minute)) {
                        by_minute += count;
                    }
                }
            });
        }
        Ok(Some(by_hour == by_minute))
    }

    /// Returns the sum of the selected rows of a table; `None` after the deadline.
    fn sum(&self, table: &str, from: CountMinute, to: CountMinute) -> rusqlite::Result<Option<TrafficCount>> {
        let mut sum = TrafficCount::default();
        let is_finished =
            scan(self.connection, table, from, to, self.deadline, |_, source, event, count| {
                if self.selects(source, event) {
                    sum += count;
                }
            })?;
        Ok(is_finished.then_some(sum))
    }

    fn is_hourly(&self) -> bool {
        self.query.step_minutes % MINUTES_PER_HOUR == 0
    }

    fn end(&self) -> CountMinute {
        let CountQuery { from, step_minutes, buckets, .. } = self.query;
        from.plus(step_minutes * i64::try_from(*buckets).unwrap_or(i64::MAX))
    }

    /// Returns the counts in memory.
    fn tallies(&self) -> impl Iterator<Item = &Tally> {
        self.pending.in_flush.as_deref().into_iter().chain([&self.pending.tally])
    }

    /// Whether the query selects the counts. A pattern of events never selects rejections, because
    /// their event is unknown.
    fn selects(&self, source: &str, event: &str) -> bool {
        let CountQuery { source: wanted, event: pattern, .. } = self.query;
        wanted.as_ref().is_none_or(|wanted| wanted == source)
            && pattern.as_ref().is_none_or(|pattern| event != UNKNOWN_EVENT && pattern.matches(event))
    }
}

impl CountSeries {
    fn add(&mut self, bucket: usize, count: TrafficCount) {
        self.total += count;
        if let Some(sum) = self.buckets.get_mut(bucket) {
            *sum += count;
        }
    }
}

fn name_of<'r>(by: CountGrouping, source: &'r str, event: &'r str) -> &'r str {
    match by {
        CountGrouping::Source => source,
        CountGrouping::Event => event,
    }
}

const HOURS: &str = "SELECT unixepoch(hour), source, event, messages, bytes, rejections FROM hourly_counts
   WHERE hour >= ?1 AND hour < ?2";
const MINUTES: &str =
    "SELECT unixepoch(minute), source, event, messages, bytes, rejections FROM minute_counts
   WHERE minute >= ?1 AND minute < ?2";

/// Calls `visit` with the time, source, event and counts of each row. Rows with an unreadable time
/// are skipped. Returns false after the deadline.
fn scan(
    connection: &Connection,
    sql: &str,
    from: CountMinute,
    to: CountMinute,
    deadline: Instant,
    mut visit: impl FnMut(CountMinute, &str, &str, TrafficCount),
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![from, to])?;
    let mut read = 0;
    while let Some(row) = rows.next()? {
        read += 1;
        if read % ROWS_PER_CHECK == 0 && Instant::now() >= deadline {
            return Ok(false);
        }
        let Some(at) = row.get::<_, Option<CountMinute>>(0)? else { continue };
        let count = TrafficCount { messages: row.get(3)?, bytes: row.get(4)?, rejections: row.get(5)? };
        visit(at, row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str()?, count);
    }
    Ok(true)
}

/// Returns the first counted hour.
pub fn first_hour(connection: &Connection) -> rusqlite::Result<Option<CountMinute>> {
    connection
        .prepare_cached("SELECT unixepoch(min(hour)) FROM hourly_counts")?
        .query_row([], |row| row.get(0))
}

/// Whether an hourly count has the source or event; true if the deadline passes before all counts
/// are read.
pub fn may_have_name(
    connection: &Connection,
    by: CountGrouping,
    name: &str,
    deadline: Instant,
) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare_cached("SELECT source, event FROM hourly_counts")?;
    let mut rows = statement.query([])?;
    let mut read = 0;
    while let Some(row) = rows.next()? {
        read += 1;
        let is_late = read % ROWS_PER_CHECK == 0 && Instant::now() >= deadline;
        if is_late || name_of(by, row.get_ref(0)?.as_str()?, row.get_ref(1)?.as_str()?) == name {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the counts of each source for a forecast, without those in memory; `None` after the
/// deadline.
pub fn traffic_by_source(
    connection: &Connection,
    windows: &TrafficWindows,
    deadline: Instant,
) -> rusqlite::Result<Option<BTreeMap<String, SourceTraffic>>> {
    let mut sources: BTreeMap<String, SourceTraffic> = BTreeMap::new();
    let TrafficWindows { recent_from, recent_to, now, stored_from, others_stored_from } = windows;
    let from =
        stored_from.values().chain([others_stored_from]).fold(*recent_from, |from, at| from.min(at.hour()));
    let end = CountMinute::of_number(i64::MAX);
    let is_finished = scan(connection, HOURS, from, end, deadline, |hour, source, _, count| {
        if !sources.contains_key(source) {
            sources.insert(source.to_owned(), SourceTraffic::default());
        }
        let Some(traffic) = sources.get_mut(source) else { return };
        if (*recent_from..*recent_to).contains(&hour) {
            traffic.recent += count;
        }
        let stored_from = *stored_from.get(source).unwrap_or(others_stored_from);
        if hour >= stored_from {
            traffic.stored += count;
        } else if hour == stored_from.hour() {
            // The hour at the end has fewer minutes so far. A started minute is a whole one.
            let minutes = (now.get() + 1 - hour.get()).clamp(1, MINUTES_PER_HOUR);
            let stored_minutes = minutes - (stored_from.get() - hour.get());
            traffic.stored += count.scaled(stored_minutes.max(0).unsigned_abs(), minutes.unsigned_abs());
        }
    })?;
    Ok(is_finished.then_some(sources))
}
