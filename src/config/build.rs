//! Builds the configuration from the environment, and reports all problems together.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::time::Duration;

use super::error::{Problems, ValueError};
use super::noun::Noun;
use super::parse::{base_url, duration, http_url, token};
use super::settings::{Config, known_events};
use super::source::SourceConfig;
use super::targets::TargetConfig;
use super::values::{OwnValues, Values};
use super::{advice, names, parse, recipes, sources, table, targets};

const MAX_CLEANUP_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// About half of SQLite's default limit on a row (one billion bytes).
const MAX_BODY_BYTES: u64 = 512 << 20;
const MAX_BUDGET_BYTES: u64 = 1 << 40;
/// Minimum of `CREEL_MAX_DATABASE_SIZE`: a smaller limit leaves no room for messages.
const MIN_DATABASE_BYTES: u64 = 1 << 20;

impl Config {
    /// Reads the environment of the process.
    ///
    /// # Errors
    /// Every problem found, not only the first.
    pub fn from_env() -> Result<Self, Problems> {
        Self::from_os_vars(std::env::vars_os())
    }

    /// Builds the configuration from the given variables.
    ///
    /// # Errors
    /// Every problem found, not only the first.
    pub fn from_vars(vars: BTreeMap<String, String>) -> Result<Self, Problems> {
        Self::build(Self::build_from(&vars))
    }

    pub(super) fn from_os_vars(vars: impl Iterator<Item = (OsString, OsString)>) -> Result<Self, Problems> {
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
                _ => {
                    let error = ValueError::new("is not UTF-8 text").hint("write name and value as text");
                    problems.push(error.of(names::escaped(&shown)));
                }
            }
        }
        let mut values = Self::build_from(&readable);
        problems.append(&mut values.problems);
        values.problems = problems;
        Self::build(values)
    }

    /// Loads the user's own recipes first, because they determine the names of variables.
    fn build_from(vars: &BTreeMap<String, String>) -> Values {
        let added = recipes::add(vars);
        let mut values = Values::read(vars, added.is_err());
        match added {
            Ok(advice) => values.advice = advice,
            Err(error) => values.problems.push(error),
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
            search: values.required("CREEL_SEARCH", parse::on_off),
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
        // A source with a problem still counts as known, so that targets that subscribe to its
        // events cause no further problems.
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
        let on_source = |source: &SourceConfig| Some(advice::on_source(source, sources.get(&source.name)?));
        let on_target =
            |target: &TargetConfig| Some(advice::on_target(target, targets.get(&target.settings.name)?));
        let of_sources = self.sources.iter().filter_map(on_source).flatten();
        let found: Vec<String> =
            of_sources.chain(self.targets.iter().filter_map(on_target).flatten()).collect();
        self.advice.extend(found);
    }

    /// Checks settings that depend on several variables.
    fn check_together(&self, values: &mut Values) {
        if self.max_body_bytes > self.body_budget_bytes {
            values.problem(
                "CREEL_MAX_BODY",
                ValueError::new(
                    "is larger than CREEL_BODY_BUDGET, so a body of that size could never be received",
                )
                .hint("lower it or raise the budget"),
            );
        }
        if self.admin_listen == Some(self.listen) && self.listen.port() != 0 {
            values.problem(
                "CREEL_ADMIN_LISTEN",
                ValueError::new("is the same as CREEL_LISTEN").hint("choose another port or remove it"),
            );
        }
        let (admin, read, listener) = (&self.admin_token, &self.read_token, &self.listener_token);
        for (name, token, other_name, other) in [
            ("CREEL_READ_TOKEN", read, "CREEL_ADMIN_TOKEN", admin),
            ("CREEL_LISTENER_TOKEN", listener, "CREEL_ADMIN_TOKEN", admin),
            ("CREEL_LISTENER_TOKEN", listener, "CREEL_READ_TOKEN", read),
        ] {
            if token.is_some() && token == other {
                let error = ValueError::new(format!(
                    "has the same value as {other_name}, but each token grants different access"
                ));
                values.problem(name, error.hint("use another value (`creel secret`)"));
            }
        }
    }

    /// Requires the registered URL for providers that sign it, because a proxy can change the URL
    /// of a request.
    fn check_urls(&self, values: &mut Values) {
        for source in self.sources.iter().filter(|source| source.url.is_none() && self.public_url.is_none()) {
            if source.verifier.recipe().signs_url() {
                let error = ValueError::new(format!("is missing: {} signs the URL", source.provider))
                    .hint("set it to the URL that is registered with the provider, or set CREEL_PUBLIC_URL");
                values.problem(&format!("{}URL", names::prefix(Noun::Source, &source.name)), error);
            }
        }
    }
}

fn bytes_in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
