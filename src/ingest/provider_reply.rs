//! Replies in the convention of a provider.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS};

use crate::http::reply::{NO_SNIFF, NO_STORE};
use crate::providers::Reply;

pub fn provider_reply(reply: Reply) -> HttpResponse {
    // Recipes and settings were validated at start; an invalid status would be a bug in creel.
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match reply.content_type {
        None => HttpResponse::new(status),
        Some(content_type) => HttpResponse::build(status)
            .insert_header((CONTENT_TYPE, HeaderValue::from_static(content_type)))
            .insert_header((X_CONTENT_TYPE_OPTIONS, NO_SNIFF))
            .body(reply.body),
    };
    for (name, value) in reply.headers {
        // Names come from a recipe; values were validated as visible ASCII.
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}
