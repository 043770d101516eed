//! The state of the work on one file, and its transactions.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::store::connection::Pool;
use crate::store::index::feed::IndexFeed;
use crate::store::index::file::IndexFile;
use crate::store::index::generation::{self, OpenGeneration};
use crate::store::index::pressure::Pressure;
use crate::store::index::rows::FeedBatch;
use crate::store::index::search_index::{IndexState, SearchIndex};

/// Pause without work.
pub const IDLE_PAUSE: Duration = Duration::from_secs(1);
/// Messages after which a transaction is committed. Until then its messages are searched
/// by reading them.
pub const COMMIT_MESSAGES: usize = 4_096;
/// WAL of the index from which it is copied.
const CHECKPOINT_BYTES: u64 = 16 << 20;

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

/// A generation for a gap. It is searched once it is complete.
#[derive(Debug)]
pub struct Backfill {
    pub generation: OpenGeneration,
    pub through: i64,
}

/// Position of the upkeep.
#[derive(Debug, Default)]
pub struct Upkeep {
    pub next_at: Option<Instant>,
    /// The generation that was checked last, by its first id.
    pub checked: i64,
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
    pub backfill: Option<Backfill>,
    pub upkeep: Upkeep,
    /// All messages above this id are for the live generation.
    pub position: i64,
    /// The first and the last message of the database.
    pub bounds: Option<(i64, i64)>,
    /// The highest id that was seen.
    pub newest: i64,
    pub next_number: i64,
    /// Who receives the batches that were requested and not received.
    pub batches_for: Option<BatchUse>,
    is_writing: bool,
    pub uncommitted: usize,
    pub committed_at: Instant,
    pub looked_at: Option<Instant>,
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

    pub fn close_live(&mut self) -> rusqlite::Result<()> {
        let Some(live) = self.live.take() else { return self.commit() };
        self.begin()?;
        live.write(&self.file.connection, true)?;
        self.commit()
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
