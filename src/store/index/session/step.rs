//! The work on one file in small steps, the most urgent first.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::store::index::generation::{self, OpenGeneration};
use crate::store::index::search_index::IndexState;
use crate::store::index::session::state::{BatchUse, COMMIT_MESSAGES, IDLE_PAUSE, Session};

/// Time after which a transaction is committed.
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// Pause after all messages are indexed while more arrive: small batches cost more per message.
const BATCH_PAUSE: Duration = Duration::from_millis(50);
/// Number of new messages from which the newest ones are indexed first, and the others as a gap.
const MAX_FORWARD_LAG: i64 = 1_000_000;

/// Reason for the state `Waiting`.
pub const UNREADABLE: &str = "the database cannot be read";

/// The result of a step.
pub enum StepOutcome {
    Worked,
    /// Nothing to do for this time.
    Idle(Duration),
    /// Another file takes the place of the index.
    Replace,
}

impl Session<'_> {
    pub fn step(&mut self) -> rusqlite::Result<StepOutcome> {
        match self.batches_for {
            Some(BatchUse::New) => return self.index_new().map(|_| StepOutcome::Worked),
            Some(BatchUse::Gap) => return self.fill_gap().map(|_| StepOutcome::Worked),
            None => {}
        }
        if self.parts.index.take_damage() {
            return Ok(StepOutcome::Replace);
        }
        if self.looked_at.is_none_or(|at| at.elapsed() >= IDLE_PAUSE) {
            if !self.file.is_in_place() {
                log::warn!("the search index was deleted or replaced, it is rebuilt");
                return Ok(StepOutcome::Replace);
            }
            self.look()?;
            if self.parts.pressure.must_shrink() || self.parts.pressure.is_disk_short() {
                return self.wait_for_space();
            }
        }
        if self.index_new()? {
            return Ok(StepOutcome::Worked);
        }
        if self.uncommitted > 0 && self.committed_at.elapsed() >= COMMIT_INTERVAL {
            self.commit()?;
            return Ok(StepOutcome::Worked);
        }
        if self.keep_up()? || self.fill_gap()? || self.optimize()? {
            return Ok(StepOutcome::Worked);
        }
        self.parts.index.set_state(match self.newest > self.position || self.backfill.is_some() {
            true => IndexState::Waiting(UNREADABLE.to_owned()),
            false => IndexState::Ready,
        });
        Ok(StepOutcome::Idle(if self.uncommitted > 0 { BATCH_PAUSE } else { IDLE_PAUSE }))
    }

    /// Reads the bounds of the database.
    fn look(&mut self) -> rusqlite::Result<()> {
        self.looked_at = Some(Instant::now());
        if let Some((bounds, newest)) = self.feed.bounds() {
            (self.bounds, self.newest) = (bounds, newest);
            self.parts.index.newest.store(newest, Ordering::Release);
            if newest - self.position > MAX_FORWARD_LAG {
                self.close_live()?;
                self.position = newest;
                self.publish()?;
            }
        }
        Ok(())
    }

    /// Gives space back if messages would be rejected otherwise, and waits.
    fn wait_for_space(&mut self) -> rusqlite::Result<StepOutcome> {
        let why = "free disk space is close to CREEL_MIN_FREE";
        self.parts.index.set_state(IndexState::Waiting(why.to_owned()));
        self.commit()?;
        self.looked_at = None;
        if self.parts.pressure.must_shrink() {
            self.drop_oldest()?;
        }
        Ok(StepOutcome::Idle(IDLE_PAUSE))
    }

    /// Indexes a batch of new messages; false without new messages.
    fn index_new(&mut self) -> rusqlite::Result<bool> {
        if self.newest <= self.position {
            return Ok(false);
        }
        let Some(batch) = self.next_batch(BatchUse::New, self.position, self.newest) else {
            return Ok(false);
        };
        self.begin()?;
        let mut live = match self.live.take() {
            Some(live) => live,
            None => self.open_generation(self.position + 1)?,
        };
        live.add(&self.file.connection, &batch)?;
        self.position = batch.through;
        let is_full = live.messages >= self.generation_size() || self.is_old(&live);
        self.live = Some(live);
        self.added(batch.documents.len());
        if is_full {
            self.close_live()?;
        } else if self.uncommitted >= COMMIT_MESSAGES {
            self.commit()?;
        }
        Ok(true)
    }

    fn is_old(&self, live: &OpenGeneration) -> bool {
        let age = OffsetDateTime::now_utc().unix_timestamp() - live.opened_at;
        let max = self.parts.max_generation_age.and_then(|age| i64::try_from(age.as_secs()).ok());
        max.is_some_and(|max| age >= max)
    }

    /// Optimizes one generation; false if all are.
    fn optimize(&mut self) -> rusqlite::Result<bool> {
        if self.parts.pressure.is_busy() {
            return Ok(false);
        }
        let Some(number) = generation::to_optimize(&self.file.connection)? else { return Ok(false) };
        self.commit()?;
        generation::optimize(&self.file.connection, number)?;
        self.file.checkpoint()?;
        Ok(true)
    }
}
