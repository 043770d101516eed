//! The state of the index that searches, the status and the indexer share.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::Thread;

use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, InterruptHandle};

/// Activity of the indexer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IndexState {
    /// All messages are indexed, but for the newest ones.
    Ready,
    Indexing,
    /// Waits, e.g. for free disk space.
    Waiting(String),
    /// The file cannot be used; another attempt follows.
    Failed(String),
}

/// Maximum number of idle connections. Each uses memory for all generations.
pub const MAX_IDLE_READERS: usize = 1;

/// The index, as searches and the status see it.
pub struct SearchIndex {
    pub path: PathBuf,
    /// Increases when another file takes the place of the index: older connections are stale.
    pub epoch: AtomicU64,
    /// Whether the file can be searched.
    pub is_open: AtomicBool,
    /// A search found damage: the indexer replaces the file.
    pub is_damaged: AtomicBool,
    pub readers: Mutex<Vec<(u64, Connection)>>,
    /// Stops a long statement of the indexer.
    pub interrupt: Mutex<Option<InterruptHandle>>,
    /// The thread of the indexer.
    pub thread: Mutex<Option<Thread>>,
    pub state: Mutex<IndexState>,
    pub indexed_through: AtomicI64,
    /// The newest message that the indexer has read.
    pub newest: AtomicI64,
    /// Number of ids in gaps below `indexed_through`.
    pub in_gaps: AtomicI64,
    pub messages: AtomicU64,
    pub generations: AtomicU64,
    /// Messages indexed since the start.
    pub indexed_total: AtomicU64,
}

impl fmt::Debug for SearchIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SearchIndex").field("path", &self.path).finish_non_exhaustive()
    }
}

impl SearchIndex {
    pub fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            path,
            epoch: AtomicU64::new(0),
            is_open: AtomicBool::new(false),
            is_damaged: AtomicBool::new(false),
            readers: Mutex::default(),
            interrupt: Mutex::default(),
            thread: Mutex::default(),
            state: Mutex::new(IndexState::Indexing),
            indexed_through: AtomicI64::new(0),
            newest: AtomicI64::new(0),
            in_gaps: AtomicI64::new(0),
            messages: AtomicU64::new(0),
            generations: AtomicU64::new(0),
            indexed_total: AtomicU64::new(0),
        })
    }

    /// Ends the pause or the statement of the indexer, because the store closes.
    pub fn interrupt(&self) {
        if let Some(handle) = &*self.interrupt.lock() {
            handle.interrupt();
        }
        if let Some(thread) = &*self.thread.lock() {
            thread.unpark();
        }
    }

    /// Notes an error of a search in the file of an epoch. If the file is damaged, the indexer then
    /// replaces it.
    pub fn note_error(&self, error: &rusqlite::Error, epoch: u64) {
        let is_current = epoch == self.epoch.load(Ordering::Acquire);
        if !is_damage(error) || !is_current {
            log::debug!("cannot search in {}: {error}", self.path.display());
        } else if !self.is_damaged.swap(true, Ordering::AcqRel) {
            log::warn!("cannot read the search index {}, it is rebuilt: {error}", self.path.display());
        }
    }

    pub fn take_damage(&self) -> bool {
        self.is_damaged.swap(false, Ordering::AcqRel)
    }

    /// Makes connections to an earlier file stale. The new file can be searched once `is_open` is
    /// set.
    pub fn replace_file(&self) {
        self.is_open.store(false, Ordering::Release);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.readers.lock().clear();
    }
}

/// Whether an error shows that a file must be replaced.
pub fn is_damage(error: &rusqlite::Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DiskFull
                | ErrorCode::OperationInterrupted
                | ErrorCode::OutOfMemory
                | ErrorCode::CannotOpen
        )
    )
}
