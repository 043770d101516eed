//! Errors of the API: RFC 9457 problems, each with a status and a machine-readable code. A problem
//! must never reveal more than the mistake in the request.

use std::fmt;
use std::time::Duration;

use actix_http::ConnectionType;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::{HttpResponse, ResponseError};

use super::types::problem::ProblemDetails;
use crate::http::attempts::{self, NotJudged};
use crate::http::body::BodyError;
use crate::http::framing::Ambiguous;
use crate::store::{IngestError, Unavailable};

pub const MEDIA_TYPE: &str = "application/problem+json";
/// `Retry-After` of a response while the store accepts no writes.
const UNAVAILABLE_FOR: Duration = Duration::from_secs(5);

/// All errors that the API returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiError {
    Unauthorized,
    TooManyAttempts,
    /// An operation that the read token does not allow.
    Forbidden(&'static str),
    /// The read token on a listener route.
    NotListening,
    /// The listener token on any other route.
    OnlyListening,
    NoSuchPath,
    /// The missing object.
    NotFound(String),
    /// The methods that the path accepts.
    MethodNotAllowed(String),
    InvalidPath(String),
    InvalidQuery(String),
    InvalidHeader(String),
    InvalidBody(String),
    UnsupportedMediaType,
    /// The encoding of a body that is not plain UTF-8.
    UnsupportedEncoding(&'static str),
    Body(BodyError),
    Ambiguous,
    /// A well-formed value that is not allowed.
    InvalidValue {
        field: &'static str,
        problem: String,
    },
    /// A pattern or name that could never match an event.
    UndeclaredEvent(String),
    UrlRefused(String),
    IdempotencyKeyReused(i64),
    /// A target with an owner receives only that owner's events.
    OtherOwner(String),
    NameTaken(String),
    TooManyTargets(usize),
    TooManyListeners(usize),
    TooManyStreams(usize),
    /// The service is stopping, so a stream would end immediately.
    Stopping,
    /// Objects declared in the environment cannot be changed through the API.
    NotChangeable(String),
    /// A message that its provider has not confirmed.
    NotConfirmed(String),
    /// The number of messages or rejections differs from the confirmed number.
    CountChanged {
        confirmed: u64,
        count: u64,
    },
    NotRunning(String),
    /// Another request is doing the same work.
    AlreadyRunning(String),
    /// A rejection that cannot become a message.
    NotReleasable(String),
    TooBroad,
    Unavailable(Unavailable),
    /// A stored row is damaged and cannot be read.
    Damaged,
    /// The provider's keys or API are unavailable.
    ProviderUnreachable,
    /// A bug in creel.
    Internal,
}

/// The code of a response's problem, for the log.
#[derive(Clone, Copy, Debug)]
pub struct ProblemCode(pub &'static str);

impl ApiError {
    /// Returns the machine-readable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::TooManyAttempts => "too_many_attempts",
            Self::Forbidden(_) | Self::NotListening | Self::OnlyListening => "forbidden",
            Self::NoSuchPath => "no_such_path",
            Self::NotFound(_) => "not_found",
            Self::MethodNotAllowed(_) => "method_not_allowed",
            Self::InvalidPath(_) => "invalid_path",
            Self::InvalidQuery(_) => "invalid_query",
            Self::InvalidHeader(_) => "invalid_header",
            Self::InvalidBody(_) => "invalid_body",
            Self::UnsupportedMediaType | Self::UnsupportedEncoding(_) => "unsupported_media_type",
            Self::Body(BodyError::TooLarge) => "body_too_large",
            Self::Body(BodyError::TimedOut) => "body_timed_out",
            Self::Body(BodyError::BudgetUsedUp) | Self::Unavailable(_) => "unavailable",
            Self::Body(BodyError::Malformed | BodyError::Interrupted) | Self::Ambiguous => {
                "malformed_request"
            }
            Self::InvalidValue { .. } => "invalid_value",
            Self::UndeclaredEvent(_) => "undeclared_event",
            Self::UrlRefused(_) => "url_refused",
            Self::IdempotencyKeyReused(_) => "idempotency_key_reused",
            Self::OtherOwner(_) => "other_owner",
            Self::NameTaken(_) => "name_taken",
            Self::TooManyTargets(_) => "too_many_targets",
            Self::TooManyListeners(_) => "too_many_listeners",
            Self::TooManyStreams(_) => "too_many_streams",
            Self::Stopping => "stopping",
            Self::NotChangeable(_) => "not_changeable",
            Self::NotConfirmed(_) => "not_confirmed",
            Self::CountChanged { .. } => "count_changed",
            Self::NotRunning(_) => "not_running",
            Self::AlreadyRunning(_) => "already_running",
            Self::NotReleasable(_) => "not_releasable",
            Self::TooBroad => "too_broad",
            Self::ProviderUnreachable => "provider_unreachable",
            Self::Damaged => "damaged",
            Self::Internal => "internal_error",
        }
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::TooManyAttempts => StatusCode::TOO_MANY_REQUESTS,
            Self::Forbidden(_) | Self::NotListening | Self::OnlyListening => StatusCode::FORBIDDEN,
            Self::NoSuchPath | Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::InvalidPath(_)
            | Self::InvalidQuery(_)
            | Self::InvalidHeader(_)
            | Self::InvalidBody(_)
            | Self::Body(BodyError::Malformed | BodyError::Interrupted)
            | Self::Ambiguous => StatusCode::BAD_REQUEST,
            Self::UnsupportedMediaType | Self::UnsupportedEncoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Body(BodyError::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::TimedOut) => StatusCode::REQUEST_TIMEOUT,
            Self::InvalidValue { .. }
            | Self::UndeclaredEvent(_)
            | Self::UrlRefused(_)
            | Self::IdempotencyKeyReused(_)
            | Self::OtherOwner(_)
            | Self::TooBroad => StatusCode::UNPROCESSABLE_ENTITY,
            Self::NameTaken(_)
            | Self::TooManyTargets(_)
            | Self::TooManyListeners(_)
            | Self::NotChangeable(_)
            | Self::NotConfirmed(_)
            | Self::CountChanged { .. }
            | Self::NotRunning(_)
            | Self::AlreadyRunning(_)
            | Self::NotReleasable(_) => StatusCode::CONFLICT,
            Self::Body(BodyError::BudgetUsedUp)
            | Self::TooManyStreams(_)
            | Self::Stopping
            | Self::Unavailable(_)
            | Self::ProviderUnreachable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Damaged | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Unauthorized => {
                "Send the admin token or the read token: `Authorization: Bearer <token>`.".to_owned()
            }
            Self::TooManyAttempts => {
                "Too many wrong tokens came from your address: try again after `Retry-After`.".to_owned()
            }
            Self::Forbidden(what) => {
                format!("The read token is not enough for {what}. Use the admin token.")
            }
            Self::NotListening => "The read token cannot listen, because listeners receive whole messages and acknowledge them. \
                 Use the listener token (CREEL_LISTENER_TOKEN of the service) or the admin token."
                .to_owned(),
            Self::OnlyListening => {
                "The listener token only opens listeners. Use the read token or the admin token.".to_owned()
            }
            Self::NoSuchPath => "Nothing is here; `/api/v1/openapi.json` lists all paths.".to_owned(),
            Self::MethodNotAllowed(allow) => format!("This path takes {allow}."),
            Self::UnsupportedMediaType => "Send JSON, with `Content-Type: application/json`.".to_owned(),
            Self::UnsupportedEncoding(what) => format!("The body {what}. Send JSON in UTF-8 without a content coding."),
            Self::Body(BodyError::TooLarge) => "The body is larger than this path takes.".to_owned(),
            Self::Body(BodyError::TimedOut) => "The body did not arrive in time.".to_owned(),
            Self::Body(BodyError::Malformed | BodyError::Interrupted) | Self::Ambiguous => {
                "The request cannot be read as HTTP/1.1 has it.".to_owned()
            }
            Self::InvalidValue { field, problem } => format!("{field}: {problem}"),
            Self::UndeclaredEvent(problem) => format!("{problem}."),
            Self::UrlRefused(problem) => format!("url: {problem}"),
            Self::IdempotencyKeyReused(of) => format!(
                "Message {of} was emitted with this idempotency key, and it is not the same: use a new key for each event."
            ),
            Self::NameTaken(name) => format!("Another target is called {name}: choose another name."),
            Self::TooManyTargets(most) => format!("There are {most} targets already: remove some."),
            Self::TooManyListeners(most) => {
                format!("There are {most} listeners already: remove one, or connect under the name of one.")
            }
            Self::TooManyStreams(most) => {
                format!("There are {most} streams already: end one, and try again.")
            }
            Self::Stopping => "The service is stopping: connect again after `Retry-After`.".to_owned(),
            Self::CountChanged { confirmed, count } => {
                format!("You confirmed {confirmed}, but {count} match now. Count again, then confirm the new number.")
            }
            Self::TooBroad => {
                "Counting takes too long: narrow the filter, by `since` and `until` for instance.".to_owned()
            }
            Self::NotFound(detail)
            | Self::InvalidPath(detail)
            | Self::InvalidQuery(detail)
            | Self::InvalidHeader(detail)
            | Self::InvalidBody(detail)
            | Self::OtherOwner(detail)
            | Self::NotChangeable(detail)
            | Self::NotConfirmed(detail)
            | Self::NotRunning(detail)
            | Self::AlreadyRunning(detail)
            | Self::NotReleasable(detail) => detail.clone(),
            Self::Body(BodyError::BudgetUsedUp) | Self::Unavailable(_) => {
                "Nothing can be read or written now: try again.".to_owned()
            }
            Self::ProviderUnreachable => {
                "The provider's keys could not be fetched now: try again.".to_owned()
            }
            Self::Damaged => {
                "The database is damaged at this place: `creel verify` reports what, and a backup has what is missing.".to_owned()
            }
            Self::Internal => "Something went wrong here; the log says what.".to_owned(),
        }
    }

    /// Whether the connection must close, because its next bytes may not be a new request.
    fn ends_connection(&self) -> bool {
        matches!(self, Self::Ambiguous | Self::Body(_))
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail())
    }
}

impl std::error::Error for ApiError {}

impl From<IngestError> for ApiError {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::KeyReused { of } => Self::IdempotencyKeyReused(of),
            error => error.unavailable().into(),
        }
    }
}

impl From<Unavailable> for ApiError {
    fn from(why: Unavailable) -> Self {
        match why {
            Unavailable::Damaged => Self::Damaged,
            why => Self::Unavailable(why),
        }
    }
}

impl From<NotJudged> for ApiError {
    fn from(why: NotJudged) -> Self {
        match why {
            NotJudged::TooManyAttempts => Self::TooManyAttempts,
            NotJudged::Unavailable(why) => Self::Unavailable(why),
        }
    }
}

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<Ambiguous> for ApiError {
    fn from(_: Ambiguous) -> Self {
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
            detail: self.detail(),
            code: self.code().into(),
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
                header(RETRY_AFTER, HeaderValue::from(UNAVAILABLE_FOR.as_secs()));
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
