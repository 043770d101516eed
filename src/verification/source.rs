//! One configured source: its path, methods and allowed addresses, its verifier and keys, and the
//! redaction of its requests.

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use subtle::ConstantTimeEq;
use tokio::sync::{Mutex, MutexGuard};

use crate::config;
use crate::outbound::GithubAddresses;
use crate::providers::{ConfirmQuery, Secret, SettingError, Verifier};
use crate::store::ConfirmationRequest;
use crate::verification::examine::Rules;
use crate::verification::fetches::Fetches;
use crate::verification::health::SourceHealth;
use crate::verification::redaction::Redaction;
use crate::verification::shown_url::shown_url;

/// Methods of requests that only check whether a URL is served.
const PROBES: [&str; 2] = ["GET", "HEAD"];

#[derive(Debug)]
pub struct Source {
    pub name: Arc<str>,
    pub provider: String,
    pub fetches: Arc<Fetches>,
    verifier: Arc<Verifier>,
    /// The verifier with the learned secret, for sources that learn their secret.
    learned: Option<RwLock<Option<Arc<Verifier>>>>,
    /// Held while a secret is being learned.
    learning: Mutex<()>,
    /// The URL as registered, or the part before the request target.
    url: RegisteredUrl,
    pub redaction: Redaction,
    pub dedupe: Option<Duration>,
    /// Settings for confirming its messages before delivery.
    pub confirm: Option<config::Confirm>,
    pub health: SourceHealth,
    /// `/webhooks/<name>`
    path: String,
    /// The required rest of the path: empty, or `/` and the random path part.
    path_part: Vec<u8>,
    /// Methods of messages, then those of handshakes only, then those of probes only.
    methods: Vec<String>,
    message_methods: usize,
    /// Whether GET and HEAD are answered although they are not messages.
    pub answers_probes: bool,
    /// The methods as the value of the header `Allow`.
    allow: String,
    addresses: Option<config::Allow>,
    /// Limit on the requests from one client network.
    pub rate: Option<config::Rate>,
}

/// The URL that a scheme signs.
#[derive(Debug)]
enum RegisteredUrl {
    /// No scheme of the source signs it.
    NotSigned,
    Whole(String),
    /// The base of the URL, without a trailing slash.
    Base(String),
}

impl Source {
    pub fn new(source: config::SourceConfig, public_url: Option<&str>) -> Self {
        let name: Arc<str> = source.name.into();
        let path_part = source.path.as_ref().map(|path| [b"/", path.expose()].concat());
        let mut methods = source.methods;
        let message_methods = methods.len();
        let probes: &[&str] = if source.probe { &PROBES } else { &[] };
        for method in source.verifier.recipe().handshake_methods().chain(probes.iter().copied()) {
            if !methods.iter().any(|known| known == method) {
                methods.push(method.to_owned());
            }
        }
        let learns = source.verifier.waits_for_secret();
        Self {
            answers_probes: source.probe,
            fetches: Arc::new(Fetches::new(Arc::clone(&name))),
            url: match (source.verifier.recipe().signs_url(), source.url, public_url) {
                (false, ..) => RegisteredUrl::NotSigned,
                (true, Some(url), _) => RegisteredUrl::Whole(url),
                (true, None, base) => RegisteredUrl::Base(base.unwrap_or_default().to_owned()),
            },
            learned: learns.then(RwLock::default),
            learning: Mutex::default(),
            health: SourceHealth::default(),
            redaction: Redaction::new(
                source.verifier.credential_headers(),
                source.verifier.credential_query(),
            ),
            path: format!("/webhooks/{name}"),
            path_part: path_part.unwrap_or_default(),
            allow: methods.join(", "),
            methods,
            message_methods,
            addresses: source.allow,
            rate: source.rate,
            name,
            provider: source.provider,
            verifier: Arc::new(source.verifier),
            dedupe: source.dedupe,
            confirm: source.confirm,
        }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the path with its random part, which is a secret.
    pub fn whole_path(&self) -> String {
        format!("{}{}", self.path, String::from_utf8_lossy(&self.path_part))
    }

    pub fn has_path_part(&self) -> bool {
        !self.path_part.is_empty()
    }

    /// Whether the path, as sent, is exactly the source's, with or without a slash at its end.
    /// Compares the random part in constant time, so timing does not show how much of a guess was
    /// right.
    pub fn is_reached_by(&self, path: &str) -> bool {
        let Some(rest) = path.strip_prefix(&self.path) else { return false };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        rest.as_bytes().ct_eq(&self.path_part).into()
    }

    pub fn accepts_method(&self, method: &str) -> bool {
        self.methods.iter().any(|taken| taken == method)
    }

    /// Whether a request with that method is a message unless it is a handshake.
    pub fn is_message_method(&self, method: &str) -> bool {
        self.methods[..self.message_methods].iter().any(|taken| taken == method)
    }

    /// Whether a request that is neither a message nor a handshake is answered as a probe.
    pub fn answers_probe(&self, method: &str) -> bool {
        self.answers_probes && PROBES.contains(&method)
    }

    /// Returns the verifier with the learned secret, if there is one; otherwise the configured
    /// verifier.
    pub fn verifier(&self) -> Arc<Verifier> {
        let learned = self.learned.as_ref().map(|lock| lock.read());
        let current = learned.as_ref().and_then(|learned| learned.as_ref());
        Arc::clone(current.unwrap_or(&self.verifier))
    }

    /// Returns the rules for verifying a request.
    pub fn rules(&self, verifier: &Arc<Verifier>) -> Rules {
        let confirm_api = self.confirm.as_ref().map(|confirm| Arc::clone(&confirm.api));
        Rules { verifier: Arc::clone(verifier), confirm_api }
    }

    /// Returns the confirmation request for a message.
    pub fn confirmation_request(&self, confirm_query: &ConfirmQuery) -> ConfirmationRequest {
        let max_awaiting = self.confirm.as_ref().and_then(|confirm| confirm.max_awaiting);
        ConfirmationRequest { request: confirm_query.to_text(), max_awaiting }
    }

    /// Whether a handshake provides its secret.
    pub fn learns(&self) -> bool {
        self.learned.is_some()
    }

    /// Serializes the learning of secrets.
    pub async fn learning_turn(&self) -> MutexGuard<'_, ()> {
        self.learning.lock().await
    }

    /// Uses the secret from now on.
    ///
    /// # Errors
    /// If it is not a valid secret of this provider.
    pub fn use_secret(&self, secret: &Secret) -> Result<(), Vec<SettingError>> {
        self.use_verifier(self.with_secret(secret)?);
        Ok(())
    }

    /// Returns the verifier with that secret.
    ///
    /// # Errors
    /// If it is not a valid secret of this provider.
    pub fn with_secret(&self, secret: &Secret) -> Result<Verifier, Vec<SettingError>> {
        self.verifier.with_learned(Some(secret))
    }

    /// Uses this verifier from now on.
    pub fn use_verifier(&self, verifier: Verifier) {
        if let Some(lock) = &self.learned {
            *lock.write() = Some(Arc::new(verifier));
        }
    }

    /// Returns the URL as registered with the provider; empty if no scheme signs it.
    pub fn registered_url<'a>(&'a self, target: &str, query: &str) -> Cow<'a, str> {
        match &self.url {
            RegisteredUrl::NotSigned => Cow::Borrowed(""),
            RegisteredUrl::Whole(url) if url.contains('?') || query.is_empty() => Cow::Borrowed(url),
            RegisteredUrl::Whole(url) => Cow::Owned(format!("{url}?{query}")),
            RegisteredUrl::Base(base) => Cow::Owned(format!("{base}{target}")),
        }
    }

    /// Returns the registered URL for the operator, without secrets; `None` if no scheme signs it.
    pub fn shown_signed_url(&self, target: &str, query: &str) -> Option<String> {
        if matches!(self.url, RegisteredUrl::NotSigned) {
            return None;
        }
        let hidden = String::from_utf8_lossy(&self.path_part);
        let hidden = hidden.strip_prefix('/').unwrap_or(&hidden);
        Some(shown_url(&self.registered_url(target, query), hidden, &self.redaction))
    }

    /// Returns the parts of its URL that must not be shown: the random part of the path, and a user
    /// and password.
    pub fn hidden_texts(&self) -> Vec<Secret> {
        let path_part = self.path_part.strip_prefix(b"/").unwrap_or(&self.path_part);
        let (RegisteredUrl::Whole(url) | RegisteredUrl::Base(url)) = &self.url else {
            return vec![Secret::new(path_part)];
        };
        let authority = url.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or(""));
        let login = authority.rsplit_once('@').map_or("", |(login, _)| login);
        vec![Secret::new(path_part), Secret::new_text(login)]
    }

    /// Returns the networks in its allowlist, and whether GitHub's published addresses are allowed
    /// too; `None` without an allowlist.
    pub fn allowed_networks(&self) -> Option<(Vec<String>, bool)> {
        let allow = self.addresses.as_ref()?;
        Some((allow.nets.iter().map(ToString::to_string).collect(), allow.github))
    }

    /// Returns the value of the header `Allow`.
    pub fn allow(&self) -> &str {
        &self.allow
    }

    pub fn admits(&self, client: IpAddr, github: &GithubAddresses) -> bool {
        let Some(allow) = &self.addresses else { return true };
        allow.nets.iter().any(|network| network.contains(&client))
            || (allow.github && github.contains(client))
    }
}

#[cfg(test)]
mod tests {
    use crate::providers::{Settings, recipe};

    use super::*;

    fn source(path: Option<&str>) -> Source {
        let source = config::SourceConfig {
            name: "acme".to_owned(),
            provider: "none".to_owned(),
            verifier: Verifier::bind(recipe("none").unwrap(), &Settings::default()).unwrap(),
            path: path.map(Secret::new),
            url: None,
            allow: Some(config::Allow { nets: vec!["192.0.2.0/24".parse().unwrap()], github: true }),
            methods: vec!["GET".to_owned(), "POST".to_owned()],
            probe: false,
            rate: None,
            dedupe: None,
            retention: None,
            confirm: None,
        };
        Source::new(source, None)
    }

    #[test]
    fn only_the_exact_path_reaches_a_source() {
        let open = source(None);
        for path in ["/webhooks/acme", "/webhooks/acme/"] {
            assert!(open.is_reached_by(path), "{path}");
        }
        for path in
            ["/webhooks/acme//", "/webhooks/acme/x", "/webhooks/acmes", "/webhooks/Acme", "/webhooks/%61cme"]
        {
            assert!(!open.is_reached_by(path), "{path}");
        }
        let hidden = source(Some("s3cret"));
        for path in ["/webhooks/acme/s3cret", "/webhooks/acme/s3cret/"] {
            assert!(hidden.is_reached_by(path), "{path}");
        }
        for path in [
            "/webhooks/acme",
            "/webhooks/acme/",
            "/webhooks/acme/s3cre",
            "/webhooks/acme/s3crets",
            "/webhooks/acme/S3cret",
            "/webhooks/acme//s3cret",
            "/webhooks/acme/s3cret/x",
            "/webhooks/acme/s3cret%00",
        ] {
            assert!(!hidden.is_reached_by(path), "{path}");
        }
    }

    #[test]
    fn addresses_are_admitted_by_network_or_by_the_published_list() {
        let github = GithubAddresses::from_cache(r#"{"hooks":["198.51.100.0/24"]}"#).unwrap();
        let admits = |text: &str| source(None).admits(text.parse().unwrap(), &github);
        assert!(admits("192.0.2.9") && admits("198.51.100.9"));
        assert!(!admits("203.0.113.9") && !admits("2001:db8::1"));
    }
}
