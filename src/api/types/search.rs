//! The search index, as clients see it.

use serde::{Deserialize, Serialize};

/// State of the search index.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct SearchStatus {
    pub state: SearchState,
    /// Reason for the states `waiting` and `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(examples("free disk space is close to CREEL_MIN_FREE")))]
    pub reason: Option<String>,
    /// Messages up to this id are indexed, except for gaps, which `lag_messages` includes. Absent,
    /// like all further fields, if the index is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(examples(4200)))]
    pub indexed_through: Option<i64>,
    /// Id of the newest message; 0 without messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(examples(4213)))]
    pub newest: Option<i64>,
    /// Number of messages that are not indexed, counted by ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(examples(13)))]
    pub lag_messages: Option<u64>,
    /// Number of indexed messages, including messages that were deleted since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(examples(4200)))]
    pub messages: Option<u64>,
    /// Size of the index on disk, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(examples(1_261_568)))]
    pub bytes: Option<u64>,
    /// Number of parts, each for a range of messages, that are deleted as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(examples(1)))]
    pub generations: Option<u64>,
}

impl SearchStatus {
    /// The status without an index.
    pub fn off() -> Self {
        Self {
            state: SearchState::Off,
            reason: None,
            indexed_through: None,
            newest: None,
            lag_messages: None,
            messages: None,
            bytes: None,
            generations: None,
        }
    }
}

/// Activity of the search index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum SearchState {
    /// All messages are indexed, except for those of about the last second.
    Ready,
    /// Messages are being indexed.
    Indexing,
    /// It waits, e.g. for free disk space.
    Waiting,
    /// Its file cannot be used; creel retries.
    Failed,
    /// `CREEL_SEARCH` is `off`.
    Off,
}
