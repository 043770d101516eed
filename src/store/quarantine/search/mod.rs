//! Searches the quarantine: pages of rejections, newest first, and the number of those that a query
//! matches. The language is that of messages; `query` defines its meaning.
//!
//! A search is bounded by rows, bytes and time. It walks the table in slices of ids; a time range
//! limits the ids by the index on time.

use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::query::MessageQuery;
use crate::store::damage;
use crate::store::id::RejectionId;
use crate::store::message::filter::{
    MAX_SEARCHED_PER_PAGE, MessageFilter, max_tested_per_page, narrowed_range,
};
use crate::store::message::search::bind_if_used;
use crate::store::message::search::condition::{SearchedTable, SqlCondition};
use crate::store::message::search::text::{MAX_SEARCH_TIME, REJECTION_TEXT_COLUMNS, TextReader};
use crate::store::quarantine::read::{self, RejectionFilter, RejectionRow};
use crate::store::stored_time::StoredTime;

/// Maximum number of matches that are counted.
const MAX_COUNTED: usize = if cfg!(test) { 200 } else { 10_000 };
/// Limit on the time of a count.
const MAX_COUNT_TIME: Duration = Duration::from_millis(if cfg!(test) { 600_000 } else { 20 });
/// Rows that are walked between two looks at the clock.
const SLICE_ROWS: usize = if cfg!(test) { 30 } else { 1_000 };
/// Maximum number of rows that are read one by one because the file is damaged.
const MAX_LISTED: usize = 20_000;
/// Sorts after every text that does not begin with this character.
const AFTER_ALL_TEXT: &str = "\u{10ffff}";

/// Selection of rejections by a filter and a query. A rejection must match both.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectionSearch {
    pub filter: RejectionFilter,
    /// A query whose times are moments.
    pub q: Option<MessageQuery>,
}

/// A page of rejections, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RejectionPage {
    pub rejections: Vec<RejectionRow>,
    /// The next page has smaller ids; `None` after the last page.
    pub next: Option<RejectionId>,
    /// The page ended at a limit before it was full.
    pub is_cut: bool,
    /// Time of the last examined rejection, if the page is cut; `None` also if the time is damaged.
    pub looked_back_to: Option<StoredTime>,
}

/// The number of rejections that a search matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MatchCount {
    pub count: usize,
    /// False if a limit ended the count, so that more rejections may match.
    pub is_complete: bool,
}

impl RejectionSearch {
    /// Returns the rejections that the filter of messages selects; `None` if it has a condition
    /// that no rejection can meet.
    pub fn of_messages(filter: &MessageFilter) -> Option<Self> {
        let MessageFilter { ids, since, until, source, event, owner, q, dead, dead_at } = filter;
        let is_possible = ids.is_empty() && event.is_none() && owner.is_none() && !dead && dead_at.is_none();
        is_possible.then(|| Self {
            filter: RejectionFilter {
                source: source.clone(),
                since: *since,
                until: *until,
                ..RejectionFilter::default()
            },
            q: q.clone(),
        })
    }
}

/// Returns a page of rejections with ids below `from`.
pub fn page(
    connection: &Connection,
    search: &RejectionSearch,
    from: Option<RejectionId>,
    limit: usize,
) -> rusqlite::Result<RejectionPage> {
    let limits = ScanLimits {
        // One more, to know whether a full page is the last.
        matches: limit.saturating_add(1),
        rows: max_tested_per_page(search.q.as_ref()),
        time: MAX_SEARCH_TIME,
    };
    let scan = RejectionScan { search, below: from.unwrap_or(RejectionId::END), limits };
    let RejectionMatches { mut items, stopped_at } = scan.run(connection, read::HEAD, read::read_head)?;
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next = if has_more { items.last().map(|head: &RejectionRow| head.id) } else { stopped_at };
    let cut_at = next.filter(|_| items.len() < limit);
    let looked_back_to = match cut_at {
        Some(id) => received_at(connection, id)?,
        None => None,
    };
    Ok(RejectionPage { rejections: items, next, is_cut: cut_at.is_some(), looked_back_to })
}

/// Counts the rejections that a search matches.
pub fn count_matches(connection: &Connection, search: &RejectionSearch) -> rusqlite::Result<MatchCount> {
    let limits = ScanLimits { matches: MAX_COUNTED + 1, rows: usize::MAX, time: MAX_COUNT_TIME };
    let scan = RejectionScan { search, below: RejectionId::END, limits };
    let RejectionMatches { items, stopped_at } = scan.run(connection, "id", |_| Ok(()))?;
    let is_complete = stopped_at.is_none() && items.len() <= MAX_COUNTED;
    Ok(MatchCount { count: items.len().min(MAX_COUNTED), is_complete })
}

/// Limits of one scan. A scan that reads text is also limited by its rows and bytes.
#[derive(Clone, Copy, Debug)]
struct ScanLimits {
    matches: usize,
    rows: usize,
    time: Duration,
}

/// A search through the rejections with ids below `below`, in descending order.
#[derive(Clone, Copy, Debug)]
struct RejectionScan<'a> {
    search: &'a RejectionSearch,
    below: RejectionId,
    limits: ScanLimits,
}

/// The matches of a scan.
#[derive(Debug)]
struct RejectionMatches<T> {
    items: Vec<T>,
    /// The last examined id, if a limit on rows, bytes or time ended the scan before the last row.
    stopped_at: Option<RejectionId>,
}

/// The state of a scan over its slices.
struct ScanProgress<'q, T> {
    items: Vec<T>,
    text: Option<TextReader<'q>>,
    /// Rows whose text was read.
    texts: usize,
    stopped_at: Option<RejectionId>,
}

impl<'a> RejectionScan<'a> {
    /// Returns the matches. If the file is damaged, takes the ids from the index on time, skips the
    /// rows that cannot be read, and notes the damage.
    fn run<T>(
        &self,
        connection: &Connection,
        columns: &str,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T> + Copy,
    ) -> rusqlite::Result<RejectionMatches<T>> {
        match self.walk(connection, columns, read) {
            Err(error) if damage::is_damage(&error) => {
                damage::note("rejections", &error);
                self.read_listed(connection, columns, read)
            }
            found => found,
        }
    }

    fn walk<T>(
        &self,
        connection: &Connection,
        columns: &str,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T> + Copy,
    ) -> rusqlite::Result<RejectionMatches<T>> {
        let started = Instant::now();
        let mut progress = self.progress(columns);
        let Some((lowest, mut highest)) = self.id_range(connection)? else { return Ok(progress.finish()) };
        let mut rows_left = self.limits.rows;
        loop {
            let max_rows = SLICE_ROWS.min(rows_left);
            let (first, rows): (Option<RejectionId>, usize) = connection
                .prepare_cached(SLICE)?
                .query_row(params![lowest, highest, max_rows], |row| Ok((row.get(0)?, row.get(1)?)))?;
            let Some(first) = first else { return Ok(progress.finish()) };
            self.within(connection, (first, highest), columns, read, &mut progress)?;
            let is_last = rows < max_rows || first <= lowest;
            if progress.stopped_at.is_some() || progress.items.len() >= self.limits.matches || is_last {
                break;
            }
            rows_left -= rows;
            highest = first.previous();
            if rows_left == 0 || started.elapsed() >= self.limits.time {
                progress.stopped_at = Some(first);
                break;
            }
        }
        if let Some(id) = progress.stopped_at {
            let has_more = connection.prepare_cached(REMAINING)?.exists(params![lowest, id])?;
            progress.stopped_at = Some(id).filter(|_| has_more);
        }
        Ok(progress.finish())
    }

    fn progress<T>(&self, columns: &str) -> ScanProgress<'a, T> {
        let query = self.search.q.as_ref().filter(|query| query.needs_text());
        let column = columns.split(',').count();
        let text = |query| TextReader::of_table(query, SearchedTable::Rejections, column, self.limits.time);
        ScanProgress { items: Vec::new(), text: query.map(text), texts: 0, stopped_at: None }
    }

    /// Returns the first and the last id of the scan; `None` if no rejection is in the time range.
    fn id_range(&self, connection: &Connection) -> rusqlite::Result<Option<(RejectionId, RejectionId)>> {
        let last = self.below.previous();
        let Some((since, until)) = self.bounds_of_time() else {
            return Ok(Some((RejectionId::START, last)));
        };
        let (lowest, highest): (Option<RejectionId>, Option<RejectionId>) = connection
            .prepare_cached(RANGE_OF_TIME)?
            .query_row(params![since, until], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(lowest.zip(highest).map(|(lowest, highest)| (lowest, highest.min(last))))
    }

    /// Returns the time range as text; `None` if it has no bound. Without one of the bounds, every
    /// stored time is within it, even an edited one.
    fn bounds_of_time(&self) -> Option<(String, String)> {
        let RejectionFilter { since, until, .. } = self.search.filter;
        match narrowed_range((since, until), self.search.q.as_ref()) {
            (None, None) => None,
            (since, until) => Some((
                since.map_or_else(String::new, |at| at.to_string()),
                until.map_or_else(|| AFTER_ALL_TEXT.to_owned(), |at| at.to_string()),
            )),
        }
    }

    /// Adds the matches among the rows from the first to the last id.
    fn within<T>(
        &self,
        connection: &Connection,
        (first, last): (RejectionId, RejectionId),
        columns: &str,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
        progress: &mut ScanProgress<'a, T>,
    ) -> rusqlite::Result<()> {
        let query = self.search.q.as_ref();
        let condition = query.map(|query| SqlCondition::of_table(query, SearchedTable::Rejections));
        let condition = condition.unwrap_or_default();
        let mut statement =
            connection.prepare_cached(&sql(columns, progress.text.is_some(), &condition.sql))?;
        bind_if_used(&mut statement, ":first", first)?;
        bind_if_used(&mut statement, ":last", last)?;
        read::bind(&mut statement, &self.search.filter)?;
        for (number, value) in condition.values.iter().enumerate() {
            bind_if_used(&mut statement, &format!(":q{number}"), value)?;
        }
        let mut rows = statement.raw_query();
        while progress.items.len() < self.limits.matches && progress.stopped_at.is_none() {
            let Some(row) = rows.next()? else { break };
            let is_match = progress.text.as_mut().map_or(Ok(true), |text| text.matches(row))?;
            if is_match {
                progress.items.push(read(row)?);
            }
            if let Some(text) = &progress.text {
                progress.texts += 1;
                if text.is_exhausted() || progress.texts >= MAX_SEARCHED_PER_PAGE {
                    progress.stopped_at = Some(row.get("id")?);
                }
            }
        }
        Ok(())
    }

    /// Reads the rows one by one, and skips damaged ones.
    fn read_listed<T>(
        &self,
        connection: &Connection,
        columns: &str,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T> + Copy,
    ) -> rusqlite::Result<RejectionMatches<T>> {
        let started = Instant::now();
        let mut progress = self.progress(columns);
        let (since, until) =
            self.bounds_of_time().unwrap_or_else(|| (String::new(), AFTER_ALL_TEXT.to_owned()));
        let max_rows = self.limits.rows.min(MAX_LISTED);
        let ids: Vec<RejectionId> = connection
            .prepare_cached(LISTED)?
            .query_map(params![since, until, self.below, max_rows + 1], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for (place, id) in ids.iter().enumerate() {
            match self.within(connection, (*id, *id), columns, read, &mut progress) {
                Err(error) if damage::is_damage(&error) => damage::note("rejections", &error),
                result => result?,
            }
            let has_more = place + 1 < ids.len();
            let is_exhausted = place + 1 == max_rows || started.elapsed() >= self.limits.time;
            if progress.items.len() >= self.limits.matches {
                break;
            }
            if progress.stopped_at.is_some() || is_exhausted {
                progress.stopped_at = Some(*id).filter(|_| has_more);
                break;
            }
        }
        Ok(progress.finish())
    }
}

impl<T> ScanProgress<'_, T> {
    fn finish(self) -> RejectionMatches<T> {
        RejectionMatches { items: self.items, stopped_at: self.stopped_at }
    }
}

/// Returns the statement. With `has_text`, its last columns are those of the text.
fn sql(columns: &str, has_text: bool, and: &str) -> String {
    let text = if has_text { format!(", {REJECTION_TEXT_COLUMNS}") } else { String::new() };
    format!(
        "SELECT {columns}{text} FROM rejections
         WHERE id BETWEEN :first AND :last AND {}{and} ORDER BY id DESC",
        read::MATCHES
    )
}

/// Returns the time of a rejection; `None` if its row is damaged or was deleted.
fn received_at(connection: &Connection, id: RejectionId) -> rusqlite::Result<Option<StoredTime>> {
    let found = connection
        .prepare_cached("SELECT received_at FROM rejections WHERE id = ?1")?
        .query_row([id], |row| damage::stored_time("rejections", row, 0))
        .optional();
    match found {
        Err(error) if damage::is_damage(&error) => Ok(None),
        found => found,
    }
}

/// The first id of the newest rows in a range of ids, and their number.
const SLICE: &str = "SELECT min(id), count(*) FROM
  (SELECT id FROM rejections WHERE id >= ?1 AND id <= ?2 ORDER BY id DESC LIMIT ?3)";
const REMAINING: &str = "SELECT 1 FROM rejections WHERE id >= ?1 AND id < ?2";
/// The unary plus keeps SQLite from scanning the table by id instead.
const RANGE_OF_TIME: &str = "SELECT min(+id), max(+id) FROM rejections INDEXED BY rejections_received_at
  WHERE received_at >= ?1 AND received_at < ?2";
const LISTED: &str = "SELECT id FROM rejections INDEXED BY rejections_received_at
  WHERE received_at >= ?1 AND received_at < ?2 AND +id < ?3 ORDER BY +id DESC LIMIT ?4";

#[cfg(test)]
mod tests;
