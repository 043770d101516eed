//! The work of the indexer on one file: small steps, the most urgent first.

mod backfill;
mod upkeep;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::store::connection::Pool;
use crate::store::index::SearchIndex;
use crate::store::index::feed::IndexFeed;
use crate::store::index::file::IndexFile;
use crate::store::index::generation::{self, OpenGeneration};
use crate::store::index::pressure::Pressure;
use crate::store::index::rows::FeedBatch;
use crate::store::index::status::IndexState;
use backfill::Backfill;
use upkeep::Upkeep;

/// Pause without work.
pub const IDLE_PAUSE: Duration = Duration::from_secs(1);
/// Messages and time after which a transaction is committed. Until then its messages are searched
/// by reading them.
const COMMIT_MESSAGES: usize = 4_096;
const COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// Pause after all messages are indexed while more arrive: small batches cost more per message.
const BATCH_PAUSE: Duration = Duration::from_millis(50);
/// WAL of the index from which it is copied.
const CHECKPOINT_BYTES: u64 = 16 << 20;
/// Number of new messages from which the newest ones are indexed first, and the others as a gap.
const MAX_FORWARD_LAG: i64 = 1_000_000;

/// Parts of the store that the indexer uses.
pub struct IndexerParts {
    pub index: Arc<SearchIndex>,
    pub readers: Pool,
    pub pressure: Pressure,
    pub is_closing: Arc<AtomicBool>,
    /// Names the database: it differs after a restore.
    pub identity: String,
    /// Time after which a generation is closed; `None` without a retention.
    pub max_generation_age: Option<Duration>,
}

/// The result of a step.
pub enum StepOutcome {
    Worked,
    /// Nothing to do for this time.
    Idle(Duration),
    /// Another file takes the place of the index.
    Replace,
}

/// Who receives batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchUse {
    /// The live generation.
    New,
    Gap,
}

/// Work on one file.
pub struct Session<'i> {
    pub parts: &'i IndexerParts,
    pub feed: &'i IndexFeed,
    pub file: IndexFile,
    pub live: Option<OpenGeneration>,
    backfill: Option<Backfill>,
    upkeep: Upkeep,
    /// All messages above this id are for the live generation.
    pub position: i64,
    /// The first and the last message of the database.
    pub bounds: Option<(i64, i64)>,
    /// The highest id that was seen.
    newest: i64,
    pub next_number: i64,
    /// Who receives the batches that were requested and not received.
    batches_for: Option<BatchUse>,
    is_writing: bool,
    uncommitted: usize,
    committed_at: Instant,
    looked_at: Option<Instant>,
}

impl<'i> Session<'i> {
    /// Opens the file; `None` if the database cannot be read now.
    pub fn open(parts: &'i IndexerParts, feed: &'i IndexFeed, path: &Path) -> rusqlite::Result<Option<Self>> {
        let Some((bounds, newest)) = feed.bounds() else { return Ok(None) };
        let file = IndexFile::open(path, &parts.identity, newest)?;
        let rows = generation::all(&file.connection)?;
        let live = OpenGeneration::resume(&file.connection)?;
        let indexed = rows.iter().map(|row| row.last_id).max();
        let mut session = Self {
            position: indexed.unwrap_or(newest),
            next_number: rows.iter().map(|row| row.number).max().unwrap_or(0) + 1,
            parts,
            feed,
            file,
            live,
            backfill: None,
            upkeep: Upkeep::default(),
            bounds,
            newest,
            batches_for: None,
            is_writing: false,
            uncommitted: 0,
            committed_at: Instant::now(),
            looked_at: None,
        };
        session.publish()?;
        Ok(Some(session))
    }

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
        self.parts.index.set_state(IndexState::Ready);
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
        if self.parts.pressure.must_shrink() && self.drop_oldest()? {
            return Ok(StepOutcome::Worked);
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

    /// Returns the next batch of messages with ids above `after`, up to `through`; `None` if the
    /// database cannot be read now.
    pub fn next_batch(&mut self, batch_use: BatchUse, after: i64, through: i64) -> Option<FeedBatch> {
        if self.batches_for.is_none() {
            self.feed.request_rows(after, through);
        }
        let batch = self.feed.next_batch();
        self.batches_for = batch.as_ref().filter(|batch| !batch.is_last).map(|_| batch_use);
        batch
    }

    /// Counts messages that were added in the current transaction.
    pub fn added(&mut self, messages: usize) {
        self.uncommitted += messages.max(1);
        self.parts.index.indexed_total.fetch_add(messages as u64, Ordering::Relaxed);
        self.parts.index.set_state(IndexState::Indexing);
    }

    pub fn open_generation(&mut self, first_id: i64) -> rusqlite::Result<OpenGeneration> {
        let number = self.next_number;
        self.next_number += 1;
        let now = OffsetDateTime::now_utc().unix_timestamp();
        OpenGeneration::create(&self.file.connection, number, first_id, now)
    }

    /// Number of messages after which a generation is closed: so many that there are at most about
    /// `MAX_GENERATIONS`.
    pub fn generation_size(&self) -> usize {
        const MAX_GENERATIONS: i64 = 64;
        let (first, last) = self.bounds.unwrap_or_default();
        let share = usize::try_from((last - first) / MAX_GENERATIONS).unwrap_or(0);
        share.next_power_of_two().max(MIN_GENERATION)
    }

    fn is_old(&self, live: &OpenGeneration) -> bool {
        let age = OffsetDateTime::now_utc().unix_timestamp() - live.opened_at;
        let max = self.parts.max_generation_age.and_then(|age| i64::try_from(age.as_secs()).ok());
        max.is_some_and(|max| age >= max)
    }

    fn close_live(&mut self) -> rusqlite::Result<()> {
        let Some(live) = self.live.take() else { return self.commit() };
        self.begin()?;
        live.write(&self.file.connection, true)?;
        self.commit()
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

    pub fn begin(&mut self) -> rusqlite::Result<()> {
        if !self.is_writing {
            self.file.connection.execute_batch("BEGIN IMMEDIATE")?;
            self.is_writing = true;
        }
        Ok(())
    }

    pub fn commit(&mut self) -> rusqlite::Result<()> {
        if !self.is_writing {
            return Ok(());
        }
        if let Some(live) = &self.live {
            live.write(&self.file.connection, false)?;
        }
        self.file.connection.execute_batch("COMMIT")?;
        self.is_writing = false;
        self.uncommitted = 0;
        self.committed_at = Instant::now();
        if self.file.wal_bytes() >= CHECKPOINT_BYTES {
            self.file.checkpoint()?;
        }
        self.publish()
    }

    /// Commits if the transaction is large enough.
    pub fn commit_if_large(&mut self) -> rusqlite::Result<()> {
        if self.uncommitted >= COMMIT_MESSAGES { self.commit() } else { Ok(()) }
    }

    /// Publishes the committed state.
    pub fn publish(&mut self) -> rusqlite::Result<()> {
        let rows = generation::all(&self.file.connection)?;
        let index = &self.parts.index;
        let messages: i64 = rows.iter().map(|row| row.messages).sum();
        let kept = rows.iter().filter(|row| row.messages > 0).count();
        let in_gaps: i64 = self.gaps(&rows).iter().map(|(first, last)| last - first + 1).sum();
        index.messages.store(u64::try_from(messages).unwrap_or(0), Ordering::Release);
        index.generations.store(kept as u64, Ordering::Release);
        index.indexed_through.store(self.position, Ordering::Release);
        index.in_gaps.store(in_gaps, Ordering::Release);
        index.is_open.store(true, Ordering::Release);
        Ok(())
    }
}

/// Minimum number of messages of a closed generation.
pub const MIN_GENERATION: usize = if cfg!(test) { 64 } else { 65_536 };
