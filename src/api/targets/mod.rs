//! Targets: the list, the details of one, and its state. `change` creates and changes them,
//! `secret` manages their secrets.

mod change;
mod secret;

pub use change::{__path_create, __path_patch, create, patch, replay_target};
pub use secret::{__path_rotate, rotate};

use actix_web::{HttpResponse, rt, web};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::error::ApiError;
use super::input::{self, Id, NoParameters, Query};
use super::page::{Page, Paging};
use super::words::{ContentType, Order, Origin, TargetKind, TargetState};
use crate::config;
use crate::http::service::Service;
use crate::http::tokens::Role;
use crate::json::Literal;
use crate::request_id;
use crate::store::{self, DeliveryRate, Pattern, TargetError};

/// A destination of messages.
#[derive(Debug, Serialize, ToSchema)]
pub struct Target {
    #[schema(examples(3))]
    pub id: i64,
    #[schema(examples("billing"))]
    pub name: String,
    pub kind: TargetKind,
    pub origin: Origin,
    pub state: TargetState,
    /// When the state was entered.
    #[schema(format = DateTime, examples("2026-11-22T14:31:00.000000Z"))]
    pub state_since: String,
    /// The reason, if the service changed the state.
    pub state_reason: Option<String>,
    /// It receives only events that were emitted for this owner.
    pub owner: Option<String>,
    /// Event patterns: `*` matches any characters.
    #[schema(examples(json!(["github.*"])))]
    pub events: Vec<String>,
    /// Conditions on the payload; all must hold.
    pub filter: Option<Vec<Condition>>,
    /// Null for listeners and for targets from the environment. The read token sees the origin,
    /// and `…` for the rest.
    #[schema(examples("https://billing.example.com/hooks"))]
    pub url: Option<String>,
    /// Null: as received; JSON for emitted events.
    pub content_type: Option<ContentType>,
    /// Concurrent deliveries.
    #[schema(examples(8))]
    pub concurrency: u32,
    pub order: Order,
    #[schema(examples("50/s"))]
    pub rate: Option<String>,
    /// Timeout of each attempt.
    #[schema(examples(30))]
    pub timeout_seconds: u64,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// A target with metadata of its secrets. A target from the environment has its secrets there.
#[derive(Debug, Serialize, ToSchema)]
pub struct TargetDetails {
    #[serde(flatten)]
    pub target: Target,
    /// Names of the headers sent with every request; their values are never shown.
    #[schema(examples(json!(["authorization"])))]
    pub header_names: Vec<String>,
    /// Signing secrets, newest first, without their values.
    pub secrets: Vec<TargetSecret>,
}

/// A signing secret.
#[derive(Debug, Serialize, ToSchema)]
pub struct TargetSecret {
    /// End of its use; null: unlimited.
    #[schema(format = DateTime)]
    pub until: Option<String>,
}

/// A condition on one value of the payload.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// A JSON pointer (RFC 6901); empty for the whole payload.
    #[schema(max_length = 500, pattern = "^(/([^~/\\u0000-\\u001f]|~[01])*)*$", examples("/ref"))]
    pub pointer: String,
    /// The value must equal this.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = Value, required = false)]
    pub equals: Option<Literal>,
    /// The value must be one of these.
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "in", deserialize_with = "present")]
    #[schema(value_type = Vec<Value>, required = false, min_items = 1, max_items = 200)]
    pub among: Option<Vec<Literal>>,
    /// The value must exist (or not).
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    #[schema(value_type = bool, required = false)]
    pub exists: Option<bool>,
}

/// Parses a present value, including null, which differs from an absent one.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The requested page of targets.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ListTargets {
    /// `next_cursor` of the previous page.
    #[serde(default, deserialize_with = "input::id_from_1")]
    #[param(minimum = 1)]
    pub cursor: Option<i64>,
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u16>,
}

/// Targets that are not removed, newest first.
#[utoipa::path(get, path = "/targets", params(ListTargets), tag = "targets",
    responses((status = 200, description = "A page of targets.", body = Page<Target>)))]
pub async fn list(
    service: web::Data<Service>,
    role: Role,
    query: Query<ListTargets>,
) -> Result<web::Json<Page<Target>>, ApiError> {
    let paging = Paging::new(query.0.cursor, query.0.limit)?;
    let all = service.store.reads().targets().await?;
    let all = all.into_iter().map(|target| (target.id.get(), Target::of(target, role))).collect();
    let (items, next_cursor) = paging.of_all(all);
    Ok(web::Json(Page { items, next_cursor }))
}

/// One target; it may be a removed one.
#[utoipa::path(get, path = "/targets/{id}", tag = "targets",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses((status = 200, description = "The target.", body = TargetDetails)))]
pub async fn one(
    service: web::Data<Service>,
    role: Role,
    id: Id,
    _: Query<NoParameters>,
) -> Result<web::Json<TargetDetails>, ApiError> {
    let target = stored(&service, id.0).await?;
    Ok(web::Json(details(&service, target, role).await?))
}

/// Pauses a target. Its deliveries stay pending until it is resumed, for up to a week.
#[utoipa::path(post, path = "/targets/{id}/pause", tag = "targets",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The target.", body = TargetDetails),
        (status = 409, description = "A listener is served while somebody is connected."),
    ))]
pub async fn pause(
    service: web::Data<Service>,
    id: Id,
    _: Query<NoParameters>,
) -> Result<web::Json<TargetDetails>, ApiError> {
    set_state(&service, id, store::TargetState::Paused).await
}

/// Resumes a target that was paused, or disabled because it returned 410.
#[utoipa::path(post, path = "/targets/{id}/resume", tag = "targets",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The target.", body = TargetDetails),
        (status = 409, description = "It is a listener, or its secrets were dropped with a lost key and it needs a new one first."),
    ))]
pub async fn resume(
    service: web::Data<Service>,
    id: Id,
    _: Query<NoParameters>,
) -> Result<web::Json<TargetDetails>, ApiError> {
    set_state(&service, id, store::TargetState::Active).await
}

/// Removes a target and drops its pending deliveries.
#[utoipa::path(delete, path = "/targets/{id}", tag = "targets",
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 204, description = "It is removed."),
        (status = 409, description = "The environment declares it."),
    ))]
pub async fn remove(
    service: web::Data<Service>,
    id: Id,
    _: Query<NoParameters>,
) -> Result<HttpResponse, ApiError> {
    let target = stored(&service, id.0).await?;
    refuse_if_declared(&target)?;
    let reason = Some("removed by the operator".to_owned());
    let now = (service.clock)();
    let done = service
        .store
        .target_registry()
        .set_target_state(id.0.into(), store::TargetState::Removed, reason, now)
        .await;
    done.map_err(|refused| told(refused, &target.settings.name))?;
    // Disconnects the client, if the target is a listener.
    service.streams.remove(id.0);
    drop_pending(&service, id.0);
    Ok(HttpResponse::NoContent().finish())
}

/// Drops the pending deliveries of a removed target in the background, so that the client does not
/// wait.
pub fn drop_pending(service: &web::Data<Service>, target: i64) {
    let service = service.clone();
    rt::spawn(request_id::for_task(async move {
        match service.store.delivery_queue().drop_pending_of_removed(target.into(), (service.clock)()).await {
            Ok(0) => {}
            Ok(1) => log::info!("target={target}: removed, 1 pending delivery dropped"),
            Ok(dropped) => log::info!("target={target}: removed, {dropped} pending deliveries dropped"),
            Err(why) => {
                log::warn!("target={target}: removed; the next cleanup drops its pending deliveries: {why}");
            }
        }
    }));
}

async fn set_state(
    service: &Service,
    id: Id,
    state: store::TargetState,
) -> Result<web::Json<TargetDetails>, ApiError> {
    let target = stored(service, id.0).await?;
    if target.kind == store::TargetKind::Listener {
        let problem =
            format!("{} is a listener, which is served while somebody is connected.", target.settings.name);
        return Err(ApiError::NotChangeable(problem));
    }
    let done =
        service.store.target_registry().set_target_state(id.0.into(), state, None, (service.clock)()).await;
    done.map_err(|refused| told(refused, &target.settings.name))?;
    let target = stored(service, id.0).await?;
    Ok(web::Json(details(service, target, Role::Admin).await?))
}

/// Returns a target in any state.
///
/// # Errors
/// If it does not exist.
pub async fn stored(service: &Service, id: i64) -> Result<store::StoredTarget, ApiError> {
    service.store.reads().target(id.into()).await?.ok_or_else(|| no_such_target(&id.to_string()))
}

fn no_such_target(text: &str) -> ApiError {
    ApiError::NotFound(format!("Target {} not found (it may have been removed).", config::shown(text)))
}

/// Finds the id of a target by id or name.
///
/// # Errors
/// If it does not exist.
pub async fn id_of(service: &Service, text: Option<&str>) -> Result<Option<i64>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    Ok(Some(named(service, text).await?.id.get()))
}

/// Finds a target by id or name.
///
/// # Errors
/// If it does not exist.
pub async fn named(service: &Service, text: &str) -> Result<store::StoredTarget, ApiError> {
    let by_id = match text.parse::<i64>() {
        Ok(id) => service.store.reads().target(id.into()).await?,
        Err(_) => None,
    };
    let found = match by_id {
        Some(target) => Some(target),
        None => service.store.reads().target_named(text).await?,
    };
    found.ok_or_else(|| no_such_target(text))
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

fn refuse_if_declared(target: &store::StoredTarget) -> Result<(), ApiError> {
    if target.origin != store::Origin::Environment {
        return Ok(());
    }
    let name = &target.settings.name;
    let variables = format!("CREEL_TARGET_{}_…", name.to_ascii_uppercase().replace('-', "_"));
    Err(ApiError::NotChangeable(format!(
        "{name} is declared by the environment: change it there ({variables}), and start the service again."
    )))
}

fn told(refused: TargetError, name: &str) -> ApiError {
    match refused {
        TargetError::Unavailable(why) => why.into(),
        TargetError::NameTaken | TargetError::DeclaredNameTaken(_) => ApiError::NameTaken(name.to_owned()),
        TargetError::NotFound => no_such_target(name),
        TargetError::Sealed => ApiError::NotChangeable(format!(
            "The secrets of {name} were sealed under another CREEL_KEY: start with that one, or make the target anew."
        )),
        TargetError::SecretsLost(id) => ApiError::NotChangeable(format!(
            "The secrets of {name} were dropped with a lost key, and its deliveries would be unsigned: make a new secret with \
             `POST /api/v1/targets/{id}/secret`, set its headers again, then resume it."
        )),
        TargetError::OwnerIsFixed => {
            ApiError::NotChangeable(format!("The owner of {name} cannot be changed: make another target."))
        }
    }
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
