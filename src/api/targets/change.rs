//! Creation and changes of targets through the API.

use std::time::Duration;

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};

use super::super::error::ApiError;
use super::super::input::{Id, JsonBody, NoParameters, Query};
use super::super::types::target::{Condition, TargetDetails};
use super::super::types::target_change::{CreatedTarget, NewTarget, TargetPatch};
use super::details;
use crate::http::service::Service;
use crate::http::tokens::Role;
use crate::operate::{IssuedTarget, Operator, Problem, TargetChange, TargetRequest};
use crate::store::{DeliveryOrdering, Filter, TargetId};

/// Creates a target. Commands can only be declared in the environment.
#[cfg_attr(test, utoipa::path(post, path = "/targets", tag = "targets", request_body = NewTarget,
    responses(
        (status = 201, description = "The new target.", body = CreatedTarget, headers(("Location" = String))),
        (status = 409, description = "Another target has the name, or the limit on targets is reached."),
        (status = 422, description = "An event pattern that can never match, or a URL or another value that is not allowed."),
    )))]
pub async fn create(
    service: web::Data<Service>,
    operator: web::Data<Operator>,
    _: Query<NoParameters>,
    body: JsonBody<NewTarget>,
) -> Result<HttpResponse, ApiError> {
    let request = TargetRequest::try_from(body.0)?;
    let IssuedTarget { target, secret } = operator.create_target(request).await?;
    let location = (LOCATION, format!("/api/v1/targets/{}", target.id));
    let target = details(&service, target, Role::Admin).await?;
    Ok(HttpResponse::Created().insert_header(location).json(CreatedTarget { target, secret }))
}

/// Changes a target that was created through the API.
#[cfg_attr(test, utoipa::path(patch, path = "/targets/{id}", tag = "targets", request_body = TargetPatch,
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The changed target.", body = TargetDetails),
        (status = 409, description = "The target is declared in the environment or is a listener, or another target has the name."),
        (status = 422, description = "An event pattern that can never match, or a URL or another value that is not allowed."),
    )))]
pub async fn patch(
    service: web::Data<Service>,
    operator: web::Data<Operator>,
    id: Id<TargetId>,
    _: Query<NoParameters>,
    body: JsonBody<TargetPatch>,
) -> Result<web::Json<TargetDetails>, ApiError> {
    let changed = operator.change_target(id.0, body.0.into()).await?;
    Ok(web::Json(details(&service, changed, Role::Admin).await?))
}

impl TryFrom<NewTarget> for TargetRequest {
    type Error = Problem;

    fn try_from(new: NewTarget) -> Result<Self, Problem> {
        if new.exec.is_some() || new.command.is_some() {
            let problem = "commands can only be declared in the environment (CREEL_TARGET_<NAME>_EXEC)";
            return Err(Problem::invalid("exec", problem));
        }
        Ok(Self {
            name: new.name,
            owner: new.owner,
            events: new.events,
            filter: new.filter.map(filter),
            url: new.url,
            content_type: new.content_type,
            headers: new.headers.unwrap_or_default(),
            secret: new.secret,
            concurrency: new.concurrency,
            ordering: new.order.unwrap_or(DeliveryOrdering::Any),
            rate: new.rate,
            timeout: new.timeout_seconds.map(Duration::from_secs),
        })
    }
}

impl From<TargetPatch> for TargetChange {
    fn from(patch: TargetPatch) -> Self {
        Self {
            name: patch.name,
            events: patch.events,
            filter: patch.filter.map(|new| new.map(filter)),
            url: patch.url,
            content_type: patch.content_type,
            headers: patch.headers.map(Option::unwrap_or_default),
            concurrency: patch.concurrency,
            ordering: patch.order,
            rate: patch.rate,
            timeout: patch.timeout_seconds.map(Duration::from_secs),
        }
    }
}

fn filter(conditions: Vec<Condition>) -> Filter {
    Filter(conditions.into_iter().map(Into::into).collect())
}
