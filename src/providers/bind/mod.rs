//! Binds a recipe to the settings of one source: decodes and prepares keys, and builds replies.

mod places;
mod signatures;

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::content::view::Texts;
use crate::scheme::condition::RequestCondition;
use crate::scheme::jwt::JwtKeys;
use crate::scheme::place::Place;
use crate::scheme::signature::SignatureKeys;
use crate::scheme::token::{Basic, SharedToken};

use super::code::BoundScheme;
use super::confirm::ConfirmApi;
use super::recipe::{JwtRule, KeySource, NamedPlace, Proofs, Recipe, TokenRule};
use super::reply::{AcceptedReply, Reply};
use super::settings::{SettingError, SettingKind, Settings};
use super::verifier::{BoundProofs, BoundToken, OwnKey, Verifier};
use crate::content::request::Secret;
use places::{named_header, once};
use signatures::{bind_signatures, public_keys};

impl Verifier {
    /// Binds a recipe to the settings of one source.
    ///
    /// # Errors
    /// Every setting that is missing, unknown to the recipe, or malformed.
    pub fn bind(recipe: &'static Recipe, settings: &Settings) -> Result<Self, Vec<SettingError>> {
        let mut errors = unknown_and_missing(recipe, settings);
        let texts = texts(recipe, settings, &mut errors);
        let proofs = bind_proofs(recipe, settings, &texts, &mut errors);
        if settings.tolerance.is_some() && recipe.tolerance.is_none() {
            errors.push(SettingError::new(
                "tolerance",
                format!("has no effect: provider `{}` signs no timestamp", recipe.name),
            ));
        }
        let accepted = bind_accepted(recipe, settings, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let mut rejected = recipe.rejected.clone();
        if let Some(header) = texts.first("header").and_then(|header| std::str::from_utf8(header).ok()) {
            for row in &mut rejected {
                row.reply.body = row.reply.body.replace("{setting:header}", header);
            }
        }
        let places: Vec<&Place> =
            proofs.tokens.iter().map(|bound| bound.token.at()).chain(secrets_of_handshakes(recipe)).collect();
        let at = |wanted: fn(&Place) -> Option<&String>| {
            places.iter().filter_map(|place| wanted(place).cloned()).collect()
        };
        Ok(Self {
            recipe,
            settings: settings.clone(),
            credential_headers: at(|place| if let Place::Header(name) = place { Some(name) } else { None }),
            credential_query: at(|place| if let Place::Query(name) = place { Some(name) } else { None }),
            unchecked_headers: unchecked_headers(recipe, &proofs),
            partly_signed_headers: proofs.partly_signed_headers(recipe),
            own_keys: own_keys(recipe, &texts),
            proofs,
            texts,
            tolerance: settings.tolerance.or(recipe.tolerance).unwrap_or_default(),
            accepted,
            rejected,
        })
    }
}

fn unchecked_headers(recipe: &'static Recipe, proofs: &BoundProofs) -> Vec<&'static str> {
    if !proofs.are_only_sent() {
        return Vec::new();
    }
    let is_checked = |place: &Place| proofs.tokens.iter().any(|bound| bound.token.at() == place);
    let places = recipe.proofs.signatures.iter().map(|rule| &rule.scheme.at);
    let headers = places.filter(|place| !is_checked(place)).filter_map(|place| match place {
        Place::Header(name) => Some(name.as_str()),
        _ => None,
    });
    headers.collect()
}

/// Places of secrets in handshakes: the secret that creel learns, and secrets that a condition
/// compares.
fn secrets_of_handshakes(recipe: &Recipe) -> impl Iterator<Item = &Place> {
    let is_secret =
        |name: &str| recipe.keys.iter().any(|key| key.name == name && key.kind == SettingKind::Secret);
    recipe.handshakes.iter().flat_map(move |rule| {
        let conditions = rule.when.iter().chain(&rule.check);
        let compared = conditions.filter(move |condition| condition.setting().is_some_and(is_secret));
        rule.learn.iter().chain(compared.map(RequestCondition::place))
    })
}

fn unknown_and_missing(recipe: &Recipe, settings: &Settings) -> Vec<SettingError> {
    let known: BTreeSet<&str> = recipe.keys.iter().map(|key| key.name.as_str()).collect();
    let known_names = if known.is_empty() {
        "none".to_owned()
    } else {
        known.iter().copied().collect::<Vec<_>>().join(", ")
    };
    let unknown = settings.values.keys().filter(|key| !known.contains(key.as_str())).map(|key| {
        SettingError::new(
            key,
            format!("is not a setting of provider `{}`, which has {known_names}", recipe.name),
        )
    });
    let missing = recipe.keys.iter().filter(|key| key.required && settings.all(&key.name).is_empty());
    unknown
        .chain(missing.map(|key| SettingError::new(&key.name, format!("is missing: {}", key.doc))))
        .collect()
}

/// Returns the values that templates and conditions read.
fn texts(recipe: &Recipe, settings: &Settings, errors: &mut Vec<SettingError>) -> Texts {
    let mut texts = Texts::default();
    for key in &recipe.keys {
        let given = settings.all(&key.name);
        let default = key.default.as_ref().filter(|_| given.is_empty()).map(Secret::new_text);
        let values: Vec<Secret> = given.iter().cloned().chain(default).collect();
        if key.kind != SettingKind::Secret && values.len() > 1 {
            errors.push(SettingError::new(&key.name, "accepts only one value"));
        }
        if key.kind != SettingKind::Secret && given.iter().any(|value| value.expose().trim_ascii().is_empty())
        {
            errors.push(SettingError::new(&key.name, "is empty; give it a value or remove it"));
        }
        let is_in_url =
            recipe.fetch.as_ref().is_some_and(|rule| rule.url.settings().any(|name| name == key.name));
        if is_in_url && given.iter().any(|value| value.expose().iter().any(u8::is_ascii_whitespace)) {
            errors
                .push(SettingError::new(&key.name, "contains white space, and must be a single URL or host"));
        }
        let words = |value: &Secret| {
            let text = String::from_utf8_lossy(value.expose()).into_owned();
            text.split_whitespace().map(Secret::new_text).collect::<Vec<_>>()
        };
        let values =
            if key.kind == SettingKind::List { values.iter().flat_map(words).collect() } else { values };
        texts.insert(&key.name, values);
    }
    texts
}

fn bind_proofs(
    recipe: &'static Recipe,
    settings: &Settings,
    texts: &Texts,
    errors: &mut Vec<SettingError>,
) -> BoundProofs {
    let rules: &'static Proofs = &recipe.proofs;
    let mut proofs = BoundProofs::default();
    if let Some(rule) = rules.confirm.as_ref().filter(|_| errors.is_empty()) {
        let confirm_api = once(ConfirmApi::bind(rule, texts, recipe.form_payload.as_deref()), errors);
        proofs.confirm_api = confirm_api.map(Arc::new);
    }
    let mut missing: Vec<&str> = Vec::new();
    for rule in &rules.tokens {
        if settings.all(&rule.key).is_empty() {
            missing.extend((!rule.optional).then_some(rule.key.as_str()));
        } else {
            proofs.tokens.extend(bind_token(rule, settings, texts, errors));
        }
    }
    if rules.basic {
        proofs.basic = bind_basic(settings, errors);
        missing.extend(proofs.basic.is_none().then_some("username"));
    }
    missing.extend(rules.signatures.iter().filter_map(|signature| signature.key.setting()));
    proofs.signatures = bind_signatures(&rules.signatures, settings, texts, errors);
    for rule in &rules.jwts {
        missing.extend(rule.key.setting());
        let keys = bind_jwt(rule, settings);
        proofs.jwts.extend(once(keys, errors).flatten().map(|keys| (&rule.jwt, keys)));
    }
    if let Some(code) = rules.code {
        missing.extend(code.secret_settings());
        proofs.code = once(BoundScheme::bind(code, settings), errors).flatten();
    }
    if proofs
        .signatures
        .iter()
        .all(|keyed| matches!(&keyed.keys, SignatureKeys::Secrets(keys) if keys.is_empty()))
    {
        proofs.signatures.clear();
    }
    proofs.signing_settings = signing_settings(rules, &proofs);
    let is_unverified = !rules.are_none() && proofs.are_none();
    let by_address = recipe.requires.iter().any(|name| ["path", "allow_ips"].contains(&name.as_str()));
    let is_optional = recipe.learns() || by_address || rules.tokens.iter().any(|rule| rule.optional);
    if errors.is_empty() && is_unverified && !is_optional {
        let first = missing.first().copied().unwrap_or("secret");
        let names: BTreeSet<String> = missing.iter().map(|name| format!("`{name}`")).collect();
        let names: Vec<String> = names.into_iter().collect();
        errors.push(SettingError::new(first, format!("is missing: the source needs {}", names.join(" or "))));
    }
    proofs
}

/// The settings that hold the keys of the signatures and JWTs of this source.
fn signing_settings(rules: &'static Proofs, bound: &BoundProofs) -> Vec<&'static str> {
    let of_signatures = rules.signatures.iter().filter(|rule| {
        bound
            .signatures
            .iter()
            .any(|keyed| std::ptr::eq(keyed.scheme, &rule.scheme) && !keyed.keys.are_absent())
    });
    let of_jwts =
        rules.jwts.iter().filter(|rule| bound.jwts.iter().any(|(jwt, _)| std::ptr::eq(*jwt, &rule.jwt)));
    let of_code = rules.code.filter(|_| bound.code.is_some());
    of_signatures
        .filter_map(|rule| rule.key.setting())
        .chain(of_jwts.filter_map(|rule| rule.key.setting()))
        .chain(of_code.into_iter().flat_map(|code| code.secret_settings().iter().copied()))
        .collect()
}

fn bind_token(
    rule: &'static TokenRule,
    settings: &Settings,
    texts: &Texts,
    errors: &mut Vec<SettingError>,
) -> Option<BoundToken> {
    let place = match &rule.at {
        NamedPlace::Place(place) => place.clone(),
        // A missing or repeated name has been reported already.
        NamedPlace::HeaderOf { setting } if errors.iter().any(|error| error.key == *setting) => return None,
        NamedPlace::HeaderOf { setting } => Place::Header(once(named_header(setting, texts), errors)?),
    };
    let values = settings.all(&rule.key);
    for (number, value) in values.iter().enumerate() {
        let value = value.expose();
        if value.is_empty() {
            errors.push(SettingError::of_value(&rule.key, number, "is empty"));
        } else if value.trim_ascii() != value {
            errors.push(SettingError::of_value(
                &rule.key,
                number,
                "begins or ends with white space; remove it",
            ));
        }
    }
    let token = SharedToken::new(place, rule.scheme.clone(), values);
    Some(BoundToken { token, key: &rule.key, values: values.to_vec() })
}

fn bind_basic(settings: &Settings, errors: &mut Vec<SettingError>) -> Option<Basic> {
    let username = settings.all("username").first().map_or(&b""[..], Secret::expose);
    let password = settings.all("password").first().map_or(&b""[..], Secret::expose);
    if username.contains(&b':') {
        errors.push(SettingError::new(
            "username",
            "contains a colon, which ends the user name in HTTP basic authentication",
        ));
    }
    if password.is_empty() {
        if !username.is_empty() {
            errors.push(SettingError::new(
                "password",
                "is missing: a user name alone does not authenticate the sender",
            ));
        }
        return None;
    }
    Some(Basic::new(username, password))
}

/// Returns the keys; `None` if this source does not use the scheme.
fn bind_jwt(rule: &JwtRule, settings: &Settings) -> Result<Option<JwtKeys>, SettingError> {
    let KeySource::Setting { setting, derivation } = &rule.key else {
        return Ok(Some(JwtKeys::Published));
    };
    let values = settings.all(setting);
    if values.is_empty() {
        return Ok(None);
    }
    if rule.has_shared_key() {
        // Drops empty secrets. If none is left, every JWT is rejected, and the cause is still
        // reported.
        let derive = |value: &Secret| match value.expose() {
            [] => Ok(None),
            text => derivation.derive(text).map(Secret::new).map(Some),
        };
        let secrets = SettingError::collect(setting, values, derive)?;
        return Ok(Some(JwtKeys::Secrets(secrets.into_iter().flatten().collect())));
    }
    public_keys(setting, derivation, settings).map(|keys| Some(JwtKeys::Public(keys)))
}

/// Returns the configured keys that replace fetching: a key set, or a key with its id.
fn own_keys(recipe: &Recipe, texts: &Texts) -> Vec<OwnKey> {
    if !recipe.uses_published_keys() {
        return Vec::new();
    }
    let text = |name: &str| texts.first(name).map(|value| String::from_utf8_lossy(value).into_owned());
    let set = text("jwks").map(|text| OwnKey { id: None, text });
    let single = text("public_key").map(|key| OwnKey { id: text("key_id"), text: key });
    set.into_iter().chain(single).collect()
}

/// Builds the replies. The user's `reply_status` and `reply_body` apply to every event of the
/// source.
fn bind_accepted(recipe: &Recipe, settings: &Settings, errors: &mut Vec<SettingError>) -> Vec<AcceptedReply> {
    if let Some(status) = settings.reply_status
        && !(200..=299).contains(&status)
    {
        errors.push(SettingError::new(
            "reply_status",
            "is not between 200 and 299: the sender would treat the message as failed",
        ));
    }
    let all = |reply| vec![AcceptedReply { event: None, reply }];
    match (settings.reply_status, settings.reply_body.as_deref()) {
        (None, None) => recipe.accepted.clone(),
        (Some(204), Some(body)) if !body.is_empty() => {
            errors
                .push(SettingError::new("reply_body", "is never sent: a reply with status 204 has no body"));
            Vec::new()
        }
        (Some(204), _) => all(Reply::empty(204)),
        (status, Some(body)) => all(Reply::configured(status.unwrap_or(200), body)),
        (Some(status), None) => {
            let with_status = |row: &AcceptedReply| AcceptedReply {
                event: row.event.clone(),
                reply: Reply { status, ..row.reply.clone() },
            };
            recipe.accepted.iter().map(with_status).collect()
        }
    }
}
