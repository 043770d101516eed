//! Creation and changes of targets through the API: HTTP only, to addresses that untrusted users
//! may choose.

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};

use super::super::error::ApiError;
use super::super::input::{Id, JsonBody, NoParameters, Query};
use super::super::types::target::{Condition, TargetDetails};
use super::super::types::target_change::{CreatedTarget, NewTarget, TargetPatch};
use super::super::types::words::Order;
use super::secret::{generated_name, given_or_generated};
use super::{details, refuse_if_declared, stored, told};
use crate::config::target_rules;
use crate::http::service::Service;
use crate::http::tokens::Role;
use crate::outbound::vet_url;
use crate::store::{self, DeliveryRate, Filter, Origin, Pattern, TargetKind, TargetSecrets, TargetSettings};

/// Each message is matched against all targets.
const MAX_TARGETS: usize = 10_000;
const DEFAULT_CONCURRENCY: u32 = 8;
const DEFAULT_TIMEOUT_SECONDS: u64 = 30;

/// Creates a target. Commands can only be declared in the environment.
#[utoipa::path(post, path = "/targets", tag = "targets", request_body = NewTarget,
    responses(
        (status = 201, description = "The new target.", body = CreatedTarget, headers(("Location" = String))),
        (status = 409, description = "Another target has the name, or there are too many."),
        (status = 422, description = "An event that nothing could match, a URL that must not be reached, or another value that cannot be."),
    ))]
pub async fn create(
    service: web::Data<Service>,
    _: Query<NoParameters>,
    body: JsonBody<NewTarget>,
) -> Result<HttpResponse, ApiError> {
    let JsonBody(new) = body;
    if new.exec.is_some() || new.command.is_some() {
        let problem = "commands are declared by the environment only (CREEL_TARGET_<NAME>_EXEC)".to_owned();
        return Err(ApiError::InvalidValue { field: "exec", problem });
    }
    let headers = headers(new.headers)?;
    let secret = given_or_generated(new.secret)?;
    let order = new.order.unwrap_or(Order::Any);
    let usual = if order == Order::Strict { 1 } else { DEFAULT_CONCURRENCY };
    let settings = TargetSettings {
        name: new.name.map_or_else(|| generated_name("target-"), Ok)?,
        owner: new.owner,
        events: patterns(&new.events),
        filter: new.filter.map(filter),
        url: Some(url(&new.url)?),
        content_type: new.content_type.map(Into::into),
        concurrency: new.concurrency.unwrap_or(usual),
        ordering: order.into(),
        rate: new.rate.as_deref().map(rate).transpose()?,
        timeout: Duration::from_secs(new.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS)),
    };
    check(&service, &settings)?;
    vet(&service, settings.url.as_deref()).await?;
    if service.store.reads().targets().await?.len() >= MAX_TARGETS {
        return Err(ApiError::TooManyTargets(MAX_TARGETS));
    }
    let secrets = vec![store::StoredSecret { secret: secret.clone(), until: None }];
    let target = make(&service, Origin::Api, settings, TargetSecrets { secrets, headers }).await?;
    let location = (LOCATION, format!("/api/v1/targets/{}", target.id));
    let target = details(&service, target, Role::Admin).await?;
    Ok(HttpResponse::Created().insert_header(location).json(CreatedTarget { target, secret }))
}

/// Changes a target that was created through the API.
#[utoipa::path(patch, path = "/targets/{id}", tag = "targets", request_body = TargetPatch,
    params(("id" = i64, Path, minimum = 1, example = 1)),
    responses(
        (status = 200, description = "The target as it is now.", body = TargetDetails),
        (status = 409, description = "The environment declares it, it is a listener, or another target has the name."),
        (status = 422, description = "An event that nothing could match, a URL that must not be reached, or another value that cannot be."),
    ))]
pub async fn patch(
    service: web::Data<Service>,
    id: Id,
    _: Query<NoParameters>,
    body: JsonBody<TargetPatch>,
) -> Result<web::Json<TargetDetails>, ApiError> {
    let target = stored(&service, id.0).await?;
    refuse_if_declared(&target)?;
    if target.origin != Origin::Api {
        let problem =
            format!("{} was not made as a target of its own: it can only be removed.", target.settings.name);
        return Err(ApiError::NotChangeable(problem));
    }
    let change = Change::of(body.0)?;
    let mut settings = target.settings;
    change.apply(&mut settings);
    check(&service, &settings)?;
    vet(&service, change.url.as_deref()).await?;
    let new_headers = change.headers.clone();
    let apply = move |settings: &mut TargetSettings, secrets: &mut TargetSecrets| {
        change.apply(settings);
        secrets.headers = new_headers.unwrap_or_else(|| std::mem::take(&mut secrets.headers));
    };
    let changed = service.store.target_registry().change_target(id.0, apply, (service.clock)()).await;
    let changed = changed.map_err(|refused| told(refused, &settings.name))?;
    Ok(web::Json(details(&service, changed, Role::Admin).await?))
}

/// A validated patch.
struct Change {
    name: Option<String>,
    events: Option<Vec<Pattern>>,
    filter: Option<Option<Filter>>,
    url: Option<String>,
    content_type: Option<Option<store::ContentType>>,
    headers: Option<Vec<(String, String)>>,
    concurrency: Option<u32>,
    ordering: Option<store::DeliveryOrdering>,
    rate: Option<Option<DeliveryRate>>,
    timeout: Option<Duration>,
}

impl Change {
    fn of(patch: TargetPatch) -> Result<Self, ApiError> {
        Ok(Self {
            name: patch.name,
            events: patch.events.as_deref().map(patterns),
            filter: patch.filter.map(|new| new.map(filter)),
            url: patch.url.as_deref().map(url).transpose()?,
            content_type: patch.content_type.map(|new| new.map(Into::into)),
            headers: patch.headers.map(headers).transpose()?,
            concurrency: patch.concurrency,
            ordering: patch.order.map(Into::into),
            rate: patch.rate.map(|new| new.as_deref().map(rate).transpose()).transpose()?,
            timeout: patch.timeout_seconds.map(Duration::from_secs),
        })
    }

    fn apply(&self, settings: &mut TargetSettings) {
        fn set<T: Clone>(old: &mut T, new: Option<&T>) {
            if let Some(new) = new {
                old.clone_from(new);
            }
        }
        set(&mut settings.name, self.name.as_ref());
        set(&mut settings.events, self.events.as_ref());
        set(&mut settings.filter, self.filter.as_ref());
        set(&mut settings.content_type, self.content_type.as_ref());
        set(&mut settings.concurrency, self.concurrency.as_ref());
        set(&mut settings.ordering, self.ordering.as_ref());
        set(&mut settings.rate, self.rate.as_ref());
        set(&mut settings.timeout, self.timeout.as_ref());
        if self.url.is_some() {
            settings.url.clone_from(&self.url);
        }
    }
}

/// Creates a target without subscriptions, for one replay to a URL.
///
/// # Errors
/// If the URL is not allowed.
pub async fn replay_target(service: &Service, url: &str) -> Result<store::StoredTarget, ApiError> {
    let url = self::url(url)?;
    vet(service, Some(&url)).await?;
    let settings = TargetSettings {
        name: generated_name("replay-")?,
        owner: None,
        events: Vec::new(),
        filter: None,
        url: Some(url),
        content_type: None,
        concurrency: DEFAULT_CONCURRENCY,
        ordering: store::DeliveryOrdering::Any,
        rate: None,
        timeout: Duration::from_secs(DEFAULT_TIMEOUT_SECONDS),
    };
    make(service, Origin::Replay, settings, TargetSecrets::default()).await
}

async fn make(
    service: &Service,
    origin: Origin,
    settings: TargetSettings,
    secrets: TargetSecrets,
) -> Result<store::StoredTarget, ApiError> {
    let name = settings.name.clone();
    let new = store::TargetDraft { kind: TargetKind::Http, origin, settings, secrets: Some(secrets) };
    let id = service.store.target_registry().create_target(new, (service.clock)()).await;
    stored(service, id.map_err(|refused| told(refused, &name))?).await
}

/// Checks the rules for all targets, from the environment and from the API.
fn check(service: &Service, settings: &TargetSettings) -> Result<(), ApiError> {
    for pattern in &settings.events {
        let known = service.known_events.check_pattern(pattern.as_str());
        known.map_err(|problem| ApiError::UndeclaredEvent(format!("events: {problem}")))?;
    }
    let mut problems = target_rules::check(settings, &service.known_events).into_iter();
    let Some(first) = problems.next() else { return Ok(()) };
    let others = problems.map(|other| format!("; {}: {}", other.field, other.problem));
    let problem = std::iter::once(first.problem.to_string()).chain(others).collect();
    let field = if first.field == "timeout" { "timeout_seconds" } else { first.field };
    Err(ApiError::InvalidValue { field, problem })
}

fn url(text: &str) -> Result<String, ApiError> {
    target_rules::url(text).map_err(|error| ApiError::UrlRefused(error.to_string()))
}

async fn vet(service: &Service, url: Option<&str>) -> Result<(), ApiError> {
    let Some(url) = url else { return Ok(()) };
    vet_url(url, &service.reach).await.map_err(|error| ApiError::UrlRefused(error.to_string()))
}

fn patterns(texts: &[String]) -> Vec<Pattern> {
    texts.iter().map(|text| Pattern::new(text)).collect()
}

fn filter(conditions: Vec<Condition>) -> Filter {
    Filter(conditions.into_iter().map(Into::into).collect())
}

fn rate(text: &str) -> Result<DeliveryRate, ApiError> {
    target_rules::rate(text)
        .map_err(|error| ApiError::InvalidValue { field: "rate", problem: error.to_string() })
}

/// Converts names to lower case.
fn headers(given: Option<BTreeMap<String, String>>) -> Result<Vec<(String, String)>, ApiError> {
    let given = given.unwrap_or_default();
    let all = given.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    target_rules::check_headers(all)
        .map_err(|error| ApiError::InvalidValue { field: "headers", problem: error.to_string() })?;
    Ok(given.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect())
}
