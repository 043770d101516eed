//! Row ids. Each table has its own id type, so that ids of different tables cannot be confused.
//! Outside tests, an id comes from a row or from a client (as text or JSON), or it is `START`,
//! `END`, or the number before or after another id.

/// Declares id types, one for each table. Stored ids begin at 1; the default is `START`.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => { $(
        $(#[$doc])*
        #[derive(
            Clone,
            Copy,
            Debug,
            Default,
            PartialEq,
            Eq,
            PartialOrd,
            Ord,
            Hash,
            serde::Serialize,
            serde::Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(i64);

        impl $name {
            /// An id before every stored one.
            pub const START: Self = Self(0);
            /// An id after every stored one.
            pub const END: Self = Self(i64::MAX);

            /// Returns the id of a row that was just inserted.
            pub(in crate::store) const fn of_rowid(rowid: i64) -> Self {
                Self(rowid)
            }

            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                parse_digits(text).map(Self)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl rusqlite::ToSql for $name {
            fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
                self.0.to_sql()
            }
        }

        impl rusqlite::types::FromSql for $name {
            fn column_result(value: rusqlite::types::ValueRef<'_>) -> rusqlite::types::FromSqlResult<Self> {
                i64::column_result(value).map(Self)
            }
        }

        #[cfg(test)]
        impl From<i64> for $name {
            fn from(id: i64) -> Self {
                Self(id)
            }
        }

        #[cfg(test)]
        impl PartialEq<i64> for $name {
            fn eq(&self, id: &i64) -> bool {
                self.0 == *id
            }
        }
    )+ };
}

ids!(
    /// Id of a message.
    MessageId,
    /// Id of a target; a listener is a target.
    TargetId,
    /// Id of a delivery; not a provider's delivery id, which is text.
    DeliveryId,
    /// Id of a rejection.
    RejectionId,
    /// Id of a replay.
    ReplayId,
);

/// A text that is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("ids are whole numbers from 0 to 9223372036854775807, without a sign")]
pub struct IdError;

/// Parses an id without a sign; 0 is a position before all rows.
fn parse_digits(text: &str) -> Result<i64, IdError> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_plain).ok_or(IdError)
}

/// Returns the ids as a JSON array, for `json_each`.
pub fn ids_text(ids: &[MessageId]) -> String {
    serde_json::Value::from_iter(ids.iter().map(|id| id.get())).to_string()
}

impl MessageId {
    /// Returns the nearest lower id.
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }

    /// Returns the nearest higher id.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl RejectionId {
    /// Returns the nearest lower id.
    pub const fn previous(self) -> Self {
        Self(self.0.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_digits_without_sign() {
        for (text, id) in [("0", 0), ("42", 42), ("007", 7), ("9223372036854775807", i64::MAX)] {
            assert_eq!(text.parse(), Ok(MessageId(id)), "{text}");
        }
        for text in ["", "-1", "+1", " 1", "1.0", "a", "9223372036854775808"] {
            assert_eq!(text.parse::<MessageId>(), Err(IdError), "{text}");
        }
    }

    #[test]
    fn json_is_the_number() {
        let ids: Vec<MessageId> = serde_json::from_str("[1,7]").unwrap();
        assert_eq!(ids, [1, 7]);
        assert_eq!(serde_json::to_string(&ids).unwrap(), "[1,7]");
    }
}
