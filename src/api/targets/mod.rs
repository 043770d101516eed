//! Targets: the list, the details of one, and its state. `change` creates and changes them,
//! `secret` manages their secrets.

mod change;
mod secret;

pub use change::{__path_create, __path_patch, create, patch, replay_target};
pub use secret::{__path_rotate, rotate};

use actix_web::{HttpResponse, rt, web};
use serde::Deserialize;

use super::error::ApiError;
use super::input::{self, Id, NoParameters, Query};
use super::page::Paging;
use super::types::page::Page;
use super::types::target::{Condition, Target, TargetDetails, TargetSecret};
use crate::config;
use crate::http::service::Service;
use crate::http::tokens::Role;
use crate::store::{self, DeliveryRate, Pattern, TargetError};

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
    let all = all.into_iter().map(|target| (target.id, Target::of(target, role))).collect();
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
        .set_target_state(id.0, store::TargetState::Removed, reason, now)
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
    rt::spawn(async move {
        match service.store.delivery_queue().drop_pending_of_removed(target, (service.clock)()).await {
            Ok(0) => {}
            Ok(1) => log::info!("target {target} is removed: dropped 1 pending delivery"),
            Ok(dropped) => log::info!("target {target} is removed: dropped {dropped} pending deliveries"),
            Err(why) => {
                log::warn!("pending deliveries of removed target {target} go with the next clean-up: {why}");
            }
        }
    });
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
    let done = service.store.target_registry().set_target_state(id.0, state, None, (service.clock)()).await;
    done.map_err(|refused| told(refused, &target.settings.name))?;
    let target = stored(service, id.0).await?;
    Ok(web::Json(details(service, target, Role::Admin).await?))
}

/// Returns a target in any state.
///
/// # Errors
/// If it does not exist.
pub async fn stored(service: &Service, id: i64) -> Result<store::StoredTarget, ApiError> {
    service.store.reads().target(id).await?.ok_or_else(|| no_such_target(&id.to_string()))
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
    Ok(Some(named(service, text).await?.id))
}

/// Finds a target by id or name.
///
/// # Errors
/// If it does not exist.
pub async fn named(service: &Service, text: &str) -> Result<store::StoredTarget, ApiError> {
    let by_id = match text.parse() {
        Ok(id) => service.store.reads().target(id).await?,
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
        secrets: secrets.secrets.into_iter().map(|secret| TargetSecret { until: secret.until }).collect(),
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
            id: target.id,
            name: settings.name,
            kind: target.kind.into(),
            origin: target.origin.into(),
            state: target.state.into(),
            state_since: target.state_since,
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
            created_at: target.created_at,
            updated_at: target.updated_at,
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
