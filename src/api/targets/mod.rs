//! Targets: the list, the details of one, and its state. `change` creates and changes them,
//! `secret` manages their secrets.

pub mod change;
pub mod secret;

pub use change::{create, patch};
pub use secret::rotate;

use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::error::ApiError;
use super::input::{self, Id, NoParameters, Query};
use super::page::Paging;
use super::types::page::Page;
use super::types::target::{Condition, Target, TargetDetails, TargetSecret};
use crate::http::service::Service;
use crate::http::tokens::Role;
use crate::operate::Operator;
use crate::store::{self, DeliveryRate, Pattern, TargetId};

/// The requested page of targets.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(utoipa::IntoParams))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, into_params(parameter_in = Query))]
pub struct ListTargets {
    /// `next_cursor` of the previous page.
    #[serde(default, deserialize_with = "input::id_from_1")]
    #[cfg_attr(test, param(value_type = Option<i64>, minimum = 1))]
    pub cursor: Option<TargetId>,
    #[cfg_attr(test, param(minimum = 1, maximum = 200, default = 50))]
    pub limit: Option<u16>,
}

/// Targets that are not removed, newest first.
#[cfg_attr(test, utoipa::path(get, path = "/targets", params(ListTargets), tag = "targets",
    responses((status = 200, description = "A page of targets.", body = Page<Target>))))]
pub async fn list(
    service: web::Data<Service>,
    role: Role,
    query: Query<ListTargets>,
) -> Result<web::Json<Page<Target>>, ApiError> {
    let paging = Paging::new(query.0.cursor, query.0.limit)?;
    let all = service.store.reads().targets().await?;
    let all = all.into_iter().map(|target| (target.id, Target::of(target, role))).collect();
    let (items, next_cursor) = paging.of_all(all);
    Ok(web::Json(Page { items, next_cursor: next_cursor.map(TargetId::get) }))
}

/// One target, also if it was removed.
#[cfg_attr(test, utoipa::path(get, path = "/targets/{id}", tag = "targets",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses((status = 200, description = "The target.", body = TargetDetails))))]
pub async fn one(
    service: web::Data<Service>,
    operator: web::Data<Operator>,
    role: Role,
    id: Id<TargetId>,
    _: Query<NoParameters>,
) -> Result<web::Json<TargetDetails>, ApiError> {
    let target = operator.target(id.0).await?;
    Ok(web::Json(details(&service, target, role).await?))
}

/// Pauses a target. Its deliveries stay pending until it is resumed. After it was paused for a
/// week, deliveries older than a week become dead.
#[cfg_attr(test, utoipa::path(post, path = "/targets/{id}/pause", tag = "targets",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The target.", body = TargetDetails),
        (status = 409, description = "The target is a listener, which cannot be paused."),
    )))]
pub async fn pause(
    service: web::Data<Service>,
    operator: web::Data<Operator>,
    id: Id<TargetId>,
    _: Query<NoParameters>,
) -> Result<web::Json<TargetDetails>, ApiError> {
    let target = operator.pause_target(id.0).await?;
    Ok(web::Json(details(&service, target, Role::Admin).await?))
}

/// Resumes a target that was paused or disabled, e.g. because it returned 410.
#[cfg_attr(test, utoipa::path(post, path = "/targets/{id}/resume", tag = "targets",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The target.", body = TargetDetails),
        (status = 409, description = "The target is a listener, or its secrets were dropped because their key was lost: set a new secret first."),
    )))]
pub async fn resume(
    service: web::Data<Service>,
    operator: web::Data<Operator>,
    id: Id<TargetId>,
    _: Query<NoParameters>,
) -> Result<web::Json<TargetDetails>, ApiError> {
    let target = operator.resume_target(id.0).await?;
    Ok(web::Json(details(&service, target, Role::Admin).await?))
}

/// Removes a target and drops its pending deliveries.
#[cfg_attr(test, utoipa::path(delete, path = "/targets/{id}", tag = "targets",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 204, description = "The target is removed."),
        (status = 409, description = "The target is declared in the environment."),
    )))]
pub async fn remove(
    service: web::Data<Service>,
    operator: web::Data<Operator>,
    id: Id<TargetId>,
    _: Query<NoParameters>,
) -> Result<HttpResponse, ApiError> {
    operator.remove_target(id.0).await?;
    // Disconnects the client, if the target is a listener.
    service.streams.remove(id.0);
    Ok(HttpResponse::NoContent().finish())
}

async fn details(
    service: &Service,
    target: store::StoredTarget,
    role: Role,
) -> Result<TargetDetails, ApiError> {
    let secrets = service.store.reads().target_secrets(target.id).await?;
    Ok(TargetDetails {
        target: Target::of(target, role),
        header_names: secrets.headers.into_iter().map(|(name, _)| name).collect(),
        secrets: secrets
            .secrets
            .into_iter()
            .map(|secret| TargetSecret { until: secret.until.map(|at| at.to_string()) })
            .collect(),
    })
}

impl Target {
    fn of(target: store::StoredTarget, role: Role) -> Self {
        let settings = target.settings;
        Self {
            id: target.id.get(),
            name: settings.name,
            kind: target.kind.into(),
            origin: target.origin.into(),
            state: target.state.into(),
            state_since: target.state_since.to_string(),
            state_reason: target.state_reason,
            owner: settings.owner,
            events: settings.events.iter().map(Pattern::to_string).collect(),
            filter: settings.filter.map(|filter| filter.0.into_iter().map(Condition::from).collect()),
            url: settings.url.map(|url| if role == Role::Admin { url } else { place_of(&url) }),
            content_type: settings.content_type.map(Into::into),
            concurrency: settings.concurrency,
            order: settings.ordering.into(),
            rate: settings.rate.map(DeliveryRate::to_text),
            timeout_seconds: settings.timeout.as_secs(),
            created_at: target.created_at.to_string(),
            updated_at: target.updated_at.to_string(),
        }
    }
}

/// Returns the origin of a URL: its path and query may be a credential.
fn place_of(url: &str) -> String {
    let parsed = url::Url::parse(url).map(|url| url.origin().ascii_serialization());
    format!("{}/…", parsed.unwrap_or_default())
}

impl From<store::PayloadCondition> for Condition {
    fn from(condition: store::PayloadCondition) -> Self {
        let store::PayloadCondition { pointer, equals, among, exists } = condition;
        Self { pointer, equals, among, exists }
    }
}

impl From<Condition> for store::PayloadCondition {
    fn from(condition: Condition) -> Self {
        let Condition { pointer, equals, among, exists } = condition;
        Self { pointer, equals, among, exists }
    }
}
