//! Opening the store: what must be true before it takes a message.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use scheduled_thread_pool::ScheduledThreadPool;
use time::OffsetDateTime;
use tokio::sync::Semaphore;

use super::checkpoint::Checkpointer;
use super::files::{self, Files, InstanceLock, beside};
use super::keys::Keys;
use super::quarantine::Quarantine;
use super::seal::{self, Sealer};
use super::setting::{self, Sealing};
use super::state::{Shared, Unavailable};
use super::wal_watch::WalWatch;
use super::writer::{Job, Writer};
use super::{Inner, OpenError, Store, StoreOptions, connection, damage, schema, target, timestamp};

/// Jobs that may wait for the writer. Their bodies are bounded by the budget for bodies in flight.
const QUEUE: usize = 8_192;

impl Store {
    /// Opens or makes the database, brings its schema up to date, and starts the writer and the checkpointer.
    ///
    /// # Errors
    /// When the path cannot be used, is not creel's, was made by a newer version, is in use by another instance, or
    /// sealed under another key.
    pub fn open(options: &StoreOptions) -> Result<Self, OpenError> {
        connection::check_sqlite_version()?;
        let path = absolute(&options.path)?;
        files::make_room_to_open(&path);
        let lock = InstanceLock::try_take(&path)?.ok_or_else(|| {
            OpenError(format!(
                "the database {} is in use by {}: stop that instance first, or set CREEL_DATABASE to another file",
                path.display(),
                InstanceLock::holder(&path)
            ))
        })?;
        let sealer = Arc::new(sealer(options, &path)?);
        schema::check_before_opening(&path)?;
        let pool_threads = Arc::new(ScheduledThreadPool::new(1));
        let (writer_pool, mut connection) = connection::writer(&path, pool_threads.clone())?;
        schema::migrate(&mut connection)?;
        check_key(&connection, &sealer)?;
        let files = Arc::new(Files::watch(&path, options.min_free_bytes)?);
        files.database_stays(0, 0);
        files.lay_ballast();
        let readers = connection::readers(&path, pool_threads);
        let (jobs, waiting_jobs) = sync_channel(QUEUE);
        let subscriptions = target::subscriptions(&connection).map_err(|error| {
            OpenError(format!("cannot read the targets: {error}{}", damage::advice(&error)))
        })?;
        let shared = Arc::new(Shared::new());
        shared.audience.replace(Arc::new(subscriptions));
        let inner = Inner {
            path,
            jobs,
            readers,
            reading: Semaphore::new(connection::READERS as usize),
            intake: Arc::default(),
            filling: Semaphore::new(1),
            sealer,
            files,
            shared,
            is_closing: Arc::default(),
            threads: Mutex::default(),
            _writer_pool: writer_pool,
            _lock: lock,
        };
        inner.start(connection, waiting_jobs, options.checkpoint)?;
        Ok(Self { inner: Arc::new(inner) })
    }
}

impl Inner {
    fn start(
        &self,
        connection: connection::Pooled,
        jobs: Receiver<Job>,
        checkpoint: bool,
    ) -> Result<(), OpenError> {
        let problem = |error: &dyn std::fmt::Display| OpenError(format!("cannot start the store: {error}"));
        let damaged = |error: rusqlite::Error| {
            OpenError(format!("cannot start the store: {error}{}", damage::advice(&error)))
        };
        let keys = Keys::load(&connection).map_err(damaged)?;
        let quarantine = Quarantine::load(&connection, &self.intake).map_err(damaged)?;
        damage::take().into_iter().for_each(|what| self.shared.note_damage(what));
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
                watch: WalWatch::default(),
                last_progress: Default::default(),
                path: self.path.clone(),
            };
            let thread = spawn("checkpoint", self.shared.clone(), move || checkpointer.run())
                .map_err(|error| problem(&error))?;
            self.shared.set_checkpointer(thread.thread().clone());
            threads.push(thread);
        }
        let writer = Writer {
            connection,
            keys,
            quarantine,
            intake: self.intake.clone(),
            sealer: self.sealer.clone(),
            files: self.files.clone(),
            shared: self.shared.clone(),
            clock: OffsetDateTime::now_utc,
            next_stop: Instant::now(),
            next_look: Instant::now(),
            next_rejections: Instant::now(),
            next_counts: Instant::now(),
            next_warning_at: 0,
        };
        threads.push(
            spawn("writer", self.shared.clone(), move || writer.run(&jobs))
                .map_err(|error| problem(&error))?,
        );
        if let Ok(mut running) = self.threads.lock() {
            *running = threads;
        }
        Ok(())
    }
}

/// A thread whose panic is the end of the store: without it nothing would be written, or the WAL never reset.
fn spawn(
    name: &'static str,
    shared: Arc<Shared>,
    work: impl FnOnce() + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        if std::panic::catch_unwind(AssertUnwindSafe(work)).is_err() {
            shared.fail(
                Unavailable::Failed,
                format!("the thread \"{name}\" of the store has panicked: this is a bug in creel"),
            );
        }
    })
}

/// The path as the kernel shows it, so that a later change of the working directory or of a link does not matter, and
/// so that every name of one file leads to one lock.
pub fn absolute(path: &Path) -> Result<PathBuf, OpenError> {
    let problem =
        |error| OpenError(format!("cannot use the directory of the database {}: {error}", path.display()));
    let name = path.file_name().ok_or_else(|| OpenError(format!("{} is not a file name", path.display())))?;
    if let Ok(existing) = std::fs::canonicalize(path) {
        return Ok(existing);
    }
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
    let problem = |error| OpenError(format!("cannot read the settings: {error}{}", damage::advice(&error)));
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

/// Under the configured key, else the one in the file beside the database.
pub fn sealer(options: &StoreOptions, database: &Path) -> Result<Sealer, OpenError> {
    match &options.key {
        Some(key) => Ok(Sealer::new(key)),
        None => seal::key_file(&beside(database, "key")).map(|key| Sealer::new(&key)),
    }
}
