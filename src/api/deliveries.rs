//! Deliveries with their attempts, and dead letters.

use actix_web::web;
use serde::Deserialize;

use super::error::ApiError;
use super::input::{self, Id, NoParameters, Query};
use super::page::Paging;
use super::types::delivery::{Attempt, Delivery, DeliveryWithAttempts};
use super::types::page::Page;
use crate::http::service::Service;
use crate::http::tokens::Role;
use crate::operate::Operator;
use crate::store::{self, DeliveryFilter, DeliveryId, DeliveryState, MessageId, ReplayId, TargetId};

/// Filters of the delivery list. A delivery must match all of them.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub struct ListDeliveries {
    /// `next_cursor` of the previous page.
    #[serde(default, deserialize_with = "input::id_from_1")]
    #[cfg_attr(test, param(value_type = Option<i64>, minimum = 1))]
    pub cursor: Option<DeliveryId>,
    #[cfg_attr(test, param(minimum = 1, maximum = 200, default = 50))]
    pub limit: Option<u16>,
    /// A message id.
    #[serde(default, deserialize_with = "input::id_from_1")]
    #[cfg_attr(test, param(value_type = Option<i64>, minimum = 1))]
    pub message: Option<MessageId>,
    /// A target id or name.
    #[cfg_attr(
        test,
        param(min_length = 1, max_length = 64, pattern = "^[a-z0-9-]{1,64}$", example = "billing")
    )]
    pub target: Option<String>,
    #[cfg_attr(test, param(inline))]
    pub state: Option<DeliveryState>,
    /// A replay id.
    #[serde(default, deserialize_with = "input::id_from_1")]
    #[cfg_attr(test, param(value_type = Option<i64>, minimum = 1))]
    pub replay: Option<ReplayId>,
}

/// Filters of the dead-letter list. A dead letter must match all of them.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub struct ListDeadLetters {
    /// `next_cursor` of the previous page.
    #[serde(default, deserialize_with = "input::id_from_1")]
    #[cfg_attr(test, param(value_type = Option<i64>, minimum = 1))]
    pub cursor: Option<DeliveryId>,
    #[cfg_attr(test, param(minimum = 1, maximum = 200, default = 50))]
    pub limit: Option<u16>,
    /// A target id or name.
    #[cfg_attr(
        test,
        param(min_length = 1, max_length = 64, pattern = "^[a-z0-9-]{1,64}$", example = "billing")
    )]
    pub target: Option<String>,
}

/// Deliveries, newest first.
#[cfg_attr(test, utoipa::path(get, path = "/deliveries", params(ListDeliveries), tag = "deliveries",
    responses(
        (status = 200, description = "A page of deliveries.", body = Page<Delivery>),
        (status = 404, description = "Target not found."),
    )))]
pub async fn list(
    service: web::Data<Service>,
    operator: web::Data<Operator>,
    query: Query<ListDeliveries>,
) -> Result<web::Json<Page<Delivery>>, ApiError> {
    let Query(query) = query;
    let paging = Paging::new(query.cursor, query.limit)?;
    let filter = DeliveryFilter {
        message: query.message,
        target: target_id(&operator, query.target.as_deref()).await?,
        state: query.state,
        replay: query.replay,
        is_without_listeners: false,
    };
    page(&service, filter, paging).await
}

/// Dead letters, newest first: deliveries that failed permanently and were not replayed. A replay
/// with the filter `dead` delivers them again, each to its original target.
#[cfg_attr(test, utoipa::path(get, path = "/dead-letters", params(ListDeadLetters), tag = "deliveries",
    responses(
        (status = 200, description = "A page of dead deliveries.", body = Page<Delivery>),
        (status = 404, description = "Target not found."),
    )))]
pub async fn dead_letters(
    service: web::Data<Service>,
    operator: web::Data<Operator>,
    query: Query<ListDeadLetters>,
) -> Result<web::Json<Page<Delivery>>, ApiError> {
    let Query(query) = query;
    let paging = Paging::new(query.cursor, query.limit)?;
    let filter = DeliveryFilter {
        target: target_id(&operator, query.target.as_deref()).await?,
        state: Some(DeliveryState::Dead),
        is_without_listeners: true,
        ..DeliveryFilter::default()
    };
    page(&service, filter, paging).await
}

/// Finds the id of a target by id or name.
async fn target_id(operator: &Operator, text: Option<&str>) -> Result<Option<TargetId>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    Ok(Some(operator.target_named(text).await?.id))
}

async fn page(
    service: &Service,
    filter: DeliveryFilter,
    paging: Paging<DeliveryId>,
) -> Result<web::Json<Page<Delivery>>, ApiError> {
    let (found, next) = service.store.reads().deliveries(filter, paging.cursor, paging.limit).await?;
    Ok(web::Json(Page::new(found, next.map(DeliveryId::get))))
}

/// One delivery with its attempts.
#[cfg_attr(test, utoipa::path(get, path = "/deliveries/{id}", tag = "deliveries",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses((status = 200, description = "The delivery.", body = DeliveryWithAttempts))))]
pub async fn one(
    service: web::Data<Service>,
    operator: web::Data<Operator>,
    role: Role,
    id: Id<DeliveryId>,
    _: Query<NoParameters>,
) -> Result<web::Json<DeliveryWithAttempts>, ApiError> {
    let delivery = operator.delivery(id.0).await?;
    let attempts = service.store.reads().attempts(id.0).await?;
    let shown = |attempt: store::StoredAttempt| match role {
        Role::Admin => attempt.into(),
        Role::Listener | Role::Reader => Attempt { excerpt: None, ..attempt.into() },
    };
    let tries = attempts.into_iter().map(shown).collect();
    Ok(web::Json(DeliveryWithAttempts { delivery: delivery.into(), tries }))
}

impl From<store::StoredDelivery> for Delivery {
    fn from(delivery: store::StoredDelivery) -> Self {
        let is_pending = delivery.state == DeliveryState::Pending;
        Self {
            id: delivery.id.get(),
            message_id: delivery.message.get(),
            event: delivery.event,
            target_id: delivery.target.get(),
            target: delivery.target_name,
            state: delivery.state.into(),
            attempts: delivery.attempts,
            created_at: delivery.created_at.to_string(),
            due_at: is_pending.then_some(delivery.due_at.to_string()),
            finished_at: delivery.finished_at.map(|at| at.to_string()),
            outcome: delivery.outcome,
            replay_id: delivery.replay.map(ReplayId::get),
            replayed_by: delivery.replayed_by.map(DeliveryId::get),
        }
    }
}

impl From<store::StoredAttempt> for Attempt {
    fn from(attempt: store::StoredAttempt) -> Self {
        Self {
            number: attempt.number,
            began_at: attempt.began_at.to_string(),
            took_ms: attempt.took_ms,
            outcome: attempt.outcome.into(),
            status: attempt.status,
            error: attempt.error,
            excerpt: attempt.excerpt,
        }
    }
}
