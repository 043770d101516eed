//! Damage in the file: the errors that indicate it, and a way for code deep in a query to report
//! skipped rows.
//!
//! A damaged row must not affect others: code that scans rows notes the error here and continues
//! with the next.

use std::cell::RefCell;

use rusqlite::types::FromSql;
use rusqlite::{Error, ErrorCode, Row, RowIndex};

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

/// Notes the damage at one place, for a caller with access to the store.
pub fn note(place: &str, error: &Error) {
    NOTED.with_borrow_mut(|noted| {
        noted.get_or_insert_with(|| format!("{place}: {error}"));
    });
}

/// Returns and clears the damage noted on this thread.
pub fn take() -> Option<String> {
    NOTED.take()
}

/// Notes a damaged value and returns `None`; other errors stay errors.
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

/// Reads a time, or an optional one. A damaged one, e.g. after a manual edit, is noted and becomes
/// the latest time, so that the row stays available and does not expire.
pub fn time<T: FromSql + From<Timestamp>>(
    place: &str,
    row: &Row<'_>,
    column: impl RowIndex,
) -> rusqlite::Result<T> {
    Ok(skip(place, row.get(column))?.unwrap_or_else(|| Timestamp::MAX.into()))
}

/// Returns the advice for an error message at start; empty if it does not apply.
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

/// Returns the advice for `creel verify` itself.
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
