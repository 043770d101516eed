//! The middleware of the API: it authenticates the token, checks its permissions, and logs each
//! request.

use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, ResponseError as _, web};

use super::error::{ApiError, ProblemCode};
use crate::http::authorization::role_of;
use crate::http::client::client_address;
use crate::http::panics::caught;
use crate::http::request_log::{LogEntry, LogPath};
use crate::http::service::Service;
use crate::http::tokens::Role;
use crate::request_id::RequestId;
use crate::store::MessageId;

/// Response header with the id of the request, as in the log.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const OPENAPI_PATH: &str = "/api/v1/openapi.json";
/// Routes that the listener token allows and the read token does not.
const LISTENERS_PREFIX: &str = "/api/v1/listeners";

/// The message that a request created, for its log line.
#[derive(Clone, Copy, Debug)]
struct CreatedMessage(MessageId);

/// Adds the id of the message that the request created to its log line.
pub fn log_message(request: &HttpRequest, message: MessageId) {
    request.extensions_mut().insert(CreatedMessage(message));
}

/// Wraps everything under `/api`.
///
/// # Errors
/// If a panic has consumed the request.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let id = RequestId::next();
    let mut response = id.scope(handle(request, next)).await?;
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    Ok(response)
}

async fn handle(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = Instant::now();
    let Some(service) = request.app_data::<web::Data<Service>>().cloned() else {
        return Err(ApiError::Internal.into());
    };
    let method = request.method().clone();
    let client = client_address(&service.proxies, request.request());
    let path = shown_path(&request);
    let outcome = match admit(&service, &request).await {
        Ok(()) => match caught(next.call(request)).await {
            Ok(done) => done.map(ServiceResponse::map_into_boxed_body),
            // The panic consumed the request, so the server responds with the error.
            Err(_) => Err(ApiError::Internal.into()),
        },
        Err(error) => Ok(request.into_response(error.error_response())),
    };
    let outcome = outcome.map(|mut response| {
        let headers = response.headers_mut();
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if !headers.contains_key(CACHE_CONTROL) {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        response
    });
    let (status, cause, id) = match &outcome {
        Ok(response) => {
            let code = response.response().extensions().get::<ProblemCode>().map(|code| code.0);
            let message =
                response.request().extensions().get::<CreatedMessage>().map(|message| message.0.get());
            (response.status(), code, message)
        }
        Err(error) => (error.as_response_error().status_code(), None, None),
    };
    let (method, path, took) = (method.as_str(), path.as_ref(), began.elapsed());
    let entry =
        LogEntry { cause, id, ..LogEntry::without_message(method, path, status.as_u16(), took, client) };
    entry.write(service.log_format);
    outcome
}

/// Checks that the token allows the request. Handlers hide the content of messages from the read
/// token themselves.
async fn admit(service: &Service, request: &ServiceRequest) -> Result<(), ApiError> {
    if request.path() == OPENAPI_PATH {
        return Ok(());
    }
    let role = role_of(service, request.request()).await?.ok_or(ApiError::Unauthorized)?;
    let is_listening = request.match_pattern().is_some_and(|pattern| pattern.starts_with(LISTENERS_PREFIX));
    match role {
        Role::Admin => {}
        Role::Listener if is_listening => {}
        Role::Listener => return Err(ApiError::OnlyListening),
        Role::Reader if is_listening => return Err(ApiError::NotListening),
        Role::Reader if matches!(*request.method(), Method::GET | Method::HEAD) => {}
        Role::Reader => return Err(ApiError::Forbidden("changes")),
    }
    request.extensions_mut().insert(role);
    Ok(())
}

/// A path for the log; for a known route, its pattern with the id from the request.
enum LoggedPath {
    Known(String),
    Unknown(String),
}

impl LoggedPath {
    fn as_ref(&self) -> LogPath<'_> {
        match self {
            Self::Known(path) => LogPath::Known(path),
            Self::Unknown(path) => LogPath::Unknown(path),
        }
    }
}

fn shown_path(request: &ServiceRequest) -> LoggedPath {
    let Some(pattern) = request.match_pattern() else {
        return LoggedPath::Unknown(request.path().to_owned());
    };
    let is_short_number = |part: &str| part.len() < 20 && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts = pattern.split('/').zip(request.path().split('/'));
    let shown: Vec<&str> =
        parts.map(|(ours, sent)| if ours == "{id}" && is_short_number(sent) { sent } else { ours }).collect();
    LoggedPath::Known(shown.join("/"))
}
