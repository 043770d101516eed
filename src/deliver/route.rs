//! Routes to targets, built from the stored row, its secrets and the environment.

use std::collections::HashMap;
use std::sync::Arc;

use time::OffsetDateTime;
use tokio::sync::Semaphore;

use super::attempt::{AttemptRequest, AttemptResult};
use super::command;
use super::http::HttpRoute;
use super::signature::Signer;
use crate::config::{self, CommandEnvironment, Destination};
use crate::outbound::DeliveryClient;
use crate::store::{Origin, StoredMessage, StoredTarget, TargetId, TargetKind, TargetSecrets, Timestamp};

/// Route to a target. Contains secrets, so it does not implement `Debug`.
#[derive(Clone)]
pub enum Route {
    Http(Arc<HttpRoute>),
    Command(Vec<String>, CommandEnvironment),
}

impl Route {
    /// Returns the URL; empty for a command.
    pub fn url(&self) -> &str {
        match self {
            Self::Http(route) => &route.url,
            Self::Command(..) => "",
        }
    }

    /// Returns the permit that a delivery of the message needs in addition to a slot of the target.
    pub fn large_form(&self, message: &StoredMessage) -> Option<&Arc<Semaphore>> {
        match self {
            Self::Http(route) => route.makes_large_form(message).then_some(&route.large_form),
            Self::Command(..) => None,
        }
    }

    pub async fn deliver(&self, attempt: &AttemptRequest<'_>, now: OffsetDateTime) -> AttemptResult {
        match self {
            Self::Http(route) => route.deliver(attempt, now).await,
            Self::Command(words, environment) => command::run(words, environment, attempt).await,
        }
    }
}

/// Data for building routes.
pub struct Routes {
    /// Configuration of each declared target, by its id.
    pub declared: HashMap<TargetId, config::TargetConfig>,
    pub environment: CommandEnvironment,
    /// Client for targets declared in the environment.
    pub anywhere: DeliveryClient,
    /// Client for targets created through the API.
    pub public: DeliveryClient,
}

impl Routes {
    /// Returns `None` for listeners, and for targets that the environment no longer declares.
    pub fn of(&self, target: &StoredTarget, secrets: &TargetSecrets) -> Option<Route> {
        match (target.origin, target.kind) {
            (Origin::Environment, _) => self.declared.get(&target.id).map(|declared| self.declared(declared)),
            (_, TargetKind::Http) => {
                let until = |until: Timestamp| until.to_time().unix_timestamp();
                let signing = secrets.secrets.iter();
                let signing = signing.map(|secret| (secret.secret.as_bytes(), secret.until.map(until)));
                Some(Route::Http(Arc::new(HttpRoute {
                    client: self.public.clone(),
                    url: target.settings.url.clone()?,
                    content_type: target.settings.content_type,
                    signer: Signer::new(signing),
                    headers: secrets
                        .headers
                        .iter()
                        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone().into_bytes()))
                        .collect(),
                    large_form: one_at_a_time(),
                })))
            }
            // Only the environment can declare commands: an API token must not allow running
            // programs.
            (_, TargetKind::Command | TargetKind::Listener) => None,
        }
    }

    fn declared(&self, target: &config::TargetConfig) -> Route {
        match &target.destination {
            Destination::Command(words) => Route::Command(words.clone(), self.environment.clone()),
            Destination::Http(url) => Route::Http(Arc::new(HttpRoute {
                client: self.anywhere.clone(),
                url: String::from_utf8_lossy(url.expose()).into_owned(),
                content_type: target.settings.content_type,
                signer: Signer::new(target.secrets.iter().map(|secret| (secret.expose(), None))),
                headers: target
                    .headers
                    .iter()
                    .map(|(name, value)| (name.clone(), value.expose().to_vec()))
                    .collect(),
                large_form: one_at_a_time(),
            })),
        }
    }
}

fn one_at_a_time() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}
