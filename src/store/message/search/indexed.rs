//! A search with the index of words: it proposes the messages to examine. Messages that are not
//! indexed are all examined.

use std::time::{Duration, Instant};

use rusqlite::{Connection, Row, params};

use crate::store::id::MessageId;
use crate::store::index::{IndexSegment, IndexView, MatchExpression};
use crate::store::message;
use crate::store::message::filter::Direction;
use crate::store::message::search::rows::RowRanges;
use crate::store::message::search::scan::{Scan, ScanState};
use crate::store::message::search::search::Search;

/// Time after which a page ends.
const MAX_TIME: Duration = Duration::from_millis(if cfg!(test) { 600_000 } else { 200 });
/// Number of candidates that are requested together: at first somewhat more than the limit on
/// results, then more each time, up to the maximum.
const MORE_THAN_WANTED: usize = 16;
const MAX_CANDIDATES: usize = 1_000;
/// Limit on messages that are read without the index, if most of them are skipped quickly.
const MAX_SKIPPED_PER_PAGE: usize = 32_768;
/// Limit on messages with replaced headers that are examined by each search.
const MAX_CHANGED: usize = 1_000;

/// The error of a search with the index.
#[derive(Debug)]
pub enum IndexedError {
    /// Of the index: the search is repeated without it.
    Index(rusqlite::Error),
    /// Of the database.
    Database(rusqlite::Error),
    /// Too many messages are not indexed.
    Unsuitable,
}

/// One search.
struct IndexedSearch<'s> {
    search: &'s Search<'s>,
    connection: &'s Connection,
    view: &'s IndexView,
    words: Option<MatchExpression>,
    /// Limit on rows that are read without the index.
    rows_left: usize,
    candidates_left: usize,
    /// Number of candidates of the next request.
    chunk: usize,
    /// Number of rows of the next walk.
    walk: usize,
    deadline: Instant,
}

/// The examined part of a segment.
enum Progress {
    /// All of it.
    Done,
    /// The page ends, and the next one starts after this id.
    Stopped(Option<MessageId>),
}

impl<'s> Search<'s> {
    /// Examines the messages that the index proposes. Returns the id after which the next search
    /// starts.
    pub fn run_indexed<T, R: Fn(&Row<'_>) -> rusqlite::Result<T>>(
        &'s self,
        connection: &'s Connection,
        view: &'s IndexView,
        scan: &mut Scan<'s, T, R>,
    ) -> Result<Option<MessageId>, IndexedError> {
        let (since, until) = self.bounds_of_time();
        let newest = message::read::newest_id(connection).map_err(IndexedError::Database)?;
        let below = self.below.min(newest.next());
        let mut segments = view.segments(self.above, below, (&since, &until)).map_err(IndexedError::Index)?;
        if self.filter.time_range() != (None, None) && segments.iter().any(IndexSegment::is_large_gap) {
            return Err(IndexedError::Unsuitable);
        }
        let changed = self.changed_since_indexed(connection).map_err(IndexedError::Database)?;
        if changed.len() > MAX_CHANGED {
            return Err(IndexedError::Unsuitable);
        }
        for id in changed {
            segments = IndexSegment::split_at(segments, id);
        }
        if self.direction == Direction::NewestFirst {
            segments.reverse();
        }
        let mut search = IndexedSearch {
            search: self,
            connection,
            view,
            words: MatchExpression::new(self.filter),
            rows_left: match self.filter.needs_text() {
                true if scan.skips_rows() => MAX_SKIPPED_PER_PAGE,
                true => self.max_scanned(),
                // Somewhat more, so that a page can pass them.
                false => self.max_scanned() * 8 / 5,
            },
            candidates_left: self.max_scanned(),
            chunk: self.limit.saturating_add(MORE_THAN_WANTED).min(MAX_CANDIDATES),
            walk: self.limit.saturating_add(MORE_THAN_WANTED).min(MAX_CANDIDATES),
            deadline: Instant::now() + MAX_TIME,
        };
        let mut segments = segments.into_iter().peekable();
        while let Some(segment) = segments.next() {
            let has_more = segments.peek().is_some();
            match search.examine(segment, has_more, scan)? {
                Progress::Stopped(next) => return Ok(next),
                Progress::Done if has_more && search.is_exhausted() => {
                    return Ok(Some(search.end_of(segment)));
                }
                Progress::Done => {}
            }
        }
        Ok(None)
    }

    /// Returns messages whose words have changed since they were indexed.
    fn changed_since_indexed(&self, connection: &Connection) -> rusqlite::Result<Vec<MessageId>> {
        connection
            .prepare_cached(
                "SELECT message_id FROM confirmations INDEXED BY confirmations_new_headers
                 WHERE has_new_headers = 1 AND message_id > ?1 AND message_id < ?2 LIMIT ?3",
            )?
            .query_map(params![self.above, self.below, MAX_CHANGED + 1], |row| row.get(0))?
            .collect()
    }
}

impl IndexedSearch<'_> {
    fn is_exhausted(&self) -> bool {
        self.rows_left == 0 || self.candidates_left == 0 || Instant::now() >= self.deadline
    }

    /// The last id of a segment in the direction.
    fn end_of(&self, segment: IndexSegment) -> MessageId {
        match self.search.direction {
            Direction::NewestFirst => segment.first,
            Direction::OldestFirst => segment.last,
        }
    }

    /// Returns the part of a segment after an id; `None` if nothing is left.
    fn after(&self, segment: IndexSegment, id: MessageId) -> Option<IndexSegment> {
        let rest = match self.search.direction {
            Direction::NewestFirst => IndexSegment { last: id.previous(), ..segment },
            Direction::OldestFirst => IndexSegment { first: id.next(), ..segment },
        };
        (rest.first <= rest.last).then_some(rest)
    }

    fn examine<T, R: Fn(&Row<'_>) -> rusqlite::Result<T>>(
        &mut self,
        segment: IndexSegment,
        has_more: bool,
        scan: &mut Scan<'_, T, R>,
    ) -> Result<Progress, IndexedError> {
        let mut rest = Some(segment);
        while let Some(part) = rest {
            let RowRanges { ranges, next: last } = self.next_ranges(part)?;
            rest = last.and_then(|last| self.after(part, last));
            match scan.examine(&ranges).map_err(IndexedError::Database)? {
                ScanState::Full => return Ok(Progress::Stopped(scan.last)),
                ScanState::Exhausted(id) => {
                    let end = ranges.last().map(|(first, last)| match self.search.direction {
                        Direction::NewestFirst => *first,
                        Direction::OldestFirst => *last,
                    });
                    let is_end = rest.is_none() && !has_more && Some(id) == end;
                    return Ok(Progress::Stopped(Some(id).filter(|_| !is_end)));
                }
                ScanState::Finished => {}
            }
            if let Some(last) = last.filter(|_| rest.is_some() && self.is_exhausted()) {
                return Ok(Progress::Stopped(Some(last)));
            }
        }
        Ok(Progress::Done)
    }

    /// Returns the next rows to examine in a part of a segment.
    fn next_ranges(&mut self, part: IndexSegment) -> Result<RowRanges, IndexedError> {
        let direction = self.search.direction;
        let (Some(words), Some(_)) = (&self.words, part.generation) else {
            return self.walk_part(part).map_err(IndexedError::Database);
        };
        let asked = self.chunk.min(self.candidates_left.max(1));
        let ids = self.view.candidates(part, words, direction, asked).map_err(IndexedError::Index)?;
        self.chunk = (self.chunk * 2).min(MAX_CANDIDATES);
        self.candidates_left = self.candidates_left.saturating_sub(ids.len());
        let next = ids.last().copied().filter(|_| ids.len() == asked);
        Ok(RowRanges { ranges: ids.into_iter().map(|id| (id, id)).collect(), next })
    }

    fn walk_part(&mut self, part: IndexSegment) -> rusqlite::Result<RowRanges> {
        let max = self.walk.min(self.rows_left.max(1));
        self.walk = self.walk.saturating_mul(4);
        let Some(walked) = self.search.walk_within(self.connection, (part.first, part.last), max)? else {
            return Ok(RowRanges::default());
        };
        self.rows_left = self.rows_left.saturating_sub(walked.rows);
        Ok(RowRanges { ranges: vec![(walked.first, walked.last)], next: walked.next })
    }
}
