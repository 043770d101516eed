//! Targets from the environment: builds a validated `TargetConfig` from the raw values of one
//! target.

mod command;
mod filter;
mod headers;
pub mod rules;

use std::fmt;

use super::error::{ConfigError, ValueError};
use super::noun::Noun;
use super::values::{OwnValues, ValueDraft, parse_default};
use super::{names, parse};
use crate::providers::Secret;
use crate::store::{DeliveryOrdering, Pattern, TargetSettings};
use rules::KnownEvents;

/// Keys for HTTP requests, which commands do not support.
const URL_ONLY_KEYS: [&str; 3] = ["SECRET", "HEADERS", "CONTENT_TYPE"];

/// One declared target.
#[derive(Debug)]
pub struct TargetConfig {
    /// Settings without the URL, which may contain a token.
    pub settings: TargetSettings,
    pub destination: Destination,
    /// Configured secrets; all of them sign, in this order. If empty, requests are unsigned.
    pub secrets: Vec<Secret>,
    /// Headers added to every request; names in lower case.
    pub headers: Vec<(String, Secret)>,
}

/// URL or command of the target.
pub enum Destination {
    Http(Secret),
    /// The program and its arguments.
    Command(Vec<String>),
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place())
    }
}

impl Destination {
    /// Returns a description for logs, without potential secrets in a URL's path or a command's
    /// arguments.
    pub fn place(&self) -> String {
        match self {
            Self::Http(url) => {
                let url = url::Url::parse(&String::from_utf8_lossy(url.expose()));
                url.map(|url| url.origin().ascii_serialization()).unwrap_or_default()
            }
            Self::Command(words) => words.first().cloned().unwrap_or_default(),
        }
    }

    /// Returns the key that declares the destination.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Http(_) => "URL",
            Self::Command(_) => "EXEC",
        }
    }
}

impl TargetConfig {
    /// Returns the variable with the target's event patterns.
    pub fn events_variable(&self) -> String {
        format!("{}EVENTS", names::prefix(Noun::Target, &self.settings.name))
    }

    /// Returns the variable that declares the target.
    pub fn variable(&self) -> String {
        format!("{}{}", names::prefix(Noun::Target, &self.settings.name), self.destination.key())
    }
}

/// Builds the target; `None` after a problem, which is added to the list.
pub fn build(
    name: &str,
    values: &OwnValues,
    known: &KnownEvents,
    problems: &mut Vec<ConfigError>,
) -> Option<TargetConfig> {
    let before = problems.len();
    let draft = ValueDraft::new(Noun::Target, name, values);
    let destination = draft.destination(problems);
    draft.reject_url_settings_of_command(problems);
    let settings = draft.settings(problems);
    let secrets = draft.secrets(problems);
    let headers = draft.parsed("HEADERS", headers::from_json, problems).unwrap_or_default();
    for problem in rules::check(&settings, known) {
        problems.push(problem.problem.of(draft.variable(&problem.field.to_ascii_uppercase())));
    }
    let destination = destination.filter(|_| problems.len() == before)?;
    Some(TargetConfig { settings, destination, secrets, headers })
}

impl ValueDraft<'_> {
    fn destination(&self, problems: &mut Vec<ConfigError>) -> Option<Destination> {
        match (self.values.get("URL"), self.values.get("EXEC")) {
            (Some(url), Some(command)) => {
                let error = ValueError::new(format!(
                    "is set, and so is {}, but a target has either a URL or a command",
                    url.variable
                ));
                let error = error.hint("keep one, and make a second target for the other");
                problems.push(error.of(&command.variable));
                None
            }
            (Some(_), None) => {
                self.parsed("URL", rules::url, problems).map(|url| Destination::Http(Secret::new_text(url)))
            }
            (None, Some(_)) => self.parsed("EXEC", command::split, problems).map(Destination::Command),
            (None, None) => {
                let given: Vec<&str> = self.values.values().map(|value| value.variable.as_str()).collect();
                let error = ValueError::new("is missing").hint(format!(
                    "set it to the URL that receives the messages of the target {}, or set {}EXEC to a command (the target comes from {})",
                    self.name,
                    self.prefix,
                    given.join(", "),
                ));
                problems.push(error.of(self.variable("URL")));
                None
            }
        }
    }

    fn reject_url_settings_of_command(&self, problems: &mut Vec<ConfigError>) {
        if self.values.contains_key("URL") || !self.values.contains_key("EXEC") {
            return;
        }
        for (key, value) in self.values {
            if URL_ONLY_KEYS.contains(&key.as_str()) || names::setting_of(key) == "secret" {
                let error = ValueError::new(format!(
                    "is for requests to a URL, but the target {} is a command ({}EXEC), which receives the body unchanged",
                    self.name, self.prefix
                ));
                problems.push(error.hint("remove it").of(&value.variable));
            }
        }
    }

    fn settings(&self, problems: &mut Vec<ConfigError>) -> TargetSettings {
        let with_default = |key: &str| format!("{}{key}", Noun::Target.pattern());
        let ordering = self
            .parsed("ORDER", rules::ordering, problems)
            .unwrap_or_else(|| parse_default(&with_default("ORDER"), rules::ordering));
        let concurrency = self.parsed("CONCURRENCY", rules::concurrency, problems);
        TargetSettings {
            name: self.name.to_owned(),
            owner: self.parsed("OWNER", |text| Ok(text.trim().to_owned()), problems),
            events: self
                .parsed("EVENTS", patterns, problems)
                .unwrap_or_else(|| parse_default(&with_default("EVENTS"), patterns)),
            filter: self.parsed("FILTER", filter::parse, problems),
            url: None,
            content_type: self.parsed("CONTENT_TYPE", rules::content_type, problems),
            concurrency: concurrency.unwrap_or_else(|| match ordering {
                DeliveryOrdering::Any => parse_default(&with_default("CONCURRENCY"), rules::concurrency),
                DeliveryOrdering::Strict => 1,
            }),
            ordering,
            rate: self.parsed("RATE", rules::rate, problems),
            timeout: self
                .parsed("TIMEOUT", parse::duration, problems)
                .unwrap_or_else(|| parse_default(&with_default("TIMEOUT"), parse::duration)),
        }
    }

    /// Returns the secrets in numeric order.
    fn secrets(&self, problems: &mut Vec<ConfigError>) -> Vec<Secret> {
        let keys = std::iter::once("SECRET".to_owned()).chain(names::further_secrets());
        let parse = |text: &str| rules::check_secret(text).map(|()| Secret::new_text(text));
        keys.filter_map(|key| self.parsed(&key, parse, problems)).collect()
    }
}

/// Parses patterns without duplicates.
fn patterns(text: &str) -> Result<Vec<Pattern>, ValueError> {
    let mut patterns: Vec<Pattern> = Vec::new();
    for pattern in text.split_whitespace().map(Pattern::new) {
        if !patterns.contains(&pattern) {
            patterns.push(pattern);
        }
    }
    Ok(patterns)
}
