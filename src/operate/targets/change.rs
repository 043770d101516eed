//! Creation and changes of targets.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::operator::Operator;
use super::super::problem::Problem;
use super::secret::{generated_name, given_or_generated};
use super::settings::{headers, patterns, rate, reject_declared, url};
use crate::store::{
    ContentType, DeliveryOrdering, DeliveryRate, Filter, Origin, Pattern, StoredSecret, StoredTarget,
    TargetDraft, TargetId, TargetKind, TargetSecrets, TargetSettings,
};

/// Limit on targets: each message is matched against all of them.
const MAX_TARGETS: usize = 10_000;
const DEFAULT_CONCURRENCY: u32 = 8;
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// A target to create. Contains secrets, so it does not implement `Debug`.
pub struct TargetRequest {
    /// Generated if `None`.
    pub name: Option<String>,
    pub owner: Option<String>,
    pub events: Vec<String>,
    pub filter: Option<Filter>,
    pub url: String,
    pub content_type: Option<ContentType>,
    pub headers: BTreeMap<String, String>,
    /// Generated if `None`.
    pub secret: Option<String>,
    /// Default: 8, or 1 in strict order.
    pub concurrency: Option<u32>,
    pub ordering: DeliveryOrdering,
    /// A rate like `50/s`.
    pub rate: Option<String>,
    /// Timeout of each attempt; default: 30 s.
    pub timeout: Option<Duration>,
}

/// Changes to a target: `None` leaves a setting as it is, `Some(None)` removes it. Contains
/// secrets, so it does not implement `Debug`.
#[derive(Default)]
pub struct TargetChange {
    pub name: Option<String>,
    pub events: Option<Vec<String>>,
    pub filter: Option<Option<Filter>>,
    pub url: Option<String>,
    pub content_type: Option<Option<ContentType>>,
    /// The complete set: headers that it does not list are no longer sent.
    pub headers: Option<BTreeMap<String, String>>,
    pub concurrency: Option<u32>,
    pub ordering: Option<DeliveryOrdering>,
    /// A rate like `50/s`.
    pub rate: Option<Option<String>>,
    pub timeout: Option<Duration>,
}

/// A new target with its secret, which is not shown again. Does not implement `Debug`.
pub struct IssuedTarget {
    pub target: StoredTarget,
    pub secret: String,
}

impl Operator {
    /// Creates a target.
    ///
    /// # Errors
    /// If a setting is invalid, the URL is not allowed, the name is taken, or there are too many.
    pub async fn create_target(&self, request: TargetRequest) -> Result<IssuedTarget, Problem> {
        let headers = headers(request.headers)?;
        let secret = given_or_generated(request.secret)?;
        let is_strict = request.ordering == DeliveryOrdering::Strict;
        let usual = if is_strict { 1 } else { DEFAULT_CONCURRENCY };
        let settings = TargetSettings {
            name: request.name.map_or_else(|| generated_name("target-"), Ok)?,
            owner: request.owner,
            events: patterns(&request.events),
            filter: request.filter,
            url: Some(url(&request.url)?),
            content_type: request.content_type,
            concurrency: request.concurrency.unwrap_or(usual),
            ordering: request.ordering,
            rate: request.rate.as_deref().map(rate).transpose()?,
            timeout: request.timeout.unwrap_or(DEFAULT_TIMEOUT),
        };
        self.check_settings(&settings)?;
        self.vet(settings.url.as_deref()).await?;
        if self.store.reads().targets().await?.len() >= MAX_TARGETS {
            return Err(Problem::TooManyTargets(MAX_TARGETS));
        }
        let secrets = vec![StoredSecret { secret: secret.clone(), until: None }];
        let target = self.insert_target(Origin::Api, settings, TargetSecrets { secrets, headers }).await?;
        Ok(IssuedTarget { target, secret })
    }

    /// Changes a target that was created through the API.
    ///
    /// # Errors
    /// If the target cannot be changed, a setting is invalid, the URL is not allowed, or the name
    /// is taken.
    pub async fn change_target(&self, id: TargetId, change: TargetChange) -> Result<StoredTarget, Problem> {
        let target = self.target(id).await?;
        reject_declared(&target)?;
        if target.origin != Origin::Api {
            return Err(Problem::DependentTarget(target.settings.name));
        }
        let change = SettingsChange::of(change)?;
        let mut settings = target.settings;
        change.apply(&mut settings);
        self.check_settings(&settings)?;
        self.vet(change.url.as_deref()).await?;
        let new_headers = change.headers.clone();
        let apply = move |settings: &mut TargetSettings, secrets: &mut TargetSecrets| {
            change.apply(settings);
            secrets.headers = new_headers.unwrap_or_else(|| std::mem::take(&mut secrets.headers));
        };
        let changed = self.store.target_registry().change_target(id, apply, self.now()).await;
        changed.map_err(|error| Problem::of_target(error, &settings.name))
    }

    /// Creates a target without subscriptions, for one replay to a URL. Its requests are unsigned.
    ///
    /// # Errors
    /// If the URL is not allowed.
    pub(in crate::operate) async fn replay_target(&self, text: &str) -> Result<StoredTarget, Problem> {
        let url = url(text)?;
        self.vet(Some(&url)).await?;
        let settings = TargetSettings {
            name: generated_name("replay-")?,
            owner: None,
            events: Vec::new(),
            filter: None,
            url: Some(url),
            content_type: None,
            concurrency: DEFAULT_CONCURRENCY,
            ordering: DeliveryOrdering::Any,
            rate: None,
            timeout: DEFAULT_TIMEOUT,
        };
        self.insert_target(Origin::Replay, settings, TargetSecrets::default()).await
    }

    async fn insert_target(
        &self,
        origin: Origin,
        settings: TargetSettings,
        secrets: TargetSecrets,
    ) -> Result<StoredTarget, Problem> {
        let name = settings.name.clone();
        let draft = TargetDraft { kind: TargetKind::Http, origin, settings, secrets: Some(secrets) };
        let id = self.store.target_registry().create_target(draft, self.now()).await;
        self.target(id.map_err(|error| Problem::of_target(error, &name))?).await
    }
}

/// A change with valid values.
struct SettingsChange {
    name: Option<String>,
    events: Option<Vec<Pattern>>,
    filter: Option<Option<Filter>>,
    url: Option<String>,
    content_type: Option<Option<ContentType>>,
    headers: Option<Vec<(String, String)>>,
    concurrency: Option<u32>,
    ordering: Option<DeliveryOrdering>,
    rate: Option<Option<DeliveryRate>>,
    timeout: Option<Duration>,
}

impl SettingsChange {
    fn of(change: TargetChange) -> Result<Self, Problem> {
        Ok(Self {
            name: change.name,
            events: change.events.as_deref().map(patterns),
            filter: change.filter,
            url: change.url.as_deref().map(url).transpose()?,
            content_type: change.content_type,
            headers: change.headers.map(headers).transpose()?,
            concurrency: change.concurrency,
            ordering: change.ordering,
            rate: change.rate.map(|new| new.as_deref().map(rate).transpose()).transpose()?,
            timeout: change.timeout,
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
