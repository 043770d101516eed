//! Opens connections to the database. All pragmas that configure the service's connections are set
//! here.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, OpenFlags};
use scheduled_thread_pool::ScheduledThreadPool;

use crate::store::error::OpenError;
use crate::store::files::modes::create_private;

pub type Pool = r2d2::Pool<SqliteConnectionManager>;
pub type PooledConnection = r2d2::PooledConnection<SqliteConnectionManager>;

/// Minimum version of SQLite: many earlier versions have a bug in which a checkpoint races with the
/// reset of the WAL.
const OLDEST_SQLITE: i32 = 3_051_003;
/// SQLite's busy timeout for the writer. After this time the writer itself retries the transaction.
pub const WRITER_BUSY: Duration = Duration::from_millis(50);
const READER_BUSY: Duration = Duration::from_millis(1_000);
pub const READERS: u32 = 4;

/// SQLite's number for `PRAGMA auto_vacuum = INCREMENTAL`.
const INCREMENTAL: i64 = 2;
/// Size to which a longer WAL file is truncated after a reset, so that one long read does not leave
/// a huge file.
const JOURNAL_SIZE_LIMIT_BYTES: i64 = 64 * 1024 * 1024;

/// Returns an error for a SQLite version that can lose commits.
pub fn check_sqlite_version() -> Result<(), OpenError> {
    if rusqlite::version_number() < OLDEST_SQLITE {
        return Err(OpenError(format!(
            "SQLite {} can lose data when the WAL is reset: build with 3.51.3 or newer",
            rusqlite::version()
        )));
    }
    Ok(())
}

/// Opens the service's only connection that commits transactions, as a pool of size one. The caller
/// holds the connection as long as the store is open.
pub fn writer(path: &Path, threads: Arc<ScheduledThreadPool>) -> Result<(Pool, PooledConnection), OpenError> {
    let access = flags(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE);
    let problem = |verb: &str, error: &dyn Display| {
        OpenError(format!("cannot {verb} the database {}: {error}", path.display()))
    };
    // If the pool cannot open its connection, it reports only a timeout, without the cause. Also,
    // two connections that convert a new file to WAL at the same time conflict. So this connection
    // is opened and prepared before the pool opens its own.
    let is_new = !path.exists();
    if is_new {
        create_private(path).map_err(|error| problem("create", &error))?;
    }
    let first = Connection::open_with_flags(path, access).map_err(|error| problem("open", &error))?;
    if is_new {
        // The transactions that write the first page have no journal on disk, which would cost
        // three syncs each: a new file has nothing to lose.
        first.pragma_update(None, "journal_mode", "MEMORY").map_err(|error| problem("use", &error))?;
    }
    prepare_writer(&first).map_err(|error| problem("use", &error))?;
    let manager = SqliteConnectionManager::file(path)
        .with_flags(access)
        .with_init(|connection| prepare_writer(connection));
    let pool = r2d2::Pool::builder()
        .max_size(1)
        .test_on_check_out(false)
        .max_lifetime(None)
        .idle_timeout(None)
        .thread_pool(threads)
        .error_handler(Box::new(r2d2::NopErrorHandler))
        .connection_timeout(Duration::from_secs(5))
        .build_unchecked(manager);
    let held = pool.get().map_err(|error| problem("open", &error))?;
    drop(first);
    Ok((pool, held))
}

fn prepare_writer(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(5))?;
    // Must precede the first table to have an effect: cleanup then frees space without a VACUUM of
    // the whole file. Setting the same value again would write a page.
    let auto_vacuum: i64 = connection.pragma_query_value(None, "auto_vacuum", |row| row.get(0))?;
    if auto_vacuum != INCREMENTAL {
        connection.pragma_update(None, "auto_vacuum", INCREMENTAL)?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // NORMAL does not sync the WAL at a commit: a power cut would lose acknowledged messages.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // A view or trigger in a manipulated file must not call functions with side effects.
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "journal_size_limit", JOURNAL_SIZE_LIMIT_BYTES)?;
    // Checkpoints run on their own connection, outside the commits (see `store/checkpoint`).
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.pragma_update(None, "cache_size", -4096)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.busy_timeout(WRITER_BUSY)
}

/// Runs transactions of the writer that are not synced. A later commit of the writer syncs them.
pub fn without_sync<T>(
    connection: &mut Connection,
    work: impl FnOnce(&mut Connection) -> Result<T, OpenError>,
) -> Result<T, OpenError> {
    let problem = |error| OpenError(format!("cannot use the database: {error}"));
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(problem)?;
    let result = work(connection);
    connection.pragma_update(None, "synchronous", "FULL").map_err(problem)?;
    result
}

/// Opens the connection that copies the WAL into the database.
pub fn checkpointer(path: &Path) -> Result<Connection, OpenError> {
    let open = || {
        let connection = Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))?;
        connection.busy_timeout(Duration::ZERO)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "cache_size", -64)?;
        Ok(connection)
    };
    open().map_err(|error: rusqlite::Error| {
        OpenError(format!("cannot open the database {}: {error}", path.display()))
    })
}

/// Creates a pool of read-only connections, opened on demand.
pub fn readers(path: &Path, threads: Arc<ScheduledThreadPool>) -> Pool {
    let manager = SqliteConnectionManager::file(path)
        .with_flags(flags(OpenFlags::SQLITE_OPEN_READ_ONLY))
        .with_init(|connection| {
            connection.busy_timeout(READER_BUSY)?;
            connection.pragma_update(None, "trusted_schema", false)?;
            connection.pragma_update(None, "cache_size", -1024)?;
            connection.pragma_update(None, "query_only", true)
        });
    r2d2::Pool::builder()
        // One more for the search index.
        .max_size(READERS + 1)
        .min_idle(Some(0))
        .test_on_check_out(false)
        .idle_timeout(Some(Duration::from_secs(60)))
        .thread_pool(threads)
        .error_handler(Box::new(r2d2::NopErrorHandler))
        .connection_timeout(Duration::from_secs(2))
        .build_unchecked(manager)
}

/// Opens a connection for a command that runs next to the service.
pub fn offline(path: &Path) -> Result<Connection, OpenError> {
    let problem = |error| OpenError(format!("cannot open the database {}: {error}", path.display()));
    let connection =
        Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE)).map_err(problem)?;
    connection.busy_timeout(Duration::from_secs(5)).map_err(problem)?;
    connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(problem)?;
    Ok(connection)
}

/// Disables SQLite's own mutexes: only one thread at a time uses a connection, so they would only
/// cost time.
fn flags(access: OpenFlags) -> OpenFlags {
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX
}
