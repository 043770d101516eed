//! Replies with short texts.

use std::sync::LazyLock;
use std::time::Duration;

use actix_http::ConnectionType;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};

pub const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// Prevents a shared cache from answering the next GET webhook itself, without passing it to creel.
/// Varnish does so by default.
pub const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// Created once and cloned: actix-http writes the fields of each new map in a different order, so
/// replies that must be identical could be distinguished.
static TEXT_HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    headers.insert(CACHE_CONTROL, NO_STORE);
    headers
});
/// Time after which a sender should retry while the store is unavailable.
const UNAVAILABLE_RETRY_AFTER: Duration = Duration::from_secs(5);

pub fn text(status: StatusCode, body: &'static str) -> HttpResponse {
    let mut reply = HttpResponse::with_body(status, body).map_into_boxed_body();
    *reply.headers_mut() = TEXT_HEADERS.clone();
    reply
}

/// 200 without a body.
pub fn empty() -> HttpResponse {
    with(HttpResponse::new(StatusCode::OK), CACHE_CONTROL, NO_STORE)
}

/// The same reply for every unknown path.
pub fn not_found() -> HttpResponse {
    text(StatusCode::NOT_FOUND, "Not found.")
}

pub fn method_not_allowed(allow: &str) -> HttpResponse {
    let reply = text(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.");
    // Methods were parsed at startup, so they are valid in a header.
    HeaderValue::from_str(allow).map_or_else(|_| internal_error(), |allow| with(reply, ALLOW, allow))
}

/// Returns a reply that closes the connection, because the start of the next request is unknown.
pub fn text_and_close(status: StatusCode, body: &'static str) -> HttpResponse {
    let mut reply = text(status, body);
    reply.head_mut().set_connection_type(ConnectionType::Close);
    reply
}

pub fn unauthorized(body: &'static str) -> HttpResponse {
    let challenge = HeaderValue::from_static("Bearer");
    with(text(StatusCode::UNAUTHORIZED, body), WWW_AUTHENTICATE, challenge)
}

pub fn too_many_requests(wait: Duration) -> HttpResponse {
    with(text(StatusCode::TOO_MANY_REQUESTS, "Too many requests."), RETRY_AFTER, whole_seconds(wait))
}

pub fn unavailable() -> HttpResponse {
    let reply = text(StatusCode::SERVICE_UNAVAILABLE, "Temporarily unavailable, retry later.");
    with(reply, RETRY_AFTER, whole_seconds(UNAVAILABLE_RETRY_AFTER))
}

pub fn internal_error() -> HttpResponse {
    text(StatusCode::INTERNAL_SERVER_ERROR, "Internal error.")
}

fn with(mut reply: HttpResponse, name: HeaderName, value: HeaderValue) -> HttpResponse {
    reply.headers_mut().insert(name, value);
    reply
}

/// Converts to whole seconds, rounded up, at least one.
fn whole_seconds(wait: Duration) -> HeaderValue {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    HeaderValue::from(seconds.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indistinguishable_replies_have_same_header_order() {
        let names = || not_found().headers().keys().cloned().collect::<Vec<_>>();
        let first = names();
        assert_eq!(first.len(), 3);
        assert!((0..100).all(|_| names() == first));
    }

    #[test]
    fn retry_after_is_rounded_up_to_whole_seconds() {
        for (milliseconds, seconds) in [(0, "1"), (1, "1"), (1_000, "1"), (1_001, "2"), (59_500, "60")] {
            assert_eq!(whole_seconds(Duration::from_millis(milliseconds)), seconds, "{milliseconds} ms");
        }
    }
}
