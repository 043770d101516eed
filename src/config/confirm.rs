//! Confirmation of a source's messages with an API before they are delivered. The request comes
//! from the provider's recipe, or from the source's own `_CONFIRM_…` variables.

use std::sync::Arc;

use super::error::{ConfigError, ValueError};
use super::values::{OwnValues, RawValue, parse_value};
use crate::providers::{ConfirmApi, ConfirmSettings, Secret, SyntaxError, Verifier};

/// Limit on messages awaiting confirmation if nothing else verifies the sender, because then any
/// client can send messages.
const MAX_AWAITING: u32 = 1_000;

/// The confirmation request and its limits.
#[derive(Clone, Debug)]
pub struct Confirm {
    pub api: Arc<ConfirmApi>,
    /// Limit on messages awaiting confirmation. At the limit, new messages get 503. `None`: no
    /// limit.
    pub max_awaiting: Option<u32>,
    /// Variables with the credentials of the API.
    pub credentials: Vec<String>,
    /// Credentials that the API requires and that are not set. `CONFIRM_TOKEN` is always optional.
    pub missing: Vec<String>,
}

/// Whether the sender is also verified by other means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofKind {
    ConfirmationAlone,
    AlsoOther,
}

/// Builds the confirmation; `None` if it is off, or after a problem, which is added to the list.
/// `prefix`: `CREEL_SOURCE_MY_SHOP_`.
pub fn build(
    prefix: &str,
    values: &OwnValues,
    verifier: &Verifier,
    proof: ProofKind,
    problems: &mut Vec<ConfigError>,
) -> Option<Confirm> {
    let before = problems.len();
    let confirm_api = match values.get("CONFIRM_URL") {
        Some(url) => Some(own(url, values, verifier, problems)?),
        None => {
            require_url(values, verifier, problems);
            verifier.confirm_api().cloned()
        }
    };
    let expect = values.get("CONFIRM_EXPECT").filter(|_| confirm_api.is_some());
    let expectation = |text: &str| ConfirmApi::expectation(text).map_err(invalid);
    let expect = expect.and_then(|value| parse_value(value, expectation, problems));
    let confirm_api = confirm_api.filter(|_| problems.len() == before)?;
    let confirm_api = match expect {
        Some(expect) => Arc::new(confirm_api.expecting(expect)),
        None => confirm_api,
    };
    let variables = |names: Vec<&str>| -> Vec<String> {
        names.iter().map(|name| format!("{prefix}{}", name.to_ascii_uppercase())).collect()
    };
    let credentials = match confirm_api.credentials() {
        // The API may turn out to require a token.
        names if names.is_empty() => vec![format!("{prefix}CONFIRM_TOKEN")],
        names => variables(names),
    };
    Some(Confirm {
        missing: variables(confirm_api.missing_credentials()),
        max_awaiting: (proof == ProofKind::ConfirmationAlone).then_some(MAX_AWAITING),
        credentials,
        api: confirm_api,
    })
}

/// Builds the request from the source's own variables, which take precedence over the recipe.
fn own(
    url: &RawValue,
    values: &OwnValues,
    verifier: &Verifier,
    problems: &mut Vec<ConfigError>,
) -> Option<Arc<ConfirmApi>> {
    let token = match values.get("CONFIRM_TOKEN") {
        Some(value) => Some(parse_value(value, token, problems)?),
        None => None,
    };
    let own = |text: &str| {
        ConfirmApi::own(&ConfirmSettings { url: text, token: token.clone() }, verifier.recipe())
            .map_err(invalid)
    };
    parse_value(url, own, problems).map(Arc::new)
}

/// Rejects variables that have no effect without a URL.
fn require_url(values: &OwnValues, verifier: &Verifier, problems: &mut Vec<ConfigError>) {
    let has_recipe_api = verifier.confirm_api().is_some();
    let name = verifier.recipe().name();
    for (key, is_taken) in [("CONFIRM_EXPECT", has_recipe_api), ("CONFIRM_TOKEN", false)] {
        let Some(value) = values.get(key).filter(|_| !is_taken) else { continue };
        let instead = match has_recipe_api {
            true => format!("the API of {name} uses the keys that `creel providers {name}` lists"),
            false => {
                "set the URL of the request, like https://api.example.com/payments/{query:id}".to_owned()
            }
        };
        let error = ValueError::new("has no effect without _CONFIRM_URL").hint(instead);
        problems.push(error.of(&value.variable));
    }
}

fn invalid(error: SyntaxError) -> ValueError {
    ValueError::new(error.to_string()).caused_by(error)
}

/// Parses the token of the API. The error does not repeat the value, because it is a secret.
fn token(text: &str) -> Result<Secret, ValueError> {
    let text = text.trim();
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(Secret::new(text));
    }
    Err(ValueError::new("contains white space or other characters that are invalid in a header")
        .hint("write the token alone, without `Bearer`"))
}
