//! The state of the index, for the API and the metrics.

use std::sync::atomic::Ordering;

use crate::store::id::MessageId;
use crate::store::index::file::allocated_bytes;
use crate::store::index::search_index::{IndexState, SearchIndex};

/// Figures of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexStatus {
    pub state: IndexState,
    /// All messages up to this one are indexed, but for those in gaps.
    pub indexed_through: MessageId,
    /// Number of ids that are not indexed, given the newest message.
    pub lag_messages: u64,
    /// Number of indexed messages. Some of them may be deleted since.
    pub messages: u64,
    /// Size of the files.
    pub bytes: u64,
    pub generations: u64,
}

/// Metrics of the index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// As in `IndexStatus`, a second old at most.
    pub lag_messages: u64,
    pub bytes: u64,
    /// Messages indexed since the start.
    pub indexed_total: u64,
}

impl SearchIndex {
    pub fn status(&self, newest: MessageId) -> IndexStatus {
        IndexStatus {
            state: self.state.lock().clone(),
            indexed_through: MessageId::of_rowid(self.indexed_through.load(Ordering::Acquire)),
            lag_messages: self.lag_messages(newest.get()),
            messages: self.messages.load(Ordering::Acquire),
            bytes: allocated_bytes(&self.path),
            generations: self.generations.load(Ordering::Acquire),
        }
    }

    pub fn stats(&self) -> IndexStats {
        IndexStats {
            lag_messages: self.lag_messages(self.newest.load(Ordering::Acquire)),
            bytes: allocated_bytes(&self.path),
            indexed_total: self.indexed_total.load(Ordering::Relaxed),
        }
    }

    fn lag_messages(&self, newest: i64) -> u64 {
        let through = self.indexed_through.load(Ordering::Acquire);
        let lag = (newest - through).max(0) + self.in_gaps.load(Ordering::Acquire);
        u64::try_from(lag).unwrap_or(0)
    }

    pub(super) fn set_state(&self, state: IndexState) {
        *self.state.lock() = state;
    }
}
