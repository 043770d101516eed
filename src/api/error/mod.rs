//! Errors of the API: RFC 9457 problems, each with a status and a machine-readable code. A problem
//! must never reveal more than the mistake in the request.

use std::time::Duration;

use actix_http::ConnectionType;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpResponse, ResponseError};

use super::types::problem::ProblemDetails;
use crate::http::attempts::{self, UncheckedToken};
use crate::http::body::BodyError;
use crate::http::framing::AmbiguousFraming;
use crate::operate::{Problem, ProblemClass};
use crate::store::Unavailable;

pub const MEDIA_TYPE: &str = "application/problem+json";
/// `Retry-After` of every 503 response.
const UNAVAILABLE_RETRY_AFTER: Duration = Duration::from_secs(5);

/// All errors that the API returns.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApiError {
    #[error(
        "Send the admin token, the read token or, for listeners, the listener token: \
         `Authorization: Bearer <token>`."
    )]
    Unauthorized,
    #[error("Too many wrong tokens: retry after the time in `Retry-After`.")]
    TooManyAttempts,
    /// An operation that the read token does not allow.
    #[error("The read token does not allow {0}. Use the admin token.")]
    Forbidden(&'static str),
    /// The read token on a listener route.
    #[error(
        "The read token cannot listen, because listeners receive whole messages and acknowledge them. \
         Use the listener token (CREEL_LISTENER_TOKEN of the service) or the admin token."
    )]
    NotListening,
    /// The listener token on any other route.
    #[error("The listener token allows only `/listeners`. Use the read token or the admin token.")]
    OnlyListening,
    #[error("This path does not exist; `/api/v1/openapi.json` lists all paths.")]
    NoSuchPath,
    #[error("This id does not exist: ids are whole numbers of at least 1.")]
    NoSuchId,
    /// The methods that the path accepts.
    #[error("This path accepts {0}.")]
    MethodNotAllowed(String),
    #[error("The name in the path must be 1 to 64 characters long and contain only `a-z0-9-`.")]
    InvalidListenerName,
    #[error("{0}")]
    InvalidQuery(String),
    #[error("{0}")]
    InvalidHeader(String),
    #[error("{0}")]
    InvalidBody(String),
    #[error("Send JSON, with `Content-Type: application/json`.")]
    UnsupportedMediaType,
    /// The problem with a body that is not plain UTF-8, such as `is in UTF-16 or UTF-32`.
    #[error("The body {0}. Send JSON in UTF-8 without a content coding.")]
    UnsupportedEncoding(&'static str),
    #[error("{}", of_body(*.0))]
    Body(BodyError),
    #[error("The request is not valid HTTP/1.1.")]
    Ambiguous,
    #[error("There are already {0} streams, which is the limit: close one, then retry.")]
    TooManyStreams(usize),
    /// A stream would end immediately.
    #[error("The service is stopping: reconnect after the time in `Retry-After`.")]
    Stopping,
    #[error(transparent)]
    Operation(#[from] Problem),
    /// A bug in creel.
    #[error("Internal error; the log has the details.")]
    Internal,
}

/// The code of a response's problem, for the log.
#[derive(Clone, Copy, Debug)]
pub struct ProblemCode(pub &'static str);

impl ApiError {
    /// Returns the machine-readable code.
    pub fn code(&self) -> &'static str {
        self.row().1
    }

    pub fn status(&self) -> StatusCode {
        self.row().0
    }

    fn row(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized"),
            Self::TooManyAttempts => (StatusCode::TOO_MANY_REQUESTS, "too_many_attempts"),
            Self::Forbidden(_) | Self::NotListening | Self::OnlyListening => {
                (StatusCode::FORBIDDEN, "forbidden")
            }
            Self::NoSuchPath => (StatusCode::NOT_FOUND, "no_such_path"),
            Self::NoSuchId => (StatusCode::NOT_FOUND, "not_found"),
            Self::MethodNotAllowed(_) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::InvalidListenerName => (StatusCode::BAD_REQUEST, "invalid_path"),
            Self::InvalidQuery(_) => (StatusCode::BAD_REQUEST, "invalid_query"),
            Self::InvalidHeader(_) => (StatusCode::BAD_REQUEST, "invalid_header"),
            Self::InvalidBody(_) => (StatusCode::BAD_REQUEST, "invalid_body"),
            Self::UnsupportedMediaType | Self::UnsupportedEncoding(_) => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type")
            }
            Self::Body(BodyError::TooLarge) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::Body(BodyError::TimedOut) => (StatusCode::REQUEST_TIMEOUT, "body_timed_out"),
            Self::Body(BodyError::BudgetUsedUp) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Self::Body(BodyError::Malformed | BodyError::Interrupted) | Self::Ambiguous => {
                (StatusCode::BAD_REQUEST, "malformed_request")
            }
            Self::TooManyStreams(_) => (StatusCode::SERVICE_UNAVAILABLE, "too_many_streams"),
            Self::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            Self::Operation(problem) => (status_of(problem.class()), problem.code()),
            Self::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal_error"),
        }
    }

    /// Returns the position of a mistake in a query.
    fn position(&self) -> Option<usize> {
        match self {
            Self::Operation(Problem::InvalidQuery(error)) => Some(error.position),
            _ => None,
        }
    }

    /// Whether the connection must close, because the start of the next request is unknown.
    fn ends_connection(&self) -> bool {
        matches!(self, Self::Ambiguous | Self::Body(_))
    }
}

fn status_of(class: ProblemClass) -> StatusCode {
    match class {
        ProblemClass::Missing => StatusCode::NOT_FOUND,
        ProblemClass::Invalid => StatusCode::UNPROCESSABLE_ENTITY,
        ProblemClass::Conflict => StatusCode::CONFLICT,
        ProblemClass::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ProblemClass::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn of_body(error: BodyError) -> &'static str {
    match error {
        BodyError::TooLarge => "The body is larger than this path accepts.",
        BodyError::TimedOut => "The body did not arrive in time.",
        BodyError::BudgetUsedUp => "The service cannot read or write data now: retry later.",
        BodyError::Malformed | BodyError::Interrupted => "The request is not valid HTTP/1.1.",
    }
}

impl From<Unavailable> for ApiError {
    fn from(why: Unavailable) -> Self {
        Self::Operation(why.into())
    }
}

impl From<UncheckedToken> for ApiError {
    fn from(why: UncheckedToken) -> Self {
        match why {
            UncheckedToken::TooManyAttempts => Self::TooManyAttempts,
            UncheckedToken::Unavailable(why) => Self::Operation(Problem::Unavailable(why)),
        }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<AmbiguousFraming> for ApiError {
    fn from(_: AmbiguousFraming) -> Self {
        Self::Ambiguous
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        let status = self.status();
        let problem = ProblemDetails {
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or_default().into(),
            status: status.as_u16(),
            detail: self.to_string(),
            code: self.code().into(),
            position: self.position(),
        };
        // Strings and a number always serialize to JSON.
        let mut response = HttpResponse::build(status).body(serde_json::to_vec(&problem).unwrap_or_default());
        let mut header = |name: HeaderName, value: HeaderValue| {
            response.headers_mut().insert(name, value);
        };
        header(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        header(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        match self {
            Self::Unauthorized => header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")),
            Self::MethodNotAllowed(allow) => {
                if let Ok(allow) = HeaderValue::from_str(allow) {
                    header(ALLOW, allow);
                }
            }
            Self::TooManyAttempts => header(RETRY_AFTER, HeaderValue::from(attempts::RETRY_AFTER.as_secs())),
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                header(RETRY_AFTER, HeaderValue::from(UNAVAILABLE_RETRY_AFTER.as_secs()));
            }
            _ => {}
        }
        if self.ends_connection() {
            response.head_mut().set_connection_type(ConnectionType::Close);
        }
        response.extensions_mut().insert(ProblemCode(self.code()));
        response
    }
}

#[cfg(test)]
mod tests;
