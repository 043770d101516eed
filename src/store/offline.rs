//! Database access for commands. It does not open the store, because the service may be using the
//! database.

use std::path::Path;

use time::OffsetDateTime;

use rusqlite::{Connection, OpenFlags};

use crate::store::error::OpenError;
use crate::store::files::lock::InstanceLock;
use crate::store::id::TargetId;
use crate::store::options::StoreOptions;
use crate::store::seal::key;
use crate::store::setting::{self, Sealing};
use crate::store::stored_time::StoredTime;
use crate::store::target::settings::{TargetKind, TargetState};
use crate::store::timestamp::Timestamp;
use crate::store::{connection, continuity, damage, open, schema};

/// A target that is paused or disabled, or a listener that is not connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleTarget {
    pub id: TargetId,
    pub name: String,
    pub kind: TargetKind,
    pub state: TargetState,
    pub state_since: StoredTime,
    pub state_reason: Option<String>,
    pub pending: u64,
    /// Whether its secrets were dropped with a lost key, so that it needs a new secret before it
    /// can be resumed.
    pub needs_secret: bool,
}

/// Returns the paused and disabled targets without changing the database; an empty list if the
/// database does not exist or SQLite cannot read it.
///
/// # Errors
/// If the files cannot be compared or do not match the last run.
pub fn idle_targets_offline(path: &Path) -> Result<Vec<IdleTarget>, OpenError> {
    let read = || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        let mut statement = connection.prepare(
            "SELECT name, kind, state, state_since, state_reason,
               (SELECT count(*) FROM deliveries WHERE target_id = targets.id AND state = 'pending'),
               kind = 'http' AND origin = 'api' AND sealed_secrets IS NULL, id
             FROM targets WHERE state IN ('paused', 'disabled') ORDER BY id",
        )?;
        let rows = statement.query_map([], |row| {
            Ok(IdleTarget {
                name: row.get(0)?,
                kind: row.get(1)?,
                state: row.get(2)?,
                state_since: damage::stored_time("targets", row, 3)?,
                state_reason: row.get(4)?,
                pending: row.get(5)?,
                needs_secret: row.get(6)?,
                id: row.get(7)?,
            })
        })?;
        rows.collect::<rusqlite::Result<Vec<_>>>()
    };
    continuity::check_together(path)?;
    // Problems with reading the database are ignored here, because the start reports them.
    Ok(if path.exists() { read().unwrap_or_default() } else { Vec::new() })
}

/// Writes a setting, even while the service runs; the service reads it on next use.
///
/// # Errors
/// If the database does not exist yet, is not creel's, does not match the last run, or cannot be
/// written.
pub fn write_setting_offline(
    path: &Path,
    name: &str,
    value: &str,
    now: OffsetDateTime,
) -> Result<(), OpenError> {
    continuity::check(path)?;
    let connection = connection::offline(path)?;
    schema::check_ours(&connection)?;
    setting::write(&connection, name, value, Sealing::Plain, Timestamp::from(now))
        .map_err(|error| OpenError(format!("cannot write to the database {}: {error}", path.display())))
}

/// Whether an instance is running on the database.
pub fn is_in_use(path: &Path) -> Result<bool, OpenError> {
    Ok(InstanceLock::try_take(path)?.is_none())
}

/// Reads a sealed setting, even while the service runs.
///
/// # Errors
/// If the database does not exist yet, is not creel's, does not match the last run, or cannot be
/// read, or if the key is missing or is not the one that sealed the setting.
pub fn secret_offline(options: &StoreOptions, name: &str) -> Result<Option<String>, OpenError> {
    continuity::check(&options.path)?;
    let connection = connection::offline(&options.path)?;
    schema::check_ours(&connection)?;
    let stored = setting::read(&connection, name).map_err(|error| {
        OpenError(format!("cannot read the database {}: {error}", options.path.display()))
    })?;
    let Some((sealed, _)) = stored else { return Ok(None) };
    let sealer = key::sealer_of(options, &open::absolute(&options.path)?, &connection)?;
    let plain = sealer.open(name, &sealed).ok().and_then(|plain| String::from_utf8(plain).ok());
    plain
        .map(Some)
        .ok_or_else(|| OpenError("the secret was sealed under another CREEL_KEY or key file".to_owned()))
}
