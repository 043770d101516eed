//! Cleanup steps short enough to run between two batches of messages.
//!
//! A read-only connection finds the candidates, one bounded page at a time. The writer checks them
//! again in the transaction that deletes them, so that a message is not deleted if a replay was
//! created for it in between.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

use crate::store::time_text::TimeText;
use crate::store::timestamp::Timestamp;

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

/// Position in order of time: the time, e.g. of arrival or completion, and the id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimePosition {
    pub at: TimeText,
    /// Not a typed id, because walks cover several tables.
    rowid: i64,
}

impl TimePosition {
    /// Position before all rows.
    pub const START: Self = Self { at: TimeText::START, rowid: i64::MIN };

    /// Returns the position before all rows with this time; for `Timestamp::MIN`, before all rows.
    pub fn before(at: Timestamp) -> Self {
        if at == Timestamp::MIN { Self::START } else { Self { at: at.into(), rowid: i64::MIN } }
    }
}

/// Query that walks over rows in order of time, page by page.
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
    /// position of the next page; `None` after the last one. Runs two queries: if a single query
    /// compared the pair of time and id, SQLite would use the index only for the time, and would
    /// scan all rows with the same time for each page. Times are compared as text, so that an
    /// edited time in another format neither ends the walk nor retains its row.
    pub fn page<T>(
        &self,
        connection: &Connection,
        after: &TimePosition,
        before: Timestamp,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<(Vec<T>, Option<TimePosition>)> {
        let (mut found, mut last) = (Vec::new(), None);
        let mut visit = |row: &Row<'_>| -> rusqlite::Result<()> {
            found.push(read(row)?);
            if found.len() == MAX_SCANNED_PER_PAGE {
                last = Some(TimePosition { at: row.get(1)?, rowid: row.get(0)? });
            }
            Ok(())
        };
        let mut same = 0;
        if after.at.is_before(before) {
            let mut statement = connection.prepare_cached(&self.same_time())?;
            let mut rows = statement.query(params![after.at, after.rowid, MAX_SCANNED_PER_PAGE])?;
            while let Some(row) = rows.next()? {
                visit(row)?;
                same += 1;
            }
        }
        let mut statement = connection.prepare_cached(&self.later())?;
        let mut rows = statement.query(params![after.at, before, MAX_SCANNED_PER_PAGE - same])?;
        while let Some(row) = rows.next()? {
            visit(row)?;
        }
        Ok((found, last))
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
    fn walk_continues_after_edited_times() {
        let mut connection = Connection::open_in_memory().unwrap();
        crate::store::schema::migrate(&mut connection).unwrap();
        let insert =
            "INSERT INTO messages (received_at, source, event, method, remote_ip, body_sha256, headers)
                      VALUES (?1, 'a', 'a.b', 'POST', '::1', x'00', '{}')";
        for _ in 0..MAX_SCANNED_PER_PAGE {
            connection.execute(insert, ["2020-01-01 00:00:00"]).unwrap();
        }
        for at in ["", "2020-06", "2020-06-01T00:00:00.000000Z"] {
            connection.execute(insert, [at]).unwrap();
        }
        let (mut found, mut next) = (0, Some(TimePosition::before(Timestamp::MIN)));
        while let Some(after) = next {
            let before = Timestamp::try_from("2020-06-02T00:00:00.000000Z").unwrap();
            let read = |row: &Row<'_>| row.get::<_, i64>(0);
            let (ids, following) = message::expire::OLD.page(&connection, &after, before, read).unwrap();
            found += ids.len();
            next = following;
        }
        assert_eq!(found, MAX_SCANNED_PER_PAGE + 3);
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
