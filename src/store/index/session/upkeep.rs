//! Drops generations whose messages were deleted.

use std::time::{Duration, Instant};

use crate::store::index::generation::{self, GenerationRow};
use crate::store::index::session::state::Session;

const UPKEEP_INTERVAL: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_secs(10) };
/// A generation is rebuilt once at most one of `REBUILD_SHARE` messages is left.
const REBUILD_SHARE: i64 = 10;

impl Session<'_> {
    /// Checks the oldest generation and another one; true if one was dropped.
    pub fn keep_up(&mut self) -> rusqlite::Result<bool> {
        if self.upkeep.next_at.is_some_and(|at| Instant::now() < at) {
            return Ok(false);
        }
        self.upkeep.next_at = Some(Instant::now() + UPKEEP_INTERVAL);
        let rows = generation::all(&self.file.connection)?;
        let (oldest, _) = self.bounds.unwrap_or((self.position + 1, 0));
        let gone: Vec<&GenerationRow> = rows.iter().filter(|row| row.last_id < oldest).collect();
        if !gone.is_empty() {
            self.drop_generations(&gone, false)?;
            return Ok(true);
        }
        let checked = std::mem::take(&mut self.upkeep.checked);
        let is_next = |row: &&GenerationRow| row.is_closed && row.messages > 0 && row.first_id > checked;
        let Some(row) = rows.iter().find(is_next) else { return Ok(false) };
        self.upkeep.checked = row.first_id;
        let few = row.messages / REBUILD_SHARE;
        match self.feed.count(row.first_id, row.last_id, few + 1) {
            Some(0) => self.drop_generations(&[row], true).map(|()| true),
            // As a gap, it is indexed again.
            Some(left) if left <= few => self.drop_generations(&[row], false).map(|()| true),
            _ => Ok(false),
        }
    }

    /// Drops the oldest generation, if there is one.
    pub fn drop_oldest(&mut self) -> rusqlite::Result<()> {
        let rows = generation::all(&self.file.connection)?;
        let Some(oldest) = rows.iter().find(|row| row.messages > 0) else { return Ok(()) };
        self.drop_generations(&[oldest], false)
    }

    fn drop_generations(&mut self, rows: &[&GenerationRow], stays: bool) -> rusqlite::Result<()> {
        self.begin()?;
        for row in rows {
            if self.live.as_ref().is_some_and(|live| live.number == row.number) {
                self.live = None;
            }
            generation::drop_words(&self.file.connection, row, stays)?;
        }
        self.commit()?;
        self.file.shrink()?;
        self.file.checkpoint()?;
        self.publish()
    }
}
