//! Advice for each cause, from the parts of the request that the cause concerns.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::content::request::{Cause, Secret};
use crate::content::view::View;
use crate::scheme::freshness::SignedTime;
use crate::scheme::jwt::JwtTrace;
use crate::scheme::place::Place;
use crate::scheme::signature::{BoundSignature, SignatureKeys};
use crate::scheme::token::SharedToken;

use super::super::page::source_variable;
use super::super::verifier::BoundToken;
use super::checks::{Checks, secrets_of};
use super::diagnosis::{Trial, TrialOutcome, TrialResult};
use super::excerpt::Redactor;
use super::recipes::named_by_headers;
use super::secrets::{MAX_OTHER_SECRETS, slots, variables};

/// Limit on the places that are named as missing.
const MAX_NAMED_PLACES: usize = 6;

/// Returns the sentences for a cause, after these trials.
pub fn advice_for(
    cause: Cause,
    checks: &Checks<'_>,
    jwt: Option<&JwtTrace>,
    trials: &[TrialResult],
    redactor: &Redactor<'_>,
) -> Vec<String> {
    if trials.iter().any(|row| matches!(row.outcome, TrialOutcome::Fits(_))) {
        // The advice of the trial is more specific.
        let providers = if cause == Cause::MissingHeader { other_providers(checks) } else { None };
        return providers.into_iter().collect();
    }
    let view = checks.rejected.verifier.view(checks.rejected.request);
    match cause {
        Cause::StaleTimestamp => vec![stale(checks, &view, jwt)],
        Cause::TokenMismatch => tokens(checks, &view, trials),
        Cause::UnknownKey => vec![unknown_key(checks, &view, jwt, redactor)],
        Cause::CertificateNotTrusted => certificate(checks, &view, redactor),
        Cause::MissingHeader => missing(checks, &view),
        Cause::ClaimMismatch => vec![claims(jwt)],
        Cause::MalformedSignature | Cause::UnknownAlgorithm => {
            let schemes = schemes(checks).join("; ");
            let mut advice = vec![format!(
                "The value does not have the form of the scheme ({schemes}): check that the source has the right provider."
            )];
            advice.extend(other_providers(checks));
            advice
        }
        Cause::SignatureMismatch => {
            let mut advice = vec![mismatch(checks, trials)];
            advice.extend(other_providers(checks));
            advice
        }
        Cause::WrongAccount => vec![format!(
            "The request names another account than the source is configured for: compare {} with the account at the provider.",
            account_settings(checks)
        )],
        Cause::TooLarge => vec![
            "The body must be decoded or rewritten before verification, and exceeds the limit for that: a genuine sender does not send such bodies.".to_owned(),
        ],
        Cause::HandshakeRefused => vec![format!(
            "The request is a handshake with a wrong verify token or an unexpected challenge: compare the verify token at the provider with the settings of source `{0}`; `creel learn {0}` lets a source that learns its secret accept a new one. Then start the handshake again at the provider.",
            checks.rejected.source
        )],
        Cause::NotConfirmed => vec![
            "The request has no usable id for the provider's API: check that the source has the right provider.".to_owned(),
        ],
        // The caller describes the addresses.
        Cause::AddressNotAllowed => Vec::new(),
    }
}

/// Describes the provider's schemes.
pub fn schemes(checks: &Checks<'_>) -> Vec<String> {
    checks.rejected.verifier.recipe.facts.schemes.iter().map(|fact| fact.text.clone()).collect()
}

/// Whether a trial has run, if none has fitted.
fn have_run(trials: &[TrialResult]) -> bool {
    trials.iter().any(|row| row.outcome == TrialOutcome::Differs)
}

fn mismatch(checks: &Checks<'_>, trials: &[TrialResult]) -> String {
    let signs_url = checks.rejected.verifier.recipe.signs_url();
    let url = if signs_url { ", that the URL is the registered one" } else { "" };
    let keys = match has_secret(checks) {
        false => "the public key is the provider's".to_owned(),
        true => format!(
            "{} is the secret of this webhook (providers have a different one for each endpoint, and for test and live mode)",
            variables(checks)
        ),
    };
    let is_left_out = trials.iter().any(|row| row.outcome == TrialOutcome::LeftOut);
    let found = match (have_run(trials), is_left_out) {
        (true, false) => "No trial fits. ",
        (true, true) => "None of the trials that finished fits. ",
        (false, _) => "",
    };
    format!("{found}Check that {keys}{url}, and that no proxy changes the request.")
}

fn has_secret(checks: &Checks<'_>) -> bool {
    let verifier = checks.rejected.verifier;
    slots(verifier.recipe).iter().any(|slot| !verifier.settings.all(slot.setting).is_empty())
}

fn other_providers(checks: &Checks<'_>) -> Option<String> {
    let found = named_by_headers(checks);
    let rows: Vec<String> =
        found.iter().map(|(header, provider)| format!("`{header}` of provider `{provider}`")).collect();
    (!rows.is_empty()).then(|| {
        format!(
            "The request has the header {}: check the provider of source `{}`.",
            rows.join(", "),
            checks.rejected.source
        )
    })
}

fn stale(checks: &Checks<'_>, view: &View<'_>, jwt: Option<&JwtTrace>) -> String {
    let rejected = checks.rejected;
    let received = shown(rejected.request.now);
    let tolerance = rejected.verifier.tolerance.as_secs();
    let variable = source_variable(rejected.source, "tolerance");
    let of_signature = |keyed: &BoundSignature| {
        let unit = keyed.scheme.timestamp.as_ref()?.unit;
        unit.parse(&keyed.timestamp(view)?).ok()?.to_time()
    };
    if let Some(sent) = rejected.verifier.proofs.signatures.iter().find_map(of_signature) {
        let difference = (rejected.request.now - sent).whole_seconds();
        let direction = if difference < 0 { "later" } else { "earlier" };
        return format!(
            "Correctly signed at {} by the sender's clock, which is {} s {direction} than its arrival at {received} by this machine's clock; the tolerance is {tolerance} s. Correct the clock that is wrong. If the sender repeats old requests, raise {variable}.",
            shown(sent),
            difference.unsigned_abs()
        );
    }
    let times = jwt.into_iter().flat_map(|jwt| &jwt.times).filter_map(|(name, seconds)| {
        Some(format!("`{name}` {}", shown(SignedTime::Seconds(*seconds).to_time()?)))
    });
    let times: Vec<String> = times.collect();
    let times = if times.is_empty() { String::new() } else { format!(" ({})", times.join(", ")) };
    format!(
        "Correctly signed, but the time in the request{times} does not match its arrival time, {received} by this machine's clock; the tolerance is {tolerance} s. Correct the clock that is wrong. If the sender repeats old requests, raise {variable}."
    )
}

fn shown(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).unwrap_or_default()
}

fn tokens(checks: &Checks<'_>, view: &View<'_>, trials: &[TrialResult]) -> Vec<String> {
    let rejected = checks.rejected;
    let others = rejected.others.iter().flat_map(|other| secrets_of(other.verifier)).count();
    let is_finished =
        |row: &TrialResult| row.trial == Trial::OtherSecret && row.outcome == TrialOutcome::Differs;
    let were_tried = (1..=MAX_OTHER_SECRETS).contains(&others) && trials.iter().any(is_finished);
    let found = match (have_run(trials), were_tried) {
        (true, true) => " It is none of the configured tokens, nor a secret of another source.",
        (true, false) => " It is none of the configured tokens.",
        (false, _) => "",
    };
    let of_token = |bound: &BoundToken| {
        let sent = presented(&bound.token, view)?;
        let lengths: Vec<String> =
            bound.values.iter().map(Secret::expose).map(|value| value.len().to_string()).collect();
        Some(format!(
            "The token in {} has {} bytes; the configured one ({}) has {}.{found}",
            bound.token.at(),
            sent,
            source_variable(rejected.source, bound.key),
            lengths.join(" or ")
        ))
    };
    let mut advice: Vec<String> = rejected.verifier.proofs.tokens.iter().filter_map(of_token).collect();
    if rejected.verifier.proofs.basic.is_some() {
        advice.push(format!(
            "The user name or the password of HTTP basic authentication is wrong: compare {} and {} with the sender's settings.",
            source_variable(rejected.source, "username"),
            source_variable(rejected.source, "password")
        ));
    }
    advice
}

/// Returns the length of the token in a request.
fn presented(token: &SharedToken, view: &View<'_>) -> Option<usize> {
    let value = token.at().find(view).ok()??;
    Some(token.scheme().strip(&value).unwrap_or(&value).len())
}

fn unknown_key(
    checks: &Checks<'_>,
    view: &View<'_>,
    jwt: Option<&JwtTrace>,
    redactor: &Redactor<'_>,
) -> String {
    let of_signature = |keyed: &BoundSignature| match &keyed.keys {
        SignatureKeys::ById(place) => place.find(view).ok()?.map(|id| id.into_owned()),
        _ => None,
    };
    let by_signature = checks.rejected.verifier.proofs.signatures.iter().find_map(of_signature);
    let id = by_signature.or_else(|| jwt.and_then(|jwt| jwt.key_id.clone()).map(String::into_bytes));
    match id {
        Some(id) => format!(
            "The request names the key `{}`, which the provider has not published, or which is not configured: check that the request is from this provider and environment, and that the key settings of source `{}` are current.",
            redactor.show(&id),
            checks.rejected.source
        ),
        None => format!(
            "The request needs a key of a kind that source `{}` does not have: compare the provider's page with the source's settings.",
            checks.rejected.source
        ),
    }
}

fn certificate(checks: &Checks<'_>, view: &View<'_>, redactor: &Redactor<'_>) -> Vec<String> {
    let of_signature = |keyed: &BoundSignature| {
        let SignatureKeys::Certificate { url, hosts } = &keyed.keys else { return None };
        let url = url.find(view).ok()??;
        Some(format!(
            "The request names the certificate at {}; allowed are valid certificates at https://{}.",
            redactor.show(&url),
            hosts.join(" or https://")
        ))
    };
    let found: Vec<String> =
        checks.rejected.verifier.proofs.signatures.iter().filter_map(of_signature).collect();
    match found.is_empty() {
        true => vec!["The certificate is at a URL that is not allowed, not valid at the time of arrival, or without a trusted issuer: the request is not from the provider, or this machine's clock or its list of issuers is wrong.".to_owned()],
        false => found,
    }
}

fn missing(checks: &Checks<'_>, view: &View<'_>) -> Vec<String> {
    let proofs = &checks.rejected.verifier.proofs;
    let of_signatures = proofs.signatures.iter().filter(|keyed| !keyed.keys.are_absent());
    let places = of_signatures.flat_map(BoundSignature::places);
    let places = places.chain(proofs.jwts.iter().map(|(jwt, _)| &jwt.at));
    let places = places.chain(proofs.tokens.iter().map(|bound| bound.token.at()));
    let mut names: Vec<String> = Vec::new();
    let has_body = checks.rejected.has_body;
    let places = places.filter(|place: &&Place| has_body || !place.is_in_body());
    for place in places.filter(|place| place.find(view) == Ok(None)) {
        let name = place.to_string();
        if !names.contains(&name) && names.len() < MAX_NAMED_PLACES {
            names.push(name);
        }
    }
    let mut advice = Vec::new();
    if !names.is_empty() {
        advice.push(format!(
            "The request has no value in {}: set a secret at the sender, so that it signs, and check that no proxy removes headers.",
            names.join(", ")
        ));
    }
    advice.extend(other_providers(checks));
    if advice.is_empty() {
        advice.push("A part that the scheme needs is missing or empty: set a secret at the sender, and check that no proxy removes headers.".to_owned());
    }
    advice
}

fn claims(jwt: Option<&JwtTrace>) -> String {
    let names = jwt.map(|jwt| &jwt.wrong_claims).filter(|names| !names.is_empty());
    match names {
        Some(names) => format!(
            "Claims that are absent, or have another value than the source expects: {}. Compare the audience, issuer and URL at the sender with the source's settings, and check that no proxy changes the body.",
            names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        ),
        None => "The signature is correct, but for another body, URL or recipient: check that the source's URL is the registered one, and that no proxy changes the body.".to_owned(),
    }
}

fn account_settings(checks: &Checks<'_>) -> String {
    let verifier = checks.rejected.verifier;
    let slots = slots(verifier.recipe);
    let others =
        verifier.settings.values.keys().filter(|name| slots.iter().all(|slot| slot.setting != **name));
    let names: Vec<String> = others.map(|name| source_variable(checks.rejected.source, name)).collect();
    if names.is_empty() { "the settings of the source".to_owned() } else { names.join(" and ") }
}
