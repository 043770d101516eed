//! The environment, read once into a validated `Config`. This module owns the names, defaults and meanings of all
//! variables; nothing after it checks a setting again. Every problem is reported together, and no problem and no
//! `Debug` ever shows a secret. It must never read anything but the environment and the files that it names.

mod advice;
mod command_environment;
mod confirm;
mod documents;
mod inherited_sockets;
mod names;
mod noun;
mod parse;
mod recipes;
mod sources;
mod table;
mod targets;
mod tokens;
mod values;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::providers::{Secret, Verifier};
use noun::Noun;
use values::{OwnValues, Values};

pub use command_environment::{CommandEnvironment, command_environment};
pub use confirm::Confirm;
pub use documents::{configuration_tables, environment_example};
pub use inherited_sockets::InheritedSockets;
pub use parse::{base_url, duration, http_url, shown, token};
pub use targets::{Destination, Target, rules as target_rules};
pub use tokens::Tokens;

use targets::rules::KnownEvents;

const MAX_CLEANUP_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// SQLite holds no larger values than a billion bytes by default; half of it leaves room for its own copies.
const MAX_BODY_BYTES: u64 = 512 << 20;
const MAX_BUDGET_BYTES: u64 = 1 << 40;
/// An empty database with its ballast and WAL does not fit below it.
const MIN_DATABASE_BYTES: u64 = 1 << 20;

/// The source that there is where none is configured.
pub const INBOX: &str = "inbox";

/// Everything that the operator decided.
#[derive(Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub admin_listen: Option<SocketAddr>,
    pub admin_token: Option<Secret>,
    pub read_token: Option<Secret>,
    pub listener_token: Option<Secret>,
    pub database: PathBuf,
    pub key: Option<Secret>,
    /// Without a trailing slash.
    pub public_url: Option<String>,
    pub trusted_proxies: Vec<IpNet>,
    pub retention: Retention,
    pub cleanup_interval: Duration,
    pub max_database_bytes: Option<u64>,
    pub min_free_bytes: u64,
    pub max_body_bytes: usize,
    pub body_budget_bytes: usize,
    pub checkpoint: bool,
    /// `env_logger` filter.
    pub log: String,
    pub log_format: LogFormat,
    pub github_meta_url: String,
    /// In alphabetical order. Empty: the app adds the `inbox` source.
    pub sources: Vec<Source>,
    /// In alphabetical order.
    pub targets: Vec<Target>,
    /// Names that the app may emit.
    pub events: Vec<String>,
    /// Private networks that targets made through the API may reach.
    pub target_allow_ips: Vec<IpNet>,
    /// Age at which finished deliveries and their attempts are cleaned up.
    pub attempt_retention: Retention,
    /// Age at which dead deliveries are cleaned up.
    pub dead_retention: Retention,
    /// What rejected requests may take of the database.
    pub quarantine_bytes: u64,
    /// Age at which rejected requests are cleaned up.
    pub quarantine_retention: Duration,
    /// What is allowed but most likely a mistake; each names its variable.
    pub advice: Vec<String>,
}

/// Age at which messages are cleaned up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    Keep,
    For(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// One configured sender.
#[derive(Debug)]
pub struct Source {
    /// `[a-z0-9-]+`
    pub name: String,
    pub provider: String,
    pub verifier: Verifier,
    pub path: Option<Secret>,
    /// As registered at the provider, where that is not the public URL and the path.
    pub url: Option<String>,
    pub allow: Option<Allow>,
    /// Upper case.
    pub methods: Vec<String>,
    /// Whether GET and HEAD are answered without storing anything.
    pub probe: bool,
    pub rate: Option<Rate>,
    pub dedupe: Option<Duration>,
    pub retention: Option<Retention>,
    /// What is asked about its messages before anything is done with them.
    pub confirm: Option<Confirm>,
}

/// Which client addresses may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    pub nets: Vec<IpNet>,
    /// Also GitHub's published `hooks` list.
    pub github: bool,
}

/// `count` requests in `per`, as a token bucket of `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub per: Duration,
}

/// Every problem found, each with its variable's name.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} problem{plural} in the configuration:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}

impl Config {
    /// Reads the environment of the process.
    ///
    /// # Errors
    /// All problems together.
    pub fn from_env() -> Result<Self, Problems> {
        Self::from_os_vars(std::env::vars_os())
    }

    /// # Errors
    /// All problems together.
    pub fn from_vars(vars: BTreeMap<String, String>) -> Result<Self, Problems> {
        Self::build(Self::build_from(&vars))
    }

    fn from_os_vars(vars: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, Problems> {
        let mut readable = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, value) in vars {
            let shown = name.to_string_lossy().into_owned();
            if !shown.starts_with(table::PREFIX) {
                continue;
            }
            match (name.into_string(), value.into_string()) {
                (Ok(name), Ok(value)) => {
                    readable.insert(name, value);
                }
                _ => problems.push(format!(
                    "{}: is not UTF-8 text; write name and value as text",
                    names::escaped(&shown)
                )),
            }
        }
        let mut values = Self::build_from(&readable);
        problems.append(&mut values.problems);
        values.problems = problems;
        Self::build(values)
    }

    /// The user's own recipes must be known before the names of variables can be read.
    fn build_from(vars: &BTreeMap<String, String>) -> Values {
        let added = recipes::add(vars);
        let mut values = Values::read(vars, added.is_err());
        match added {
            Ok(advice) => values.advice = advice,
            Err(problem) => values.problems.push(problem),
        }
        values
    }

    fn build(mut values: Values) -> Result<Self, Problems> {
        let max_body = |text: &str| parse::size_between(text, 1, MAX_BODY_BYTES);
        let body_budget = |text: &str| parse::size_between(text, 1, MAX_BUDGET_BYTES);
        let database_size = |text: &str| parse::size_between(text, MIN_DATABASE_BYTES, u64::MAX);
        let interval = |text: &str| parse::duration_up_to(text, MAX_CLEANUP_INTERVAL, "1d");
        let mut config = Self {
            listen: values.required("CREEL_LISTEN", parse::socket_address),
            admin_listen: values.optional("CREEL_ADMIN_LISTEN", parse::socket_address),
            admin_token: values.optional("CREEL_ADMIN_TOKEN", token),
            read_token: values.optional("CREEL_READ_TOKEN", token),
            listener_token: values.optional("CREEL_LISTENER_TOKEN", token),
            database: values.required("CREEL_DATABASE", parse::database),
            key: values.optional("CREEL_KEY", parse::key),
            public_url: values.optional("CREEL_PUBLIC_URL", base_url),
            trusted_proxies: values.optional("CREEL_TRUSTED_PROXIES", parse::networks).unwrap_or_default(),
            retention: values.required("CREEL_RETENTION", parse::retention),
            cleanup_interval: values.required("CREEL_CLEANUP_INTERVAL", interval),
            max_database_bytes: values.optional("CREEL_MAX_DATABASE_SIZE", database_size),
            min_free_bytes: values.required("CREEL_MIN_FREE", parse::size),
            max_body_bytes: bytes_in_memory(values.required("CREEL_MAX_BODY", max_body)),
            body_budget_bytes: bytes_in_memory(values.required("CREEL_BODY_BUDGET", body_budget)),
            checkpoint: values.required("CREEL_CHECKPOINT", parse::on_off),
            log: values.required("CREEL_LOG", parse::log_filter),
            log_format: values.required("CREEL_LOG_FORMAT", parse::log_format),
            github_meta_url: values.required("CREEL_GITHUB_META_URL", http_url),
            sources: Vec::new(),
            targets: Vec::new(),
            events: values.optional("CREEL_EVENTS", parse::events).unwrap_or_default(),
            target_allow_ips: values.optional("CREEL_TARGET_ALLOW_IPS", parse::networks).unwrap_or_default(),
            attempt_retention: values.required("CREEL_ATTEMPT_RETENTION", parse::retention),
            dead_retention: values.required("CREEL_DEAD_RETENTION", parse::retention),
            quarantine_bytes: values.required("CREEL_QUARANTINE_SIZE", parse::size),
            quarantine_retention: values.required("CREEL_QUARANTINE_RETENTION", duration),
            advice: Vec::new(),
        };
        config.check_together(&mut values);
        let sources = std::mem::take(&mut values.sources);
        config.sources = sources
            .iter()
            .filter_map(|(name, own)| sources::build(name, own, config.retention, &mut values))
            .collect();
        // A source with a problem is known all the same: its targets have none.
        let known = known_events(sources.keys().cloned(), &config.events);
        let targets = std::mem::take(&mut values.targets);
        config.targets = targets
            .iter()
            .filter_map(|(name, own)| targets::build(name, own, &known, &mut values.problems))
            .collect();
        config.check_urls(&mut values);
        config.advice = std::mem::take(&mut values.advice);
        config.advice.extend(advice::on_globals(values.globals()));
        config.advise(&sources, &targets);
        if values.problems.is_empty() { Ok(config) } else { Err(Problems(values.problems)) }
    }

    fn advise(&mut self, sources: &BTreeMap<String, OwnValues>, targets: &BTreeMap<String, OwnValues>) {
        let on_source = |source: &Source| Some(advice::on_source(source, sources.get(&source.name)?));
        let on_target =
            |target: &Target| Some(advice::on_target(target, targets.get(&target.settings.name)?));
        let of_sources = self.sources.iter().filter_map(on_source).flatten();
        let found: Vec<String> =
            of_sources.chain(self.targets.iter().filter_map(on_target).flatten()).collect();
        self.advice.extend(found);
    }

    /// What no single variable can show.
    fn check_together(&self, values: &mut Values) {
        if self.max_body_bytes > self.body_budget_bytes {
            values.problem(
                "CREEL_MAX_BODY",
                "is larger than CREEL_BODY_BUDGET, so that such a body could never be received; lower it or raise the budget",
            );
        }
        if self.admin_listen == Some(self.listen) && self.listen.port() != 0 {
            values.problem(
                "CREEL_ADMIN_LISTEN",
                "is the same as CREEL_LISTEN; choose another port or remove it",
            );
        }
        let (admin, read, listener) = (&self.admin_token, &self.read_token, &self.listener_token);
        for (name, token, other_name, other) in [
            ("CREEL_READ_TOKEN", read, "CREEL_ADMIN_TOKEN", admin),
            ("CREEL_LISTENER_TOKEN", listener, "CREEL_ADMIN_TOKEN", admin),
            ("CREEL_LISTENER_TOKEN", listener, "CREEL_READ_TOKEN", read),
        ] {
            if token.is_some() && token == other {
                values.problem(
                    name,
                    &format!(
                        "has the same value as {other_name}, but each token grants different access; use another value (`creel secret`)"
                    ),
                );
            }
        }
    }

    /// A signed URL must be known as it was registered: what a proxy shows is not it.
    fn check_urls(&self, values: &mut Values) {
        for source in self.sources.iter().filter(|source| source.url.is_none() && self.public_url.is_none()) {
            if source.verifier.recipe().signs_url() {
                values.problem(
                    &format!("{}URL", names::prefix(Noun::Source, &source.name)),
                    &format!(
                        "is missing: {} signs the URL; set it to the URL as registered there, or set CREEL_PUBLIC_URL",
                        source.provider
                    ),
                );
            }
        }
    }

    /// What targets can subscribe to.
    pub fn known_events(&self) -> KnownEvents {
        known_events(self.sources.iter().map(|source| source.name.clone()), &self.events)
    }

    /// Where this machine reaches the service, without a trailing slash: `http://127.0.0.1:8080` for `0.0.0.0:8080`.
    pub fn local_url(&self) -> String {
        format!("http://{}", reachable(self.listen))
    }

    /// Where this machine reaches the API.
    pub fn local_admin_url(&self) -> String {
        format!("http://{}", reachable(self.admin_listen.unwrap_or(self.listen)))
    }

    /// The public URL, else the local one.
    pub fn base_url(&self) -> String {
        self.public_url.clone().unwrap_or_else(|| self.local_url())
    }
}

impl Source {
    /// Where its messages arrive, such as `/webhooks/shop/<path>`. It holds the random path part: print it only on purpose.
    pub fn endpoint(&self) -> String {
        match &self.path {
            Some(path) => format!("/webhooks/{}/{}", self.name, String::from_utf8_lossy(path.expose())),
            None => format!("/webhooks/{}", self.name),
        }
    }
}

fn known_events(sources: impl Iterator<Item = String>, events: &[String]) -> KnownEvents {
    let mut sources: Vec<String> = sources.collect();
    if sources.is_empty() {
        sources.push(INBOX.to_owned());
    }
    KnownEvents { sources, emitted: events.to_vec() }
}

/// The address to connect to for one that is listened on: `0.0.0.0` is no destination.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

fn bytes_in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
