//! Warnings of `creel check` about valid values that are probably mistakes. No warning repeats a
//! value that may be secret.

mod flaw;
mod stand_in;

use self::flaw::{OuterSpace, flaw};
use super::names::{self, recipe_keys};
use super::source::SourceConfig;
use super::table;
use super::targets::TargetConfig;
use super::targets::rules::{is_standard_webhooks_secret, standard_webhooks_key_bytes};
use super::values::{OwnValues, RawValue};
use crate::providers::{SettingKind, SettingSpec};

/// Minimum length of a secret. Shorter ones can be found by brute force from one captured request.
const MIN_SECRET_BYTES: usize = 16;
/// Minimum key length in the Standard Webhooks specification.
const MIN_SIGNING_KEY_BYTES: usize = 24;

/// A common prefix of secrets, which adds no entropy.
const SECRET_PREFIX: &str = "whsec_";

/// Prefixes of API credentials. If a prefix begins with another one, the longer one comes first.
const API_KEYS: [&str; 42] = [
    // Stripe, Clerk and others.
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "rk_test_",
    "pk_live_",
    "pk_test_",
    // OpenAI, Anthropic.
    "sk-proj-",
    "sk-svcacct-",
    "sk-ant-",
    // GitHub, GitLab.
    "github_pat_",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "glpat-",
    // Slack.
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "xoxe-",
    "xoxe.",
    "xapp-",
    // Shopify; its signing secret begins with `shpss_`.
    "shpat_",
    "shpca_",
    "shppa_",
    // Linear, Polar, Paddle.
    "lin_api_",
    "lin_oauth_",
    "polar_oat_",
    "polar_pat_",
    "pdl_live_apikey_",
    "pdl_sdbx_apikey_",
    // Square, Razorpay, Flutterwave.
    "sq0atp-",
    "sq0csp-",
    "rzp_live_",
    "rzp_test_",
    "FLWSECK-",
    "FLWSECK_TEST-",
    // SendGrid, HubSpot, Typeform, AWS.
    "SG.",
    "pat-na1-",
    "pat-eu1-",
    "tfp_",
    "AKIA",
];
/// Returns the warnings about the service-wide secrets, such as `CREEL_ADMIN_TOKEN`.
pub fn on_globals<'a>(globals: impl Iterator<Item = (&'a str, &'a RawValue)>) -> Vec<String> {
    let secret = globals.filter(|(name, _)| table::variable(name).secret);
    let problem = |text: &str| flaw(text, OuterSpace::Significant).or_else(|| guessable_problem(text, &[]));
    secret.filter_map(|(_, value)| advice(value, problem(&value.text))).collect()
}

/// Returns the warnings about a source's `CONFIRM_TOKEN`, its `PATH` and the keys of its recipe.
pub fn on_source(source: &SourceConfig, values: &OwnValues) -> Vec<String> {
    let recipe = source.verifier.recipe();
    let mut found = Vec::new();
    for name in recipe_keys(recipe) {
        let setting = names::setting_of(&name);
        let key = recipe.keys().iter().find(|key| key.name == setting);
        let (Some(value), Some(key)) = (values.get(&name), key) else { continue };
        if key.kind != SettingKind::Secret {
            found.extend(advice(value, flaw(&value.text, OuterSpace::Trimmed)));
            continue;
        }
        if let Some(problem) = guessable_problem(&value.text, &key.begins_with) {
            found.extend(advice(value, Some(problem)));
            continue;
        }
        let without_prefix = without_prefix(&value.text, &key.begins_with).len();
        let bytes =
            recipe.secret_bytes(&setting, value.text.as_bytes()).map(|bytes| bytes.min(without_prefix));
        let short = bytes.filter(|bytes| *bytes < MIN_SECRET_BYTES).map(|bytes| {
            let how = if recipe.is_sent(&setting) { "by brute force" } else { "from one captured request" };
            format!(
                "is {bytes} {} long and can be guessed {how}; use {MIN_SECRET_BYTES} or more if the provider allows it \
                 (`creel secret`)",
                in_bytes(bytes)
            )
        });
        let flaw = flaw(&value.text, OuterSpace::Significant).or_else(|| wrong_kind(key, &value.text));
        found.extend(advice(value, flaw));
        found.extend(advice(value, short));
    }
    for value in ["CONFIRM_TOKEN", "PATH"].into_iter().filter_map(|name| values.get(name)) {
        let flaw = flaw(&value.text, OuterSpace::Significant).or_else(|| guessable_problem(&value.text, &[]));
        found.extend(advice(value, flaw));
    }
    found
}

/// Returns the warnings about the secrets that sign a target's requests.
pub fn on_target(target: &TargetConfig, values: &OwnValues) -> Vec<String> {
    let mut found = Vec::new();
    if target.secrets.is_empty() {
        return found;
    }
    let secrets = values.iter().filter(|(key, _)| names::setting_of(key) == "secret");
    for (_, value) in secrets {
        if let Some(problem) = guessable_problem(&value.text, &[]) {
            found.extend(advice(value, Some(problem)));
            continue;
        }
        let bytes = standard_webhooks_key_bytes(value.text.as_bytes());
        let short = (bytes < MIN_SIGNING_KEY_BYTES).then(|| {
            format!(
                "gives a key of {bytes} {}, but Standard Webhooks specifies {MIN_SIGNING_KEY_BYTES} to 64; `creel secret --whsec` \
                 makes a valid one",
                in_bytes(bytes)
            )
        });
        let own = match is_standard_webhooks_secret(value.text.as_bytes()) {
            true => None,
            false => api_key(&value.text).map(|begin| {
                format!("begins with {begin}, like an API key; `creel secret --whsec` makes a signing secret")
            }),
        };
        found.extend(advice(value, flaw(&value.text, OuterSpace::Significant).or(own)));
        found.extend(advice(value, short));
    }
    found
}

/// Describes a secret of the wrong kind, such as an API key in place of a signing secret. Used as a
/// warning, and as the hint of an error.
pub fn wrong_kind(key: &SettingSpec, value: &str) -> Option<String> {
    let is_expected = |begin: &String| value.starts_with(begin.as_str());
    let expected = key.begins_with.join(" or ");
    if key.kind != SettingKind::Secret || key.begins_with.iter().any(is_expected) {
        return None;
    }
    match (api_key(value), key.begins_with.is_empty()) {
        (Some(begin), true) if key.name == "secret" => Some(format!(
            "begins with {begin}, like an API key, where {} is expected; the provider shows the expected value elsewhere",
            key.doc
        )),
        (_, true) => None,
        (Some(begin), false) => {
            Some(format!("begins with {begin}, like an API key, where {expected}… is expected: {}", key.doc))
        }
        (None, false) => {
            Some(format!("does not begin with {expected}, as the provider's values do: {}", key.doc))
        }
    }
}

/// Returns the problem with a value that is a placeholder or a commonly guessed secret.
fn guessable_problem(text: &str, prefixes: &[String]) -> Option<String> {
    stand_in::problem(text, without_prefix(text.trim(), prefixes))
}

fn without_prefix<'a>(text: &'a str, prefixes: &[String]) -> &'a str {
    let prefixes = prefixes.iter().map(String::as_str).chain([SECRET_PREFIX]);
    prefixes.filter_map(|prefix| text.strip_prefix(prefix)).min_by_key(|rest| rest.len()).unwrap_or(text)
}

fn in_bytes(count: usize) -> &'static str {
    if count == 1 { "byte" } else { "bytes" }
}

fn api_key(value: &str) -> Option<&'static str> {
    // Mailgun's API key. The prefix alone is too common.
    let of_mailgun = value.strip_prefix("key-").filter(|rest| rest.len() == 32);
    if of_mailgun.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        return Some("key-");
    }
    API_KEYS.into_iter().find(|begin| value.starts_with(begin))
}

fn advice(value: &RawValue, words: Option<String>) -> Option<String> {
    words.map(|words| format!("{}: {words}", value.variable))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::providers;

    fn advice_on(pairs: &[(&str, &str)]) -> Vec<String> {
        let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::from_vars(variables.collect()).unwrap().advice
    }

    #[track_caller]
    fn assert_advised(name: &str, value: &str, part: &str) {
        let url = ("CREEL_TARGET_X_URL", "https://app.example.com/");
        let advice = advice_on(&[(name, value), url]);
        assert_eq!(advice.len(), 1, "{name}={value:?}: {advice:#?}");
        assert!(advice[0].starts_with(&format!("{name}: ")) && advice[0].contains(part), "{advice:?}");
        assert!(!advice[0].contains(value), "{advice:?}");
    }

    #[test]
    fn secret_flaws_are_reported_with_their_variable() {
        let flawed = [
            ("\u{feff}it-is-a-secret-to-everybody", "BOM"),
            ("it-is-a-secret\u{200b}-to-everybody", "invisible"),
            ("it-is-a-secret-to-everybody\u{0}", "invisible"),
            (" it-is-a-secret-to-everybody", "white space"),
            ("it-is-a-secret-to-everybody\t", "white space"),
            ("it-is-a-secret-to-everybody\u{a0}", "white space"),
            ("it-is-a-secret-to-everybody\n", "line break"),
            ("it-is-a-secret\nto-everybody", "line break"),
            ("\"it-is-a-secret-to-everybody\"", "quotation"),
            ("'it-is-a-secret-to-everybody'", "quotation"),
            ("“it-is-a-secret-to-everybody”", "quotation"),
            ("it-is-a-secret-to-everybody'", "quotation"),
            ("it-is-a-secret-to-everyone # of GitHub", "comment"),
            ("it-is-a-secret-to-everybody;", "semicolon"),
            ("it-is-a-secret-to-everybody,", "comma"),
            ("it-is-a-secret-to-everybody\\n", "backslash"),
            ("${GITHUB_SECRET_OF_MINE}", "unexpanded variable"),
            ("SECRET=it-is-a-secret-to-everybody", "name of a variable"),
            ("op://vault/github/secret-of-mine", "reference"),
            ("your_webhook_secret_here", "placeholder"),
            ("secretsecretsecretsecretsecret", "short text repeated"),
        ];
        for (value, part) in flawed {
            assert_advised("CREEL_SOURCE_GITHUB_SECRET", value, part);
            assert_advised("CREEL_TARGET_X_SECRET", value, part);
        }
        assert_advised("CREEL_ADMIN_TOKEN", "'it-is-a-secret-to-everybody'", "quotation");
        assert_advised("CREEL_KEY", "it-is-a-secret-to-everybody-here-and-there ", "white space");
    }

    #[test]
    fn short_secret_advice_names_the_purpose() {
        assert_advised("CREEL_SOURCE_GITHUB_SECRET", "hunter2", "is 7 bytes long");
        assert_advised("CREEL_SOURCE_SVIX_SECRET", "whsec_YWJjZGVmZ2g=", "is 8 bytes long");
        assert_advised("CREEL_TARGET_X_SECRET", "hunter2", "a key of 7 bytes");
        assert_advised("CREEL_TARGET_X_SECRET", "whsec_YWJjZGVmZ2g=", "a key of 8 bytes");
    }

    #[test]
    fn secret_length_excludes_prefix() {
        assert_advised("CREEL_SOURCE_STRIPE_SECRET", "whsec_0123456789", "is 10 bytes long");
        assert_advised("CREEL_SOURCE_STRIPE_SECRET", "whsec_7", "is 1 byte long");
        assert_advised("CREEL_SOURCE_PAYSTACK_SECRET", "sk_test_0123456789", "is 10 bytes long");
        assert_advised("CREEL_TARGET_X_SECRET", "7", "a key of 1 byte,");
    }

    #[test]
    fn short_password_advice_names_brute_force() {
        let advice = advice_on(&[
            ("CREEL_SOURCE_POSTMARK_USERNAME", "postmark"),
            ("CREEL_SOURCE_POSTMARK_PASSWORD", "hunter2"),
        ]);
        assert!(
            advice.len() == 1 && advice[0].contains("is 7 bytes long and can be guessed by brute force"),
            "{advice:?}"
        );
    }

    #[test]
    fn placeholders_and_repeated_characters_are_reported() {
        for name in
            ["CREEL_SOURCE_GITHUB_SECRET", "CREEL_TARGET_X_SECRET", "CREEL_ADMIN_TOKEN", "CREEL_READ_TOKEN"]
        {
            assert_advised(name, "paste-a-secret-here", "placeholder");
            assert_advised(name, "<paste the secret here>".replace(' ', "-").as_str(), "placeholder");
            assert_advised(name, "xxxxxxxxxxxxxxxxxxxxxxxx", "repeated");
        }
        assert_advised("CREEL_TARGET_X_SECRET", "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "repeated");
        assert_advised("CREEL_SOURCE_STRIPE_SECRET", "whsec_0000000000000000", "repeated");
        let path = [
            ("CREEL_SOURCE_FORMS_PROVIDER", "none"),
            ("CREEL_SOURCE_FORMS_PATH", "paste-another-path-of-yours-here"),
        ];
        let advice = advice_on(&path);
        assert!(advice.len() == 1 && advice[0].contains("placeholder"), "{advice:?}");
    }

    #[test]
    fn api_keys_are_reported_as_signing_secrets() {
        assert_advised(
            "CREEL_SOURCE_STRIPE_SECRET",
            "sk_live_0123456789abcdef0123",
            "where whsec_… is expected",
        );
        assert_advised(
            "CREEL_SOURCE_STRIPE_SECRET",
            "rk_test_0123456789abcdef0123",
            "where whsec_… is expected",
        );
        assert_advised("CREEL_SOURCE_STRIPE_SECRET", "we_0123456789abcdef0123", "does not begin with whsec_");
        assert_advised("CREEL_SOURCE_GITHUB_SECRET", "ghp_0123456789abcdef0123456789", "like an API key");
        assert_advised("CREEL_SOURCE_PAYSTACK_SECRET", "pk_live_0123456789abcdef", "sk_live_ or sk_test_");
    }

    #[test]
    fn mailgun_api_key_is_reported_as_signing_key() {
        let key = "key-3ax6xnjp29jd6fds4gc373sgvjxteol0";
        assert_advised("CREEL_SOURCE_MAILGUN_SECRET", key, "begins with key-, like an API key");
    }

    #[test]
    fn plausible_secrets_of_all_providers_cause_no_advice() {
        for recipe in providers::recipes() {
            for key in recipe.keys().iter().filter(|key| key.kind == SettingKind::Secret) {
                let beginnings = key.begins_with.iter().map(String::as_str);
                let beginnings: Vec<&str> =
                    if key.begins_with.is_empty() { vec![""] } else { beginnings.collect() };
                for begin in beginnings {
                    for text in [
                        "8f742231b10e8888abcd99aa0e55b85a",
                        "C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                        "Ibxx_5AKakO-3qeNVR61DwQvKJ0aHf0x",
                        "6f1ed002-ab55-4d2c-9f73-5fd5ad1b7a0c",
                        "3k;V!x8#pQz,9]rT%w2^mE&u",
                        "MDEyMzQ1Njc4OWFiY2RlZmdoaWprbG0=",
                    ] {
                        let text = format!("{begin}{text}");
                        let problem = guessable_problem(&text, &key.begins_with)
                            .or_else(|| flaw(&text, OuterSpace::Significant))
                            .or_else(|| wrong_kind(key, &text));
                        assert_eq!(problem, None, "{} of {}: {text}", key.name, recipe.name());
                    }
                }
            }
        }
    }

    #[test]
    fn valid_values_cause_no_advice() {
        let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
        let advice = advice_on(&[
            ("CREEL_SOURCE_GITHUB_SECRET", "It's a secret to \"everyone\", isn't it"),
            ("CREEL_SOURCE_STRIPE_SECRET", "whsec_0123456789abcdef0123456789abcdef"),
            ("CREEL_SOURCE_PAYSTACK_SECRET", "sk_live_0123456789abcdef0123456789"),
            ("CREEL_SOURCE_CHECKR_SECRET", "sk_live_0123456789abcdef0123456789"),
            ("CREEL_SOURCE_DISCORD_PUBLIC_KEY", pem),
            ("CREEL_TARGET_X_URL", "https://app.example.com/"),
            ("CREEL_TARGET_X_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
            ("CREEL_ADMIN_TOKEN", "token-as-it-is-0123456789"),
        ]);
        assert_eq!(advice, Vec::<String>::new());
    }
}
