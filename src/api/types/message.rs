//! Messages, as clients see them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::delivery::Delivery;
#[cfg(test)]
use super::schemas;
use super::words::Word;
use crate::store::ConfirmationState;

/// A message without its content.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct MessageHead {
    #[cfg_attr(test, schema(examples(42)))]
    pub id: i64,
    /// Time at which the last byte arrived.
    #[cfg_attr(test, schema(format = DateTime, examples("2026-11-22T14:31:00.000000Z")))]
    pub received_at: String,
    /// The configured sender; `emitted` for events of the user's own app.
    #[cfg_attr(test, schema(examples("github")))]
    pub source: String,
    #[cfg_attr(test, schema(examples("github.push")))]
    pub event: String,
    /// Owner of an emitted event.
    pub owner: Option<String>,
    /// The provider's delivery id.
    #[cfg_attr(test, schema(examples("72d3162e-cc78-11e3-81ab-4c9367dc0958")))]
    pub delivery_id: Option<String>,
    #[cfg_attr(test, schema(examples("POST")))]
    pub method: String,
    /// The query of the request; tokens are redacted. Null for the read token.
    pub query: Option<String>,
    #[cfg_attr(test, schema(examples("192.0.2.7")))]
    pub remote_ip: String,
    /// SHA-256 of the exact body, in hex. Null for the read token, which could confirm a guessed
    /// body with it.
    pub body_sha256: Option<String>,
    /// Length of the exact body.
    pub body_bytes: i64,
    /// The body is not empty and could not be parsed.
    pub not_json: bool,
    /// Reason why the body could not be parsed, so that filters were not evaluated: `empty`,
    /// `not_json` (neither JSON nor a form that is parsed for this provider; multipart forms are
    /// parsed for few), `too_deep` (more than 127 levels), `form_too_large`, `unknown_charset`,
    /// `malformed_text`, `unknown_coding` (neither gzip nor deflate), `malformed_coding`,
    /// `expands_too_much` or `older_version` (stored before reasons were recorded; filters may have
    /// been evaluated on receipt, but not by replays). Null if it was parsed.
    #[cfg_attr(test, schema(examples("too_deep")))]
    pub unreadable: Option<String>,
    /// The sender's credentials do not cover the body.
    pub body_unsigned: bool,
    /// Whether it was released from quarantine without verification.
    pub unverified: bool,
    /// Time of its release from quarantine, which starts its retention; null for other messages.
    #[cfg_attr(test, schema(format = DateTime))]
    pub released_at: Option<String>,
    /// The message with the same delivery id and another body.
    pub conflict_of: Option<i64>,
    /// Number of duplicates received.
    pub duplicates: i64,
    #[cfg_attr(test, schema(format = DateTime))]
    pub last_duplicate_at: Option<String>,
    /// State of the confirmation; null if the provider's API is not queried.
    #[cfg_attr(test, schema(examples("confirmed")))]
    pub confirmation: Option<String>,
}

/// A message in a list, with the number of its deliveries.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct ListedMessage {
    #[serde(flatten)]
    pub head: MessageHead,
    #[serde(default)]
    #[cfg_attr(test, schema(required = true))]
    pub delivery_counts: DeliveryNumbers,
}

/// The deliveries of a message by state, without those to listeners. At most the newest 1,000 of a
/// message are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = DeliveryCounts))]
pub struct DeliveryNumbers {
    #[cfg_attr(test, schema(examples(1)))]
    pub delivered: u32,
    /// Deliveries whose first attempt has not finished.
    #[cfg_attr(test, schema(examples(0)))]
    pub pending: u32,
    /// Pending deliveries whose last attempt failed.
    #[cfg_attr(test, schema(examples(0)))]
    pub failed: u32,
    /// Dead letters: deliveries that failed permanently and were not replayed.
    #[cfg_attr(test, schema(examples(0)))]
    pub dead: u32,
}

/// A message with all its details.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Message {
    #[serde(flatten)]
    pub head: MessageHead,
    /// The query to the provider's API and its result.
    pub confirmation_details: Option<Confirmation>,
    /// Its newest deliveries, at most 200.
    pub deliveries: Vec<Delivery>,
    /// Null for the read token.
    pub content: Option<ReceivedContent>,
}

/// The content of a message, as received.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = MessageContent))]
pub struct ReceivedContent {
    /// Header names with their value, or values if repeated; credentials are redacted. A value that
    /// is not UTF-8 is shown as Latin-1 after the character U+001A.
    #[cfg_attr(test, schema(value_type = Object))]
    pub headers: Box<RawValue>,
    /// The body as JSON (decompressed), or the form as JSON. Null if it is neither, or longer than
    /// 1 MiB.
    #[cfg_attr(test, schema(value_type = Value))]
    pub payload: Option<Box<RawValue>>,
    /// The payload is longer than 1 MiB and omitted: download the body.
    #[serde(default)]
    #[cfg_attr(test, schema(required = true))]
    pub payload_left_out: bool,
}

/// The state of a query to the provider's API.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Confirmation {
    #[cfg_attr(test, schema(value_type = ConfirmationState))]
    pub state: Word<ConfirmationState>,
    pub tries: u32,
    /// Time of the next query, while the confirmation is pending.
    #[cfg_attr(test, schema(format = DateTime))]
    pub due_at: Option<String>,
    #[cfg_attr(test, schema(format = DateTime))]
    pub settled_at: Option<String>,
    /// The provider's last answer. Null for the read token.
    pub reason: Option<String>,
}

/// Filters that select messages. A message must match all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, schema(as = Selection))]
pub struct MessageSelection {
    #[cfg_attr(test, schema(schema_with = schemas::name_or_null, required = false))]
    pub source: Option<String>,
    /// A pattern: `*` matches any characters.
    #[cfg_attr(test, schema(schema_with = schemas::pattern_or_null, required = false))]
    pub event: Option<String>,
    /// Received at or after: a time such as `2026-11-22T14:31:00Z`, or an age such as `2h`.
    #[cfg_attr(test, schema(schema_with = schemas::time_or_null, required = false))]
    pub since: Option<String>,
    /// Received before: same format as `since`.
    #[cfg_attr(test, schema(schema_with = schemas::time_or_null, required = false))]
    pub until: Option<String>,
    /// A query such as `event:push .amount:>100`, see docs/search.md.
    #[serde(default)]
    #[cfg_attr(test, schema(schema_with = schemas::query_or_null, required = false))]
    pub q: Option<String>,
    /// Exact text to find in the body, the query or the value of a header: the same as a quoted
    /// text in `q`.
    #[cfg_attr(test, schema(min_length = 1, max_length = 1000))]
    pub text: Option<String>,
    /// Owner of emitted events.
    #[cfg_attr(test, schema(schema_with = schemas::name_or_null, required = false))]
    pub owner: Option<String>,
    /// True selects messages with a dead letter: a delivery that is dead and was not replayed.
    pub dead: Option<bool>,
}
