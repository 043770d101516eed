//! Requests that fit another source, another provider, or a scheme that the source does not allow.

use std::collections::BTreeMap;

use crate::content::request::Secret;
use crate::scheme::place::Place;

use super::super::catalogue::{added_recipes, recipes};
use super::super::page::source_variable;
use super::super::recipe::{NamedPlace, Recipe};
use super::super::settings::{SettingKind, Settings};
use super::super::verifier::{EmptyKeyStore, Verifier};
use super::checks::{Checks, TrialFinding, bind, first_fit, unique};
use super::diagnosis::OtherSource;
use super::secrets::slots;

/// Limit on the providers that are named for a header.
const MAX_NAMED_PROVIDERS: usize = 4;

/// Whether a verifier authenticates the sender itself, so that a success means something.
fn authenticates(verifier: &Verifier) -> bool {
    verifier.verifies_sender() && verifier.confirm_api().is_none()
}

/// Whether another verifier accepts the request; cheap if the request has no proof for it. The
/// cached keys are those of another provider, so only configured keys are used.
fn fits(checks: &Checks<'_>, verifier: &Verifier) -> bool {
    let request = checks.rejected.request;
    authenticates(verifier)
        && verifier.is_proof_carried(request)
        && checks.verifies_with(verifier, request, &EmptyKeyStore)
}

/// Tries the request with the other sources of the server.
pub fn try_sources(checks: &Checks<'_>) -> TrialFinding<String> {
    let rejected = checks.rejected;
    let others = rejected.others.iter().filter(|other| authenticates(other.verifier));
    first_fit(others, |other: &&OtherSource<'_>| fits(checks, other.verifier)).map(|other| {
        format!(
            "The request verifies with the settings of source `{}`, but arrived at the URL of source `{}`: correct the URL at the provider.",
            other.name, rejected.source
        )
    })
}

/// Tries the schemes of the provider that the source does not allow, then the other providers, each
/// with the secrets of the source.
pub fn try_recipes(checks: &Checks<'_>) -> TrialFinding<String> {
    let rejected = checks.rejected;
    let own = rejected.verifier.recipe;
    let switches: Vec<&str> =
        own.keys.iter().filter(|key| key.kind == SettingKind::Switch).map(|key| key.name.as_str()).collect();
    let off = switches.into_iter().filter(|name| rejected.verifier.settings.switch(name) == Ok(false));
    let with_switch = |name: &&str| {
        let mut settings = rejected.verifier.settings.clone();
        settings.values.insert((*name).to_owned(), vec![Secret::new("yes")]);
        checks.fits_settings(settings)
    };
    if let TrialFinding::Fits(name) = first_fit(off, with_switch) {
        let variable = source_variable(rejected.source, name);
        return TrialFinding::Fits(format!(
            "The request verifies with a scheme that the source does not allow: set {variable}=yes if the sender cannot use a stronger one."
        ));
    }
    if values_of(rejected.verifier).is_empty() {
        return TrialFinding::Inapplicable;
    }
    let all = recipes().chain(added_recipes()).filter(|recipe| !std::ptr::eq(*recipe, own));
    first_fit(all, |recipe: &&'static Recipe| fits_recipe(checks, recipe)).map(|recipe| {
        let variable = source_variable(rejected.source, "provider");
        format!(
            "The request verifies with the scheme of provider `{}` ({}): set {variable}={} if that is the sender.",
            recipe.name(),
            recipe.title(),
            recipe.name()
        )
    })
}

/// Returns the configured secrets, without repetition.
fn values_of(verifier: &Verifier) -> Vec<Secret> {
    let slots = slots(verifier.recipe).into_iter();
    unique(slots.flat_map(|slot| verifier.settings.all(slot.setting))).into_iter().cloned().collect()
}

fn fits_recipe(checks: &Checks<'_>, recipe: &'static Recipe) -> bool {
    let own = checks.rejected.verifier;
    let names: Vec<&'static str> = slots(recipe).into_iter().map(|slot| slot.setting).collect();
    let is_shared = |name: &str| names.contains(&name);
    // Other settings with the same name, such as the header of a token.
    let known = recipe.keys.iter().filter(|key| !is_shared(&key.name) && key.kind != SettingKind::Switch);
    let kept: BTreeMap<String, Vec<Secret>> = known
        .filter_map(|key| Some((key.name.clone(), own.settings.values.get(&key.name)?.clone())))
        .collect();
    let values = values_of(own);
    let with = |names: &[&str]| {
        let mut settings = Settings { values: kept.clone(), ..Settings::default() };
        for name in names {
            settings.values.insert((*name).to_owned(), values.clone());
        }
        bind(recipe, settings).is_some_and(|verifier| fits(checks, &verifier))
    };
    // A recipe with several settings for secrets may need all of them, or accept one at a time.
    names.iter().any(|name| with(&[name])) || (names.len() > 1 && with(&names))
}

/// Returns the providers, other than `own`, whose signature or token header the request has.
pub fn named_by_headers(checks: &Checks<'_>) -> Vec<(&'static str, &'static str)> {
    let rejected = checks.rejected;
    let own = rejected.verifier.recipe;
    let is_sent = |name: &str| rejected.request.headers.0.iter().any(|(field, _)| *field == name);
    let own_headers = headers_of(own);
    let mut found: Vec<(&'static str, &'static str)> = Vec::new();
    for recipe in recipes().filter(|recipe| !std::ptr::eq(*recipe, own)) {
        let header = headers_of(recipe).into_iter().find(|name| is_sent(name) && !own_headers.contains(name));
        if let Some(header) = header.filter(|_| found.len() < MAX_NAMED_PROVIDERS) {
            found.push((header, recipe.name()));
        }
    }
    found
}

/// Returns the headers with a provider's signatures and tokens, without those of every client.
fn headers_of(recipe: &'static Recipe) -> Vec<&'static str> {
    let proofs = &recipe.proofs;
    let signatures = proofs.signatures.iter().map(|rule| &rule.scheme.at);
    let tokens = proofs.tokens.iter().filter_map(|rule| match &rule.at {
        NamedPlace::Place(place) => Some(place),
        NamedPlace::HeaderOf { .. } => None,
    });
    let headers = signatures.chain(tokens).filter_map(|place| match place {
        Place::Header(name) if name != "authorization" => Some(name.as_str()),
        _ => None,
    });
    headers.collect()
}
