//! Damage in the file: which errors are its signs, and how code deep in a query reports what it stepped over.
//!
//! A damaged row must cost itself and nothing else: whoever walks over rows notes the error here and goes on with the next.

use std::cell::RefCell;

use rusqlite::{Error, ErrorCode};

/// What to do about it, for errors and logs.
pub const ADVICE: &str = "stop the service, run `creel verify` to see what is damaged, and restore a backup or save what can still be read";

thread_local! {
    /// The first sign of damage since `take` was last called on this thread.
    static NOTED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Whether the error is a sign of damage: a page that SQLite cannot use, or a value that creel never writes.
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

/// Notes the damage at one place, for the caller that has the store at hand.
pub fn note(place: &str, error: &Error) {
    NOTED.with_borrow_mut(|noted| {
        noted.get_or_insert_with(|| format!("{place}: {error}"));
    });
}

/// What was noted on this thread, once.
pub fn take() -> Option<String> {
    NOTED.take()
}

/// `None` for a value that is damaged, which is noted; other errors stay errors.
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

/// The advice, for an error message at start; empty where the error is no sign of damage.
pub fn advice(error: &Error) -> String {
    if is_damage(error) { format!(". The file is damaged: {ADVICE}") } else { String::new() }
}
