//! Creation of replays: of one message, of a dead delivery, or of many messages, which are counted
//! first.

use std::time::{Duration, Instant};

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};

use super::super::deliveries;
use super::super::error::ApiError;
use super::super::input::{Id, JsonBody, NoParameters, OptionalBody, Query};
use super::super::messages::no_such_message;
use super::super::targets;
use super::super::types::delivery::Delivery;
use super::super::types::replay::{
    DeadLetters, Replay, ReplayCount, ReplayOne, ReplayRequest, ReplayedMessage, TargetReference,
};
use super::stored;
use crate::http::service::Service;
use crate::http::tokens::Role;
use crate::store::{
    self, ConfirmationState, MessageFilter, NewReplay, ReplayScope, StoredMessage, TargetState as StoredState,
};

const DEFAULT_RATE: u32 = 50;
const MAX_RATE: u32 = 10_000;
const MAX_IDS: usize = 1_000;
/// A client waits for the count.
const COUNTED_WITHIN: Duration = Duration::from_secs(20);

/// Replays many messages. The first call only counts; with `confirm` the replay starts, if the
/// number is unchanged.
///
/// Messages that their provider has not confirmed are excluded, as are other owners' messages if
/// the target has an owner. Messages that a target's filter rejects are counted, but not delivered.
/// With the filter `dead` each message is delivered only to the targets where it is dead; those
/// dead letters become `replayed`.
#[utoipa::path(post, path = "/replays", tag = "replays", request_body = ReplayRequest,
    responses(
        (status = 200, description = "The count; nothing has begun.", body = ReplayCount),
        (status = 201, description = "The replay, which goes on by itself.", body = Replay, headers(("Location" = String))),
        (status = 404, description = "There is no such target."),
        (status = 409, description = "It is not as many messages as were confirmed, or the target is removed."),
        (status = 422, description = "A value that cannot be, a URL that must not be reached, or more messages than can be counted in 20 seconds."),
    ))]
pub async fn create(
    service: web::Data<Service>,
    _: Query<NoParameters>,
    body: JsonBody<ReplayRequest>,
) -> Result<HttpResponse, ApiError> {
    let JsonBody(request) = body;
    let now = (service.clock)();
    let filter = match (request.filter, request.ids) {
        (Some(selection), None) => selection.filter(now)?,
        (None, Some(ids)) => MessageFilter { ids: checked_ids(ids)?, ..MessageFilter::default() },
        _ => return Err(wrong("filter", "give either a filter or ids; `{}` is a filter for all messages")),
    };
    let rate = request.rate.unwrap_or(DEFAULT_RATE);
    if !(1..=MAX_RATE).contains(&rate) {
        return Err(wrong("rate", "must be from 1 to 10000 messages per second"));
    }
    if request.through.is_some_and(|through| through < 0) {
        return Err(wrong("through", "must not be negative"));
    }
    let to = To::of(&service, request.target, request.url).await?;
    let newest = service.store.reads().newest_message().await?;
    let through = request.through.map_or(newest, |through| through.min(newest));
    let filter = MessageFilter { dead_at: to.target().filter(|_| filter.dead), ..filter };
    let to_where_it_died = filter.dead && !matches!(to, To::Url(_));
    let scope = ReplayScope { filter, target_owner: to.owner(), to_where_it_died, through };
    let reads = service.store.reads();
    let counting = reads.count_to_replay(scope.clone(), Instant::now() + COUNTED_WITHIN);
    let counted = counting.await?.ok_or(ApiError::TooBroad)?;
    let (filter, count) = (scope.filter, counted.messages);
    let Some(confirmed) = request.confirm else {
        let dead_letter = |letters| DeadLetters::of(letters, to_where_it_died);
        let dead_letters = counted.dead_letters.into_iter().map(dead_letter).collect();
        let reply = ReplayCount { count, confirm: count, through, filter: filter.into(), dead_letters };
        return Ok(HttpResponse::Ok().json(reply));
    };
    if confirmed != count {
        return Err(ApiError::CountChanged { confirmed, count });
    }
    let target = to.into_target(&service).await?.map(|target| target.id);
    let new = NewReplay { filter, target, rate, through: Some(through) };
    let id = service.store.delivery_queue().create_replay(new, now).await?;
    let replay = Replay::of(stored(&service, id).await?, Role::Admin);
    let location = (LOCATION, format!("/api/v1/replays/{id}"));
    Ok(HttpResponse::Created().insert_header(location).json(replay))
}

/// Replays one message; its deliveries are created immediately.
#[utoipa::path(post, path = "/messages/{id}/replay", tag = "messages", request_body = Option<ReplayOne>,
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The new deliveries.", body = ReplayedMessage),
        (status = 404, description = "There is no such message, or no such target."),
        (status = 409, description = "The provider has not confirmed the message, or the target is removed."),
        (status = 422, description = "The target has an owner, and the message is not that owner's; or a URL that must not be reached."),
    ))]
pub async fn replay_one(
    service: web::Data<Service>,
    id: Id,
    _: Query<NoParameters>,
    body: OptionalBody<ReplayOne>,
) -> Result<web::Json<ReplayedMessage>, ApiError> {
    let OptionalBody(request) = body;
    let message = message_to_replay(&service, id.0).await?;
    let to = To::of(&service, request.target, request.url).await?;
    let targets = match to.into_target(&service).await? {
        Some(target) => {
            refuse_other_owner(&target, &message)?;
            vec![target.id]
        }
        None => {
            let head = &message.head;
            service.store.reads().targets_for(&head.event, head.owner.as_deref(), message.payload())
        }
    };
    let made = service.store.delivery_queue().deliver_again(id.0, targets, (service.clock)()).await?;
    let delivery_ids = made.ok_or_else(|| no_such_message(id.0))?;
    Ok(web::Json(ReplayedMessage { message_id: id.0, delivery_ids }))
}

/// Creates a new delivery of the message to the same target, in any state of this one.
#[utoipa::path(post, path = "/deliveries/{id}/retry", tag = "deliveries",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 201, description = "The new delivery.", body = Delivery, headers(("Location" = String))),
        (status = 409, description = "The provider has not confirmed the message, or the target is removed."),
        (status = 422, description = "The target has an owner by now, and the message is not that owner's."),
    ))]
pub async fn retry(
    service: web::Data<Service>,
    id: Id,
    _: Query<NoParameters>,
) -> Result<HttpResponse, ApiError> {
    let old = deliveries::stored(&service, id.0).await?;
    let message = message_to_replay(&service, old.message).await?;
    let target = targets::stored(&service, old.target).await?;
    refuse_removed(&target)?;
    refuse_other_owner(&target, &message)?;
    let made =
        service.store.delivery_queue().deliver_again(old.message, vec![target.id], (service.clock)()).await?;
    let new = made.and_then(|ids| ids.first().copied()).ok_or_else(|| no_such_message(old.message))?;
    let delivery = deliveries::stored(&service, new).await?;
    let location = (LOCATION, format!("/api/v1/deliveries/{new}"));
    Ok(HttpResponse::Created().insert_header(location).json(Delivery::from(delivery)))
}

/// The destination.
enum To {
    WhoWouldGetItToday,
    Target(Box<store::StoredTarget>),
    Url(String),
}

impl To {
    async fn of(
        service: &Service,
        target: Option<TargetReference>,
        url: Option<String>,
    ) -> Result<Self, ApiError> {
        let target = match (target, url) {
            (None, None) => return Ok(Self::WhoWouldGetItToday),
            (None, Some(url)) => return Ok(Self::Url(url)),
            (Some(_), Some(_)) => return Err(wrong("url", "give either a target or a url")),
            (Some(TargetReference::Id(id)), None) => targets::stored(service, id).await?,
            (Some(TargetReference::Name(name)), None) => targets::named(service, &name).await?,
        };
        refuse_removed(&target)?;
        Ok(Self::Target(Box::new(target)))
    }

    fn target(&self) -> Option<i64> {
        match self {
            Self::Target(target) => Some(target.id),
            Self::WhoWouldGetItToday | Self::Url(_) => None,
        }
    }

    fn owner(&self) -> Option<String> {
        match self {
            Self::Target(target) => target.settings.owner.clone(),
            Self::WhoWouldGetItToday | Self::Url(_) => None,
        }
    }

    /// Creates a target for a URL, only after all checks.
    async fn into_target(self, service: &Service) -> Result<Option<store::StoredTarget>, ApiError> {
        match self {
            Self::WhoWouldGetItToday => Ok(None),
            Self::Target(target) => Ok(Some(*target)),
            Self::Url(url) => targets::replay_target(service, &url).await.map(Some),
        }
    }
}

impl DeadLetters {
    fn of(letters: store::DeadLetterCount, to_where_it_died: bool) -> Self {
        Self {
            target_id: letters.target,
            target: letters.name,
            target_state: letters.state.into(),
            deliveries: letters.deliveries,
            replayable: !to_where_it_died || letters.state != StoredState::Removed,
        }
    }
}

/// Returns a message that may be delivered.
async fn message_to_replay(service: &Service, id: i64) -> Result<StoredMessage, ApiError> {
    let message = service.store.reads().message(id).await?.ok_or_else(|| no_such_message(id))?;
    match message.head.confirmation.as_deref() {
        None => Ok(message),
        Some(state) if state == ConfirmationState::Confirmed.name() => Ok(message),
        Some(state) => Err(ApiError::NotConfirmed(not_confirmed(id, state))),
    }
}

fn not_confirmed(id: i64, state: &str) -> String {
    let advice = if state == ConfirmationState::Refused.name() {
        format!(
            "If the settings of its source caused the refusal, correct them, then `POST /api/v1/messages/{id}/confirm`"
        )
    } else {
        "The provider's API is asked until then".to_owned()
    };
    format!(
        "Message {id} is {state}, and only confirmed messages are delivered. {advice}, see `creel show {id}` for its last answer."
    )
}

fn refuse_removed(target: &store::StoredTarget) -> Result<(), ApiError> {
    if target.state != StoredState::Removed {
        return Ok(());
    }
    Err(ApiError::NotChangeable(format!("The target {} is removed.", target.settings.name)))
}

/// Rejects received messages and other owners' events for a target with an owner.
fn refuse_other_owner(target: &store::StoredTarget, message: &StoredMessage) -> Result<(), ApiError> {
    let owner = &target.settings.owner;
    if owner.is_none() || *owner == message.head.owner {
        return Ok(());
    }
    Err(ApiError::OtherOwner(format!(
        "The target {} has an owner, and message {} is not that owner's.",
        target.settings.name, message.head.id
    )))
}

fn checked_ids(ids: Vec<i64>) -> Result<Vec<i64>, ApiError> {
    if !(1..=MAX_IDS).contains(&ids.len()) || ids.iter().any(|id| *id < 1) {
        return Err(wrong("ids", "must be 1 to 1000 ids of messages"));
    }
    Ok(ids)
}

fn wrong(field: &'static str, problem: &str) -> ApiError {
    ApiError::InvalidValue { field, problem: problem.to_owned() }
}
