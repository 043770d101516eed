//! Rotation of the signing secrets of targets.

use actix_web::web;

use super::super::error::ApiError;
use super::super::input::{Id, NoParameters, OptionalBody, Query};
use super::super::types::target::TargetSecret;
use super::super::types::target_change::{NewSecret, RotatedSecret};
use crate::operate::{IssuedSecret, Operator};
use crate::store::TargetId;

/// Rotates the secret of a target. Until the old secrets expire, each request is also signed with
/// them.
#[cfg_attr(test, utoipa::path(post, path = "/targets/{id}/secret", tag = "targets", request_body = Option<NewSecret>,
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The new secret.", body = RotatedSecret),
        (status = 409, description = "The target is declared in the environment, or is a listener."),
    )))]
pub async fn rotate(
    operator: web::Data<Operator>,
    id: Id<TargetId>,
    _: Query<NoParameters>,
    body: OptionalBody<NewSecret>,
) -> Result<web::Json<RotatedSecret>, ApiError> {
    let OptionalBody(NewSecret { secret, overlap_seconds }) = body;
    let IssuedSecret { secret, ends } = operator.rotate_secret(id.0, secret, overlap_seconds).await?;
    let secrets =
        ends.into_iter().map(|until| TargetSecret { until: until.map(|at| at.to_string()) }).collect();
    Ok(web::Json(RotatedSecret { secret, secrets }))
}
