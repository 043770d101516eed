//! The OpenAPI 3.1 description of the API. The tests generate `docs/openapi.json` from the
//! handlers, so that the binary contains the document without its generator.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, ContentType};

use super::input::{NoParameters, Query};

#[cfg(test)]
mod description;

/// `docs/openapi.json` without its indentation.
const DOCUMENT: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));

/// This document. Does not need a token.
#[cfg_attr(test, utoipa::path(get, path = "/openapi.json", tag = "openapi", security(()),
    responses((status = 200, description = "OpenAPI 3.1.", body = Object))))]
pub async fn document(_: Query<NoParameters>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(ContentType::json())
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(DOCUMENT)
}
