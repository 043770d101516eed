//! The handle to the whole store: its health, its end, and the handles for each role.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::store::error::Unavailable;
use crate::store::handle::cleanup::Cleanup;
use crate::store::handle::core::Core;
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
    pub fn path(&self) -> &Path {
        &self.core.path
    }

    /// Whether messages are taken now; looks at the files and the free space.
    ///
    /// # Errors
    /// Why they are not.
    pub fn ready(&self) -> Result<(), Unavailable> {
        if let Some(why) = self.core.shared.stopped() {
            return Err(why);
        }
        if self.core.files.check().is_err() {
            // The writer finds out what has happened, even when no message comes.
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

    /// Whether damage has been found in the file since the start. Messages may be taken all the same.
    pub fn is_damaged(&self) -> bool {
        self.core.shared.is_damaged()
    }

    /// Resolves when the store has failed for good, with one line that says how: the process must exit non-zero.
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
        }
    }

    /// Has each committed batch reported; once.
    pub fn observe_batches(&self, observer: BatchObserver) {
        self.core.shared.observe_batches(observer);
    }

    /// From then on whoever writes is refused, and need not say so.
    pub fn is_closing(&self) -> bool {
        self.core.is_closing.load(Ordering::Acquire)
    }

    /// Writes what is queued, checkpoints and closes; waits at most `limit`.
    pub async fn close(&self, limit: Duration) {
        self.core.is_closing.store(true, Ordering::Release);
        self.core.shared.wake_checkpointer();
        let _ = self.core.send(Job::Close);
        let threads =
            self.core.threads.lock().map(|mut threads| std::mem::take(&mut *threads)).unwrap_or_default();
        let joined =
            tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
        if tokio::time::timeout(limit, joined).await.is_err() {
            log::warn!("the store did not close in {limit:?}: what was acknowledged is safe in the WAL");
        }
    }

    /// What the quarantine may take at most, for all sources together.
    pub fn limit_quarantine(&self, max_bytes: u64) {
        self.core.intake.limit_bytes(max_bytes);
    }

    /// Takes verified messages and rejected requests. Nothing is acknowledged before it is synced.
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

    /// Makes and changes targets. After each change messages are matched against what is then in the table.
    pub fn target_registry(&self) -> TargetRegistry {
        TargetRegistry { core: self.core.clone() }
    }

    /// Opens listeners and fills them with old messages.
    pub fn listener_registry(&self) -> ListenerRegistry {
        ListenerRegistry { core: self.core.clone() }
    }

    /// Pages of what may be deleted, and short writes that delete it.
    pub fn cleanup(&self) -> Cleanup {
        Cleanup { core: self.core.clone() }
    }

    /// Values that the service itself remembers.
    pub fn settings(&self) -> ServiceSettings {
        ServiceSettings { core: self.core.clone() }
    }
}
