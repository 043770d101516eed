//! Listeners, and the items of the event streams.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::message::MessageHead;
use crate::store::DeliveryId;

/// A program that receives messages over a stream.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Listener {
    #[cfg_attr(test, schema(examples("laptop")))]
    pub name: String,
    /// Its target.
    #[cfg_attr(test, schema(examples(3)))]
    pub target_id: i64,
    /// Patterns of the events that it receives.
    pub events: Vec<String>,
    /// Whether a client is connected.
    pub connected: bool,
    /// Time of the last change of `connected`. After a week without a client, pending deliveries
    /// older than a week are dropped.
    #[cfg_attr(test, schema(format = DateTime))]
    pub since: String,
    /// Deliveries that are not acknowledged.
    pub pending: i64,
    #[cfg_attr(test, schema(format = DateTime))]
    pub created_at: String,
}

/// Deliveries that have reached their program.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Acknowledgement {
    /// Delivery ids.
    #[cfg_attr(test, schema(value_type = Vec<i64>, min_items = 1, max_items = 1000))]
    pub deliveries: Vec<DeliveryId>,
    /// The program's responses to some of them, stored for inspection.
    #[serde(default)]
    #[cfg_attr(test, schema(max_items = 1000))]
    pub answers: Vec<ProgramAnswer>,
}

/// The response of a program. Any status completes the delivery.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, schema(as = Answer))]
pub struct ProgramAnswer {
    /// One of `deliveries`.
    #[cfg_attr(test, schema(value_type = i64))]
    pub delivery: DeliveryId,
    /// The HTTP status.
    #[cfg_attr(test, schema(minimum = 100, maximum = 999))]
    pub status: u16,
    /// Time until the response, in milliseconds.
    #[cfg_attr(test, schema(minimum = 0, maximum = 86_400_000))]
    pub took_ms: u64,
    /// Beginning of the response body; cut after 1024 characters.
    pub excerpt: Option<String>,
}

/// The result of an acknowledgement.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = Acknowledged))]
pub struct AcknowledgementResult {
    /// Number of the given deliveries that were still pending.
    #[serde(default)]
    #[cfg_attr(test, schema(required = true))]
    pub acknowledged: usize,
}

/// A delivery as a listener receives it: the data of a `message` event.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = Delivered))]
pub struct ListenerDelivery {
    /// The id to acknowledge.
    #[cfg_attr(test, schema(value_type = i64))]
    pub delivery: DeliveryId,
    /// The replay that created the delivery.
    pub replay: Option<i64>,
    pub message: DeliveredMessage,
    /// The exact bytes of the body in base64; null if longer than 256 KiB.
    pub body_base64: Option<String>,
    /// Address of a longer body, valid until the delivery is acknowledged.
    #[cfg_attr(test, schema(examples("/api/v1/listeners/laptop/deliveries/7/body")))]
    pub body_url: Option<String>,
}

/// A message without its body.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct DeliveredMessage {
    #[serde(flatten)]
    pub head: MessageHead,
    /// Header names with their value, or values if repeated; credentials are redacted. A value that
    /// is not UTF-8 is shown as Latin-1 after the character U+001A.
    #[cfg_attr(test, schema(value_type = Object))]
    pub headers: Box<RawValue>,
}

/// The first event of a listener's stream, `listening`.
#[derive(Debug, Serialize, Deserialize)]
pub struct GreetingEvent {
    /// The listener.
    pub name: String,
    /// Whether this connection created the listener.
    pub is_new: bool,
    /// Deliveries that are not acknowledged.
    pub pending: i64,
}

/// The last event of a listener's stream, `replaced` or `removed`.
#[derive(Debug, Serialize, Deserialize)]
pub struct FarewellEvent {
    /// The listener.
    pub name: String,
}

/// The first event of the live stream, `watching`.
#[derive(Debug, Serialize, Deserialize)]
pub struct WatchingEvent {
    /// Messages after this id follow.
    pub from: i64,
}
