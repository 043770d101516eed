//! The numbers of the store, for metrics.

use crate::store::quarantine::intake::QuarantineStats;

/// What is queued, stored and counted at one moment; counters begin with the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub queue_depth: usize,
    pub wal_bytes: u64,
    /// How long a reader has kept the WAL from being reset; 0 where none does.
    pub wal_pinned_seconds: u64,
    pub database_bytes: u64,
    pub free_disk_bytes: u64,
    /// Keys of messages held in memory, and the bytes that they and their filters take.
    pub keys_in_memory: usize,
    pub keys_bytes: usize,
    /// Transactions that held messages, and the messages in them.
    pub batches: u64,
    pub batched_messages: u64,
    /// Attempts that delivered, attempts that failed, and deliveries that died, since the start.
    pub attempts_delivered: u64,
    pub attempts_failed: u64,
    pub deliveries_dead: u64,
    /// Damage was found in the file.
    pub is_damaged: bool,
    pub quarantine: QuarantineStats,
}
