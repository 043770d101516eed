//! Listeners: programs on developers' machines that receive messages over a stream and acknowledge
//! them. Unacknowledged deliveries stay pending and are sent again.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::error::ApiError;
use super::input::{Id, JsonBody, ListenerName, NoParameters, Query};
use super::listener_stream::ListenerStream;
use super::messages;
use super::stream::{StreamWait, response};
use super::types::listener::{Acknowledgement, AcknowledgementResult, Listener, ProgramAnswer};
use super::types::page::Page;
#[cfg(test)]
use super::types::schemas;
use crate::http::service::Service;
use crate::operate::{ListenerAcknowledgement, Operator};
use crate::store::{self, DeliveryId, TargetState};

impl From<store::StoredListener> for Listener {
    fn from(stored: store::StoredListener) -> Self {
        let target = stored.target;
        Self {
            name: stored.name,
            target_id: target.id.get(),
            events: target.settings.events.iter().map(ToString::to_string).collect(),
            connected: target.state == TargetState::Active,
            since: target.state_since.to_string(),
            pending: stored.pending,
            created_at: target.created_at.to_string(),
        }
    }
}

/// The messages that a listener receives.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub struct ListenQuery {
    /// Event patterns, separated by spaces; default: all events. They replace the listener's
    /// earlier patterns.
    #[cfg_attr(test, param(schema_with = schemas::pattern_list))]
    pub events: Option<String>,
    /// Start of the past messages that are also sent: a time such as `2026-11-22T14:31:00Z`, or an
    /// age such as `2h`. Applies to new listeners only; an existing one continues at its position.
    #[cfg_attr(test, param(schema_with = schemas::time))]
    pub since: Option<String>,
}

/// All listeners, oldest first.
#[cfg_attr(test, utoipa::path(get, path = "/listeners", tag = "listeners",
    responses((status = 200, description = "All listeners, on one page.", body = Page<Listener>))))]
pub async fn list(
    service: web::Data<Service>,
    _: Query<NoParameters>,
) -> Result<web::Json<Page<Listener>>, ApiError> {
    Ok(web::Json(Page::new(service.store.reads().listeners().await?, None)))
}

/// Streams new and unacknowledged messages as server-sent events.
///
/// An unknown name creates a listener. The first event is `listening`; then each delivery is an
/// event `message`, in order, with at most 64 unacknowledged ones. Unacknowledged deliveries are
/// sent again on the next connection. A new connection with the same name replaces the old one,
/// which receives the event `replaced`. A comment every 15 seconds keeps the connection alive.
#[cfg_attr(test, utoipa::path(get, path = "/listeners/{name}/stream", tag = "listeners",
    params(("name" = String, Path, pattern = "^[a-z0-9-]{1,64}$"), ListenQuery),
    responses(
        (status = 200, description = "An endless stream of events.", body = super::types::listener::ListenerDelivery, content_type = "text/event-stream"),
        (status = 409, description = "The limit on listeners is reached."),
    )))]
pub async fn stream(
    service: web::Data<Service>,
    operator: web::Data<Operator>,
    request: HttpRequest,
    name: ListenerName,
    query: Query<ListenQuery>,
) -> Result<HttpResponse, ApiError> {
    let Query(query) = query;
    // Checked before the limit on streams: a client retries a 503, but a retry does not help
    // against an invalid value.
    let selection = operator.listener_selection(query.events.as_deref(), query.since.as_deref())?;
    let waiting = StreamWait::new(&service, &request)?;
    let opened = operator.open_listener(&name.0, selection).await?;
    Ok(response(ListenerStream::new(service, name.0, opened, waiting)))
}

impl From<Acknowledgement> for ListenerAcknowledgement {
    fn from(acknowledgement: Acknowledgement) -> Self {
        let answer = |one: ProgramAnswer| {
            let took = Duration::from_millis(one.took_ms);
            (one.delivery, store::ListenerAnswer { status: one.status, took, excerpt: one.excerpt })
        };
        let answers = acknowledgement.answers.into_iter().map(answer).collect();
        Self { deliveries: acknowledgement.deliveries, answers }
    }
}

/// Acknowledges deliveries that reached the program, so they are not sent again.
#[cfg_attr(test, utoipa::path(post, path = "/listeners/{name}/acknowledge", tag = "listeners", request_body = Acknowledgement,
    params(("name" = String, Path, pattern = "^[a-z0-9-]{1,64}$")),
    responses((status = 200, description = "The acknowledgement is stored.", body = AcknowledgementResult))))]
pub async fn acknowledge(
    service: web::Data<Service>,
    operator: web::Data<Operator>,
    name: ListenerName,
    _: Query<NoParameters>,
    body: JsonBody<Acknowledgement>,
) -> Result<web::Json<AcknowledgementResult>, ApiError> {
    let deliveries = body.0.deliveries.clone();
    let (target, acknowledged) = operator.acknowledge(&name.0, body.0.into()).await?;
    service.streams.acknowledged(target, &deliveries);
    Ok(web::Json(AcknowledgementResult { acknowledged }))
}

/// The exact body of a delivery that is not acknowledged yet.
#[cfg_attr(test, utoipa::path(get, path = "/listeners/{name}/deliveries/{id}/body", tag = "listeners",
    params(("name" = String, Path, pattern = "^[a-z0-9-]{1,64}$"), ("id" = i64, Path, minimum = 1)),
    responses((status = 200, description = "The body.", body = Vec<u8>, content_type = "application/octet-stream"))))]
pub async fn body(
    operator: web::Data<Operator>,
    name: ListenerName,
    id: Id<DeliveryId>,
    _: Query<NoParameters>,
) -> Result<HttpResponse, ApiError> {
    let message = operator.pending_message(&name.0, id.0).await?;
    Ok(messages::download(&format!("delivery-{}", id.0), &message.head.headers, message.body))
}

/// Removes a listener and drops its pending deliveries.
#[cfg_attr(test, utoipa::path(delete, path = "/listeners/{name}", tag = "listeners",
    params(("name" = String, Path, pattern = "^[a-z0-9-]{1,64}$")),
    responses((status = 204, description = "The listener is removed."))))]
pub async fn remove(
    service: web::Data<Service>,
    operator: web::Data<Operator>,
    name: ListenerName,
    _: Query<NoParameters>,
) -> Result<HttpResponse, ApiError> {
    let target = operator.remove_listener(&name.0).await?;
    service.streams.remove(target);
    Ok(HttpResponse::NoContent().finish())
}
