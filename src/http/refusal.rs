//! Why a request is not acknowledged, and what it is told.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use tokio::time::error::Elapsed;

use super::body::BodyError;
use super::fetches::NotReached;
use super::framing::Ambiguous;
use super::panics::Panicked;
use super::reply;
use super::source::Source;
use crate::providers::Cause;
use crate::store::{IngestError, Unavailable};

/// The ways off the way of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    MethodNotAllowed,
    Ambiguous,
    /// Answered in the provider's convention.
    Rejected(Cause),
    RateLimited(Duration),
    Body(BodyError),
    Unavailable(Unavailable),
    /// What authentication needs from the provider could not be had: whether the request is genuine is not known.
    NotReached,
    /// Our own mistake.
    Failed,
}

impl From<Ambiguous> for Refusal {
    fn from(_: Ambiguous) -> Self {
        Self::Ambiguous
    }
}

impl From<BodyError> for Refusal {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<IngestError> for Refusal {
    fn from(error: IngestError) -> Self {
        Self::Unavailable(error.unavailable())
    }
}

impl From<Unavailable> for Refusal {
    fn from(why: Unavailable) -> Self {
        Self::Unavailable(why)
    }
}

impl From<Elapsed> for Refusal {
    fn from(_: Elapsed) -> Self {
        Self::Unavailable(Unavailable::Deadline)
    }
}

impl From<NotReached> for Refusal {
    fn from(_: NotReached) -> Self {
        Self::NotReached
    }
}

impl From<Panicked> for Refusal {
    fn from(_: Panicked) -> Self {
        Self::Failed
    }
}

impl Refusal {
    pub fn reply(self, source: &Source) -> HttpResponse {
        match self {
            Self::NotFound => reply::not_found(),
            Self::MethodNotAllowed => reply::method_not_allowed(source.allow()),
            Self::Ambiguous | Self::Body(BodyError::Malformed | BodyError::Interrupted) => {
                reply::text_and_close(StatusCode::BAD_REQUEST, "Bad request.")
            }
            // Not the provider's convention for what is not genuine: that is not known.
            Self::Rejected(Cause::TooLarge) => reply::text(StatusCode::PAYLOAD_TOO_LARGE, "Body too large."),
            Self::Rejected(cause) => reply::of_provider(source.verifier().refused(cause)),
            Self::RateLimited(wait) => reply::too_many_requests(wait),
            Self::Body(BodyError::TooLarge) => {
                reply::text_and_close(StatusCode::PAYLOAD_TOO_LARGE, "Body too large.")
            }
            Self::Body(BodyError::TimedOut) => {
                reply::text_and_close(StatusCode::REQUEST_TIMEOUT, "Request timed out.")
            }
            Self::Body(BodyError::BudgetUsedUp) | Self::Unavailable(_) | Self::NotReached => {
                reply::unavailable()
            }
            Self::Failed => reply::internal_error(),
        }
    }

    /// Whether the wrong URL may have caused it, where the scheme signs that.
    pub fn may_concern_url(self) -> bool {
        matches!(self, Self::Rejected(cause) if cause_may_concern_url(cause))
    }

    /// Why the request was refused, for logs and metrics; nothing where it was none for a source, or ours to answer for.
    pub fn cause(self) -> Option<&'static str> {
        match self {
            Self::Rejected(cause) => Some(cause.name()),
            Self::RateLimited(_) => Some("rate_limited"),
            Self::MethodNotAllowed => Some("method_not_allowed"),
            Self::Ambiguous | Self::Body(BodyError::Malformed) => Some("malformed"),
            Self::Body(BodyError::TooLarge) => Some("too_large"),
            Self::Body(BodyError::TimedOut) => Some("timed_out"),
            Self::Body(BodyError::Interrupted) => Some("interrupted"),
            Self::Body(BodyError::BudgetUsedUp)
            | Self::NotFound
            | Self::Unavailable(_)
            | Self::NotReached
            | Self::Failed => None,
        }
    }

    /// Why a good request could not be taken now, for logs and metrics.
    pub fn unavailable_reason(self) -> Option<&'static str> {
        match self {
            Self::Unavailable(why) => Some(why.name()),
            Self::Body(BodyError::BudgetUsedUp) => Some("body_budget"),
            Self::NotReached => Some("provider_unreachable"),
            _ => None,
        }
    }
}

/// As `Refusal::may_concern_url`.
pub fn cause_may_concern_url(cause: Cause) -> bool {
    matches!(cause, Cause::SignatureMismatch | Cause::ClaimMismatch)
}
