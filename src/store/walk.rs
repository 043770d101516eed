//! What the clean-up does to the tables, in steps that are short enough to stand between two batches of messages.
//!
//! What is to go is looked for on a reader, a bounded page at a time. What may go is decided once more by the writer, in
//! the transaction that deletes it: a replay that was asked for in between keeps its message.

use std::time::Duration;

use rusqlite::{Connection, Row, params};

/// A step stops after this: what is left is the next step's.
pub const STEP_TIME: Duration = Duration::from_millis(2);
pub const LOOKED_AT_A_PAGE: usize = 1_000;

/// What one step has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StepResult {
    /// So many of those that were asked for are done with.
    pub taken: usize,
    /// So many rows of what it was about were changed or deleted.
    pub changed: usize,
}

/// A place in the order of time: when something was received or finished, and its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimePosition {
    pub at: String,
    pub id: i64,
}

impl TimePosition {
    /// Before everything that has this time.
    pub fn before(at: String) -> Self {
        Self { at, id: i64::MIN }
    }
}

/// What a page is read from.
pub struct Walk {
    /// `SELECT … FROM …`
    pub select: &'static str,
    /// The column of the time, which has an index, and that of the id, which is the table's rowid.
    pub at: &'static str,
    pub id: &'static str,
    /// Further conditions, or none: ` AND …`.
    pub and: &'static str,
}

impl Walk {
    /// At most a page of rows behind `after`, with a time before `before`, in order. Two queries, because SQLite looks up
    /// only the first member of a pair in an index: with very many rows of one time, each page would begin with all of them.
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

/// Where the next page begins, if this one is full.
pub fn next_of<T>(page: &[T], position: impl Fn(&T) -> TimePosition) -> Option<TimePosition> {
    page.last().filter(|_| page.len() == LOOKED_AT_A_PAGE).map(position)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{delivery, message};

    #[test]
    fn a_page_is_found_by_an_index_and_needs_no_sorting() {
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
