//! Opening the store: the checks that must pass before it accepts a message.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use scheduled_thread_pool::ScheduledThreadPool;
use time::OffsetDateTime;
use tokio::sync::Semaphore;

use crate::store::checkpoint::wal_watch::WalWatch;
use crate::store::checkpoint::{self, Checkpointer};
use crate::store::continuity::ledger::Ledger;
use crate::store::continuity::mark::Mark;
use crate::store::continuity::marker::Marker;
use crate::store::error::{OpenError, Unavailable};
use crate::store::files::lock::InstanceLock;
use crate::store::files::paths::sibling_path;
use crate::store::files::roots::RootPages;
use crate::store::files::{self, Files, modes};
use crate::store::handle::core::Core;
use crate::store::handle::store::Store;
use crate::store::index::{self, Indexer, IndexerParts, Pressure, SearchIndex};
use crate::store::instances::{self, Instances};
use crate::store::keys::KeyIndex;
use crate::store::options::{SearchOptions, StoreOptions};
use crate::store::quarantine::write::Quarantine;
use crate::store::seal::key::DatabaseKey;
use crate::store::shared::SharedState;
use crate::store::timestamp::Timestamp;
use crate::store::writer::Writer;
use crate::store::writer::job::Job;
use crate::store::writer::trouble::Trouble;
use crate::store::{connection, continuity, counts, damage, schema, target, writer};

/// Limit on jobs queued for the writer. The budget for bodies in flight bounds their size.
const QUEUE: usize = 8_192;
const LOCK_TIMEOUT: Duration = Duration::from_millis(300);
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// Limit on frames copied at start: 4 MiB. The checkpointer copies a longer WAL, so that the start
/// stays short.
const FRAMES_COPIED_AT_START: i32 = 1_024;

/// Decisions of the operator, valid for one start.
#[derive(Clone, Copy, Debug, Default)]
pub struct Consent {
    /// Continue although acknowledged messages are missing.
    pub loss: bool,
    /// Discard values sealed under a lost key.
    pub forget_sealed: bool,
}

impl Store {
    /// Opens or creates the database, migrates its schema, and starts the writer and the
    /// checkpointer.
    ///
    /// # Errors
    /// If the path cannot be used, the file does not belong to creel, was created by a newer
    /// version, is in use by another instance, is sealed under another key, or differs from the
    /// state after the last run.
    pub fn open(options: &StoreOptions) -> Result<Self, OpenError> {
        Self::open_with(options, Consent::default())
    }

    /// Opens the database with the operator's decisions.
    ///
    /// # Errors
    /// See `open`.
    pub fn open_with(options: &StoreOptions, consent: Consent) -> Result<Self, OpenError> {
        connection::check_sqlite_version()?;
        let path = absolute(&options.path)?;
        files::make_room_to_open(&path);
        let lock = Arc::new(take_lock(&path)?);
        let past = LastRun::examine(&path, &lock, consent.loss)?;
        let key =
            DatabaseKey::find(options, &path, schema::check_before_opening(&path)?, consent.forget_sealed)?;
        lock.claim();
        if !path.exists() {
            // Without a database file, any mark of a last run is void. The mark is cleared before
            // the new file is created: otherwise a crash in between would leave a mark that does
            // not match the new file.
            let _ = lock.clear_mark();
            if past.mark.is_some() {
                lock.sync();
            }
        }
        let pool_threads = Arc::new(ScheduledThreadPool::new(1));
        let (writer_pool, mut connection) = connection::writer(&path, pool_threads.clone())?;
        // The sync of the first counted commit, in `continue_or_begin`, covers these transactions.
        let sealer = connection::without_sync(&mut connection, |connection| {
            schema::migrate(connection)?;
            key.apply(connection, &path)
        })?;
        let sealer = Arc::new(sealer);
        let files = Arc::new(Files::watch(&path, options.min_free_bytes)?);
        past.continue_or_begin(&mut connection, &lock, files.database_inode())?;
        let copied = if options.checkpoint { copy_first_commit(&connection, &files)? } else { 0 };
        let before = past.number_and_copied();
        let marker =
            Marker::start(&lock, files.clone(), &path, &connection, (before.0, copied.max(before.1)))?;
        files.update_min_bytes();
        modes::loose_modes(&path).iter().for_each(|warning| log::warn!("{warning}"));
        let problem =
            |error| OpenError(format!("cannot read the database: {error}{}", damage::advice(&error)));
        files.expect_roots(RootPages::read(&connection).map_err(problem)?);
        let subscriptions = target::read::subscriptions(&connection).map_err(problem)?;
        let instances = Instances::read(&connection).map_err(problem)?;
        let index_path = sibling_path(&path, "search");
        if options.search.is_none() {
            index::remove(&index_path);
        }
        let index = options.search.map(|_| SearchIndex::new(index_path));
        let (jobs, waiting_jobs) = sync_channel(QUEUE);
        let shared = Arc::new(SharedState::new());
        shared.audience.replace(Arc::new(subscriptions));
        let readers = connection::readers(&path, pool_threads);
        let core = Core {
            path,
            jobs,
            readers,
            reading: Semaphore::new(connection::READERS as usize),
            intake: Arc::default(),
            counts: Arc::default(),
            loaded: Arc::default(),
            filling: Semaphore::new(1),
            sealer,
            files,
            instances: Arc::new(instances),
            shared,
            index,
            is_closing: Arc::default(),
            threads: Mutex::default(),
            _writer_pool: writer_pool,
            _lock: lock,
        };
        core.start(connection, marker, waiting_jobs, options.checkpoint)?;
        core.start_index(options.search.unwrap_or_default())?;
        Ok(Self { core: Arc::new(core) })
    }
}

/// Takes the lock. Retries, because commands that only read the files hold it briefly.
fn take_lock(path: &Path) -> Result<InstanceLock, OpenError> {
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        if let Some(lock) = InstanceLock::try_take(path)? {
            return Ok(lock);
        }
        if Instant::now() >= deadline {
            return Err(OpenError(format!(
                "the database {} is in use by {}: stop that instance first, or set CREEL_DATABASE to another file",
                path.display(),
                InstanceLock::holder(path)
            )));
        }
        std::thread::sleep(LOCK_PAUSE);
    }
}

/// State after the last run.
struct LastRun {
    mark: Option<Mark>,
    is_loss: bool,
}

impl LastRun {
    /// Checks the files. Runs before SQLite opens the database, because opening it would apply a
    /// foreign WAL.
    fn examine(path: &Path, lock: &InstanceLock, accepts_loss: bool) -> Result<Self, OpenError> {
        let mark = lock.mark();
        let loss = continuity::inspect(path, mark.as_ref())?;
        match &loss {
            Some(loss) if accepts_loss => loss.accept()?,
            Some(loss) => return Err(OpenError(loss.to_string())),
            None => {}
        }
        Ok(Self { mark, is_loss: loss.is_some() })
    }

    /// Returns the number of the mark, and the number of commits that the database file contains
    /// without its WAL. The latter is 0 (unknown) after a loss or without a mark.
    fn number_and_copied(&self) -> (u64, i64) {
        let mark = self.mark.as_ref();
        (mark.map_or(0, |mark| mark.number), mark.filter(|_| !self.is_loss).map_or(0, |mark| mark.copied))
    }

    /// Counts a commit, so that this run differs from any earlier copy of the file. New messages
    /// get another instance id in two cases: without a matching mark, because messages may have
    /// been lost; and if the inode differs, because the file is then a copy, and the original may
    /// still be in use.
    fn continue_or_begin(
        &self,
        connection: &mut rusqlite::Connection,
        lock: &InstanceLock,
        inode: u64,
    ) -> Result<(), OpenError> {
        let problem =
            |error| OpenError(format!("cannot write to the database: {error}{}", damage::advice(&error)));
        let ledger = Ledger::read(connection).map_err(problem)?;
        let is_same_history = !self.is_loss
            && self
                .mark
                .is_some_and(|mark| ledger.is_some_and(|ledger| ledger.timeline == mark.ledger.timeline));
        let is_same_file = self.mark.is_some_and(|mark| mark.inode == inode);
        let now = Timestamp::from(OffsetDateTime::now_utc());
        if self.is_loss
            && let Some(lost) = self.mark
        {
            // Runs before the mark is cleared, so that the ids of lost messages are not reused
            // after a crash in between.
            Ledger::skip_ids_through(connection, &lost.ledger).map_err(problem)?;
        }
        if !is_same_history {
            // Cleared before the new timeline begins: a crash in between must not leave a mark that
            // contradicts the timeline.
            let _ = lock.clear_mark();
            lock.sync();
        }
        let transaction = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(problem)?;
        let begun = || {
            let ledger = match ledger {
                Some(ledger) if is_same_history => ledger,
                _ => Ledger::begin(&transaction, instances::random_number())?,
            };
            if !is_same_history || !is_same_file {
                instances::begin(&transaction, now)?;
            }
            damage::skip("count_progress", counts::backlog::begin(&transaction))?;
            ledger.advance(&transaction)
        };
        begun().and_then(|_| transaction.commit()).map_err(problem)
    }
}

impl Core {
    fn start(
        &self,
        connection: connection::PooledConnection,
        marker: Marker,
        jobs: Receiver<Job>,
        checkpoint: bool,
    ) -> Result<(), OpenError> {
        let problem = |error: &dyn std::fmt::Display| OpenError(format!("cannot start the store: {error}"));
        let damaged = |error: rusqlite::Error| {
            OpenError(format!("cannot start the store: {error}{}", damage::advice(&error)))
        };
        let keys = KeyIndex::load(&connection).map_err(damaged)?;
        let quarantine = Quarantine::load(&connection, &self.intake).map_err(damaged)?;
        let flushes = damage::skip("count_progress", counts::write::flushes(&connection)).map_err(damaged)?;
        self.counts.resume(flushes.unwrap_or_default());
        damage::take().into_iter().for_each(|what| self.shared.note_damage(what));
        let (count, bytes) = keys.in_memory();
        self.shared.set_keys(count, bytes);
        let mut threads = Vec::new();
        // On its own thread, because the start does not have to wait for the sync.
        let files = self.files.clone();
        let ballast = spawn("ballast", self.shared.clone(), move || files.write_ballast_if_room());
        threads.push(ballast.map_err(|error| problem(&error))?);
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
            counts: self.counts.clone(),
            sealer: self.sealer.clone(),
            files: self.files.clone(),
            marker,
            changes_before: 0,
            shared: self.shared.clone(),
            clock: OffsetDateTime::now_utc,
            next_stop: Instant::now(),
            next_check: Instant::now(),
            next_rejections: Instant::now(),
            next_counts: Instant::now(),
            next_flush: Instant::now() + writer::counting::FLUSH_INTERVAL,
            next_warning_at: 0,
        };
        threads.push(
            spawn("writer", self.shared.clone(), move || writer.run(&jobs))
                .map_err(|error| problem(&error))?,
        );
        *self.threads.lock() = threads;
        Ok(())
    }
}

impl Core {
    /// Starts the thread of the search index. Its panic does not stop the store.
    fn start_index(&self, options: SearchOptions) -> Result<(), OpenError> {
        let Some(index) = &self.index else { return Ok(()) };
        let problem = |error| OpenError(format!("cannot start the search index: {error}"));
        let indexer = Indexer::new(IndexerParts {
            index: index.clone(),
            readers: self.readers.clone(),
            pressure: Pressure { shared: self.shared.clone(), files: self.files.clone() },
            is_closing: self.is_closing.clone(),
            identity: self.instances.newest().to_owned(),
            max_generation_age: options.max_generation_age,
        })
        .map_err(problem)?;
        let thread = std::thread::Builder::new().name("index".to_owned()).spawn(move || indexer.run());
        self.threads.lock().push(thread.map_err(problem)?);
        Ok(())
    }
}

/// Starts a thread whose panic stops the store: without the writer no data would be written, and
/// without the checkpointer the WAL would never be reset.
fn spawn(
    name: &'static str,
    shared: Arc<SharedState>,
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

/// Copies the first commit of this run into the database file, and restarts the WAL, so that an
/// older copy of the file does not match the WAL. Copies nothing if the WAL is longer than
/// `FRAMES_COPIED_AT_START`. Returns the number of commits in the file; 0 if unknown.
fn copy_first_commit(connection: &rusqlite::Connection, files: &Files) -> Result<i64, OpenError> {
    let problem = |error| OpenError(format!("cannot checkpoint the database: {error}"));
    let frames = checkpoint::frames_in_wal(connection).map_err(problem)?;
    if frames > FRAMES_COPIED_AT_START {
        return Ok(0);
    }
    // A failed sync prevents the start. A reader that blocks the reset does not, and neither does a
    // full disk.
    match checkpoint::reset(connection, files.wal_bytes(), false) {
        Ok(true) => {}
        Ok(false) => return Ok(0),
        Err(error) => {
            return match Trouble::of(&error, || files.free_bytes()) {
                Trouble::Locked | Trouble::DiskFull | Trouble::Damaged | Trouble::MergeStopped => Ok(0),
                Trouble::Lost | Trouble::Fatal(_) => Err(problem(error)),
            };
        }
    }
    Ledger::read(connection).map(|ledger| ledger.unwrap_or_default().commits).map_err(problem)
}

/// Returns the path as the kernel resolves it, so that later changes of the working directory or a
/// link have no effect, and all paths that lead to one file through symbolic links share one lock.
/// Creates a missing directory.
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
    modes::create_directory(directory).map_err(problem)?;
    Ok(std::fs::canonicalize(directory).map_err(problem)?.join(name))
}
