//! Rules for targets from the environment and from the API. They do no I/O. Errors describe the
//! problem and a valid value; the caller adds the field's name.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::config::error::ValueError;
use crate::config::parse::{self, shown};
use crate::store::{ContentType, DeliveryOrdering, DeliveryRate, Pattern, TargetSettings};

pub use super::filter::check as check_filter;
pub use super::headers::check as check_headers;

const MAX_NAME_CHARACTERS: usize = 64;
const MAX_OWNER_CHARACTERS: usize = 200;
const MAX_PATTERNS: usize = 100;
/// Maximum length of a pattern, enough for a source's name, a type and an action.
const MAX_PATTERN_CHARACTERS: usize = 300;
const MAX_URL_CHARACTERS: usize = 4_096;
const MAX_SECRET_CHARACTERS: usize = 4_096;
const MAX_CONCURRENCY: u32 = 1_000;
const MAX_TIMEOUT: Duration = Duration::from_secs(15 * 60);
/// Prefix of Standard Webhooks secrets.
const ENCODED_SECRET: &str = "whsec_";

/// Events that a target can subscribe to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownEvents {
    /// Names of the configured sources.
    pub sources: Vec<String>,
    /// Events that the app may emit.
    pub emitted: Vec<String>,
}

impl KnownEvents {
    /// Validates a pattern. Without `*`, it must be a declared event, or consist of a configured
    /// source's name, a dot and a type.
    ///
    /// # Errors
    /// The problem, with the nearest valid pattern.
    pub fn check_pattern(&self, pattern: &str) -> Result<(), ValueError> {
        if pattern.is_empty() || pattern.chars().any(char::is_control) {
            return Err(ValueError::new(format!("contains the invalid event name {}", shown(pattern)))
                .hint("write a name, or a pattern like github.*"));
        }
        if pattern.chars().count() > MAX_PATTERN_CHARACTERS {
            let problem =
                format!("has {}, which is longer than {MAX_PATTERN_CHARACTERS} characters", shown(pattern));
            return Err(ValueError::new(problem).hint("shorten it"));
        }
        if pattern.contains('*') || self.is_source_event(pattern) || self.is_emitted(pattern) {
            return Ok(());
        }
        let hint = match pattern.contains(',') {
            true => Some("separate events with spaces".to_owned()),
            false => self.nearest(pattern).map(|name| format!("the nearest is {name}")),
        };
        let error = ValueError::new(format!(
            "has {}, which is not an event that the app may emit (CREEL_EVENTS) and does not consist of a source's name, a dot and a type",
            shown(pattern)
        ));
        Err(match hint {
            Some(hint) => error.hint(hint),
            None => error,
        })
    }

    /// Whether a message can match the pattern and go to a target of this owner.
    pub fn fits(&self, pattern: &Pattern, owner: Option<&str>) -> bool {
        let is_emitted = self.emitted.iter().any(|event| pattern.matches(event));
        is_emitted || (owner.is_none() && self.may_match_a_source(pattern.as_str()))
    }

    /// Whether the text before the first `*` can begin a source's event.
    fn may_match_a_source(&self, pattern: &str) -> bool {
        let Some((head, _)) = pattern.split_once('*') else { return self.is_source_event(pattern) };
        self.sources
            .iter()
            .any(|source| format!("{source}.").starts_with(head) || begins_with_source(head, source))
    }

    fn is_source_event(&self, pattern: &str) -> bool {
        self.sources
            .iter()
            .any(|source| begins_with_source(pattern, source) && pattern.len() > source.len() + 1)
    }

    fn is_emitted(&self, pattern: &str) -> bool {
        self.emitted.iter().any(|event| event == pattern)
    }

    /// Whether the pattern only matches received messages. A target with an owner never receives
    /// those, so such patterns are mistakes.
    fn is_only_for_sources(&self, pattern: &Pattern) -> bool {
        let head = pattern.as_str().split('*').next().unwrap_or_default();
        !self.fits(pattern, Some("")) && self.sources.iter().any(|source| begins_with_source(head, source))
    }

    fn nearest(&self, pattern: &str) -> Option<String> {
        let (first, rest) = pattern.split_once('.').unwrap_or((pattern, "*"));
        let of_sources = self.sources.iter().map(|source| format!("{source}.{rest}"));
        let known = self.emitted.iter().cloned().chain(of_sources);
        let near = known.min_by_key(|name| strsim::damerau_levenshtein(pattern, name));
        near.filter(|_| !first.is_empty())
    }
}

fn begins_with_source(text: &str, source: &str) -> bool {
    text.strip_prefix(source).is_some_and(|rest| rest.starts_with('.'))
}

/// A setting that violates a rule.
#[derive(Clone, Debug)]
pub struct SettingProblem {
    /// `name`, `owner`, `events`, `filter`, `url`, `concurrency` or `timeout`.
    pub field: &'static str,
    pub problem: ValueError,
}

/// Returns all problems with the settings of a target.
pub fn check(settings: &TargetSettings, known: &KnownEvents) -> Vec<SettingProblem> {
    let mut problems = Vec::new();
    let mut note = |field, outcome: Result<(), ValueError>| {
        problems.extend(outcome.err().map(|problem| SettingProblem { field, problem }));
    };
    note("name", check_name(&settings.name));
    note("owner", settings.owner.as_deref().map_or(Ok(()), check_owner));
    note("events", check_number_of_patterns(&settings.events));
    for pattern in &settings.events {
        note("events", known.check_pattern(pattern.as_str()));
    }
    note("owner", check_patterns_of_owner(settings, known));
    note("filter", settings.filter.as_ref().map_or(Ok(()), check_filter));
    note("url", settings.url.as_deref().map_or(Ok(()), |text| url(text).map(drop)));
    note("concurrency", check_concurrency(settings));
    note("timeout", check_timeout(settings.timeout));
    problems
}

fn check_name(name: &str) -> Result<(), ValueError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_valid =
        !name.is_empty() && name.bytes().all(allowed) && !name.starts_with('-') && !name.ends_with('-');
    match is_valid && name.len() <= MAX_NAME_CHARACTERS {
        true => Ok(()),
        false => Err(ValueError::new(format!(
            "is {}, but a name consists of a-z, 0-9 and inner hyphens, and is at most {MAX_NAME_CHARACTERS} characters long",
            shown(name)
        ))),
    }
}

/// Validates the owner of a target or an event.
///
/// # Errors
/// The problem with the owner.
pub fn check_owner(owner: &str) -> Result<(), ValueError> {
    let length = owner.chars().count();
    let is_valid = owner.trim() == owner && !owner.chars().any(char::is_control);
    match is_valid && (1..=MAX_OWNER_CHARACTERS).contains(&length) {
        true => Ok(()),
        false => Err(ValueError::new(format!(
            "is {}, but an owner has 1 to {MAX_OWNER_CHARACTERS} characters, no control characters, and no white space around it",
            shown(owner)
        ))),
    }
}

fn check_number_of_patterns(patterns: &[Pattern]) -> Result<(), ValueError> {
    match patterns.len() {
        0 => Err(ValueError::new("is an empty list").hint("write patterns of events, like * or github.*")),
        1..=MAX_PATTERNS => Ok(()),
        _ => Err(ValueError::new(format!("has more than {MAX_PATTERNS} patterns")).hint("use * in some")),
    }
}

fn check_patterns_of_owner(settings: &TargetSettings, known: &KnownEvents) -> Result<(), ValueError> {
    let is_owned = settings.owner.is_some() && !settings.events.is_empty();
    if !is_owned || !settings.events.iter().all(|pattern| known.is_only_for_sources(pattern)) {
        return Ok(());
    }
    let patterns: Vec<String> = settings.events.iter().map(|pattern| shown(pattern.as_str())).collect();
    let problem = format!(
        "is set, so the target receives only events that the app emits for this owner, but its events ({}) come only from sources",
        patterns.join(" ")
    );
    Err(ValueError::new(problem).hint("take off the owner, or name events of CREEL_EVENTS"))
}

fn check_concurrency(settings: &TargetSettings) -> Result<(), ValueError> {
    match (settings.ordering, settings.concurrency) {
        (_, count) if !(1..=MAX_CONCURRENCY).contains(&count) => Err(wrong_concurrency(&count.to_string())),
        (DeliveryOrdering::Strict, 2..) => Err(ValueError::new(
            "is more than 1, but the order is strict, which sends one message after the other",
        )
        .hint("set it to 1 or leave it off")),
        _ => Ok(()),
    }
}

fn check_timeout(timeout: Duration) -> Result<(), ValueError> {
    match timeout.as_secs() {
        0 => Err(ValueError::new("is shorter than 1s").hint("write at least that")),
        _ if timeout > MAX_TIMEOUT => Err(ValueError::new("is too long").hint("the longest is 15m")),
        _ => Ok(()),
    }
}

/// Returns the URL as written, without white space around it. The error does not repeat the value,
/// which may contain a token.
///
/// # Errors
/// The problem with the URL.
pub fn url(text: &str) -> Result<String, ValueError> {
    let has_password = |url: url::Url| !url.username().is_empty() || url.password().is_some();
    if url::Url::parse(text.trim()).is_ok_and(has_password) {
        return Err(ValueError::new("holds a user name or password")
            .hint("take it off, and send an Authorization header instead"));
    }
    if text.len() > MAX_URL_CHARACTERS {
        return Err(ValueError::new(format!("is longer than {MAX_URL_CHARACTERS} characters"))
            .hint("use a shorter URL"));
    }
    parse::http_url(text)
}

/// Validates a secret. After the prefix of Standard Webhooks, the rest must be valid base64. A text
/// without the prefix is used unchanged.
///
/// # Errors
/// The problem, without the secret.
pub fn check_secret(secret: &str) -> Result<(), ValueError> {
    if secret.len() > MAX_SECRET_CHARACTERS {
        return Err(ValueError::new(format!("is longer than {MAX_SECRET_CHARACTERS} characters"))
            .hint("use a shorter one"));
    }
    let Some(encoded) = secret.strip_prefix(ENCODED_SECRET) else {
        return match secret.is_empty() {
            true => Err(ValueError::new("is empty").hint("write a secret, or leave it off")),
            false => Ok(()),
        };
    };
    match BASE64_STANDARD.decode(encoded) {
        Ok(key) if !key.is_empty() => Ok(()),
        // The error itself contains a character of the secret.
        _ => Err(ValueError::new(format!(
            "begins with {ENCODED_SECRET}, but the rest is not base64 (with + and /, and = at its end)"
        ))
        .hint("`creel secret --whsec` makes one")),
    }
}

/// Returns the secret in the form for Standard Webhooks libraries: `whsec_` and the key in base64.
pub fn standard_webhooks_secret(secret: &[u8]) -> String {
    match is_standard_webhooks_secret(secret) {
        true => String::from_utf8_lossy(secret).into_owned(),
        false => format!("{ENCODED_SECRET}{}", BASE64_STANDARD.encode(secret)),
    }
}

/// Returns the length in bytes of the signing key: the decoded base64, or the text itself.
pub fn standard_webhooks_key_bytes(secret: &[u8]) -> usize {
    let encoded = secret.strip_prefix(ENCODED_SECRET.as_bytes());
    let Some(text) = encoded else { return secret.len() };
    BASE64_STANDARD.decode(text).map_or(text.len(), |key| key.len())
}

/// Whether the secret already has the form for Standard Webhooks libraries.
pub fn is_standard_webhooks_secret(secret: &[u8]) -> bool {
    secret.starts_with(ENCODED_SECRET.as_bytes())
}

/// Parses `json` or `form`.
///
/// # Errors
/// The text is neither of them.
pub fn content_type(text: &str) -> Result<ContentType, ValueError> {
    ContentType::from_name(text.trim()).ok_or_else(|| {
        ValueError::new(format!("{} is neither json nor form", shown(text.trim())))
            .hint("write one of them, or leave it off")
    })
}

/// Parses `any` or `strict`.
///
/// # Errors
/// The text is neither of them.
pub fn ordering(text: &str) -> Result<DeliveryOrdering, ValueError> {
    DeliveryOrdering::from_name(text.trim()).ok_or_else(|| {
        ValueError::new(format!("{} is not an order", shown(text.trim()))).hint("write any or strict")
    })
}

/// Parses `50/s`, `100/m`, `1000/h`.
///
/// # Errors
/// The text is not a rate.
pub fn rate(text: &str) -> Result<DeliveryRate, ValueError> {
    parse::rate(text).map(|rate| DeliveryRate { count: rate.count, per: rate.per })
}

/// Parses a number from 1 to 1000.
pub(super) fn concurrency(text: &str) -> Result<u32, ValueError> {
    let text = text.trim();
    let number = text.parse().ok().filter(|count| (1..=MAX_CONCURRENCY).contains(count));
    number.filter(|_| !text.starts_with('+')).ok_or_else(|| wrong_concurrency(text))
}

fn wrong_concurrency(text: &str) -> ValueError {
    ValueError::new(format!("{} is not a number from 1 to {MAX_CONCURRENCY}", shown(text))).hint("write one")
}
