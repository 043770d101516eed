//! The setup steps of a provider's page.

use super::super::recipe::{HandshakeRule, NamedPlace, Recipe};
use super::super::settings::SettingSpec;
use super::text::{joined, mark, sentence, source_variable};

/// Every variable of a source can be read from a file.
const FROM_FILE: &str =
    "To read a value from a file, add `_FILE` to the variable's name and set it to the file's path.";

/// Returns the numbered steps; `name` is the name of the source in the instructions.
pub fn steps(recipe: &Recipe, name: &str) -> Vec<String> {
    let variables = SourceVariables(name);
    let mut steps = Vec::new();
    steps.extend(credentials(recipe, variables));
    steps.extend(keys_for_fetching(recipe, variables));
    steps.extend(keys_for_handshakes(recipe, variables));
    if recipe.signs_url() {
        steps.push(format!(
            "Set `CREEL_PUBLIC_URL`, or set {} to the URL exactly as registered: the signature covers it.",
            variables.of("url")
        ));
    }
    steps.push(registration(recipe));
    steps.push(trial(recipe, name, variables));
    steps.iter().enumerate().map(|(number, step)| format!("{}. {step}", number + 1)).collect()
}

/// The variables of the source with this name.
#[derive(Clone, Copy)]
struct SourceVariables<'a>(&'a str);

impl SourceVariables<'_> {
    fn of(self, key: &str) -> String {
        format!("`{}`", source_variable(self.0, key))
    }

    fn all<'a>(self, keys: impl IntoIterator<Item = &'a str>) -> Vec<String> {
        keys.into_iter().map(|key| self.of(key)).collect()
    }
}

/// Returns the step with the settings that authenticate the sender.
fn credentials(recipe: &Recipe, variables: SourceVariables<'_>) -> Option<String> {
    if recipe.learns() {
        return Some(format!(
            "Set {} to the output of `creel secret`. creel learns the secret from the sender's first handshake; \
             `creel learn {}` allows another handshake for ten minutes.",
            variables.of("path"),
            variables.0
        ));
    }
    let required = recipe.keys.iter().filter(|key| key.required).map(|key| key.name.as_str());
    if recipe.needs_confirmation() {
        let keys = variables.all(required.chain(api_keys(recipe).map(|key| key.name.as_str())));
        return (!keys.is_empty()).then(|| {
            format!(
                "Set {}: creel confirms each message with the sender's API before it delivers the message. Neither a path nor an allowlist is needed. {FROM_FILE}",
                joined(&keys, "and")
            )
        });
    }
    if recipe.proofs.are_none() {
        let choice = alternatives(recipe, ["path", "allow_ips"], variables);
        return Some(format!("{choice}: nothing else authenticates the sender."));
    }
    let required = variables.all(required);
    let mut sentences = Vec::new();
    if !required.is_empty() {
        sentences.push(format!("Set {}.", joined(&required, "and")));
    }
    if !recipe.requires.is_empty() {
        sentences.push(format!(
            "{}.",
            alternatives(recipe, recipe.requires.iter().map(String::as_str), variables)
        ));
    }
    if sentences.is_empty() {
        return None;
    }
    sentences.push(FROM_FILE.to_owned());
    Some(sentences.join(" "))
}

/// Returns the optional secrets for the API.
fn api_keys(recipe: &Recipe) -> impl Iterator<Item = &SettingSpec> {
    recipe.keys.iter().filter(|key| key.secret && !key.required)
}

/// Describes settings of which one is required.
fn alternatives<'a>(
    recipe: &'a Recipe,
    keys: impl IntoIterator<Item = &'a str>,
    variables: SourceVariables<'_>,
) -> String {
    let mut plain = Vec::new();
    let mut explained = Vec::new();
    for key in keys {
        match (key, companion(recipe, key)) {
            ("path", _) => {
                explained.push(format!("set {} to the output of `creel secret`", variables.of(key)));
            }
            ("allow_ips", _) => {
                explained.push(format!("set {} to the sender's addresses", variables.of(key)));
            }
            (_, Some(other)) => {
                explained.push(format!("set {} and {}", variables.of(other), variables.of(key)));
            }
            (_, None) => plain.push(variables.of(key)),
        }
    }
    let plain = (!plain.is_empty()).then(|| format!("set {}", joined(&plain, "or")));
    let choices: Vec<String> = plain.into_iter().chain(explained).collect();
    sentence(&choices.join(", or "))
}

/// Returns the setting that a credential needs next to it: the user name of a password, or the
/// header of a token.
fn companion<'a>(recipe: &'a Recipe, key: &str) -> Option<&'a str> {
    let has_username = recipe.proofs.basic && recipe.keys.iter().any(|spec| spec.name == "username");
    if key == "password" && has_username {
        return Some("username");
    }
    recipe.proofs.tokens.iter().filter(|rule| rule.key == key).find_map(|rule| match &rule.at {
        NamedPlace::HeaderOf { setting } => Some(setting.as_str()),
        NamedPlace::Place(_) => None,
    })
}

/// Returns the step with the settings for fetching the sender's public keys.
fn keys_for_fetching(recipe: &Recipe, variables: SourceVariables<'_>) -> Option<String> {
    let keys = variables.all(optional(recipe, recipe.fetch.as_ref()?.settings()));
    (!keys.is_empty())
        .then(|| format!("Set {}, so that creel can fetch the sender's public keys.", joined(&keys, "and")))
}

/// Returns the step with the settings for answering handshakes.
fn keys_for_handshakes(recipe: &Recipe, variables: SourceVariables<'_>) -> Option<String> {
    let used = recipe.handshakes.iter().flat_map(HandshakeRule::settings).collect();
    let keys = variables.all(optional(recipe, used));
    (!keys.is_empty())
        .then(|| format!("Set {}, so that creel can answer the sender's handshake.", joined(&keys, "and")))
}

/// Returns the used settings that have no default and that no other step names, in the order of the
/// recipe.
fn optional<'a>(recipe: &'a Recipe, used: Vec<&'a str>) -> impl Iterator<Item = &'a str> {
    recipe
        .keys
        .iter()
        .filter(|key| !key.required && key.default.is_none() && !recipe.requires.contains(&key.name))
        .map(|key| key.name.as_str())
        .filter(move |name| used.contains(name))
}

fn registration(recipe: &Recipe) -> String {
    let place = recipe.facts.registered_at.as_ref();
    let place = place.map(|place| format!(" ({place}){}", mark(recipe, "where"))).unwrap_or_default();
    match recipe.handshakes.is_empty() {
        true => format!("Run `creel check` to print the URL, and register it with the sender{place}."),
        false => format!(
            "Run `creel check` to print the URL. Start creel, then register the URL with the sender{place}: the sender may test it with a handshake."
        ),
    }
}

/// Returns the step that tests the source.
fn trial(recipe: &Recipe, name: &str, variables: SourceVariables<'_>) -> String {
    if !recipe.can_authenticate_samples() {
        let recorded = match recipe.tolerance {
            Some(_) => "a recorded request within the tolerance",
            None => "a recorded request",
        };
        return format!(
            "Test with the sender's own test function, a real event or {recorded}, and look at `creel messages` and `creel rejections`. \
             creel cannot create a sample, because only the sender has the signing key."
        );
    }
    if recipe.needs_confirmation() {
        return format!(
            "Run `creel send {name}` to send a sample. creel eventually rejects it, because the sender's API has no such message."
        );
    }
    if recipe.learns() {
        return format!(
            "After the handshake, run `creel send {name} --secret \"$(creel learn {name} --show)\"` to test without the sender. \
             This sends a sample that is signed with the learned secret."
        );
    }
    let shared = recipe.proofs.shared_key_settings();
    let sample = if recipe.proofs.are_none() {
        "This sends a sample.".to_owned()
    } else if recipe.proofs.has_public_key() && !shared.is_empty() {
        format!(
            "This sends a sample that is signed with {}, and does not work with only a public key.",
            joined(&variables.all(shared), "or")
        )
    } else if recipe.requires.iter().any(|name| name == "path" || name == "allow_ips") {
        format!(
            "This sends a sample that is signed or authenticated with the source's secret, if it has one. With {}, \
             the sample must come from an allowed address.",
            variables.of("allow_ips")
        )
    } else {
        "This sends a sample that is signed or authenticated with the source's secret.".to_owned()
    };
    format!("Run `creel send {name}` to test without the sender. {sample}")
}
