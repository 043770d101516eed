//! The role of a request, by its token.

use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderValue};

use crate::http::attempts::NotJudged;
use crate::http::client::client_address;
use crate::http::network::Network;
use crate::http::service::Service;
use crate::http::tokens::{Role, has_token};

/// What the token of a request opens; `None` where there is none, or, after a delay, where it is wrong.
///
/// # Errors
/// When too many wrong tokens wait for their answers, or the stored token cannot be read.
pub async fn role_of(service: &Service, request: &HttpRequest) -> Result<Option<Role>, NotJudged> {
    let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let Some(authorization) = authorization.filter(|value| has_token(value)) else { return Ok(None) };
    let network = client_address(&service.proxies, request).map(Network::from);
    let role = service.tokens.role(Some(authorization)).await?;
    let Some(network) = network else { return Ok(role) };
    if !service.attempts.admits(network, role, Instant::now()) {
        return Err(NotJudged::TooManyAttempts);
    }
    if role.is_none() {
        service.attempts.failed(network).await;
    }
    Ok(role)
}
