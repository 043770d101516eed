//! Cleanup steps short enough to run between two batches of messages.
//!
//! A reader finds the candidates, one bounded page at a time. The writer checks them again in the
//! transaction that deletes them, so that a replay created in between keeps its message.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

/// Time limit of a step; the next step handles the rest.
pub const STEP_TIME: Duration = Duration::from_millis(2);
pub const LOOKED_AT_A_PAGE: usize = 1_000;

/// Result of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepResult {
    /// Processed items.
    pub taken: usize,
    /// Changed or deleted rows.
    pub changed: usize,
}

/// Position in order of time: the time of arrival or completion, and the id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimePosition {
    pub at: String,
    pub id: i64,
}

impl TimePosition {
    /// Position before all rows with this time.
    pub fn before(at: String) -> Self {
        Self { at, id: i64::MIN }
    }
}

/// Query of a page.
pub struct Walk {
    /// `SELECT … FROM …`
    pub select: &'static str,
    /// Indexed column of the time, and column of the id, which is the table's rowid.
    pub at: &'static str,
    pub id: &'static str,
    /// Further conditions, or empty: ` AND …`.
    pub and: &'static str,
}

impl Walk {
    /// Returns at most a page of rows after `after` with a time before `before`, in order. Takes
    /// two queries: SQLite uses the index for only the first member of a pair, so a single query
    /// would scan all rows of one time for each page.
    pub fn page<T>(
        &self,
        connection: &Connection,
        after: &TimePosition,
        before: &str,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let mut found = Vec::new();
        if after.at.as_str() < before {
            let mut statement = connection.prepare_cached(&self.same_time())?;
            let mut rows = statement.query(params![after.at, after.id, LOOKED_AT_A_PAGE])?;
            while let Some(row) = rows.next()? {
                found.push(read(row)?);
            }
        }
        let mut statement = connection.prepare_cached(&self.later())?;
        let mut rows = statement.query(params![after.at, before, LOOKED_AT_A_PAGE - found.len()])?;
        while let Some(row) = rows.next()? {
            found.push(read(row)?);
        }
        Ok(found)
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

/// Position of the next page, if this one is full.
pub fn next_of<T>(page: &[T], position: impl Fn(&T) -> TimePosition) -> Option<TimePosition> {
    page.last().filter(|_| page.len() == LOOKED_AT_A_PAGE).map(position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{delivery, message};

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
