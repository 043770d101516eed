//! The catalogue of the API's errors.

use super::*;

fn text() -> String {
    "Text.".to_owned()
}

/// Lists every error: the `match` does not compile without a new variant.
fn row(error: &ApiError) -> (u16, &'static str) {
    match error {
        ApiError::Unauthorized => (401, "unauthorized"),
        ApiError::TooManyAttempts => (429, "too_many_attempts"),
        ApiError::Forbidden(_) | ApiError::NotListening | ApiError::OnlyListening => (403, "forbidden"),
        ApiError::NoSuchPath => (404, "no_such_path"),
        ApiError::NotFound(_) => (404, "not_found"),
        ApiError::MethodNotAllowed(_) => (405, "method_not_allowed"),
        ApiError::InvalidPath(_) => (400, "invalid_path"),
        ApiError::InvalidQuery(_) => (400, "invalid_query"),
        ApiError::InvalidHeader(_) => (400, "invalid_header"),
        ApiError::InvalidBody(_) => (400, "invalid_body"),
        ApiError::UnsupportedMediaType | ApiError::UnsupportedEncoding(_) => (415, "unsupported_media_type"),
        ApiError::Body(BodyError::TooLarge) => (413, "body_too_large"),
        ApiError::Body(BodyError::TimedOut) => (408, "body_timed_out"),
        ApiError::Body(BodyError::Malformed | BodyError::Interrupted) | ApiError::Ambiguous => {
            (400, "malformed_request")
        }
        ApiError::InvalidValue { .. } => (422, "invalid_value"),
        ApiError::UndeclaredEvent(_) => (422, "undeclared_event"),
        ApiError::UrlRefused(_) => (422, "url_refused"),
        ApiError::IdempotencyKeyReused(_) => (422, "idempotency_key_reused"),
        ApiError::OtherOwner(_) => (422, "other_owner"),
        ApiError::TooBroad => (422, "too_broad"),
        ApiError::NameTaken(_) => (409, "name_taken"),
        ApiError::TooManyTargets(_) => (409, "too_many_targets"),
        ApiError::TooManyListeners(_) => (409, "too_many_listeners"),
        ApiError::TooManyStreams(_) => (503, "too_many_streams"),
        ApiError::Stopping => (503, "stopping"),
        ApiError::NotChangeable(_) => (409, "not_changeable"),
        ApiError::NotConfirmed(_) => (409, "not_confirmed"),
        ApiError::CountChanged { .. } => (409, "count_changed"),
        ApiError::NotRunning(_) => (409, "not_running"),
        ApiError::AlreadyRunning(_) => (409, "already_running"),
        ApiError::NotReleasable(_) => (409, "not_releasable"),
        ApiError::Body(BodyError::BudgetUsedUp) | ApiError::Unavailable(_) => (503, "unavailable"),
        ApiError::ProviderUnreachable => (503, "provider_unreachable"),
        ApiError::Damaged => (500, "damaged"),
        ApiError::Internal => (500, "internal_error"),
    }
}

#[test]
fn every_error_has_status_code_and_remedy() {
    let bodies = [
        BodyError::TooLarge,
        BodyError::TimedOut,
        BodyError::BudgetUsedUp,
        BodyError::Malformed,
        BodyError::Interrupted,
    ];
    let errors = [
        ApiError::Unauthorized,
        ApiError::Forbidden("a change"),
        ApiError::NotListening,
        ApiError::OnlyListening,
        ApiError::TooManyAttempts,
        ApiError::NoSuchPath,
        ApiError::NotFound(text()),
        ApiError::MethodNotAllowed("GET".to_owned()),
        ApiError::InvalidPath(text()),
        ApiError::InvalidQuery(text()),
        ApiError::InvalidHeader(text()),
        ApiError::InvalidBody(text()),
        ApiError::UnsupportedMediaType,
        ApiError::UnsupportedEncoding("is compressed"),
        ApiError::Ambiguous,
        ApiError::InvalidValue { field: "name", problem: text() },
        ApiError::UndeclaredEvent(text()),
        ApiError::UrlRefused(text()),
        ApiError::IdempotencyKeyReused(1),
        ApiError::OtherOwner(text()),
        ApiError::TooBroad,
        ApiError::NameTaken(text()),
        ApiError::TooManyTargets(1),
        ApiError::TooManyListeners(1),
        ApiError::TooManyStreams(1),
        ApiError::Stopping,
        ApiError::NotChangeable(text()),
        ApiError::NotConfirmed(text()),
        ApiError::CountChanged { confirmed: 1, count: 2 },
        ApiError::NotRunning(text()),
        ApiError::AlreadyRunning(text()),
        ApiError::NotReleasable(text()),
        ApiError::Unavailable(Unavailable::QueueFull),
        ApiError::ProviderUnreachable,
        ApiError::Damaged,
        ApiError::Internal,
    ];
    for error in errors.into_iter().chain(bodies.map(ApiError::Body)) {
        let (status, code) = row(&error);
        assert_eq!((error.status().as_u16(), error.code()), (status, code));
        let reply = error.error_response();
        assert_eq!(reply.status().as_u16(), status);
        assert_eq!(reply.headers().contains_key(RETRY_AFTER), matches!(status, 429 | 503), "{code}");
        assert_eq!(reply.headers().contains_key(WWW_AUTHENTICATE), status == 401, "{code}");
        assert_eq!(reply.headers().contains_key(ALLOW), status == 405, "{code}");
        assert!(!error.to_string().is_empty() && error.status().canonical_reason().is_some(), "{code}");
    }
}
