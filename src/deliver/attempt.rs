//! One try of a delivery: what is known of it before, and what came of it.

use std::time::Duration;

use crate::store::StoredMessage;

/// What an attempt is about.
#[derive(Clone, Copy, Debug)]
pub struct AttemptRequest<'a> {
    pub message: &'a StoredMessage,
    pub delivery: i64,
    /// From 1 on.
    pub number: u32,
    /// `msg_<instance id>_<message id>`: the same for every attempt.
    pub webhook_id: &'a str,
    /// The target's name.
    pub target: &'a str,
    pub timeout: Duration,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptResult {
    pub verdict: AttemptVerdict,
    /// HTTP status or exit code; `None` without an answer.
    pub status: Option<i64>,
    /// What went wrong, in a few words, without a secret.
    pub error: Option<String>,
    /// How the answer or output began.
    pub excerpt: Option<String>,
}

/// What that means for the delivery and its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptVerdict {
    Delivered,
    /// Tried again by the schedule.
    Failed {
        /// The target asked for this pause.
        retry_after: Option<Duration>,
        /// Whether it speaks against the target as a whole (no connection, no answer, 5xx, 429), not this message alone.
        is_target_ill: bool,
    },
    /// Trying again would not help.
    Final,
    /// The target wants nothing any more.
    Gone,
}

impl AttemptResult {
    /// No answer at all.
    pub fn failed(error: impl Into<String>) -> Self {
        let verdict = AttemptVerdict::Failed { retry_after: None, is_target_ill: true };
        Self { verdict, status: None, error: Some(error.into()), excerpt: None }
    }
}
