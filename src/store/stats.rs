//! Metrics of the store.

use crate::store::index::IndexStats;
use crate::store::quarantine::intake::QuarantineStats;

/// Queue lengths, sizes and counters at one moment; counters start at zero with the process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub queue_depth: usize,
    pub wal_bytes: u64,
    /// Time for which a reader has blocked a reset of the WAL, in seconds; 0 while that time is
    /// shorter than 10 s.
    pub wal_pinned_seconds: u64,
    pub database_bytes: u64,
    pub free_disk_bytes: u64,
    /// Keys of messages in memory, and the bytes of these keys and of the filters for merged keys.
    pub keys_in_memory: usize,
    pub keys_bytes: usize,
    /// Transactions with messages, and the messages in them.
    pub batches: u64,
    pub batched_messages: u64,
    /// Successful attempts, failed attempts, and dead deliveries, since the start.
    pub attempts_delivered: u64,
    pub attempts_failed: u64,
    pub deliveries_dead: u64,
    /// Whether damage was found in the file.
    pub is_damaged: bool,
    pub quarantine: QuarantineStats,
    /// `None` without a search index.
    pub search: Option<IndexStats>,
}
