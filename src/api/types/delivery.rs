//! Deliveries and their attempts, as clients see them.

use serde::{Deserialize, Serialize};

use super::words::Word;
use crate::store::{AttemptOutcome, DeliveryState};

/// The delivery of one message to one target.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Delivery {
    #[cfg_attr(test, schema(examples(7)))]
    pub id: i64,
    #[serde(default)]
    #[cfg_attr(test, schema(examples(42), required = true))]
    pub message_id: i64,
    /// Null if the message was deleted.
    #[cfg_attr(test, schema(examples("github.push")))]
    pub event: Option<String>,
    #[serde(default)]
    #[cfg_attr(test, schema(examples(3), required = true))]
    pub target_id: i64,
    /// The target's name.
    #[cfg_attr(test, schema(examples("billing")))]
    pub target: String,
    #[cfg_attr(test, schema(value_type = DeliveryState))]
    pub state: Word<DeliveryState>,
    /// Attempts so far.
    pub attempts: u32,
    #[serde(default)]
    #[cfg_attr(test, schema(format = DateTime, required = true))]
    pub created_at: String,
    /// Time of the next attempt, while the delivery is pending.
    #[cfg_attr(test, schema(format = DateTime))]
    pub due_at: Option<String>,
    /// Time at which the delivery succeeded or became dead.
    #[cfg_attr(test, schema(format = DateTime))]
    pub finished_at: Option<String>,
    /// Outcome of the last attempt, or the reason why the delivery is dead.
    pub outcome: Option<String>,
    /// The replay that created the delivery.
    pub replay_id: Option<i64>,
    /// The newest delivery of the message to the target, if the state is `replayed`.
    pub replayed_by: Option<i64>,
}

/// A delivery with its attempts.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct DeliveryWithAttempts {
    #[serde(flatten)]
    pub delivery: Delivery,
    /// Oldest first.
    pub tries: Vec<Attempt>,
}

/// One attempt of a delivery.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Attempt {
    /// Starts at 1.
    #[cfg_attr(test, schema(examples(1)))]
    pub number: u32,
    #[cfg_attr(test, schema(format = DateTime))]
    pub began_at: String,
    /// Time until the outcome, in milliseconds.
    pub took_ms: i64,
    #[cfg_attr(test, schema(value_type = AttemptOutcome))]
    pub outcome: Word<AttemptOutcome>,
    /// HTTP status or exit code; null without a response.
    #[cfg_attr(test, schema(examples(503)))]
    pub status: Option<i64>,
    /// The error, if there was no response.
    pub error: Option<String>,
    /// Beginning of the response or output; null for the read token.
    pub excerpt: Option<String>,
}
