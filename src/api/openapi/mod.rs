//! The OpenAPI 3.1 description of the API. The tests generate `docs/openapi.json` from the
//! handlers, so that the binary contains the document without its generator.

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, ContentType};
use miniz_oxide::inflate;

use super::error::ApiError;
use super::input::{NoParameters, Query};

#[cfg(test)]
mod description;

/// `docs/openapi.json` without its indentation, compressed with deflate.
const DOCUMENT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/openapi.json.deflate"));

/// This document. Does not need a token.
#[cfg_attr(test, utoipa::path(get, path = "/openapi.json", tag = "openapi", security(()),
    responses((status = 200, description = "OpenAPI 3.1.", body = Object))))]
pub async fn document(_: Query<NoParameters>) -> Result<HttpResponse, ApiError> {
    let document = inflate::decompress_to_vec(DOCUMENT).map_err(|_| ApiError::Internal)?;
    Ok(HttpResponse::Ok()
        .content_type(ContentType::json())
        .insert_header((CACHE_CONTROL, "no-cache"))
        .body(document))
}
