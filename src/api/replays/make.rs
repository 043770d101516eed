//! Creation of replays of one message, of one delivery, or of many messages, which are counted
//! first.

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};

use super::super::error::ApiError;
use super::super::input::{Id, JsonBody, NoParameters, OptionalBody, Query};
use super::super::selection::message_filter;
use super::super::types::delivery::Delivery;
use super::super::types::replay::{
    DeadLetters, Replay, ReplayCount, ReplayOne, ReplayRequest, ReplayedMessage, TargetReference,
};
use crate::http::tokens::Role;
use crate::operate::{
    DeadLetterSummary, Operator, Problem, ReplayDestination, ReplayEstimation, ReplayOrder, ReplayResult,
    ReplaySelection,
};
use crate::store::{DeliveryId, MessageId};

/// Replays many messages. The first call only counts; with `confirm` the replay starts, if the
/// number is unchanged.
///
/// Messages that their provider has not confirmed are excluded, as are other owners' messages if
/// the target has an owner. Messages that do not match a target's filter are counted, but not
/// delivered.
/// With the filter `dead` each message is delivered only to the targets where it is dead; those
/// dead letters become `replayed`.
#[cfg_attr(test, utoipa::path(post, path = "/replays", tag = "replays", request_body = ReplayRequest,
    responses(
        (status = 200, description = "The count; no replay was started.", body = ReplayCount),
        (status = 201, description = "The replay, which runs in the background.", body = Replay, headers(("Location" = String))),
        (status = 404, description = "Target not found (`not_found`), or a source, event or target in the filter is unknown (`unknown_name`)."),
        (status = 409, description = "The number of messages differs from `confirm`, or the target was removed."),
        (status = 422, description = "A value or URL that is not allowed, or more messages than can be counted in 20 seconds."),
    )))]
pub async fn create(
    operator: web::Data<Operator>,
    role: Role,
    _: Query<NoParameters>,
    body: JsonBody<ReplayRequest>,
) -> Result<HttpResponse, ApiError> {
    let ReplayRequest { filter, ids, target, url, rate, through, confirm } = body.0;
    let selection = match (filter, ids) {
        (Some(selection), None) => {
            ReplaySelection::Filter(message_filter(&operator, role, selection.into())?)
        }
        (None, Some(ids)) => ReplaySelection::Ids(ids),
        _ => {
            let problem = "give either a filter or ids; `{}` is a filter for all messages";
            return Err(Problem::invalid("filter", problem).into());
        }
    };
    let destination = destination(target, url)?;
    let order = ReplayOrder { selection, destination, rate, through, confirm };
    Ok(match operator.start_replay(order).await? {
        ReplayResult::Counted(estimation) => HttpResponse::Ok().json(ReplayCount::from(estimation)),
        ReplayResult::Started(replay) => {
            let location = (LOCATION, format!("/api/v1/replays/{}", replay.id));
            HttpResponse::Created().insert_header(location).json(Replay::of(replay, Role::Admin))
        }
    })
}

/// Replays one message; its deliveries are created immediately.
#[cfg_attr(test, utoipa::path(post, path = "/messages/{id}/replay", tag = "messages", request_body = Option<ReplayOne>,
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The new deliveries.", body = ReplayedMessage),
        (status = 404, description = "Message or target not found."),
        (status = 409, description = "The provider has not confirmed the message, or the target was removed."),
        (status = 422, description = "The target has an owner to whom the message does not belong, or the URL is not allowed."),
    )))]
pub async fn replay_one(
    operator: web::Data<Operator>,
    id: Id<MessageId>,
    _: Query<NoParameters>,
    body: OptionalBody<ReplayOne>,
) -> Result<web::Json<ReplayedMessage>, ApiError> {
    let OptionalBody(ReplayOne { target, url }) = body;
    let made = operator.replay_message(id.0, destination(target, url)?).await?;
    let delivery_ids = made.into_iter().map(DeliveryId::get).collect();
    Ok(web::Json(ReplayedMessage { message_id: id.0.get(), delivery_ids }))
}

/// Creates a new delivery of the same message to the same target. The existing delivery can be in
/// any state.
#[cfg_attr(test, utoipa::path(post, path = "/deliveries/{id}/retry", tag = "deliveries",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 201, description = "The new delivery.", body = Delivery, headers(("Location" = String))),
        (status = 409, description = "The provider has not confirmed the message, or the target was removed."),
        (status = 422, description = "The target now has an owner to whom the message does not belong."),
    )))]
pub async fn retry(
    operator: web::Data<Operator>,
    id: Id<DeliveryId>,
    _: Query<NoParameters>,
) -> Result<HttpResponse, ApiError> {
    let new = operator.retry_delivery(id.0).await?;
    let location = (LOCATION, format!("/api/v1/deliveries/{}", new.id));
    Ok(HttpResponse::Created().insert_header(location).json(Delivery::from(new)))
}

fn destination(target: Option<TargetReference>, url: Option<String>) -> Result<ReplayDestination, Problem> {
    match (target, url) {
        (None, None) => Ok(ReplayDestination::MatchingTargets),
        (None, Some(url)) => Ok(ReplayDestination::Url(url)),
        (Some(TargetReference::Id(id)), None) => Ok(ReplayDestination::TargetId(id)),
        (Some(TargetReference::Name(name)), None) => Ok(ReplayDestination::TargetName(name)),
        (Some(_), Some(_)) => Err(Problem::invalid("url", "give either a target or a url")),
    }
}

impl From<ReplayEstimation> for ReplayCount {
    fn from(estimation: ReplayEstimation) -> Self {
        let ReplayEstimation { count, through, filter, dead_letters } = estimation;
        let dead_letters = dead_letters.into_iter().map(DeadLetters::from).collect();
        Self { count, confirm: count, through: through.get(), filter: filter.into(), dead_letters }
    }
}

impl From<DeadLetterSummary> for DeadLetters {
    fn from(summary: DeadLetterSummary) -> Self {
        let DeadLetterSummary { letters, is_replayable } = summary;
        Self {
            target_id: letters.target.get(),
            target: letters.name,
            target_state: letters.state.into(),
            deliveries: letters.deliveries,
            replayable: is_replayable,
        }
    }
}
