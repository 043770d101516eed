//! Damage in the file: the errors that indicate it, and a way for code deep in a query to report
//! skipped rows.
//!
//! A damaged row must not affect others: code that scans rows notes the error here and continues
//! with the next.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rusqlite::types::FromSql;
use rusqlite::{Error, ErrorCode, Row, RowIndex};

use crate::store::stored_time::StoredTime;
use crate::store::timestamp::Timestamp;

/// Remedy, for errors and logs.
pub const ADVICE: &str = "stop the service, run `creel verify` to list the damage, and restore a backup or save the data that is still readable";

thread_local! {
    /// The first sign of damage since `take` was last called on this thread.
    static NOTED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Whether the error indicates damage: a page that SQLite cannot use, or a value that creel never
/// writes.
pub fn is_damage(error: &Error) -> bool {
    match error {
        Error::SqliteFailure(failure, _) => {
            matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        }
        Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::InvalidColumnType(..)
        | Error::Utf8Error(..) => true,
        _ => false,
    }
}

/// Notes damage at `place`. A caller with access to the store takes the note and reports it.
pub fn note(place: &str, error: &Error) {
    note_text(format!("{place}: {error}"));
}

/// Notes damage that SQLite does not report as an error.
pub fn note_text(what: String) {
    NOTED.with_borrow_mut(|noted| {
        noted.get_or_insert(what);
    });
}

/// Returns and clears the damage noted on this thread.
pub fn take() -> Option<String> {
    NOTED.take()
}

/// Notes an error that indicates damage and returns `None`; other errors stay errors.
pub fn skip<T>(place: &str, result: rusqlite::Result<T>) -> rusqlite::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_damage(&error) => {
            note(place, &error);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Reads a time or an optional time. An unreadable time, e.g. after a manual edit, becomes
/// `Timestamp::MAX`, so that the row stays available.
pub fn time<T: FromSql + From<Timestamp>>(
    table: &'static str,
    row: &Row<'_>,
    column: impl RowIndex,
) -> rusqlite::Result<T> {
    Ok(readable_time(table, row, column)?.unwrap_or_else(|| Timestamp::MAX.into()))
}

/// Reads a time or an optional time for display. An unreadable time keeps its text.
pub fn stored_time<T: FromSql + From<StoredTime>>(
    table: &'static str,
    row: &Row<'_>,
    column: impl RowIndex,
) -> rusqlite::Result<T> {
    let column = column.idx(row.as_ref())?;
    if let Some(at) = readable_time(table, row, column)? {
        return Ok(at);
    }
    let text = String::from_utf8_lossy(row.get_ref(column)?.as_bytes()?);
    Ok(StoredTime::Unreadable(text.into_owned()).into())
}

/// Reads the due time of a row; an unreadable time is due now. Queries sort rows by the stored
/// text, so a row whose text sorts at or before `now` is also due now. Otherwise a time that was
/// edited into another format would block the rows after it.
pub fn due_time(
    table: &'static str,
    row: &Row<'_>,
    column: usize,
    now: Timestamp,
) -> rusqlite::Result<Timestamp> {
    let at = readable_time(table, row, column)?.unwrap_or(now);
    let is_due = row.get_ref(column)?.as_bytes()? <= now.as_str().as_bytes();
    Ok(if is_due { at.min(now) } else { at })
}

/// Reads a time or an optional time. Logs an unreadable time and returns `None` for it. The file
/// itself is undamaged, so this is not noted as damage and `creel verify` does not list it.
pub fn readable_time<T: FromSql>(
    table: &'static str,
    row: &Row<'_>,
    column: impl RowIndex,
) -> rusqlite::Result<Option<T>> {
    let column = column.idx(row.as_ref())?;
    match row.get(column) {
        Ok(at) => Ok(Some(at)),
        Err(Error::FromSqlConversionFailure(..)) => {
            log_unreadable(table, row, column);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Maximum number of warnings about unreadable times.
const MAX_UNREADABLE_LOGGED: usize = 100;

/// Logs an unreadable time only once, because every read of its row finds it again. The row is
/// named if the query returns a column `id`.
fn log_unreadable(table: &'static str, row: &Row<'_>, column: usize) {
    static LOGGED: Mutex<BTreeSet<(&str, Option<i64>, String)>> = Mutex::new(BTreeSet::new());
    let id: Option<i64> = row.get("id").ok();
    let column = row.as_ref().column_name(column).unwrap_or_default();
    let mut logged = LOGGED.lock().unwrap_or_else(PoisonError::into_inner);
    if logged.len() < MAX_UNREADABLE_LOGGED && logged.insert((table, id, column.to_owned())) {
        log::warn!(
            "the time in the column {column} of {table}{} is unreadable; set it in the form 2026-01-31T23:59:59.123456Z",
            id.map(|id| format!(" {id}")).unwrap_or_default()
        );
    }
}

/// Returns advice to append to an error message, or an empty string.
pub fn advice(error: &Error) -> String {
    match error {
        _ if is_not_a_database(error) => advice_of_verify(error),
        _ if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) => {
            "; chown the file and its directory to the user that runs creel".to_owned()
        }
        _ if is_damage(error) => format!(". The file is damaged: {ADVICE}"),
        _ => String::new(),
    }
}

/// Like `advice`, but for errors of `creel verify`: does not recommend that command.
pub fn advice_of_verify(error: &Error) -> String {
    match error {
        _ if is_not_a_database(error) => {
            ". Set CREEL_DATABASE to creel's database. If this is creel's, its beginning is damaged: restore a backup".to_owned()
        }
        _ if is_damage(error) => {
            ". The file is damaged: restore a backup or save the readable data".to_owned()
        }
        _ => String::new(),
    }
}

fn is_not_a_database(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::NotADatabase)
}
