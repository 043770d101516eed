//! Other forms of a timestamp, a signature or a token.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::content::form;
use crate::content::request::{Headers, Request, Secret};
use crate::scheme::encoding::Encoding;
use crate::scheme::freshness::TimestampUnit;
use crate::scheme::place::Place;
use crate::scheme::signature::{BoundSignature, SignatureKeys};
use crate::scheme::token::SharedToken;

use super::super::page::source_variable;
use super::super::recipe::{KeySource, Recipe};
use super::checks::{Checks, TrialFinding, first_fit};
use super::excerpt::Redactor;

/// Limit on the headers in which a token is looked for.
const MAX_HEADERS: usize = 40;
const MILLISECONDS_IN_SECOND: i64 = 1_000;

/// Whether the signature covers the timestamp as sent, or in another unit. The signed text contains
/// the timestamp as sent, so only its format can be wrong.
pub fn try_timestamp(checks: &Checks<'_>) -> TrialFinding<String> {
    let rejected = checks.rejected;
    let view = rejected.verifier.view(rejected.request);
    let has_secret = |keyed: &&BoundSignature| matches!(&keyed.keys, SignatureKeys::Secrets(secrets) if !secrets.is_empty());
    let timed = rejected.verifier.proofs.signatures.iter().filter(has_secret).filter_map(|keyed| {
        let unit = keyed.scheme.timestamp.as_ref()?.unit;
        Some((keyed, unit, keyed.timestamp(&view)?))
    });
    let candidates = timed.flat_map(|(keyed, unit, sent)| {
        let others = other_units(&sent).into_iter().map(move |other| (keyed, unit, Some(other)));
        let is_unreadable = unit.parse(&sent).is_err();
        is_unreadable.then_some((keyed, unit, None)).into_iter().chain(others)
    });
    let fits = |(keyed, _, timestamp): &(&BoundSignature, TimestampUnit, Option<Vec<u8>>)| {
        checks.matches(keyed, &view, timestamp.as_deref()) == Some(true)
    };
    first_fit(candidates, fits).map(|(_, _, timestamp)| match timestamp {
        None => format!(
            "The signature is correct, but the timestamp has another format than the scheme of `{}`: the sender uses another unit (seconds or milliseconds) or a date. For provider `custom`, correct {}.",
            rejected.verifier.recipe.name,
            source_variable(rejected.source, "timestamp_unit")
        ),
        Some(_) => "The request verifies with its timestamp in another unit: the sender signs seconds and sends milliseconds, or the reverse. Sign and send the same text.".to_owned(),
    })
}

/// Returns a timestamp in milliseconds for one in seconds, and the reverse.
fn other_units(sent: &[u8]) -> Vec<Vec<u8>> {
    let text = std::str::from_utf8(sent).ok();
    let number = text.and_then(|text| text.parse::<i64>().ok()).filter(|number| *number > 0);
    let Some(number) = number else { return Vec::new() };
    let others = [number.checked_mul(MILLISECONDS_IN_SECOND), number.checked_div(MILLISECONDS_IN_SECOND)];
    others.into_iter().flatten().map(|other| other.to_string().into_bytes()).collect()
}

/// Tries the other algorithms, encodings and layouts for a signature that does not match in the
/// form of its scheme.
pub fn try_signature(checks: &Checks<'_>) -> TrialFinding<String> {
    let rejected = checks.rejected;
    let verifier = rejected.verifier;
    let view = verifier.view(rejected.request);
    let usable = verifier.proofs.signatures.iter().filter(|keyed| !keyed.keys.are_absent());
    let keyed = usable.filter_map(|keyed| {
        let keys = derived_keys(checks, keyed);
        let is_other = !keys.is_empty() && checks.matches(keyed, &view, None) == Some(false);
        is_other.then_some((keyed, keys))
    });
    let mut found = None;
    let fits = |(keyed, keys): &(&BoundSignature, Vec<Vec<u8>>)| {
        // One text for each algorithm and key.
        found =
            if checks.spend(5 * keys.len()) { keyed.other_form(&view, &checks.terms(), keys) } else { None };
        found.is_some()
    };
    let finding = first_fit(keyed, fits).map(|(keyed, _)| keyed.scheme);
    finding.map(|scheme| {
        let form = found.map(|(algorithm, encoding)| {
            let name = encoding_name(encoding);
            if (algorithm, encoding) == (scheme.algorithm, scheme.encoding) {
                "the value around the signature has another layout".to_owned()
            } else {
                format!("the sender uses {algorithm} in {name}, and the scheme {} in {}", scheme.algorithm, encoding_name(scheme.encoding))
            }
        });
        format!(
            "The signature is correct for the signed text and the secret, but {}: check the source's provider; for provider `custom`, correct {}, _ENCODING or _LAYOUT.",
            form.unwrap_or_default(),
            source_variable(rejected.source, "signature_algorithm")
        )
    })
}

fn derived_keys(checks: &Checks<'_>, keyed: &BoundSignature) -> Vec<Vec<u8>> {
    let verifier = checks.rejected.verifier;
    let recipe: &'static Recipe = verifier.recipe;
    let rule = recipe.proofs.signatures.iter().find(|rule| std::ptr::eq(&rule.scheme, keyed.scheme));
    let is_hmac = keyed.scheme.algorithm.public().is_none() && !keyed.scheme.algorithm.is_plain_digest();
    match rule.map(|rule| &rule.key).filter(|_| is_hmac) {
        Some(KeySource::Setting { setting, derivation }) if !derivation.prepend_timestamp => {
            let values = verifier.settings.all(setting).iter().map(Secret::expose);
            values.filter_map(|value| derivation.derive(value).ok()).collect()
        }
        _ => Vec::new(),
    }
}

const fn encoding_name(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Hex => "hex",
        Encoding::Base64 => "base64",
        Encoding::Base64Url => "base64url",
    }
}

/// Tries the token with other text around it, and the values of other headers as the token.
pub fn try_token(checks: &Checks<'_>, redactor: &Redactor<'_>) -> TrialFinding<String> {
    let rejected = checks.rejected;
    let mut finding = TrialFinding::Inapplicable;
    for bound in &rejected.verifier.proofs.tokens {
        let Place::Header(wanted) = bound.token.at() else { continue };
        let fields = rejected.request.headers.0.iter().take(MAX_HEADERS);
        let candidates = fields.flat_map(|(name, value)| {
            let values = token_forms(value, &bound.token).into_iter();
            values.filter(move |changed| name != wanted || changed != value).map(move |value| (*name, value))
        });
        let fits = |(_, value): &(&str, Vec<u8>)| {
            let others = rejected.request.headers.0.iter().filter(|(name, _)| name != wanted);
            let mut fields: Vec<(&str, &[u8])> = others.copied().collect();
            fields.push((wanted, value));
            let request = Request { headers: Headers(&fields), ..*rejected.request };
            checks.verifies(rejected.verifier, &request)
        };
        match first_fit(candidates, fits) {
            TrialFinding::Fits((name, _)) => {
                return TrialFinding::Fits(token_remedy(checks, name, wanted, &bound.token, redactor));
            }
            TrialFinding::Differs => finding = TrialFinding::Differs,
            TrialFinding::Inapplicable => {}
        }
    }
    finding
}

fn token_remedy(
    checks: &Checks<'_>,
    name: &str,
    wanted: &str,
    token: &SharedToken,
    redactor: &Redactor<'_>,
) -> String {
    if name != wanted {
        return format!(
            "The request has the correct token in header `{}`, but the source reads it from header `{wanted}`: correct the header at the sender, or the source's header setting.",
            redactor.show(name.as_bytes())
        );
    }
    let written = match token.scheme().is_none() {
        true => "the token alone".to_owned(),
        false => format!("the token after `{}`", token.scheme().written().trim_end()),
    };
    format!(
        "The request has the correct token, but with other text around it: the source expects {written} in header `{wanted}`. Correct the header at the sender; for provider `custom`, correct {}.",
        source_variable(checks.rejected.source, "token_scheme")
    )
}

/// Returns the values that a sender could have meant, as the source expects them.
fn token_forms(value: &[u8], token: &SharedToken) -> Vec<Vec<u8>> {
    let value = value.trim_ascii();
    let word = value.iter().position(|byte| *byte == b' ').map(|end| value[end + 1..].trim_ascii());
    let quoted =
        |text: &&[u8]| text.len() > 2 && b"\"'".contains(&text[0]) && text[0] == text[text.len() - 1];
    let mut bare: Vec<Cow<'_, [u8]>> = [Some(value), word].into_iter().flatten().map(Cow::Borrowed).collect();
    let inner = [Some(value), word].into_iter().flatten().filter(quoted);
    bare.extend(inner.map(|text| Cow::Borrowed(&text[1..text.len() - 1])));
    let decoded = word.and_then(|word| STANDARD.decode(word).ok());
    for part in decoded.iter().flat_map(|pair| pair.splitn(2, |byte| *byte == b':')) {
        bare.push(Cow::Owned(part.to_vec()));
    }
    if value.contains(&b'%') {
        let field = [b"t=", value].concat();
        let unescaped = form::values(std::str::from_utf8(&field).unwrap_or_default(), "t").next();
        bare.extend(unescaped.map(|text| Cow::Owned(text.into_owned())));
    }
    let written = token.scheme().written().into_owned().into_bytes();
    let forms = bare.iter().filter(|text| !text.is_empty());
    forms.flat_map(|text| [text.to_vec(), [&written, &**text].concat()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheme::auth_scheme::AuthScheme;

    #[test]
    fn timestamp_is_converted_between_units() {
        assert_eq!(other_units(b"1760000000")[0], b"1760000000000");
        assert_eq!(other_units(b"1760000000123")[1], b"1760000000");
        for text in [&b"2025-10-09T08:53:20Z"[..], b"", b"-1", b"\xff"] {
            assert!(other_units(text).is_empty());
        }
    }

    #[test]
    fn token_is_found_in_text_around_it() {
        let token = SharedToken::new(Place::Header("x".to_owned()), AuthScheme::new("Bearer"), &[]);
        for value in
            ["s3cret", "Token s3cret", "\"s3cret\"", "Basic dTpzM2NyZXQ=", "s3%63ret", "Bearer \"s3cret\""]
        {
            let forms = token_forms(value.as_bytes(), &token);
            assert!(forms.contains(&b"Bearer s3cret".to_vec()), "{value}");
        }
        assert!(token_forms(b"", &token).is_empty() && token_forms(b"\"", &token).len() == 2);
    }
}
