//! The endpoints that are no webhooks: whether the service lives, whether it takes messages, what it has counted.

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, ResponseError};

use crate::app::endpoint_error::EndpointError;
use crate::http::authorization::role_of;
use crate::http::client::client_address;
use crate::http::hosts;
use crate::http::panics::caught;
use crate::http::reply;
use crate::http::request_log::{LogEntry, LogPath};
use crate::http::service::Service;
use crate::http::tokens::Role;

/// Limit on reading numbers from the database for the metrics.
const COUNT_TIMEOUT: Duration = Duration::from_millis(250);

/// Who may see the operator's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    WithToken,
    /// The address is reachable only for the operator.
    Free,
}

/// The process lives.
pub async fn health() -> Result<HttpResponse, EndpointError> {
    Ok(reply::text(StatusCode::OK, "ok"))
}

/// Messages would be taken now. Why not is for the log, not for strangers.
pub async fn readiness(service: &Service) -> Result<HttpResponse, EndpointError> {
    if service.is_stopping() {
        return Err(EndpointError::NotReady);
    }
    service.store.ready().map_err(|_| EndpointError::NotReady)?;
    // Damage in old pages does not keep new messages from being stored: a load balancer that takes the only instance away
    // would lose them.
    let text = if service.store.is_damaged() { "ready, but damaged" } else { "ready" };
    Ok(reply::text(StatusCode::OK, text))
}

pub async fn metrics(
    service: &Service,
    request: &HttpRequest,
    access: Access,
) -> Result<HttpResponse, EndpointError> {
    let is_free = access == Access::Free && hosts::is_own(request.headers(), service.public_url.as_deref());
    if !is_free && !matches!(role_of(service, request).await?, Some(Role::Admin | Role::Reader)) {
        return Err(if access == Access::Free {
            EndpointError::OtherHost
        } else {
            EndpointError::Unauthorized
        });
    }
    // The page comes with the numbers of before rather than late.
    let counted = tokio::time::timeout(COUNT_TIMEOUT, service.store.reads().target_numbers()).await;
    if let Ok(Ok(numbers)) = counted {
        service.metrics.set_target_numbers(&numbers);
    }
    Ok(service.metrics.page(service.store.stats()))
}

/// Where no route leads.
pub async fn nowhere() -> Result<HttpResponse, EndpointError> {
    Ok(reply::not_found())
}

/// A known path with a method that it does not take.
pub async fn wrong_method() -> Result<HttpResponse, EndpointError> {
    Ok(reply::method_not_allowed("GET, HEAD"))
}

/// Answers a request that is no webhook, and logs it.
pub async fn answer(
    service: &Service,
    request: &HttpRequest,
    path: LogPath<'_>,
    work: impl Future<Output = Result<HttpResponse, EndpointError>>,
) -> HttpResponse {
    let began = Instant::now();
    let response = match caught(work).await {
        Ok(Ok(response)) => response,
        Ok(Err(error)) => error.error_response(),
        Err(_) => reply::internal_error(),
    };
    let status = response.status().as_u16();
    let ip = client_address(&service.proxies, request);
    let entry = LogEntry::without_message(request.method().as_str(), path, status, began.elapsed(), ip);
    entry.write(service.log_format);
    response
}
