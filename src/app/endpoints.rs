//! Health, readiness and metrics endpoints.

use std::pin::pin;
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
use crate::request_id::RequestId;

/// Timeout for reading the numbers of targets from the database for the metrics.
const COUNT_TIMEOUT: Duration = Duration::from_millis(250);

/// Access to the operator's pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    WithToken,
    /// Without a token, on an address that only the operator can reach.
    Free,
}

/// Returns 200 while the process runs.
pub async fn health() -> Result<HttpResponse, EndpointError> {
    Ok(reply::text(StatusCode::OK, "ok"))
}

/// Returns 200 if the service accepts messages. The reason for a 503 is only logged, because
/// clients are unauthenticated.
pub async fn readiness(service: &Service) -> Result<HttpResponse, EndpointError> {
    if service.is_stopping() {
        return Err(EndpointError::NotReady);
    }
    service.store.ready().map_err(|_| EndpointError::NotReady)?;
    // Damage in old pages does not prevent new messages from being stored. A load balancer that
    // removes the only instance would lose the new messages.
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
    // On a timeout the page shows the previous numbers instead of arriving late.
    let counted = tokio::time::timeout(COUNT_TIMEOUT, service.store.reads().target_numbers()).await;
    if let Ok(Ok(numbers)) = counted {
        service.metrics.set_target_numbers(&numbers);
    }
    Ok(service.metrics.page(service.store.stats()))
}

/// Response for unknown paths.
pub async fn unknown_path() -> Result<HttpResponse, EndpointError> {
    Ok(reply::not_found())
}

/// Response for a known path with an unsupported method.
pub async fn wrong_method() -> Result<HttpResponse, EndpointError> {
    Ok(reply::method_not_allowed("GET, HEAD"))
}

/// Responds to a request other than a webhook, and logs it.
pub async fn answer(
    service: &Service,
    request: &HttpRequest,
    path: LogPath<'_>,
    work: impl Future<Output = Result<HttpResponse, EndpointError>>,
) -> HttpResponse {
    let handled = async {
        let began = Instant::now();
        let response = match caught(pin!(work)).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => error.error_response(),
            Err(_) => reply::internal_error(),
        };
        let status = response.status().as_u16();
        let ip = client_address(&service.proxies, request);
        let entry = LogEntry::without_message(request.method().as_str(), path, status, began.elapsed(), ip);
        entry.write(service.log_format);
        response
    };
    RequestId::next().scope(handled).await
}
