//! Row ids. Each table has its own id type, so that ids of different tables cannot be confused.

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

            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl From<i64> for $name {
            fn from(id: i64) -> Self {
                Self(id)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_the_number() {
        let ids: Vec<MessageId> = serde_json::from_str("[1,7]").unwrap();
        assert_eq!(ids, [1, 7]);
        assert_eq!(serde_json::to_string(&ids).unwrap(), "[1,7]");
    }
}
