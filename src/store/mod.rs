//! The single SQLite file: the only module that names rusqlite and r2d2.
//!
//! All writes go through one writer thread (`writer.rs`), which commits what is waiting in one transaction; reads go
//! through a pool of read-only connections. It must never acknowledge what is not synced to disk.

mod checkpoint;
mod connection;
mod expire;
mod files;
mod keys;
mod message;
mod rejection;
mod rescue;
mod schema;
mod seal;
mod setting;
mod state;
#[cfg(test)]
mod tests;
pub mod timestamp;
mod verify;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use scheduled_thread_pool::ScheduledThreadPool;
use time::OffsetDateTime;
use tokio::sync::{Semaphore, oneshot};

pub use expire::{Selection, Sources};
pub use message::{Content, Identity, Kept, NewMessage};
pub use rejection::{NewRejection, network_of};
pub use setting::Sealing;
pub use state::{BatchObserver, Unavailable};
pub use verify::{VerifyReport, verify};

use checkpoint::Checkpointer;
use files::{Files, InstanceLock, beside};
use keys::Keys;
use message::Prepared;
use rejection::{Quarantine, Waiting};
use seal::Sealer;
use state::Shared;
use writer::{Call, Database, Job, Keep, Writer};

/// Jobs that may wait for the writer. Their bodies are bounded by the budget for bodies in flight.
const QUEUE: usize = 8_192;
/// A write that is not a message waits at most this long.
const WRITE_WAIT: Duration = Duration::from_secs(10);
const READ_WAIT: Duration = Duration::from_secs(2);

/// Where the store lives and its limits.
#[derive(Clone, Debug)]
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

/// The numbers of the store, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub queue_depth: usize,
    pub wal_bytes: u64,
    pub database_bytes: u64,
    pub free_disk_bytes: u64,
    /// Keys of messages held in memory, and the bytes that they and their filters take.
    pub keys_in_memory: usize,
    pub keys_bytes: usize,
    /// Transactions that held messages, and the messages in them.
    pub batches: u64,
    pub batched_messages: u64,
}

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
    waiting: Arc<Waiting>,
    sealer: Arc<Sealer>,
    files: Arc<Files>,
    shared: Arc<Shared>,
    is_closing: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    _writer_pool: connection::Pool,
    _lock: InstanceLock,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

impl Store {
    /// Opens or makes the database, brings its schema up to date, and starts the writer and the checkpointer.
    ///
    /// # Errors
    /// When the path cannot be used, is not creel's, was made by a newer version, is in use by another instance, or
    /// sealed under another key.
    pub fn open(options: &StoreOptions) -> Result<Self, OpenError> {
        connection::check_sqlite_version()?;
        let path = absolute(&options.path)?;
        let lock = InstanceLock::try_take(&path)?.ok_or_else(|| {
            OpenError(format!(
                "the database {} is in use by {}: stop that instance first, or set CREEL_DATABASE to another file",
                path.display(),
                InstanceLock::holder(&path)
            ))
        })?;
        let secret = match &options.key {
            Some(key) => key.clone(),
            None => seal::key_file(&beside(&path, "key"))?,
        };
        let sealer = Arc::new(Sealer::new(&secret));
        let pool_threads = Arc::new(ScheduledThreadPool::new(1));
        let (writer_pool, mut connection) = connection::writer(&path, pool_threads.clone())?;
        schema::migrate(&mut connection)?;
        check_key(&connection, &sealer)?;
        let files = Arc::new(Files::watch(&path, options.min_free_bytes)?);
        files.database_stays();
        files.lay_ballast();
        let readers = connection::readers(&path, pool_threads);
        let (jobs, waiting_jobs) = sync_channel(QUEUE);
        let inner = Inner {
            path,
            jobs,
            readers,
            reading: Semaphore::new(connection::READERS as usize),
            waiting: Arc::default(),
            sealer,
            files,
            shared: Arc::new(Shared::new()),
            is_closing: Arc::default(),
            threads: Mutex::default(),
            _writer_pool: writer_pool,
            _lock: lock,
        };
        inner.start(connection, waiting_jobs, options.checkpoint)?;
        Ok(Self { inner: Arc::new(inner) })
    }

    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Resolves once the message is committed and synced, or when `deadline` has passed.
    ///
    /// # Errors
    /// `Unavailable`: nothing may be acknowledged. After `Deadline` the message may still have been stored.
    pub async fn keep(&self, message: NewMessage, deadline: Instant) -> Result<Kept, Unavailable> {
        if let Some(why) = self.inner.shared.stopped() {
            return Err(why);
        }
        let (reply, answer) = oneshot::channel();
        self.inner.send(Job::Keep(Keep { message: Box::new(Prepared::new(message)), deadline, reply }))?;
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Unavailable::Failed),
            Err(_) => Err(Unavailable::Deadline),
        }
    }

    /// Never waits; what does not fit is counted only.
    pub fn quarantine(&self, rejection: NewRejection) {
        if self.inner.waiting.add(rejection) {
            let _ = self.inner.send(Job::Wake);
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
        Ok(())
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
        Stats {
            queue_depth: inner.shared.queued(),
            wal_bytes: inner.files.wal_bytes(),
            database_bytes: inner.files.database_bytes(),
            free_disk_bytes: inner.files.free_bytes(),
            keys_in_memory,
            keys_bytes,
            batches,
            batched_messages,
        }
    }

    /// Has each committed batch reported; once.
    pub fn observe_batches(&self, observer: BatchObserver) {
        self.inner.shared.observe_batches(observer);
    }

    /// A value that the service remembers, unsealed.
    ///
    /// # Errors
    /// When it cannot be read, or was sealed under another key.
    pub async fn setting(&self, name: &'static str) -> Result<Option<String>, Unavailable> {
        let stored = self.read(move |connection| setting::read(connection, name)).await?;
        let Some((value, sealing)) = stored else { return Ok(None) };
        match sealing {
            Sealing::Plain => Ok(Some(value)),
            Sealing::Sealed => {
                let plain = self.inner.sealer.open(name, &value).map_err(|_| Unavailable::Refused)?;
                String::from_utf8(plain).map(Some).map_err(|_| Unavailable::Refused)
            }
        }
    }

    /// Remembers a value.
    ///
    /// # Errors
    /// When it could not be written.
    pub async fn set_setting(
        &self,
        name: &'static str,
        value: &str,
        sealing: Sealing,
        now: OffsetDateTime,
    ) -> Result<(), Unavailable> {
        let stored = match sealing {
            Sealing::Plain => value.to_owned(),
            Sealing::Sealed => self.inner.sealer.seal(name, value.as_bytes()),
        };
        let now = timestamp::to_text(now);
        self.write(move |database| setting::write(database.connection, name, &stored, sealing, &now)).await
    }

    /// The ids of messages that are old, oldest first.
    pub async fn old_messages(&self, selection: Selection) -> Result<Vec<i64>, Unavailable> {
        self.read(move |connection| expire::select(connection, &selection)).await
    }

    /// The ids of the oldest messages whatever their age.
    pub async fn oldest_messages(&self, limit: usize) -> Result<Vec<i64>, Unavailable> {
        self.read(move |connection| expire::select_oldest(connection, limit)).await
    }

    /// Bytes of the file that hold data, and those that are free inside it.
    pub async fn used_and_free_bytes(&self) -> Result<(u64, u64), Unavailable> {
        self.read(expire::used_and_free_bytes).await
    }

    /// Deletes some of `ids` in one short step; how many of them it has looked at.
    pub async fn delete_messages(&self, ids: Vec<i64>) -> Result<usize, Unavailable> {
        self.write(move |database| expire::delete(database, &ids)).await
    }

    /// One step of writing the keys that are only in memory; true when it is done.
    pub async fn merge_keys(&self) -> Result<bool, Unavailable> {
        self.write(|database| Ok(expire::merge_keys(database))).await
    }

    /// One step of dropping keys that were last added to before `cut_off`; true when it is done.
    pub async fn forget_keys(&self, cut_off: OffsetDateTime) -> Result<bool, Unavailable> {
        let cut_off = timestamp::to_text(cut_off);
        self.write(move |database| expire::forget_keys(database, &cut_off)).await
    }

    /// Drops old rejections and writes down what was only counted; how many were dropped.
    pub async fn expire_rejections(&self, now: OffsetDateTime) -> Result<usize, Unavailable> {
        self.write(move |database| database.quarantine.expire(database.connection, database.waiting, now))
            .await
    }

    /// One step of giving free pages back; true when nothing more is worth it.
    pub async fn vacuum(&self) -> Result<bool, Unavailable> {
        self.write(expire::vacuum).await
    }

    /// Has the space that a vacuum freed given back to the file system, and the ballast laid out again.
    pub fn settle(&self) {
        self.inner.shared.wake_checkpointer();
        self.inner.files.lay_ballast();
    }

    /// Releases the ballast when the disk is nearly full, so that clean-up can write.
    pub fn make_room(&self) {
        if self.inner.files.is_full() || self.inner.files.free_bytes() < 1 << 20 {
            self.inner.files.note_full();
        }
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
        if let Some(why) = self.inner.shared.stopped() {
            return Err(why);
        }
        let (reply, answer) = oneshot::channel();
        self.inner.send(Job::Run(Box::new(Call { work: Some(work), value: None, reply })))?;
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
        let readers = self.inner.readers.clone();
        let read = move || {
            let connection = readers.get().map_err(|error| error.to_string())?;
            work(&connection).map_err(|error| error.to_string())
        };
        match tokio::task::spawn_blocking(read).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                log::error!("cannot read the database: {error}");
                Err(Unavailable::Refused)
            }
            Err(_) => Err(Unavailable::Refused),
        }
    }
}

impl Inner {
    fn send(&self, job: Job) -> Result<(), Unavailable> {
        self.shared.job_queued();
        self.jobs.try_send(job).map_err(|error| {
            self.shared.job_taken();
            match error {
                TrySendError::Full(_) => Unavailable::QueueFull,
                TrySendError::Disconnected(_) => Unavailable::Failed,
            }
        })
    }

    fn start(
        &self,
        connection: connection::Pooled,
        jobs: Receiver<Job>,
        checkpoint: bool,
    ) -> Result<(), OpenError> {
        let problem = |error: &dyn std::fmt::Display| OpenError(format!("cannot start the store: {error}"));
        let keys = Keys::load(&connection).map_err(|error| problem(&error))?;
        let quarantine = Quarantine::load(&connection).map_err(|error| problem(&error))?;
        let (count, bytes) = keys.in_memory();
        self.shared.set_keys(count, bytes);
        let mut threads = Vec::new();
        if checkpoint {
            let checkpointer = Checkpointer {
                connection: connection::checkpointer(&self.path)?,
                files: self.files.clone(),
                shared: self.shared.clone(),
                writer: self.jobs.clone(),
                is_closing: self.is_closing.clone(),
            };
            let thread = spawn("checkpoint", move || checkpointer.run()).map_err(|error| problem(&error))?;
            self.shared.set_checkpointer(thread.thread().clone());
            threads.push(thread);
        }
        let writer = Writer {
            connection,
            keys,
            quarantine,
            waiting: self.waiting.clone(),
            sealer: self.sealer.clone(),
            files: self.files.clone(),
            shared: self.shared.clone(),
            clock: OffsetDateTime::now_utc,
            next_stop: Instant::now(),
        };
        threads.push(spawn("writer", move || writer.run(&jobs)).map_err(|error| problem(&error))?);
        if let Ok(mut running) = self.threads.lock() {
            *running = threads;
        }
        Ok(())
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// The path as the kernel shows it, so that a later change of the working directory or of a link does not matter.
fn absolute(path: &Path) -> Result<PathBuf, OpenError> {
    let problem =
        |error| OpenError(format!("cannot use the directory of the database {}: {error}", path.display()));
    let name = path.file_name().ok_or_else(|| OpenError(format!("{} is not a file name", path.display())))?;
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(directory).map_err(problem)?;
    Ok(std::fs::canonicalize(directory).map_err(problem)?.join(name))
}

/// What was sealed under another key could not be opened later: better to say so at start.
fn check_key(connection: &rusqlite::Connection, sealer: &Sealer) -> Result<(), OpenError> {
    const NAME: &str = "key_check";
    let problem = |error| OpenError(format!("cannot read the settings: {error}"));
    match setting::read(connection, NAME).map_err(problem)? {
        Some((sealed, _)) if sealer.open(NAME, &sealed).is_ok() => Ok(()),
        Some(_) => Err(OpenError(
            "the database was sealed under another key: set CREEL_KEY to the key that was used before, or put the \
             key file back beside the database"
                .to_owned(),
        )),
        None => {
            let now = timestamp::to_text(OffsetDateTime::now_utc());
            setting::write(connection, NAME, &sealer.seal(NAME, b"creel"), Sealing::Sealed, &now).map_err(problem)
        }
    }
}

/// A setting written by a command while the service runs; the service reads it when it next needs it.
///
/// # Errors
/// When there is no database yet, or it cannot be written.
pub fn set_beside_the_service(
    path: &Path,
    name: &str,
    value: &str,
    now: OffsetDateTime,
) -> Result<(), OpenError> {
    let connection = connection::beside_the_service(path)?;
    schema::check_ours(&connection)?;
    setting::write(&connection, name, value, Sealing::Plain, &timestamp::to_text(now))
        .map_err(|error| OpenError(format!("cannot write to the database {}: {error}", path.display())))
}

/// Whether an instance is running on the database.
pub fn is_in_use(path: &Path) -> Result<bool, OpenError> {
    Ok(InstanceLock::try_take(path)?.is_none())
}
