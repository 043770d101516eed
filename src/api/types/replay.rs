//! Replays, as clients request and see them.

use serde::{Deserialize, Serialize};

use super::message::MessageSelection;
#[cfg(test)]
use super::schemas;
use super::words::Word;
use crate::store::{MessageId, ReplayState, TargetId, TargetState};

/// A replay of many messages.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Replay {
    #[cfg_attr(test, schema(examples(5)))]
    pub id: i64,
    #[cfg_attr(test, schema(format = DateTime, examples("2026-11-22T14:31:00.000000Z")))]
    pub created_at: String,
    pub filter: ReplayFilter,
    /// Null: the targets that match each message when it is replayed; with the filter `dead`, the
    /// targets for which each message is dead.
    pub target_id: Option<i64>,
    /// Messages per second.
    #[cfg_attr(test, schema(examples(50)))]
    pub rate: u32,
    #[cfg_attr(test, schema(value_type = ReplayState))]
    pub state: Word<ReplayState>,
    /// Id of the last message that was processed.
    pub position: i64,
    /// Upper bound of the selected message ids.
    pub through: i64,
    /// Number of messages replayed.
    pub messages: i64,
    /// Number of deliveries created.
    pub deliveries: i64,
    #[cfg_attr(test, schema(format = DateTime))]
    pub updated_at: String,
}

/// The selected messages, with durations resolved to times.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct ReplayFilter {
    /// The ids of the messages; empty if the other fields select them.
    pub ids: Vec<i64>,
    #[cfg_attr(test, schema(format = DateTime))]
    pub since: Option<String>,
    #[cfg_attr(test, schema(format = DateTime))]
    pub until: Option<String>,
    pub source: Option<String>,
    pub event: Option<String>,
    pub owner: Option<String>,
    /// The query, including the field `text` of the request as a quoted text. Null for the read
    /// token.
    #[serde(default)]
    #[cfg_attr(test, schema(examples("event:push -is:delivered"), required = true))]
    pub q: Option<String>,
    pub dead: bool,
}

/// A target id or name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "must be the id or the name of a target")]
pub enum TargetReference {
    Id(TargetId),
    Name(String),
}

/// The messages to replay, by filter or ids, and their destination. Without `confirm` they are only
/// counted.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// `{}` for all messages.
    pub filter: Option<MessageSelection>,
    /// Ids of messages, instead of a filter.
    #[cfg_attr(test, schema(schema_with = schemas::ids_or_null, required = false))]
    pub ids: Option<Vec<MessageId>>,
    /// The target that receives the selected messages that pass its filter; its event patterns are
    /// ignored. With the filter `dead`, only its dead letters are replayed. Without `target` and
    /// `url`, the messages go to the targets that currently match them; with the filter `dead`,
    /// each message goes to the targets for which it is dead.
    #[cfg_attr(test, schema(schema_with = schemas::target_or_null, required = false))]
    pub target: Option<TargetReference>,
    /// Another destination, on a public address or one allowed by `CREEL_TARGET_ALLOW_IPS`. The
    /// requests are not signed.
    #[cfg_attr(test, schema(max_length = 2000, examples("https://staging.example.com/hooks")))]
    pub url: Option<String>,
    /// Messages per second.
    #[cfg_attr(test, schema(minimum = 1, maximum = 10_000, default = 50))]
    pub rate: Option<u32>,
    /// Upper bound of the selected message ids: `through` from the count. Later messages are
    /// excluded.
    #[cfg_attr(test, schema(value_type = Option<i64>, minimum = 0))]
    pub through: Option<MessageId>,
    /// The number from the count. The replay starts only if it is unchanged.
    #[cfg_attr(test, schema(minimum = 0))]
    pub confirm: Option<u64>,
}

/// The number of messages to replay. To start, send the same request with `confirm` and `through`.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct ReplayCount {
    #[cfg_attr(test, schema(examples(120)))]
    pub count: u64,
    #[cfg_attr(test, schema(examples(120)))]
    pub confirm: u64,
    /// Id of the newest message that was counted.
    #[cfg_attr(test, schema(examples(4711)))]
    pub through: i64,
    pub filter: ReplayFilter,
    /// Dead letters of each target, for the filter `dead`.
    pub dead_letters: Vec<DeadLetters>,
}

/// Dead letters of one target.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct DeadLetters {
    #[cfg_attr(test, schema(examples(3)))]
    pub target_id: i64,
    /// The target's name.
    #[cfg_attr(test, schema(examples("billing")))]
    pub target: String,
    /// State of the target. Replayed deliveries to a paused or disabled target stay pending until
    /// it is resumed.
    #[cfg_attr(test, schema(value_type = TargetState))]
    pub target_state: Word<TargetState>,
    #[cfg_attr(test, schema(examples(12)))]
    pub deliveries: u64,
    /// False if the target was removed: its dead letters are excluded. Use `url` to deliver them
    /// elsewhere.
    pub replayable: bool,
}

/// The destination of one replayed message; default: the targets that currently match it. A target
/// that is given here receives the message regardless of its event patterns and filter.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct ReplayOne {
    #[cfg_attr(test, schema(schema_with = schemas::target_or_null, required = false))]
    pub target: Option<TargetReference>,
    /// Another destination, on a public address or one allowed by `CREEL_TARGET_ALLOW_IPS`. The
    /// request is not signed.
    #[cfg_attr(test, schema(max_length = 2000, examples("https://staging.example.com/hooks")))]
    pub url: Option<String>,
}

/// The deliveries created for a replayed message.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = Replayed))]
pub struct ReplayedMessage {
    #[serde(default)]
    #[cfg_attr(test, schema(examples(42), required = true))]
    pub message_id: i64,
    /// Empty if no target subscribes to the message.
    #[cfg_attr(test, schema(examples(json!([7]))))]
    pub delivery_ids: Vec<i64>,
}
