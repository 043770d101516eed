//! The single SQLite file: the only module that names rusqlite and r2d2.
//!
//! All writes go through one writer thread (`writer.rs`), which commits what is waiting in one transaction; reads go
//! through a pool of read-only connections. It must never acknowledge what is not synced to disk.

mod access;
mod audience;
#[cfg(test)]
pub mod behind;
mod beside;
mod checkpoint;
mod confirmation;
mod connection;
mod content;
mod continuity;
mod damage;
mod dead;
mod declaration;
mod delivery;
mod due;
mod due_signal;
mod event_forms;
mod expire;
mod files;
mod forget;
pub mod headers;
mod instances;
mod key;
mod keys;
mod listener;
mod message;
mod open;
mod original;
mod quarantine;
mod replay;
mod replay_count;
mod rescue;
mod schema;
mod seal;
mod search;
mod setting;
mod settled;
mod state;
mod stats;
mod stored;
mod subscription;
mod target;
#[cfg(test)]
mod tests;
pub mod timestamp;
mod unavailable;
mod verify;
mod wal_watch;
mod words;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};

pub use beside::{
    IdleTarget, idle_targets_beside_the_service, is_in_use, secret_beside_the_service, set_beside_the_service,
};
pub use confirmation::{Asked, Confirmation, ConfirmationState, DueConfirmation, Settlement};
pub use content::{Content, UnreadableReason};
pub use dead::DeadLetters;
pub use delivery::{
    Attempt, AttemptOutcome, AttemptRecord, Delivery, DeliveryFilter, DeliveryState, LONGEST_WAIT, Next,
};
pub use due::{DueDelivery, DuePage, DueQuery};
pub use due_signal::DueSignal;
pub use expire::{
    AnyAge, Burial, Candidate, Finished, FinishedPage, InactiveTarget, Keeping, Page, Position, Refused,
    RetainedSince, RoomHolder, Selection, Sources, Step, Yielding,
};
pub use files::{free_bytes, loose_modes};
pub use instances::Instances;
pub use key::key_problem;
pub use listener::{
    Acknowledgement, LATE_MESSAGES_WITHIN, Listener, ListenerAnswer, ListenerRefused, MOST_LISTENERS, Opened,
};
pub use message::{Asking, Identity, Kept, LARGE_BYTES, NewMessage};
pub use open::Consent;
pub use quarantine::read::{
    CauseCount, RejectionFilter, RejectionHead, RejectionPosition, SourceNumbers, StoredRejection,
};
pub use quarantine::{NewRejection, QuarantineStats, RejectionKind};
pub use replay::{NewReplay, Replay, ReplayState, ReplayStep};
pub use replay_count::ReplayScope;
pub use setting::Sealing;
pub use settled::Settlements;
pub use state::BatchObserver;
pub use stats::Stats;
pub use stored::{
    Direction, MessageFilter, MessageHead, MessagePage, ReplayCount, StoredMessage, query_without_content,
};
pub use subscription::{Condition, EMITTED, Filter, Pattern};
pub use target::{
    ContentType, DeliveryRate, NewTarget, Ordering as DeliveryOrdering, Origin, Target, TargetKind,
    TargetNumbers, TargetRefused, TargetSecret, TargetSecrets, TargetSettings, TargetState,
};
pub use unavailable::Unavailable;
pub use verify::{VerifyReport, verify};

use files::{Files, InstanceLock};
use message::Prepared;
use quarantine::Intake;
use seal::Sealer;
use state::Shared;
pub use writer::Memory;
use writer::{Call, Database, Job, Keep};

/// What may wait for the writer in all; the bodies have a budget of their own, the heads only this.
const QUEUED_BYTES: usize = 256 << 20;
/// A write that is not a message waits at most this long.
const WRITE_WAIT: Duration = Duration::from_secs(10);
const READ_WAIT: Duration = Duration::from_secs(2);
/// A filter's look into a longer payload takes so long that other requests should not wait for it.
const READ_ELSEWHERE_ABOVE: usize = 256 << 10;

/// Where the store lives and its limits. Not `Debug`: it has the key.
#[derive(Clone)]
pub struct StoreOptions {
    pub path: PathBuf,
    /// `CREEL_KEY`; `None`: the key file beside the database, made at the first start.
    pub key: Option<Vec<u8>>,
    /// False: another process (Litestream) owns the checkpoints.
    pub checkpoint: bool,
    /// The low-water mark of the disk.
    pub min_free_bytes: u64,
}

/// Why the store cannot be opened; says what to do.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(pub String);

/// A handle to the store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    jobs: SyncSender<Job>,
    readers: connection::Pool,
    reading: Semaphore,
    intake: Arc<Intake>,
    /// Held by the listener that old messages are being added for.
    filling: Semaphore,
    sealer: Arc<Sealer>,
    files: Arc<Files>,
    instances: Arc<Instances>,
    shared: Arc<Shared>,
    is_closing: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    _writer_pool: connection::Pool,
    _lock: Arc<InstanceLock>,
}

/// What the writer answers about one message.
type KeepAnswer = oneshot::Receiver<Result<Kept, Unavailable>>;

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

impl Store {
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// What `webhook-id` is made from.
    pub fn instances(&self) -> Arc<Instances> {
        self.inner.instances.clone()
    }

    /// Resolves once the message is committed and synced, or when `deadline` has passed.
    ///
    /// # Errors
    /// `Unavailable`: nothing may be acknowledged. After `Deadline` the message may still have been stored.
    pub async fn keep(&self, message: NewMessage, deadline: Instant) -> Result<Kept, Unavailable> {
        self.keep_accounted(message, None, deadline).await
    }

    /// As `keep`; drops `memory` once the message is written or given up.
    ///
    /// # Errors
    /// As `keep`.
    pub async fn keep_accounted(
        &self,
        message: NewMessage,
        memory: Option<Memory>,
        deadline: Instant,
    ) -> Result<Kept, Unavailable> {
        if let Some(why) = self.inner.shared.stopped() {
            return Err(why);
        }
        let prepared = self.prepare(message, deadline).await?;
        self.keep_prepared(prepared, memory, deadline).await
    }

    async fn keep_prepared(
        &self,
        message: Prepared,
        memory: Option<Memory>,
        deadline: Instant,
    ) -> Result<Kept, Unavailable> {
        let answer = self.enqueue(message, memory, deadline)?;
        Self::outcome(answer, deadline).await
    }

    fn enqueue(
        &self,
        message: Prepared,
        memory: Option<Memory>,
        deadline: Instant,
    ) -> Result<KeepAnswer, Unavailable> {
        if self.inner.shared.is_out_of_room() {
            // The clean-up may have run before the write that makes room, and later no write may come.
            self.inner.shared.beyond_size.notify_one();
            return Err(Unavailable::DatabaseFull);
        }
        let (reply, answer) = oneshot::channel();
        self.inner.send(Job::Keep(Keep { message: Box::new(message), deadline, reply, _memory: memory }))?;
        Ok(answer)
    }

    async fn outcome(answer: KeepAnswer, deadline: Instant) -> Result<Kept, Unavailable> {
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(Ok(Kept::TooManyAwaiting))) => Err(Unavailable::TooManyAwaiting),
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Unavailable::Failed),
            Err(_) => Err(Unavailable::Deadline),
        }
    }

    /// Finds out who gets the message. Reading a large payload for that would hold up other requests.
    async fn prepare(&self, message: NewMessage, deadline: Instant) -> Result<Prepared, Unavailable> {
        let subscriptions = self.inner.shared.audience.current();
        let is_long = message.content.payload().is_some_and(|payload| payload.len() > READ_ELSEWHERE_ABOVE);
        let sealer = self.inner.sealer.clone();
        if !is_long || !subscriptions.read_payload(&message.event, message.owner.as_deref()) {
            return Ok(Prepared::new(message, &subscriptions, &sealer));
        }
        let prepared = tokio::task::spawn_blocking(move || Prepared::new(message, &subscriptions, &sealer));
        match tokio::time::timeout_at(deadline.into(), prepared).await {
            Ok(prepared) => prepared.map_err(|_| Unavailable::Refused),
            Err(_) => Err(Unavailable::Deadline),
        }
    }

    /// Whether messages are taken now; looks at the files and the free space.
    ///
    /// # Errors
    /// Why they are not.
    pub fn ready(&self) -> Result<(), Unavailable> {
        if let Some(why) = self.inner.shared.stopped() {
            return Err(why);
        }
        if self.inner.files.check().is_err() {
            // The writer finds out what has happened, even when no message comes.
            let _ = self.inner.send(Job::Wake);
            return Err(Unavailable::FileChanged);
        }
        if self.inner.files.is_full() {
            return Err(Unavailable::DiskFull);
        }
        if self.inner.files.is_low() {
            return Err(Unavailable::DiskLow);
        }
        if self.inner.shared.is_out_of_room() {
            return Err(Unavailable::DatabaseFull);
        }
        if self.inner.shared.is_blocked_by_damage() {
            return Err(Unavailable::Damaged);
        }
        Ok(())
    }

    /// Whether damage has been found in the file since the start. Messages may be taken all the same.
    pub fn is_damaged(&self) -> bool {
        self.inner.shared.is_damaged()
    }

    /// Resolves when the store has failed for good, with one line that says how: the process must exit non-zero.
    pub async fn failed(&self) -> String {
        let mut failure = self.inner.shared.failure();
        let line = failure.wait_for(Option::is_some).await.ok().and_then(|line| line.clone());
        line.unwrap_or_else(|| "the store has failed".to_owned())
    }

    pub fn stats(&self) -> Stats {
        let inner = &self.inner;
        let (keys_in_memory, keys_bytes) = inner.shared.keys();
        let (batches, batched_messages) = inner.shared.batches();
        let [attempts_delivered, attempts_failed, deliveries_dead] = inner.shared.attempts();
        Stats {
            queue_depth: inner.shared.queued(),
            wal_bytes: inner.files.wal_bytes(),
            wal_pinned_seconds: inner.shared.wal_pinned_seconds(),
            database_bytes: inner.files.database_bytes(),
            free_disk_bytes: inner.files.free_bytes(),
            keys_in_memory,
            keys_bytes,
            batches,
            batched_messages,
            attempts_delivered,
            attempts_failed,
            deliveries_dead,
            is_damaged: inner.shared.is_damaged(),
            quarantine: inner.intake.stats(),
        }
    }

    /// Has each committed batch reported; once.
    pub fn observe_batches(&self, observer: BatchObserver) {
        self.inner.shared.observe_batches(observer);
    }

    /// From then on whoever writes is refused, and need not say so.
    pub fn is_closing(&self) -> bool {
        self.inner.is_closing.load(Ordering::Acquire)
    }

    /// Writes what is queued, checkpoints and closes; waits at most `limit`.
    pub async fn close(&self, limit: Duration) {
        self.inner.is_closing.store(true, Ordering::Release);
        self.inner.shared.wake_checkpointer();
        let _ = self.inner.send(Job::Close);
        let threads =
            self.inner.threads.lock().map(|mut threads| std::mem::take(&mut *threads)).unwrap_or_default();
        let joined =
            tokio::task::spawn_blocking(move || threads.into_iter().for_each(|thread| drop(thread.join())));
        if tokio::time::timeout(limit, joined).await.is_err() {
            log::warn!("the store did not close in {limit:?}: what was acknowledged is safe in the WAL");
        }
    }

    async fn write<T, F>(&self, work: F) -> Result<T, Unavailable>
    where
        T: Send + 'static,
        F: FnOnce(&mut Database<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_then(work, |_| ()).await
    }

    /// `committed` runs on the writer's thread, in the order of the commits, and also when nobody waits any more.
    async fn write_then<T, F>(
        &self,
        work: F,
        committed: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, Unavailable>
    where
        T: Send + 'static,
        F: FnOnce(&mut Database<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        if let Some(why) = self.inner.shared.stopped() {
            return Err(why);
        }
        let (reply, answer) = oneshot::channel();
        self.inner.send(Job::Run(Box::new(Call { work: Some(work), value: None, committed, reply })))?;
        match tokio::time::timeout(WRITE_WAIT, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Unavailable::Failed),
            Err(_) => Err(Unavailable::Deadline),
        }
    }

    async fn read<T, F>(&self, work: F) -> Result<T, Unavailable>
    where
        T: Send + 'static,
        F: FnOnce(&rusqlite::Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let permit = tokio::time::timeout(READ_WAIT, self.inner.reading.acquire()).await;
        let Ok(Ok(_permit)) = permit else { return Err(Unavailable::Deadline) };
        let (readers, shared) = (self.inner.readers.clone(), self.inner.shared.clone());
        let read = move || {
            let connection = readers.get().map_err(|error| {
                log::error!("cannot read the database: {error}");
                Unavailable::Refused
            })?;
            let result = work(&connection).map_err(|error| {
                if damage::is_damage(&error) {
                    damage::note("a read", &error);
                    return Unavailable::Damaged;
                }
                log::error!("cannot read the database: {error}");
                Unavailable::Refused
            });
            damage::take().into_iter().for_each(|what| shared.note_damage(what));
            result
        };
        tokio::task::spawn_blocking(read).await.unwrap_or(Err(Unavailable::Refused))
    }
}

impl Inner {
    fn send(&self, job: Job) -> Result<(), Unavailable> {
        let bytes = job.bytes();
        if bytes > 0 && self.shared.queued_bytes() + bytes > QUEUED_BYTES {
            return Err(Unavailable::QueueFull);
        }
        self.shared.job_queued(bytes);
        self.jobs.try_send(job).map_err(|error| {
            self.shared.job_taken(bytes);
            match error {
                TrySendError::Full(_) => Unavailable::QueueFull,
                TrySendError::Disconnected(_) => Unavailable::Failed,
            }
        })
    }
}
