//! Times as stored, for positions and limits in the order of an index.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

use crate::store::timestamp::Timestamp;

/// A stored time as its text, in any form. SQLite orders rows by this text, so a position must not
/// depend on whether a time that was edited by hand can be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimeText(Vec<u8>);

impl TimeText {
    /// The empty text: no other text sorts before it.
    pub const START: Self = Self(Vec::new());

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether the text sorts before `at`.
    pub fn is_before(&self, at: Timestamp) -> bool {
        self.as_bytes() < at.as_str().as_bytes()
    }

    /// Returns the time; `None` if it is unreadable.
    pub fn to_timestamp(&self) -> Option<Timestamp> {
        self.as_bytes().try_into().ok()
    }
}

impl From<Timestamp> for TimeText {
    fn from(at: Timestamp) -> Self {
        Self(at.as_str().into())
    }
}

impl From<Vec<u8>> for TimeText {
    fn from(text: Vec<u8>) -> Self {
        Self(text)
    }
}

impl ToSql for TimeText {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(&self.0)))
    }
}

impl FromSql for TimeText {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        value.as_bytes().map(|text| Self(text.into()))
    }
}
