//! Determines the role of a request from its token.

use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::http::header::{AUTHORIZATION, HeaderValue};

use crate::http::attempts::UncheckedToken;
use crate::http::client::client_address;
use crate::http::network::Network;
use crate::http::service::Service;
use crate::http::tokens::{Role, has_token};

/// Returns the role of a request's token; `None` if there is no token, or if it is wrong. Usually
/// waits before it returns `None` for a wrong token.
///
/// # Errors
/// If too many replies to wrong tokens are delayed, or the stored token is unreadable.
pub async fn role_of(service: &Service, request: &HttpRequest) -> Result<Option<Role>, UncheckedToken> {
    let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let Some(authorization) = authorization.filter(|value| has_token(value)) else { return Ok(None) };
    let network = client_address(&service.proxies, request).map(Network::from);
    let role = service.tokens.role(Some(authorization)).await?;
    let Some(network) = network else { return Ok(role) };
    if !service.attempts.admits(network, role, Instant::now()) {
        return Err(UncheckedToken::TooManyAttempts);
    }
    if role.is_none() {
        service.attempts.failed(network).await;
    }
    Ok(role)
}
