//! The handle to the whole store: its health, its shutdown, and the handles for each role.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::store::error::Unavailable;
use crate::store::handle::cleanup::Cleanup;
use crate::store::handle::core::Core;
use crate::store::handle::counts::Counts;
use crate::store::handle::delivery_queue::DeliveryQueue;
use crate::store::handle::ingest::Ingest;
use crate::store::handle::listener_registry::ListenerRegistry;
use crate::store::handle::reads::Reads;
use crate::store::handle::settings::ServiceSettings;
use crate::store::handle::target_registry::TargetRegistry;
use crate::store::shared::BatchObserver;
use crate::store::stats::Stats;
use crate::store::writer::job::Job;

/// A handle to the store; cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pub(in crate::store) core: Arc<Core>,
}

impl Store {
    #[cfg(test)]
    pub fn path(&self) -> &std::path::Path {
        &self.core.path
    }

    /// Checks whether messages are accepted, including the files and the free space.
    ///
    /// # Errors
    /// The reason why messages are rejected.
    pub fn ready(&self) -> Result<(), Unavailable> {
        if let Some(why) = self.core.shared.stopped() {
            return Err(why);
        }
        if self.core.files.check_quickly().is_err() {
            // Wakes the writer, which checks the files and finds the kind of change. Without a job,
            // it does not check them.
            let _ = self.core.send(Job::Wake);
            return Err(Unavailable::FileChanged);
        }
        if self.core.files.is_full() {
            return Err(Unavailable::DiskFull);
        }
        if self.core.files.is_low() {
            return Err(Unavailable::DiskLow);
        }
        if self.core.shared.is_out_of_room() {
            return Err(Unavailable::DatabaseFull);
        }
        if self.core.shared.is_blocked_by_damage() {
            return Err(Unavailable::Damaged);
        }
        Ok(())
    }

    /// Whether damage was found in the file since the start. The store can still accept messages.
    pub fn is_damaged(&self) -> bool {
        self.core.shared.is_damaged()
    }

    /// Resolves when the store has failed permanently, with a one-line reason: the process must
    /// exit non-zero.
    pub async fn failed(&self) -> String {
        let mut failure = self.core.shared.failure();
        let line = failure.wait_for(Option::is_some).await.ok().and_then(|line| line.clone());
        line.unwrap_or_else(|| "the store has failed".to_owned())
    }

    pub fn stats(&self) -> Stats {
        let core = &self.core;
        let (keys_in_memory, keys_bytes) = core.shared.keys();
        let (batches, batched_messages) = core.shared.batches();
        let [attempts_delivered, attempts_failed, deliveries_dead] = core.shared.attempts();
        Stats {
            queue_depth: core.shared.queued(),
            wal_bytes: core.files.wal_bytes(),
            wal_pinned_seconds: core.shared.wal_pinned_seconds(),
            database_bytes: core.files.database_bytes(),
            free_disk_bytes: core.files.free_bytes(),
            keys_in_memory,
            keys_bytes,
            batches,
            batched_messages,
            attempts_delivered,
            attempts_failed,
            deliveries_dead,
            is_damaged: core.shared.is_damaged(),
            quarantine: core.intake.stats(),
            search: core.index.as_ref().map(|index| index.stats()),
        }
    }

    /// Sets the observer of committed batches. A second call has no effect.
    pub fn observe_batches(&self, observer: BatchObserver) {
        self.core.shared.observe_batches(observer);
    }

    /// Whether the store is closing, so that new writes fail. Callers do not have to log these
    /// errors.
    pub fn is_closing(&self) -> bool {
        self.core.is_closing.load(Ordering::Acquire)
    }

    /// Closes the store after it has written the queued jobs, and has run a last checkpoint unless
    /// another process checkpoints. Waits at most `limit`.
    pub async fn close(&self, limit: Duration) {
        self.core.is_closing.store(true, Ordering::Release);
        self.core.shared.wake_checkpointer();
        let _ = self.core.send(Job::Close);
        self.core.index.iter().for_each(|index| index.interrupt());
        let threads = std::mem::take(&mut *self.core.threads.lock());
        let joined =
            tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
        if tokio::time::timeout(limit, joined).await.is_err() {
            log::warn!("the store did not close in {limit:?}: acknowledged messages are safe in the WAL");
        }
    }

    /// Limits the bytes of the quarantine, for all sources together.
    pub fn limit_quarantine(&self, max_bytes: u64) {
        self.core.intake.limit_bytes(max_bytes);
    }

    /// Accepts verified messages and rejected requests. No message is acknowledged before the sync.
    pub fn ingest(&self) -> Ingest {
        Ingest { core: self.core.clone() }
    }

    /// Reads on the pool of read-only connections.
    pub fn reads(&self) -> Reads {
        Reads { core: self.core.clone() }
    }

    /// Pending deliveries, their outcomes, replays and confirmations.
    pub fn delivery_queue(&self) -> DeliveryQueue {
        DeliveryQueue { core: self.core.clone() }
    }

    /// Creates and changes targets. Messages are matched against the new state after each change.
    pub fn target_registry(&self) -> TargetRegistry {
        TargetRegistry { core: self.core.clone() }
    }

    /// Opens listeners and adds old messages to them.
    pub fn listener_registry(&self) -> ListenerRegistry {
        ListenerRegistry { core: self.core.clone() }
    }

    /// Reads pages of expired rows, and deletes rows in short writes.
    pub fn cleanup(&self) -> Cleanup {
        Cleanup { core: self.core.clone() }
    }

    /// Counts of messages and rejections, which outlive the messages.
    pub fn counts(&self) -> Counts {
        Counts { core: self.core.clone() }
    }

    /// Settings that the service itself stores in the database.
    pub fn settings(&self) -> ServiceSettings {
        ServiceSettings { core: self.core.clone() }
    }
}
