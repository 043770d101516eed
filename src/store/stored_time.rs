//! Times for display. An unreadable time is shown as stored.

use std::fmt;

use rusqlite::types::{FromSql, FromSqlResult, ValueRef};

use crate::store::timestamp::Timestamp;

/// A time read from the database, for display.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredTime {
    Readable(Timestamp),
    /// The stored text, e.g. after a manual edit.
    Unreadable(String),
}

impl StoredTime {
    /// Returns the time; `None` if it is unreadable.
    pub fn to_timestamp(&self) -> Option<Timestamp> {
        match self {
            Self::Readable(at) => Some(*at),
            Self::Unreadable(_) => None,
        }
    }
}

impl fmt::Display for StoredTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Readable(at) => at.fmt(f),
            Self::Unreadable(text) => f.pad(text),
        }
    }
}

impl From<Timestamp> for StoredTime {
    fn from(at: Timestamp) -> Self {
        Self::Readable(at)
    }
}

/// Unreadable text is an error, so that `damage::stored_time` logs it.
impl FromSql for StoredTime {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Timestamp::column_result(value).map(Self::Readable)
    }
}
