//! Cleanup steps short enough to run between two batches of messages.
//!
//! A reader finds the candidates, one bounded page at a time. The writer checks them again in the
//! transaction that deletes them, so that a replay created in between keeps its message.

use crate::store::timestamp::Timestamp;
use std::time::Duration;

use rusqlite::{Connection, Row, params};

use crate::store::damage;
/// Time limit of a step; the next step handles the rest.
pub const STEP_TIME: Duration = Duration::from_millis(2);
pub const MAX_SCANNED_PER_PAGE: usize = 1_000;

/// Result of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepResult {
    /// Processed items.
    pub taken: usize,
    /// Changed or deleted rows.
    pub changed: usize,
}

/// Position in order of time: the time of arrival or completion, and the id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimePosition {
    pub at: Timestamp,
    /// Id in the table that is walked.
    pub id: i64,
}

impl TimePosition {
    /// Position before all rows.
    pub const START: Self = Self::before(Timestamp::MIN);

    /// Position before all rows with this time.
    pub const fn before(at: Timestamp) -> Self {
        Self { at, id: i64::MIN }
    }
}

/// Query of a page.
pub struct Walk {
    /// `SELECT … FROM …`; the first two columns are the id and the time.
    pub select: &'static str,
    /// Indexed column of the time, and column of the id, which is the table's rowid.
    pub at: &'static str,
    pub id: &'static str,
    /// Further conditions, or empty: ` AND …`.
    pub and: &'static str,
}

impl Walk {
    /// Returns at most a page of rows after `after` with a time before `before`, in order, and the
    /// position of the next page; `None` after the last one. Takes two queries: SQLite uses the
    /// index for only the first member of a pair, so a single query would scan all rows of one time
    /// for each page. A row with a damaged time is skipped.
    pub fn page<T>(
        &self,
        connection: &Connection,
        after: TimePosition,
        before: Timestamp,
        mut read: impl FnMut(&Row<'_>, TimePosition) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<(Vec<T>, Option<TimePosition>)> {
        let (mut found, mut scanned, mut last) = (Vec::new(), 0, None);
        let mut look = |row: &Row<'_>| -> rusqlite::Result<()> {
            scanned += 1;
            let at = damage::skip(self.at, row.get(1))?;
            if let Some(at) = at {
                let position = TimePosition { at, id: row.get(0)? };
                found.push(read(row, position)?);
                last = Some(position);
            }
            Ok(())
        };
        let mut same = 0;
        if after.at < before {
            let mut statement = connection.prepare_cached(&self.same_time())?;
            let mut rows = statement.query(params![after.at, after.id, MAX_SCANNED_PER_PAGE])?;
            while let Some(row) = rows.next()? {
                look(row)?;
                same += 1;
            }
        }
        let mut statement = connection.prepare_cached(&self.later())?;
        let mut rows = statement.query(params![after.at, before, MAX_SCANNED_PER_PAGE - same])?;
        while let Some(row) = rows.next()? {
            look(row)?;
        }
        Ok((found, last.filter(|_| scanned == MAX_SCANNED_PER_PAGE)))
    }

    fn same_time(&self) -> String {
        let Self { select, at, id, and } = self;
        format!("{select} WHERE {at} = ?1 AND {id} > ?2{and} ORDER BY {id} LIMIT ?3")
    }

    fn later(&self) -> String {
        let Self { select, at, id, and } = self;
        format!("{select} WHERE {at} > ?1 AND {at} < ?2{and} ORDER BY {at}, {id} LIMIT ?3")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{delivery, message};

    #[test]
    fn walk_continues_after_edited_time() {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::store::schema::migrate(&mut connection).unwrap();
        let insert =
            "INSERT INTO messages (received_at, source, event, method, remote_ip, body_sha256, headers)
                      VALUES (?1, 'a', 'a.b', 'POST', '::1', x'00', '{}')";
        for id in 1..=MAX_SCANNED_PER_PAGE + 1 {
            let at = if id == 7 || id == MAX_SCANNED_PER_PAGE {
                "2026-11-22 14:31"
            } else {
                "2026-11-22T14:31:00.000000Z"
            };
            connection.execute(insert, [at]).unwrap();
        }
        let page = |after| {
            let (ids, next) = message::expire::OLD
                .page(&connection, after, Timestamp::MAX, |_, position| Ok(position.id))
                .unwrap();
            (ids.len(), next.map(|position| position.id))
        };
        assert_eq!(
            page(TimePosition::START),
            (MAX_SCANNED_PER_PAGE - 2, Some(MAX_SCANNED_PER_PAGE as i64 - 1))
        );
        assert!(damage::take().is_some());
    }

    #[test]
    fn page_uses_index_without_sorting() {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::store::schema::migrate(&mut connection).unwrap();
        for walk in [
            message::expire::OLD,
            message::expire::RELEASED,
            message::expire::REFUSED,
            delivery::expire::FINISHED,
            delivery::expire::MESSAGES_FINISHED,
        ] {
            for sql in [walk.same_time(), walk.later()] {
                let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
                let steps = statement.query_map(params!["", "", 1], |row| row.get::<_, String>(3)).unwrap();
                let plan: Vec<String> = steps.map(Result::unwrap).collect();
                assert!(
                    plan[0].contains("USING INDEX") || plan[0].contains("USING COVERING INDEX"),
                    "{sql}: {plan:?}"
                );
                let is_slow = |step: &String| step.contains("SCAN") && !step.contains("CONSTANT");
                assert!(!plan.iter().any(|step| is_slow(step) || step.contains("B-TREE")), "{sql}: {plan:?}");
            }
        }
    }
}
