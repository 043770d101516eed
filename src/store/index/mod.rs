//! The search index: the words of messages, in a separate file next to the database
//! (`creel.db.search`). It is a cache: it can be deleted at any time, no acknowledgement waits for
//! it, and it proposes candidates that the search then examines.
//!
//! Messages are indexed in *generations*, each an FTS5 table for a range of ids, which is dropped
//! as a whole. Ranges without a generation, such as the newest messages, are searched by reading
//! them. One thread of the lowest priority writes the file. It never reads the database itself: a
//! thread of normal priority (`feed`) does, so that no reader is suspended while it holds back the
//! reset of the WAL.

mod expression;
mod feed;
mod file;
mod generation;
mod indexer;
mod pressure;
mod rows;
mod session;
mod status;
#[cfg(test)]
mod tests;
mod view;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread::Thread;

use parking_lot::Mutex;
use rusqlite::{Connection, InterruptHandle};

pub use expression::MatchExpression;
pub use file::remove;
pub use indexer::Indexer;
pub use pressure::Pressure;
pub use session::IndexerParts;
pub use status::{IndexState, IndexStats, IndexStatus};
pub use view::{IndexSegment, IndexView};

/// Connections that wait for the next search.
const MAX_IDLE_READERS: usize = 2;

/// The index, as searches and the status see it.
pub struct SearchIndex {
    path: PathBuf,
    /// Increases when another file takes the place of the index: older connections are stale.
    epoch: AtomicU64,
    /// Whether the file can be searched.
    is_open: AtomicBool,
    /// A search found damage: the indexer replaces the file.
    is_damaged: AtomicBool,
    readers: Mutex<Vec<(u64, Connection)>>,
    /// Stops a long statement of the indexer.
    interrupt: Mutex<Option<InterruptHandle>>,
    /// The thread of the indexer.
    thread: Mutex<Option<Thread>>,
    state: Mutex<IndexState>,
    indexed_through: AtomicI64,
    /// The newest message that the indexer has read.
    newest: AtomicI64,
    /// Number of ids in gaps below `indexed_through`.
    in_gaps: AtomicI64,
    messages: AtomicU64,
    generations: AtomicU64,
    /// Messages indexed since the start.
    indexed_total: AtomicU64,
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

    /// Notes an error of a search in the index. The indexer then replaces the file.
    fn note_damage(&self, error: &rusqlite::Error) {
        if !self.is_damaged.swap(true, Ordering::AcqRel) {
            log::warn!("cannot read the search index {}, it is rebuilt: {error}", self.path.display());
        }
    }

    fn take_damage(&self) -> bool {
        self.is_damaged.swap(false, Ordering::AcqRel)
    }

    /// Makes connections to an earlier file stale. The new file can be searched once `is_open` is
    /// set.
    fn replace_file(&self) {
        self.is_open.store(false, Ordering::Release);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.readers.lock().clear();
    }
}
