//! The reasons for not acknowledging a webhook, and the reply for each.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use crate::http::body::BodyError;
use crate::http::framing::AmbiguousFraming;
use crate::http::panics::HandlerPanic;
use crate::http::reply;
use crate::ingest::provider_reply::provider_reply;
use crate::providers::Cause;
use crate::store::{IngestError, Unavailable};
use crate::verification::{ProviderUnreachable, Source, VerificationError, cause_may_concern_url};

/// Reason not to acknowledge a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveError {
    NotFound,
    MethodNotAllowed,
    Ambiguous,
    /// The request was rejected. The reply follows the provider's convention.
    Rejected(Cause),
    RateLimited(Duration),
    Body(BodyError),
    Unavailable(Unavailable),
    /// A key, certificate or URL of the provider is unavailable, so the request could not be
    /// verified.
    ProviderUnreachable,
    /// A bug.
    Failed,
}

impl From<AmbiguousFraming> for ReceiveError {
    fn from(_: AmbiguousFraming) -> Self {
        Self::Ambiguous
    }
}

impl From<BodyError> for ReceiveError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<IngestError> for ReceiveError {
    fn from(error: IngestError) -> Self {
        Self::Unavailable(error.unavailable())
    }
}

impl From<Unavailable> for ReceiveError {
    fn from(why: Unavailable) -> Self {
        Self::Unavailable(why)
    }
}

impl From<ProviderUnreachable> for ReceiveError {
    fn from(_: ProviderUnreachable) -> Self {
        Self::ProviderUnreachable
    }
}

impl From<VerificationError> for ReceiveError {
    fn from(error: VerificationError) -> Self {
        match error {
            VerificationError::Unavailable(why) => Self::Unavailable(why),
            VerificationError::NoRoom => Self::Body(BodyError::BudgetUsedUp),
            VerificationError::NotReached => Self::ProviderUnreachable,
            VerificationError::Failed => Self::Failed,
        }
    }
}

impl From<HandlerPanic> for ReceiveError {
    fn from(_: HandlerPanic) -> Self {
        Self::Failed
    }
}

impl ReceiveError {
    pub fn reply(self, source: &Source) -> HttpResponse {
        match self {
            Self::NotFound => reply::not_found(),
            Self::MethodNotAllowed => reply::method_not_allowed(source.allow()),
            Self::Ambiguous | Self::Body(BodyError::Malformed | BodyError::Interrupted) => {
                reply::text_and_close(StatusCode::BAD_REQUEST, "Bad request.")
            }
            // The request was not verified, so the provider's reply to a failed verification would
            // be wrong.
            Self::Rejected(Cause::TooLarge) => reply::text(StatusCode::PAYLOAD_TOO_LARGE, "Body too large."),
            Self::Rejected(cause) => provider_reply(source.verifier().rejection_reply(cause)),
            Self::RateLimited(wait) => reply::too_many_requests(wait),
            Self::Body(BodyError::TooLarge) => {
                reply::text_and_close(StatusCode::PAYLOAD_TOO_LARGE, "Body too large.")
            }
            Self::Body(BodyError::TimedOut) => {
                reply::text_and_close(StatusCode::REQUEST_TIMEOUT, "Request timed out.")
            }
            Self::Body(BodyError::BudgetUsedUp) | Self::Unavailable(_) | Self::ProviderUnreachable => {
                reply::unavailable()
            }
            Self::Failed => reply::internal_error(),
        }
    }

    /// Whether a wrong URL can be the cause of the rejection, if the scheme signs the URL.
    pub fn may_concern_url(self) -> bool {
        matches!(self, Self::Rejected(cause) if cause_may_concern_url(cause))
    }

    /// Returns the cause of the rejection, for logs and metrics; `None` if the path matched no
    /// source, or if the request was not at fault.
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
            | Self::ProviderUnreachable
            | Self::Failed => None,
        }
    }

    /// Returns the reason for a 503 reply, for logs and metrics; `None` for any other reply.
    pub fn unavailable_reason(self) -> Option<&'static str> {
        match self {
            Self::Unavailable(why) => Some(why.name()),
            Self::Body(BodyError::BudgetUsedUp) => Some("body_budget"),
            Self::ProviderUnreachable => Some("provider_unreachable"),
            _ => None,
        }
    }
}
