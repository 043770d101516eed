//! The middleware of the API: it authenticates the token, checks its permissions, and logs each
//! request.

use std::pin::pin;
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::http::{Method, StatusCode};
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
/// Prefix of the routes that the listener token allows and the read token does not.
const LISTENERS_PREFIX: &str = "/api/v1/listeners";

/// The message that a request created, for its log line.
#[derive(Clone, Copy, Debug)]
struct CreatedMessage(MessageId);

/// Adds the id of a message to the log line of the request that created or repeated the message.
pub fn log_message(request: &HttpRequest, message: MessageId) {
    request.extensions_mut().insert(CreatedMessage(message));
}

/// Wraps everything under `/api`.
///
/// # Errors
/// If a panic has consumed the request. The error has the headers of any other response.
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let id = RequestId::next();
    match id.scope(handle(request, next)).await {
        Ok(mut response) => {
            add_headers(response.headers_mut(), id);
            Ok(response)
        }
        Err(error) => {
            let mut response = error.error_response();
            add_headers(response.headers_mut(), id);
            Err(InternalError::from_response(error, response).into())
        }
    }
}

fn add_headers(headers: &mut HeaderMap, id: RequestId) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Ok(id) = HeaderValue::try_from(id.to_string()) {
        headers.insert(REQUEST_ID, id);
    }
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
        Ok(()) => match caught(pin!(next.call(request))).await {
            Ok(done) => done.map(ServiceResponse::map_into_boxed_body),
            // The panic consumed the request, so the server responds with the error.
            Err(_) => Err(ApiError::Internal.into()),
        },
        Err(error) => Ok(request.into_response(error.error_response())),
    };
    let (status, cause, id) = logged(&outcome);
    let (method, path, took) = (method.as_str(), path.as_ref(), began.elapsed());
    let entry =
        LogEntry { cause, id, ..LogEntry::without_message(method, path, status.as_u16(), took, client) };
    entry.write(service.log_format);
    outcome
}

/// Returns the status, the code of the problem, and the id of the created message, for the log.
fn logged(
    outcome: &Result<ServiceResponse<BoxBody>, Error>,
) -> (StatusCode, Option<&'static str>, Option<i64>) {
    match outcome {
        Ok(response) => {
            let code = response.response().extensions().get::<ProblemCode>().map(|code| code.0);
            let message =
                response.request().extensions().get::<CreatedMessage>().map(|message| message.0.get());
            (response.status(), code, message)
        }
        Err(error) => {
            let code = error.as_error::<ApiError>().map(ApiError::code);
            (error.as_response_error().status_code(), code, None)
        }
    }
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

#[cfg(test)]
mod tests {
    use actix_web::middleware::from_fn;
    use actix_web::{App, HttpResponse, test};

    use super::*;
    use crate::store::{Store, StoreOptions};

    #[actix_web::test]
    async fn log_line_after_panic_has_code() {
        let outcome = Err(ApiError::Internal.into());
        assert_eq!(logged(&outcome), (StatusCode::INTERNAL_SERVER_ERROR, Some("internal_error"), None));
    }

    async fn panics() -> HttpResponse {
        panic!("on purpose, in a test")
    }

    #[actix_web::test]
    async fn response_after_panic_has_request_id() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("creel.db");
        let options = StoreOptions { path, key: None, checkpoint: true, min_free_bytes: 0, search: None };
        let store = Store::open(&options).unwrap();
        let service = web::Data::new(Service::with_defaults(store.clone()));
        // The only route without a token.
        let route = web::resource(OPENAPI_PATH).wrap(from_fn(guard)).to(panics);
        let app = test::init_service(App::new().app_data(service).service(route)).await;
        let request = test::TestRequest::get().uri(OPENAPI_PATH).to_request();
        let error = test::try_call_service(&app, request).await.expect_err("the panic is an error");
        let response = error.as_response_error().error_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        for name in [REQUEST_ID, CACHE_CONTROL, X_CONTENT_TYPE_OPTIONS] {
            assert!(response.headers().contains_key(&name), "{name}");
        }
        store.close(std::time::Duration::from_secs(10)).await;
    }
}
