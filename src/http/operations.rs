//! The addresses for whoever runs the service: alive, ready, metrics.

use actix_web::http::header::{AUTHORIZATION, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use ring::digest::{SHA256, digest};
use subtle::ConstantTimeEq as _;

use super::reply;
use super::state::Service;
use crate::providers::Secret;

/// The setting with the hash of the generated admin token.
pub const ADMIN_TOKEN_SETTING: &str = "admin_token";

/// How an admin token is kept: the SHA-256 of its text, in lower-case hex. It is random and long, so that nothing
/// slower is needed.
pub fn token_hash(token: &[u8]) -> String {
    digest(&SHA256, token).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The process lives.
pub async fn healthz() -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain")).body("ok")
}

/// Messages are taken. Says no more than that: the reason is in the log.
pub async fn readyz(service: web::Data<Service>) -> HttpResponse {
    match service.store.ready() {
        Ok(()) => HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain")).body("ready"),
        Err(why) => {
            log::debug!("not ready: {why}");
            HttpResponse::ServiceUnavailable().insert_header((CONTENT_TYPE, "text/plain")).body("not ready")
        }
    }
}

/// What Prometheus reads; with a token, unless operations have an address of their own.
pub async fn metrics(request: HttpRequest, service: web::Data<Service>) -> HttpResponse {
    if !service.has_admin_listen && !may_read(&request, &service).await {
        return reply::unauthorized();
    }
    let text = service.metrics.render(&service.store.stats());
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; version=0.0.4")).body(text)
}

async fn may_read(request: &HttpRequest, service: &Service) -> bool {
    let Some(token) = bearer_token(request) else { return false };
    let given = token_hash(token);
    let is_configured = |secret: &Option<Secret>| {
        secret.as_ref().is_some_and(|secret| is_same(&given, &token_hash(secret.expose())))
    };
    if is_configured(&service.read_token) || is_configured(&service.admin_token) {
        return true;
    }
    if service.admin_token.is_some() {
        return false;
    }
    // Read each time: `creel token` may have made a new one.
    let generated = service.store.setting(ADMIN_TOKEN_SETTING).await;
    matches!(generated, Ok(Some(hash)) if is_same(&given, &hash))
}

fn bearer_token(request: &HttpRequest) -> Option<&[u8]> {
    let value = request.headers().get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

fn is_same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}
