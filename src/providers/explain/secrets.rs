//! Changes of the configured secrets, and secrets from elsewhere.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use crate::content::request::Secret;
use crate::scheme::encoding::{Encoding, KeyEncoding};
use crate::scheme::key::Derivation;

use super::super::page::source_variable;
use super::super::recipe::{KeySource, Recipe};
use super::super::settings::Settings;
use super::super::verifier::Verifier;
use super::checks::{Checks, TrialFinding, first_fit, secrets_of, unique};
use super::diagnosis::Trial;

/// Limit on the secrets of other sources that are tried.
pub const MAX_OTHER_SECRETS: usize = 256;
/// Secrets of other sources in one verification.
const SECRETS_AT_ONCE: usize = 16;
/// Minimum length of a text that is tried as a secret, or recognized as one within another text.
pub const MIN_SECRET_BYTES: usize = 8;
/// Maximum length of an unknown prefix, such as `v1,whsec_`.
const MAX_PREFIX_BYTES: usize = 12;

/// A setting with shared secrets, and the derivation of its keys.
#[derive(Clone, Debug)]
pub struct SecretSlot {
    pub setting: &'static str,
    pub derivation: Derivation,
}

/// Returns the settings of a recipe with shared secrets.
pub fn slots(recipe: &'static Recipe) -> Vec<SecretSlot> {
    let proofs = &recipe.proofs;
    let signatures = proofs.signatures.iter().filter(|rule| rule.has_shared_key()).map(|rule| &rule.key);
    let jwts = proofs.jwts.iter().filter(|rule| rule.has_shared_key()).map(|rule| &rule.key);
    let of_key = |key: &'static KeySource| match key {
        KeySource::Setting { setting, derivation } => {
            Some(SecretSlot { setting, derivation: derivation.clone() })
        }
        _ => None,
    };
    let of_code = proofs.code.into_iter().flat_map(|code| {
        let is_hex = code.key(b"00") == Ok(vec![0]);
        let encoding = if is_hex { KeyEncoding::Hex } else { KeyEncoding::Text };
        let slot = move |setting: &&'static str| SecretSlot {
            setting,
            derivation: Derivation { encoding, ..Derivation::default() },
        };
        code.secret_settings().iter().map(slot)
    });
    let plain = |setting: &'static str| SecretSlot { setting, derivation: Derivation::default() };
    let tokens = proofs.tokens.iter().map(|rule| plain(&rule.key));
    let basic = proofs.basic.then(|| plain("password"));
    let mut slots: Vec<SecretSlot> = Vec::new();
    for slot in signatures.chain(jwts).filter_map(of_key).chain(of_code).chain(tokens).chain(basic) {
        if slots.iter().all(|known| known.setting != slot.setting) {
            slots.push(slot);
        }
    }
    slots
}

impl SecretSlot {
    /// Returns a value of the setting from which the recipe derives this key.
    pub fn value_of(&self, key: &[u8]) -> Vec<u8> {
        let Derivation { prefix, after, encoding, .. } = &self.derivation;
        let encoded = match encoding {
            KeyEncoding::Text => key.to_vec(),
            KeyEncoding::Base64 => Encoding::Base64.encode(key).into_bytes(),
            KeyEncoding::Hex => Encoding::Hex.encode(key).into_bytes(),
        };
        let prefix = prefix.first().map_or(&b""[..], |prefix| prefix.as_bytes());
        let mark = after.as_deref().unwrap_or_default().as_bytes();
        [prefix, mark, &encoded].concat()
    }
}

/// Returns the settings with each secret replaced by the values that `change` returns; `None` if
/// it returns none.
fn changed_settings(
    verifier: &Verifier,
    change: impl Fn(&SecretSlot, &[u8]) -> Vec<Vec<u8>>,
) -> Option<Settings> {
    let mut settings = verifier.settings.clone();
    let mut is_changed = false;
    for slot in slots(verifier.recipe) {
        let values = verifier.settings.all(slot.setting).iter().map(Secret::expose);
        let changed = unique(values.flat_map(|value| change(&slot, value)));
        let changed: Vec<Secret> = changed.into_iter().map(Secret::new).collect();
        if !changed.is_empty() {
            is_changed = true;
            settings.values.insert(slot.setting.to_owned(), changed);
        }
    }
    is_changed.then_some(settings)
}

/// Tries one change of the configured secrets; returns the advice if it fits.
pub fn try_secret(checks: &Checks<'_>, trial: Trial) -> TrialFinding<String> {
    let verifier = checks.rejected.verifier;
    let settings = changed_settings(verifier, |slot, value| changed(trial, slot, value));
    let fits = |settings: &Settings| checks.fits_settings(settings.clone());
    first_fit(settings, fits)
        .map(|_| remedy(trial, &variables(checks), &source_variable(checks.rejected.source, "signature_key")))
}

fn changed(trial: Trial, slot: &SecretSlot, value: &[u8]) -> Vec<Vec<u8>> {
    let encoding = slot.derivation.encoding;
    let keys = match trial {
        Trial::TrimmedSecret => {
            let bare = trimmed(value);
            return if bare == value || bare.is_empty() { Vec::new() } else { vec![bare.to_vec()] };
        }
        Trial::SecretWithLineFeed => return vec![[value, b"\n"].concat(), [value, b"\r\n"].concat()],
        Trial::SecretAsText if encoding != KeyEncoding::Text => vec![value.to_vec()],
        Trial::SecretFromBase64 if encoding != KeyEncoding::Base64 => {
            from_base64(value).into_iter().collect()
        }
        Trial::SecretFromHex if encoding != KeyEncoding::Hex => {
            Encoding::Hex.decode_any(value).into_iter().collect()
        }
        Trial::SecretPrefix => return with_other_prefix(slot, value),
        _ => Vec::new(),
    };
    keys.iter().filter(|key| !key.is_empty()).map(|key| slot.value_of(key)).collect()
}

fn trimmed(value: &[u8]) -> &[u8] {
    let is_outer = |byte: &u8| byte.is_ascii_whitespace() || b"\"'`".contains(byte);
    let value = value.strip_prefix(b"\xef\xbb\xbf").unwrap_or(value);
    let Some(start) = value.iter().position(|byte| !is_outer(byte)) else { return b"" };
    let end = value.iter().rposition(|byte| !is_outer(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

fn from_base64(value: &[u8]) -> Option<Vec<u8>> {
    let end = value.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let engines = [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD];
    engines.into_iter().find_map(|engine| engine.decode(&value[..end]).ok())
}

/// Returns the secret with its prefix as a part of the key, and without a prefix that the recipe
/// does not know.
fn with_other_prefix(slot: &SecretSlot, value: &[u8]) -> Vec<Vec<u8>> {
    let known = slot.derivation.prefix.iter().map(|prefix| prefix.as_bytes());
    let with_known = known.clone().filter(|prefix| !value.starts_with(prefix));
    let mut changed: Vec<Vec<u8>> =
        with_known.map(|prefix| slot.value_of(&[prefix, value].concat())).collect();
    if known.clone().any(|prefix| value.starts_with(prefix)) {
        changed.push(slot.value_of(value));
    }
    let marks = value.iter().take(MAX_PREFIX_BYTES).enumerate().filter(|(_, byte)| b"_,:".contains(byte));
    for (at, _) in marks {
        let rest = &value[at + 1..];
        if !rest.is_empty() {
            changed.push(slot.value_of(rest));
            changed.extend(from_base64(rest).filter(|key| !key.is_empty()).map(|key| slot.value_of(&key)));
        }
    }
    changed
}

/// Tries each value in the settings of the source in another setting for a secret, which may be
/// empty: the value may be in the wrong setting, or two values may be exchanged.
pub fn try_other_setting(checks: &Checks<'_>) -> TrialFinding<String> {
    let verifier = checks.rejected.verifier;
    let slots = slots(verifier.recipe);
    let targets = |name: &str, value: &Secret| {
        let is_target = |setting: &&str| *setting != name && !verifier.settings.all(setting).contains(value);
        slots.iter().map(|slot| slot.setting).filter(is_target).collect::<Vec<_>>()
    };
    let all = verifier
        .settings
        .values
        .iter()
        .flat_map(|(name, values)| values.iter().map(move |value| (name.as_str(), value)));
    let candidates = all
        .filter(|(_, value)| value.expose().len() >= MIN_SECRET_BYTES)
        .flat_map(|(name, value)| targets(name, value).into_iter().map(move |target| (name, value, target)));
    let fits = |(_, value, target): &(&str, &Secret, &str)| {
        let mut settings = verifier.settings.clone();
        settings.values.insert((*target).to_owned(), vec![(*value).clone()]);
        checks.fits_settings(settings)
    };
    first_fit(candidates, fits).map(|(name, _, target)| {
        let [used, wanted] = [name, target].map(|name| source_variable(checks.rejected.source, name));
        format!("The request verifies with the value of {used} as the secret: set {wanted} to that value, if it is the provider's signing secret.")
    })
}

/// Tries the secrets of the other sources; the second value is the number that was left out.
pub fn try_other_secrets(checks: &Checks<'_>) -> (TrialFinding<String>, usize) {
    let verifier = checks.rejected.verifier;
    let slots = slots(verifier.recipe);
    let own = |value: &Secret| slots.iter().any(|slot| verifier.settings.all(slot.setting).contains(value));
    let all = checks.rejected.others.iter().flat_map(|other| {
        secrets_of(other.verifier).map(move |value| (other.name, value)).collect::<Vec<_>>()
    });
    let mut secrets: Vec<(&str, &Secret)> = all.filter(|(_, value)| !own(value)).collect();
    let left_out = secrets.len().saturating_sub(MAX_OTHER_SECRETS);
    secrets.truncate(MAX_OTHER_SECRETS);
    let fits = |secrets: &[(&str, &Secret)]| {
        let mut settings = verifier.settings.clone();
        let is_configured = |slot: &SecretSlot| !verifier.settings.all(slot.setting).is_empty();
        let has_any = slots.iter().any(is_configured);
        for slot in slots.iter().filter(|slot| !has_any || is_configured(slot)) {
            let values = secrets.iter().map(|(_, value)| (*value).clone()).collect();
            settings.values.insert(slot.setting.to_owned(), values);
        }
        checks.fits_settings(settings)
    };
    if slots.is_empty() {
        return (TrialFinding::Inapplicable, 0);
    }
    let finding = first_fit(secrets.chunks(SECRETS_AT_ONCE), |some| fits(some));
    let finding = finding.map(|some| {
        let exact = some.iter().find(|secret| fits(std::slice::from_ref(secret))).or(some.first());
        let (name, wanted) = (exact.map_or("", |(name, _)| name), variables(checks));
        format!(
            "The request verifies with a secret of source `{name}`: the sender uses that secret for this URL. Set {wanted} to the secret of this URL's webhook, or correct the URL at the provider."
        )
    });
    (finding, left_out)
}

/// Returns the texts in a source's secrets that are secret by themselves: the secrets without their
/// prefix, and the derived keys.
pub fn secret_parts_of(verifier: &Verifier) -> Vec<Secret> {
    let mut parts: Vec<Secret> = Vec::new();
    for SecretSlot { setting, derivation } in slots(verifier.recipe) {
        for value in verifier.settings.all(setting).iter().map(Secret::expose) {
            let texts = [Some(derivation.encoded_key(value).to_vec()), derivation.derive(value).ok()];
            // Shorter parts could be a part of any text.
            let texts = texts.into_iter().flatten().filter(|text| text.len() >= MIN_SECRET_BYTES);
            parts.extend(texts.filter(|text| text != value).map(Secret::new));
        }
    }
    parts
}

/// Returns the variables with the secrets of the source, such as `CREEL_SOURCE_GITHUB_SECRET`.
pub fn variables(checks: &Checks<'_>) -> String {
    let verifier = checks.rejected.verifier;
    let slots = slots(verifier.recipe);
    let has_value = |slot: &&SecretSlot| !verifier.settings.all(slot.setting).is_empty();
    let configured: Vec<&SecretSlot> = slots.iter().filter(has_value).collect();
    let shown = if configured.is_empty() { slots.iter().take(1).collect() } else { configured };
    let names = shown.iter().map(|slot| source_variable(checks.rejected.source, slot.setting));
    names.collect::<Vec<_>>().join(" or ")
}

/// `custom` begins the variables of a custom provider's key.
fn remedy(trial: Trial, variable: &str, custom: &str) -> String {
    match trial {
        Trial::TrimmedSecret => format!(
            "The request verifies with the secret without the white space or quotation marks around it: remove them from {variable}."
        ),
        Trial::SecretWithLineFeed => format!(
            "The request verifies with a line end after the secret: the sender's secret has one, for example from a file or from `echo`. Remove it at the sender; {variable} is correct."
        ),
        Trial::SecretAsText => format!(
            "The request verifies with the text of the secret as the key, but the provider's scheme decodes it: check that the source has the right provider, or let the sender decode the secret. The value of {variable} is the one that the sender uses."
        ),
        Trial::SecretFromBase64 => format!(
            "The request verifies with the secret decoded from base64, but the scheme uses its text: for provider `custom`, set {custom}_ENCODING to `base64`; otherwise let the sender use the text of {variable}."
        ),
        Trial::SecretFromHex => format!(
            "The request verifies with the secret decoded from hex, but the scheme uses its text: for provider `custom`, set {custom}_ENCODING to `hex`; otherwise let the sender use the text of {variable}."
        ),
        _ => format!(
            "The request verifies with another prefix of the secret, such as `whsec_`: copy the complete secret from the provider into {variable}; for provider `custom`, check {custom}_PREFIX."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_leads_to_its_key() {
        for encoding in [KeyEncoding::Text, KeyEncoding::Base64, KeyEncoding::Hex] {
            for (prefix, after) in [(None, None), (Some("whsec_"), None), (Some("a_"), Some(":"))] {
                let derivation = Derivation {
                    prefix: prefix.into_iter().map(str::to_owned).collect(),
                    after: after.map(str::to_owned),
                    encoding,
                    ..Derivation::default()
                };
                let slot = SecretSlot { setting: "secret", derivation };
                for key in [&b"whsec_x"[..], b"a:b", b"\xff\0"] {
                    assert_eq!(slot.derivation.derive(&slot.value_of(key)), Ok(key.to_vec()));
                }
            }
        }
    }

    #[test]
    fn base64_has_one_key() {
        for text in [&b"czNj+/8="[..], b"czNj-_8="] {
            assert_eq!(from_base64(text), Some(b"s3c\xfb\xff".to_vec()));
        }
        assert_eq!(from_base64(b"s3cret value"), None);
    }

    #[test]
    fn outer_characters_are_trimmed() {
        for value in ["\"abc\"", " abc\n", "'abc", "\u{feff}abc\r\n", "abc"] {
            assert_eq!(trimmed(value.as_bytes()), b"abc");
        }
        assert_eq!(trimmed(b" \" "), b"");
    }
}
