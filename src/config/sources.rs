//! Builds a `SourceConfig` from the raw values of one source, and ensures that its sender is
//! verified.

use std::collections::BTreeMap;
use std::time::Duration;

use super::advice;
use super::confirm::{self, Confirm, ProofKind};
use super::error::{ConfigError, ValueError};
use super::names::{self, NameReading, recipe_keys};
use super::noun::Noun;
use super::parse::{self, shown};
use super::source::SourceConfig;
use super::table;
use super::types::{Rate, Retention};
use super::values::{OwnValues, ValueDraft, Values, parse_value};
use crate::providers::{self, CUSTOM, ProviderGroup, Recipe, Secret, SettingError, Settings, Verifier};

const MAX_TOLERANCE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Rate limit per client if only confirmation verifies the sender.
const UNAUTHENTICATED_RATE: Rate = Rate { count: 5, per: Duration::from_secs(1) };

/// Builds the source; `None` after a problem, which is added to the list.
pub fn build(name: &str, values: &OwnValues, retention: Retention, all: &mut Values) -> Option<SourceConfig> {
    let recipes_failed = all.recipes_failed;
    let problems = &mut all.problems;
    let before = problems.len();
    let draft = ValueDraft::new(Noun::Source, name, values);
    let recipe = if draft.is_custom() {
        draft.custom(problems)
    } else {
        provider(name, values, recipes_failed, problems)
    };
    let path = draft.parsed("PATH", parse::path, problems);
    let allow = draft.parsed("ALLOW_IPS", |text| parse::allowlist(text, recipe.map(Recipe::name)), problems);
    let methods = draft.parsed("METHODS", parse::methods, problems);
    let probe = draft.parsed("PROBE", parse::yes_no, problems).unwrap_or_default();
    let rate = draft.parsed("RATE", parse::rate, problems);
    let own_retention = draft.parsed("RETENTION", parse::retention, problems);
    let dedupe = draft.dedupe(own_retention.unwrap_or(retention), problems);
    let common = draft.common_settings(problems);
    // The other settings depend on the provider; if there is no provider, only earlier problems are
    // reported.
    let recipe = recipe?;
    draft.reject_unknown_keys(recipe, problems);
    let methods = methods.unwrap_or_else(|| recipe.methods().to_vec());
    if probe {
        draft.check_probe(recipe, &methods, problems);
    }
    let url = draft.parsed("URL", parse::http_url, problems);
    let verifier = draft.verifier(recipe, common, problems);
    let confirm = verifier.as_ref().and_then(|verifier| draft.confirm(verifier, problems));
    if let Some(verifier) = &verifier {
        draft.require_verified_sender(verifier, problems);
        draft.require_public_keys(verifier, problems);
    }
    let verifier = verifier.filter(|_| problems.len() == before)?;
    let is_unauthenticated = confirm.as_ref().is_some_and(|confirm| confirm.max_awaiting.is_some());
    Some(SourceConfig {
        name: name.to_owned(),
        provider: if draft.is_custom() { CUSTOM.to_owned() } else { recipe.name().to_owned() },
        verifier,
        path,
        url,
        allow,
        methods,
        probe,
        rate: rate.or(is_unauthenticated.then_some(UNAUTHENTICATED_RATE)),
        dedupe,
        retention: own_retention,
        confirm,
    })
}

/// Returns the configured provider, or the one with the source's name.
fn provider(
    name: &str,
    values: &OwnValues,
    recipes_failed: bool,
    problems: &mut Vec<ConfigError>,
) -> Option<&'static Recipe> {
    let written = values.get("PROVIDER").map_or(name, |value| value.text.trim());
    // The provider may be in the file with recipes that could not be read, which is already
    // reported.
    if recipes_failed && providers::recipe(written).is_none() {
        return None;
    }
    let prefix = names::prefix(Noun::Source, name);
    if let Some(value) = values.get("PROVIDER") {
        return parse_value(value, provider_named, problems);
    }
    let recipe = providers::recipe(name);
    if recipe.is_none() {
        let readings: Vec<String> = values
            .iter()
            .map(|(key, value)| format!("{}{}", value.variable, other_reading(name, key)))
            .collect();
        let problem = format!("is missing, and {name} is not the name of a provider");
        let error = ValueError::new(problem).hint(format!(
            "set it to the provider of the sender ({}) (the source comes from {})",
            providers::provider_advice(name),
            readings.join(", ")
        ));
        problems.push(error.of(format!("{prefix}PROVIDER")));
    }
    recipe
}

fn provider_named(text: &str) -> Result<&'static Recipe, ValueError> {
    let text = text.trim();
    providers::recipe(text).ok_or_else(|| {
        ValueError::new(format!("{} is not a provider", shown(text))).hint(providers::provider_advice(text))
    })
}

fn other_reading(name: &str, key: &str) -> String {
    let prefix = names::prefix(Noun::Source, name);
    let rest = format!("{}{key}", prefix.strip_prefix(Noun::Source.prefix()).unwrap_or(&prefix));
    words_for_other_reading(&names::readings(Noun::Source, &rest), key)
}

/// Returns ` (or as KEY of the source my-public)` if a name has a reading other than the one with
/// `key`.
fn words_for_other_reading(readings: &[NameReading], key: &str) -> String {
    match readings.iter().find(|reading| reading.key != key) {
        Some(other) => format!(" (or as {} of the source {})", other.key, other.name),
        None => String::new(),
    }
}

impl ValueDraft<'_> {
    fn reject_unknown_keys(&self, recipe: &Recipe, problems: &mut Vec<ConfigError>) {
        let own = recipe_keys(recipe);
        for (key, value) in self.values {
            let common = table::keys(Noun::Source).any(|(name, _)| name == key);
            if common || own.contains(key) {
                continue;
            }
            let accepted_keys = match own.is_empty() {
                true => "only the keys that all sources share".to_owned(),
                false => format!("{} and the keys that all sources share", list_keys(&own)),
            };
            let error = ValueError::new(format!(
                "is read as {key} of the source {}{}, but its provider {} does not accept {key}",
                self.name,
                other_reading(self.name, key),
                recipe.name(),
            ));
            problems.push(error.hint(format!("it accepts {accepted_keys}")).of(&value.variable));
        }
    }

    /// Allows `PROBE` only for generic providers, because the recipes of all others describe how
    /// their senders verify a URL, and only without the method GET.
    fn check_probe(&self, recipe: &Recipe, methods: &[String], problems: &mut Vec<ConfigError>) {
        let variable = self.variable("PROBE");
        if recipe.group() != ProviderGroup::Generic {
            let error = ValueError::new(
                "is for generic providers, such as token, none, custom, standard-webhooks and cloudevents",
            );
            let error = error.hint(format!(
                "remove it: the recipe of {} has its own rules for requests that check the URL",
                recipe.name()
            ));
            problems.push(error.of(variable));
        } else if methods.iter().any(|method| method == "GET") {
            let error = ValueError::new(format!(
                "answers GET without storing it, but {}METHODS includes GET",
                self.prefix
            ));
            let hint = format!("remove it, or remove GET from {}METHODS", self.prefix);
            problems.push(error.hint(hint).of(variable));
        }
    }

    /// Returns the deduplication window. It cannot exceed the retention, because deleted messages
    /// are not compared.
    fn dedupe(&self, retention: Retention, problems: &mut Vec<ConfigError>) -> Option<Duration> {
        let window = self.parsed("DEDUPE", parse::duration, problems)?;
        match retention {
            Retention::For(age) if window > age => {
                let error = ValueError::new(format!(
                    "is longer than the retention of the source's messages ({} s)",
                    age.as_secs()
                ));
                let error = error.hint(format!("shorten it or lengthen {}RETENTION", self.prefix));
                problems.push(error.of(self.variable("DEDUPE")));
                None
            }
            _ => Some(window),
        }
    }

    fn verifier(
        &self,
        recipe: &'static Recipe,
        mut settings: Settings,
        problems: &mut Vec<ConfigError>,
    ) -> Option<Verifier> {
        settings.values = self.recipe_values(recipe);
        let errors = match Verifier::bind(recipe, &settings) {
            Ok(verifier) => return Some(verifier),
            Err(errors) => errors,
        };
        for error in errors {
            let key = self.key_of(recipe, &error);
            if !self.is_broken(&key) {
                let hint = self.hint(recipe, &error.key, &key);
                let error = ValueError::new(error.problem);
                let error = match hint {
                    Some(hint) => error.hint(format!("it {hint}")),
                    None => error,
                };
                problems.push(error.of(self.variable(&key)));
            }
        }
        None
    }

    /// Returns an explanation for a value of the wrong kind.
    fn hint(&self, recipe: &Recipe, setting: &str, variable: &str) -> Option<String> {
        let key = recipe.keys().iter().find(|key| key.name == setting)?;
        advice::wrong_kind(key, &self.values.get(variable)?.text)
    }

    /// Returns the key of the invalid value, such as `SECRET_2`.
    fn key_of(&self, recipe: &Recipe, error: &SettingError) -> String {
        let is_set = |key: &String| self.values.get(key).is_some_and(|value| !value.text.is_empty());
        let mut keys = recipe_keys(recipe).into_iter().filter(|key| names::setting_of(key) == error.key);
        keys.by_ref().filter(is_set).nth(error.value).unwrap_or_else(|| error.key.to_ascii_uppercase())
    }

    /// Whether a value of the setting already has a reported problem. The text of such a value is
    /// empty, so binding reports the setting as missing, too.
    fn is_broken(&self, key: &str) -> bool {
        let setting = names::setting_of(key);
        self.values.iter().any(|(name, value)| names::setting_of(name) == setting && value.text.is_empty())
    }

    fn recipe_values(&self, recipe: &Recipe) -> BTreeMap<String, Vec<Secret>> {
        let is_plain = |setting: &str| recipe.keys().iter().any(|key| key.name == setting && !key.secret);
        let mut values: BTreeMap<String, Vec<Secret>> = BTreeMap::new();
        // The further secrets follow the first one, in numeric order.
        for key in recipe_keys(recipe) {
            if let Some(value) = self.values.get(&key).filter(|value| !value.text.is_empty()) {
                let setting = names::setting_of(&key);
                // White space around a secret may be part of it.
                let text = if is_plain(&setting) { value.text.trim() } else { &value.text };
                values.entry(setting).or_default().push(Secret::new(text));
            }
        }
        values
    }

    /// Returns the settings that all providers share.
    fn common_settings(&self, problems: &mut Vec<ConfigError>) -> Settings {
        let tolerance =
            self.parsed("TOLERANCE", |text| parse::duration_up_to(text, MAX_TOLERANCE, "7d"), problems);
        let reply_status = self.parsed("REPLY_STATUS", parse::reply_status, problems);
        let reply_body = self.values.get("REPLY_BODY").map(|value| value.text.clone());
        Settings { values: BTreeMap::new(), tolerance, reply_status, reply_body }
    }

    fn is_custom(&self) -> bool {
        self.values.get("PROVIDER").is_some_and(|value| value.text.trim() == CUSTOM)
    }

    /// Returns the recipe described by the source's own variables.
    fn custom(&self, problems: &mut Vec<ConfigError>) -> Option<&'static Recipe> {
        let given = |field: &str| {
            let value = self.values.get(&providers::custom_variable(field))?;
            Some(value.text.clone())
        };
        let variable = |field: &str| self.variable(&providers::custom_variable(field));
        match providers::custom_recipe(self.name, given, variable) {
            Ok(recipe) => Some(recipe),
            Err(error) => {
                problems.push(ValueError::new(error.problem).of(variable(&error.field)));
                None
            }
        }
    }

    fn confirm(&self, verifier: &Verifier, problems: &mut Vec<ConfigError>) -> Option<Confirm> {
        let given = |key: &str| self.values.contains_key(key);
        let is_verified = verifier.verifies_sender() || given("PATH") || given("ALLOW_IPS");
        let proof = if is_verified { ProofKind::AlsoOther } else { ProofKind::ConfirmationAlone };
        confirm::build(&self.prefix, self.values, verifier, proof, problems)
    }

    fn require_verified_sender(&self, verifier: &Verifier, problems: &mut Vec<ConfigError>) {
        let given = |key: &str| self.values.contains_key(key);
        let learns = verifier.waits_for_secret();
        let confirms = verifier.confirm_api().is_some() || given("CONFIRM_URL");
        let is_verified = verifier.verifies_sender() || confirms || given("ALLOW_IPS");
        if given("PATH") || (is_verified && !learns) {
            return;
        }
        let alternative = if learns {
            "because otherwise any client could set the secret in a handshake".to_owned()
        } else {
            let settings: Vec<String> = verifier
                .recipe()
                .requires()
                .iter()
                .filter(|name| *name != "path" && *name != "allow_ips")
                .map(|name| format!("{}{}", self.prefix, name.to_ascii_uppercase()))
                .collect();
            let or =
                if settings.is_empty() { String::new() } else { format!(", or {}", settings.join(", or ")) };
            format!(
                "or {prefix}ALLOW_IPS to the sender's addresses, or {prefix}CONFIRM_URL to a URL that confirms its messages{or}",
                prefix = self.prefix
            )
        };
        let error = ValueError::new(format!(
            "is missing, and nothing else verifies the sender of {}: set it to a random path part \
             (`creel secret` makes one), {alternative}",
            self.name
        ));
        problems.push(error.of(format!("{}PATH", self.prefix)));
    }

    /// Reports public keys that are neither configured nor fetchable.
    fn require_public_keys(&self, verifier: &Verifier, problems: &mut Vec<ConfigError>) {
        if !verifier.lacks_keys() {
            return;
        }
        let keys: Vec<String> = verifier
            .recipe()
            .keys()
            .iter()
            .map(|key| format!("{}{}", self.prefix, key.name.to_ascii_uppercase()))
            .collect();
        let error = ValueError::new(
            "the provider's public keys are missing and cannot be fetched with these settings",
        );
        problems.push(error.hint(format!("set {}", keys.join(" "))).of(self.name));
    }
}

/// Shortens `SECRET SECRET_2 … SECRET_9` to `SECRET`.
fn list_keys(keys: &[String]) -> String {
    let first: Vec<&str> =
        keys.iter().filter(|key| names::first_of(key).is_none()).map(String::as_str).collect();
    first.join(" ")
}

#[cfg(test)]
mod tests {
    use super::{Noun, names, words_for_other_reading};

    #[test]
    fn ambiguous_name_error_suggests_second_reading() {
        let keys = ["PUBLIC_KEY", "KEY"].map(str::to_owned);
        let readings = names::readings_among(Noun::Source, "MY_PUBLIC_KEY", keys.iter());
        assert_eq!(words_for_other_reading(&readings, "PUBLIC_KEY"), " (or as KEY of the source my-public)");
        assert_eq!(words_for_other_reading(&readings[..1], "PUBLIC_KEY"), "");
    }
}
