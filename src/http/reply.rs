//! Replies of the service itself, and those in a provider's convention, as HTTP responses.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};

use super::body::BodyError;
use crate::providers::Reply;

/// How long a sender should wait when nothing can be stored now.
const RETRY_AFTER_SECONDS: u64 = 5;

/// A reply in the provider's convention.
pub fn provider(reply: Reply) -> HttpResponse {
    // A recipe's status was checked when it was read; 200 is what most senders take for "received".
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::build(status);
    if let Some(content_type) = reply.content_type {
        response.insert_header((CONTENT_TYPE, HeaderValue::from_static(content_type)));
        response.insert_header((X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")));
    }
    if reply.body.is_empty() { response.finish() } else { response.body(reply.body) }
}

fn text(status: StatusCode, body: &'static str) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((CONTENT_TYPE, HeaderValue::from_static("text/plain")))
        .body(body)
}

/// The same to the last byte for an unknown source, a wrong path part, and any other address.
pub fn not_found() -> HttpResponse {
    closing(text(StatusCode::NOT_FOUND, "Not found."))
}

pub fn method_not_allowed(allow: &str) -> HttpResponse {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.");
    if let Ok(allow) = HeaderValue::from_str(allow) {
        response.headers_mut().insert(ALLOW, allow);
    }
    response
}

pub fn bad_request() -> HttpResponse {
    closing(text(StatusCode::BAD_REQUEST, "Bad request."))
}

pub fn too_many_requests(retry_after_seconds: u64) -> HttpResponse {
    with_retry_after(text(StatusCode::TOO_MANY_REQUESTS, "Too many requests."), retry_after_seconds)
}

pub fn unavailable() -> HttpResponse {
    with_retry_after(
        text(StatusCode::SERVICE_UNAVAILABLE, "Temporarily unavailable, try again."),
        RETRY_AFTER_SECONDS,
    )
}

pub fn internal_error() -> HttpResponse {
    text(StatusCode::INTERNAL_SERVER_ERROR, "Internal error.")
}

pub fn unauthorized() -> HttpResponse {
    let mut response = text(StatusCode::UNAUTHORIZED, "A bearer token is needed.");
    response
        .headers_mut()
        .insert(actix_web::http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

pub fn body(error: BodyError) -> HttpResponse {
    closing(match error {
        BodyError::TooLarge => text(StatusCode::PAYLOAD_TOO_LARGE, "Body too large."),
        BodyError::TooSlow => text(StatusCode::REQUEST_TIMEOUT, "Request timed out."),
        BodyError::BudgetUsedUp => unavailable(),
        BodyError::Broken => text(StatusCode::BAD_REQUEST, "Bad request."),
    })
}

/// The body has not been read to its end: the connection cannot carry another request.
pub fn closing(mut response: HttpResponse) -> HttpResponse {
    response.head_mut().set_connection_type(actix_http::ConnectionType::Close);
    response
}

fn with_retry_after(mut response: HttpResponse, seconds: u64) -> HttpResponse {
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}
