//! One attempt of a delivery: its input and its result.

use std::time::Duration;

use crate::store::{DeliveryId, StoredMessage};

/// Input of an attempt.
#[derive(Clone, Copy, Debug)]
pub struct AttemptRequest<'a> {
    pub message: &'a StoredMessage,
    pub delivery: DeliveryId,
    /// Starts at 1.
    pub number: u32,
    /// `msg_<instance id>_<message id>`; the same for every attempt.
    pub webhook_id: &'a str,
    /// The target's name.
    pub target: &'a str,
    pub timeout: Duration,
}

/// Result of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptResult {
    pub verdict: AttemptVerdict,
    /// HTTP status or exit code; `None` without a response or an exit code.
    pub status: Option<i64>,
    /// A short description of the error, without secrets.
    pub error: Option<String>,
    /// Excerpt of the response body or of the output.
    pub excerpt: Option<String>,
}

/// Consequence for the delivery and its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptVerdict {
    Delivered,
    /// Retried by the schedule.
    Failed {
        /// Pause requested by the target.
        retry_after: Option<Duration>,
        /// Whether the failure counts against the target as a whole (no connection, no answer, 5xx,
        /// 429) and not only against this message.
        is_target_failing: bool,
    },
    /// A retry would not help.
    Final,
    /// The target accepts no further deliveries.
    Gone,
}

impl AttemptResult {
    /// Returns the result of an attempt without an answer.
    pub fn failed(error: impl Into<String>) -> Self {
        let verdict = AttemptVerdict::Failed { retry_after: None, is_target_failing: true };
        Self { verdict, status: None, error: Some(error.into()), excerpt: None }
    }
}
