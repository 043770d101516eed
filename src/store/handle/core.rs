//! Access to the writer and to the readers, shared by all handles.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use crate::request_id;
use crate::store::counts::pending::PendingCounts;
use crate::store::delivery::loaded::LoadedMessages;
use crate::store::error::{ChangeError, Unavailable};
use crate::store::files::Files;
use crate::store::files::lock::InstanceLock;
use crate::store::index::SearchIndex;
use crate::store::instances::Instances;
use crate::store::quarantine::intake::Intake;
use crate::store::seal::sealer::Sealer;
use crate::store::shared::SharedState;
use crate::store::target::subscription::Subscriptions;
use crate::store::writer::job::{Database, Job, WriteCall};
use crate::store::{connection, damage, target};

/// Limit on the bytes queued for the writer. Bodies also count towards their own budget, heads only
/// towards this limit.
const QUEUED_BYTES: usize = 256 << 20;
/// Timeout of all writes except those of messages.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
const READ_TIMEOUT: Duration = Duration::from_secs(2);

/// State shared by all handles.
pub struct Core {
    pub path: PathBuf,
    pub jobs: SyncSender<Job>,
    pub readers: connection::Pool,
    pub loaded: Arc<LoadedMessages>,
    pub reading: Semaphore,
    pub intake: Arc<Intake>,
    pub counts: Arc<PendingCounts>,
    /// One permit, held while old messages are added to a listener.
    pub filling: Semaphore,
    pub sealer: Arc<Sealer>,
    pub files: Arc<Files>,
    pub instances: Arc<Instances>,
    pub shared: Arc<SharedState>,
    /// `None` without a search index.
    pub index: Option<Arc<SearchIndex>>,
    pub is_closing: Arc<AtomicBool>,
    pub threads: Mutex<Vec<JoinHandle<()>>>,
    pub _writer_pool: connection::Pool,
    pub _lock: Arc<InstanceLock>,
}

/// Notes or logs the error of a read.
pub fn failed_read(error: &rusqlite::Error) -> Unavailable {
    if damage::is_damage(error) {
        damage::note("a read", error);
        return Unavailable::Damaged;
    }
    log::error!("cannot read the database: {error}");
    Unavailable::Refused
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Core {
    pub async fn write<T, F>(&self, work: F) -> Result<T, Unavailable>
    where
        T: Send + 'static,
        F: FnOnce(&mut Database<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.write_then(work, |_| ()).await
    }

    /// Runs `work` in a transaction, and `committed` after its commit. `committed` runs on the
    /// writer's thread, in commit order, even if the caller has stopped waiting.
    pub async fn write_then<T, F>(
        &self,
        work: F,
        committed: impl FnOnce(&T) + Send + 'static,
    ) -> Result<T, Unavailable>
    where
        T: Send + 'static,
        F: FnOnce(&mut Database<'_>) -> rusqlite::Result<T> + Send + 'static,
    {
        self.change(move |database| Ok(work(database)?), committed).await
    }

    /// Like `write_then`, but `work` can reject the change. In this case the statements of `work`
    /// are rolled back, `committed` is not called, and the other jobs of the transaction are
    /// written.
    async fn change<T, E, F>(&self, work: F, committed: impl FnOnce(&T) + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Unavailable> + Send + 'static,
        F: FnOnce(&mut Database<'_>) -> Result<T, ChangeError<E>> + Send + 'static,
    {
        if let Some(why) = self.shared.stopped() {
            return Err(why.into());
        }
        let (reply, answer) = oneshot::channel();
        self.send(Job::Run(Box::new(WriteCall { work: Some(work), result: None, committed, reply })))?;
        match tokio::time::timeout(WRITE_TIMEOUT, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(Unavailable::Failed.into()),
            Err(_) => Err(Unavailable::Deadline.into()),
        }
    }

    pub async fn read<T, F>(&self, work: F) -> Result<T, Unavailable>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let permit = tokio::time::timeout(READ_TIMEOUT, self.reading.acquire()).await;
        let Ok(Ok(_permit)) = permit else { return Err(Unavailable::Deadline) };
        let (readers, shared) = (self.readers.clone(), self.shared.clone());
        let read = move || {
            let connection = readers.get().map_err(|error| {
                log::error!("cannot read the database: {error}");
                Unavailable::Refused
            })?;
            let result = work(&connection).map_err(|error| failed_read(&error));
            damage::take().into_iter().for_each(|what| shared.note_damage(what));
            result
        };
        tokio::task::spawn_blocking(request_id::for_thread(read)).await.unwrap_or(Err(Unavailable::Refused))
    }

    /// Writes a change of the targets. When this function returns `Ok`, messages are matched
    /// against the new list of targets. The writer's thread replaces the list even if the caller
    /// has stopped waiting.
    pub async fn change_targets<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Unavailable> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ChangeError<E>> + Send + 'static,
    {
        self.change_targets_where(work, |_| true).await
    }

    /// Like `change_targets`, but keeps the current list of targets if `is_change` returns false
    /// for the result of `work`.
    pub async fn change_targets_where<T, E, F>(&self, work: F, is_change: fn(&T) -> bool) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Unavailable> + Send + 'static,
        F: FnOnce(&Connection) -> Result<T, ChangeError<E>> + Send + 'static,
    {
        let shared = self.shared.clone();
        let change = move |database: &mut Database<'_>| -> Result<_, ChangeError<E>> {
            let done = work(database.connection)?;
            let subscriptions = match is_change(&done) {
                true => Some(Arc::new(target::read::subscriptions(database.connection)?)),
                false => None,
            };
            Ok((done, subscriptions))
        };
        let publish = move |(_, subscriptions): &(T, Option<Arc<Subscriptions>>)| {
            if let Some(subscriptions) = subscriptions {
                shared.audience.replace(subscriptions.clone());
            }
        };
        self.change(change, publish).await.map(|(done, _)| done)
    }

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
