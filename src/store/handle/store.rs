//! The handle to the store: its health, and the ways to the writer and the readers.

use crate::store::error::Unavailable;
use crate::store::files::Files;
use crate::store::files::lock::InstanceLock;
use crate::store::instances::Instances;
use crate::store::message::insert::{Kept, NewMessage, Prepared};
use crate::store::quarantine::intake::Intake;
use crate::store::seal::sealer::Sealer;
use crate::store::shared::{BatchObserver, Shared};
use crate::store::stats::Stats;
use crate::store::writer::job::{Call, Database, Job, Keep};
use crate::store::{connection, damage};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, oneshot};

/// What may wait for the writer in all; the bodies have a budget of their own, the heads only this.
const QUEUED_BYTES: usize = 256 << 20;
/// A write that is not a message waits at most this long.
const WRITE_WAIT: Duration = Duration::from_secs(10);
const READ_WAIT: Duration = Duration::from_secs(2);
/// A filter's look into a longer payload takes so long that other requests should not wait for it.
const READ_ELSEWHERE_ABOVE: usize = 256 << 10;

/// A handle to the store; cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(in crate::store) inner: Arc<Inner>,
}

pub struct Inner {
    pub path: PathBuf,
    pub jobs: SyncSender<Job>,
    pub readers: connection::Pool,
    pub reading: Semaphore,
    pub intake: Arc<Intake>,
    /// Held by the listener that old messages are being added for.
    pub filling: Semaphore,
    pub sealer: Arc<Sealer>,
    pub files: Arc<Files>,
    pub instances: Arc<Instances>,
    pub shared: Arc<Shared>,
    pub is_closing: Arc<AtomicBool>,
    pub threads: Mutex<Vec<JoinHandle<()>>>,
    pub _writer_pool: connection::Pool,
    pub _lock: Arc<InstanceLock>,
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
        if let Some(why) = self.inner.shared.stopped() {
            return Err(why);
        }
        let prepared = self.prepare(message, deadline).await?;
        self.keep_prepared(prepared, deadline).await
    }

    pub(super) async fn keep_prepared(
        &self,
        message: Prepared,
        deadline: Instant,
    ) -> Result<Kept, Unavailable> {
        let answer = self.enqueue(message, deadline)?;
        Self::outcome(answer, deadline).await
    }

    pub(super) fn enqueue(&self, message: Prepared, deadline: Instant) -> Result<KeepAnswer, Unavailable> {
        if self.inner.shared.is_out_of_room() {
            // The clean-up may have run before the write that makes room, and later no write may come.
            self.inner.shared.beyond_size.notify_one();
            return Err(Unavailable::DatabaseFull);
        }
        let (reply, answer) = oneshot::channel();
        self.inner.send(Job::Keep(Keep { message: Box::new(message), deadline, reply }))?;
        Ok(answer)
    }

    pub(super) async fn outcome(answer: KeepAnswer, deadline: Instant) -> Result<Kept, Unavailable> {
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(Ok(Kept::TooManyAwaiting))) => Err(Unavailable::TooManyAwaiting),
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Unavailable::Failed),
            Err(_) => Err(Unavailable::Deadline),
        }
    }

    /// Finds out who gets the message. Reading a large payload for that would hold up other requests.
    pub(super) async fn prepare(
        &self,
        message: NewMessage,
        deadline: Instant,
    ) -> Result<Prepared, Unavailable> {
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

    pub(in crate::store) async fn write<T, F>(&self, work: F) -> Result<T, Unavailable>
    where
        T: Send + 'static,
        F: FnOnce(&mut Database<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_then(work, |_| ()).await
    }

    /// `committed` runs on the writer's thread, in the order of the commits, and also when nobody waits any more.
    pub(in crate::store) async fn write_then<T, F>(
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

    pub(in crate::store) async fn read<T, F>(&self, work: F) -> Result<T, Unavailable>
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
    pub(super) fn send(&self, job: Job) -> Result<(), Unavailable> {
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
