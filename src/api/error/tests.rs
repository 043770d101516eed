//! The statuses and codes of the API's errors.

use super::*;

fn text() -> String {
    "Text.".to_owned()
}

#[test]
fn every_error_has_status_code_and_remedy() {
    let rows = [
        (ApiError::Unauthorized, 401, "unauthorized"),
        (ApiError::TooManyAttempts, 429, "too_many_attempts"),
        (ApiError::Forbidden("a change"), 403, "forbidden"),
        (ApiError::NotListening, 403, "forbidden"),
        (ApiError::OnlyListening, 403, "forbidden"),
        (ApiError::NoSuchPath, 404, "no_such_path"),
        (ApiError::NoSuchId, 404, "not_found"),
        (ApiError::MethodNotAllowed("GET".to_owned()), 405, "method_not_allowed"),
        (ApiError::InvalidListenerName, 400, "invalid_path"),
        (ApiError::InvalidQuery(text()), 400, "invalid_query"),
        (ApiError::InvalidHeader(text()), 400, "invalid_header"),
        (ApiError::InvalidBody(text()), 400, "invalid_body"),
        (ApiError::UnsupportedMediaType, 415, "unsupported_media_type"),
        (ApiError::UnsupportedEncoding("is compressed"), 415, "unsupported_media_type"),
        (ApiError::Body(BodyError::TooLarge), 413, "body_too_large"),
        (ApiError::Body(BodyError::TimedOut), 408, "body_timed_out"),
        (ApiError::Body(BodyError::BudgetUsedUp), 503, "unavailable"),
        (ApiError::Body(BodyError::Malformed), 400, "malformed_request"),
        (ApiError::Body(BodyError::Interrupted), 400, "malformed_request"),
        (ApiError::Ambiguous, 400, "malformed_request"),
        (ApiError::TooManyStreams(1), 503, "too_many_streams"),
        (ApiError::Stopping, 503, "stopping"),
        (ApiError::Internal, 500, "internal_error"),
        (ApiError::from(Problem::no_message(1.into())), 404, "not_found"),
        (
            Problem::UnknownName { field: "source", name: "githbu".to_owned(), nearest: None }.into(),
            404,
            "unknown_name",
        ),
        (ApiError::from(Problem::TooBroad), 422, "too_broad"),
        (ApiError::from(Problem::StepRunning), 409, "already_running"),
        (ApiError::from(Unavailable::QueueFull), 503, "unavailable"),
        (ApiError::from(Unavailable::Damaged), 500, "damaged"),
        (ApiError::from(Problem::ProviderUnreachable), 503, "provider_unreachable"),
    ];
    for (error, status, code) in rows {
        assert_eq!((error.status().as_u16(), error.code()), (status, code));
        let reply = error.error_response();
        assert_eq!(reply.status().as_u16(), status);
        assert_eq!(reply.headers().contains_key(RETRY_AFTER), matches!(status, 429 | 503), "{code}");
        assert_eq!(reply.headers().contains_key(WWW_AUTHENTICATE), status == 401, "{code}");
        assert_eq!(reply.headers().contains_key(ALLOW), status == 405, "{code}");
        assert!(!error.to_string().is_empty() && error.status().canonical_reason().is_some(), "{code}");
    }
}
