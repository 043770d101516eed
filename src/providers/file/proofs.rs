//! Parses the authentication tables of a recipe.

use std::time::Duration;

use crate::scheme::auth_scheme::AuthScheme;
use crate::scheme::expectation::Expectation;
use crate::scheme::freshness::{TimestampPlace, TimestampRule};
use crate::scheme::jwt::{Claim, ClaimCheck, Jwt, JwtAlgorithm};
use crate::scheme::layout::Layout;
use crate::scheme::place::{Place, is_header_name};
use crate::scheme::signature::SignatureScheme;
use crate::scheme::template::Template;

use super::super::code::{self, SCHEMES};
use super::super::recipe::{ConfirmRule, JwtRule, KeySource, NamedPlace, Proofs, Signature, TokenRule};
use super::fetch::fetch_rule;
use super::fields::{FieldProblem, conditions, declared, key_source, named_place, problem, template};
use super::tables::{
    ClaimTable, ConfirmTable, JwtTable, KeyKind, KeyTable, OwnTimestamp, RecipeFile, SignatureTable,
    TimestampTable, TokenTable,
};

/// Problems that `custom` words differently, because its fields are variables.
pub const MISSING_TIMESTAMP: &str = "has `{ts}`, but the recipe has no `[timestamp]` with its place";
pub const UNSIGNED_TIMESTAMP: &str =
    "must cover the timestamp: add `{ts}`, or set `timestamp = false` next to it";
pub const DIGEST_WITHOUT_SECRET: &str =
    "has no `{secret}`, but the algorithm is a plain digest, which anyone can compute; add `{secret}`";

pub fn proofs(file: &RecipeFile) -> Result<Proofs, FieldProblem> {
    if file.timestamp.is_some() && file.signature.is_empty() && file.code.is_none() {
        return Err(problem("timestamp", "has no effect without a signature"));
    }
    if file.basic.is_some() {
        declared("basic", "username", &[KeyKind::Text], &file.key)?;
        declared("basic", "password", &[KeyKind::Secret], &file.key)?;
    }
    let unknown = |name: &String| {
        let names = SCHEMES.map(|scheme| scheme.name()).join(", ");
        problem("code", format!("`{name}` is not one of {names}"))
    };
    let code = file.code.as_ref().map(|name| code::named(name).ok_or_else(|| unknown(name)));
    Ok(Proofs {
        tokens: file.token.iter().map(|table| token(table, &file.key)).collect::<Result<_, _>>()?,
        basic: file.basic.is_some(),
        signatures: file
            .signature
            .iter()
            .map(|table| signature(table, file.timestamp.as_ref(), &file.key))
            .collect::<Result<_, _>>()?,
        jwts: file.jwt.iter().map(|table| jwt(table, &file.key)).collect::<Result<_, _>>()?,
        code: code.transpose()?,
        confirm: file.confirm.as_ref().map(|table| confirm(table, &file.key)).transpose()?,
    })
}

fn token(table: &TokenTable, keys: &[KeyTable]) -> Result<TokenRule, FieldProblem> {
    declared("token.key", &table.key, &[KeyKind::Secret], keys)?;
    let at = named_place("token.at", &table.at, keys)?;
    if matches!(at, NamedPlace::Place(Place::Headers(_) | Place::KeyOf { .. })) {
        return Err(problem("token.at", "must be a header, a query field or a place in the body"));
    }
    let scheme = AuthScheme::new(&table.scheme);
    Ok(TokenRule { at, scheme, key: table.key.clone(), optional: table.optional })
}

fn signature(
    table: &SignatureTable,
    timestamp: Option<&TimestampTable>,
    keys: &[KeyTable],
) -> Result<Signature, FieldProblem> {
    let at = Place::parse(&table.at).map_err(|error| problem("signature.at", error))?;
    let layout = Layout::parse(&table.layout).map_err(|error| problem("signature.layout", error))?;
    let layout = if table.repeats { layout.repeated() } else { layout };
    let template = template("signature.text", &table.text, keys)?;
    let key = key_source("signature.key", &table.key, keys)?;
    let timestamp = match &table.timestamp {
        None | Some(OwnTimestamp::None(true)) => timestamp,
        Some(OwnTimestamp::None(false)) => None,
        Some(OwnTimestamp::Elsewhere(own)) => Some(own),
    };
    let timestamp = timestamp.map(|table| stamp(table, &template, &layout, &key)).transpose()?;
    if template.has_timestamp() && timestamp.is_none() {
        return Err(problem("signature.text", MISSING_TIMESTAMP));
    }
    if let Some(unknown) = template.layout_parts().find(|name| !layout.has(name)) {
        return Err(problem("signature.text", format!("`{{layout:{unknown}}}` is not a part of the layout")));
    }
    check_algorithm(table, &key, &template)?;
    if let Some(switch) = &table.enabled_by {
        declared("signature.enabled_by", switch, &[KeyKind::Switch], keys)?;
    }
    if table.without.is_some() && !layout.has_pairs() {
        return Err(problem("signature.without", "needs a layout of pairs, such as `t={ts},v0={signature}`"));
    }
    Ok(Signature {
        scheme: SignatureScheme {
            at,
            layout,
            encoding: table.encoding,
            algorithm: table.algorithm,
            split: template.split(timestamp.as_ref().map(|timestamp| timestamp.unit)),
            template,
            timestamp,
            require: conditions("signature.require", &table.require, keys)?,
            without: table.without.clone(),
        },
        key,
        enabled_by: table.enabled_by.clone(),
    })
}

fn check_algorithm(table: &SignatureTable, key: &KeySource, template: &Template) -> Result<(), FieldProblem> {
    if table.algorithm.is_plain_digest() && !template.has_secret() {
        return Err(problem("signature.text", DIGEST_WITHOUT_SECRET));
    }
    if !table.algorithm.is_plain_digest() && template.has_secret() {
        return Err(problem("signature.text", "has `{secret}`, but the secret is the key already"));
    }
    if table.algorithm.public().is_none() && key.setting().is_none() {
        return Err(problem(
            "signature.key",
            "must be a setting, because the algorithm uses a shared secret",
        ));
    }
    if is_prepended_with_timestamp(key) && table.algorithm.ring().is_none() {
        return Err(problem(
            "signature.key",
            "has `prepend_timestamp`, which needs an HMAC with SHA-1 or SHA-2 as the algorithm",
        ));
    }
    Ok(())
}

const fn is_prepended_with_timestamp(key: &KeySource) -> bool {
    matches!(key, KeySource::Setting { derivation, .. } if derivation.prepend_timestamp)
}

/// Parses the timestamp, which must be signed. Otherwise an attacker could replace the timestamp of
/// an old message.
fn stamp(
    table: &TimestampTable,
    template: &Template,
    layout: &Layout,
    key: &KeySource,
) -> Result<TimestampRule, FieldProblem> {
    let at = match table.at.strip_prefix("layout ") {
        Some(name) if layout.has(name.trim()) => TimestampPlace::Layout(name.trim().to_owned()),
        Some(name) => {
            return Err(problem("timestamp.at", format!("`{name}` is not a part of the signature's layout")));
        }
        None => {
            TimestampPlace::Request(Place::parse(&table.at).map_err(|error| problem("timestamp.at", error))?)
        }
    };
    let is_signed = match &at {
        TimestampPlace::Request(place) if place.is_in_body() => {
            let covers_body = template.has_body() || template.has_content_of_body();
            template.has_timestamp() || covers_body || template.places().any(|signed| signed == place)
        }
        _ => template.has_timestamp(),
    };
    if !is_signed && !is_prepended_with_timestamp(key) {
        return Err(problem("signature.text", UNSIGNED_TIMESTAMP));
    }
    Ok(TimestampRule { at, unit: table.unit })
}

fn jwt(table: &JwtTable, keys: &[KeyTable]) -> Result<JwtRule, FieldProblem> {
    let key = key_source("jwt.key", &table.key, keys)?;
    let shared = |algorithm: &&JwtAlgorithm| algorithm.public().is_none();
    let shared_algorithms = table.algorithms.iter().filter(shared).count();
    // With both kinds the public key could be used as the secret of an HMAC.
    if table.algorithms.is_empty() || (shared_algorithms > 0 && shared_algorithms < table.algorithms.len()) {
        return Err(problem("jwt.algorithms", "must all use shared secrets or all use public keys"));
    }
    if shared_algorithms > 0 && key.setting().is_none() {
        return Err(problem("jwt.key", "must be a setting, because the algorithms use a shared secret"));
    }
    Ok(JwtRule {
        jwt: Jwt {
            at: Place::parse(&table.at).map_err(|error| problem("jwt.at", error))?,
            scheme: AuthScheme::new(&table.scheme),
            scheme_optional: table.scheme_optional,
            algorithms: table.algorithms.clone(),
            claims: table.claim.iter().map(|table| claim(table, keys)).collect::<Result<_, _>>()?,
            expires: table.expires,
            issued: table.issued.clone(),
            leeway: Duration::from_secs(table.leeway_seconds),
        },
        key,
    })
}

fn claim(table: &ClaimTable, keys: &[KeyTable]) -> Result<Claim, FieldProblem> {
    let must = match (&table.equals, &table.one_of, table.is_true) {
        (Some(text), None, false) => ClaimCheck::Equal(template("jwt.claim.equals", text, keys)?),
        (None, Some(texts), false) => ClaimCheck::OneOf(texts.clone()),
        (None, None, true) => ClaimCheck::True,
        _ => {
            return Err(problem("jwt.claim", "must contain exactly one of `equals`, `one_of` and `is_true`"));
        }
    };
    Ok(Claim { name: table.name.clone(), must, unless_empty_body: table.unless_empty_body })
}

fn confirm(table: &ConfirmTable, keys: &[KeyTable]) -> Result<ConfirmRule, FieldProblem> {
    if !["GET", "POST"].contains(&table.method.as_str()) {
        return Err(problem("confirm.method", format!("`{}` is neither GET nor POST", table.method)));
    }
    let headers = table.headers.iter().map(|(name, value)| confirm_header(name, value, table, keys));
    let body = table.body.as_ref().map(|body| template("confirm.body", body, keys)).transpose()?;
    if body.as_ref().is_some_and(|body| body.pieces().is_none()) {
        return Err(problem("confirm.body", "may contain only the body, settings and places of the request"));
    }
    let expectation =
        |field: &str, text: &String| Expectation::parse(text).map_err(|error| problem(field, error));
    let unknown = table.unknown.as_ref().map(|texts| {
        texts.iter().map(|text| expectation("confirm.unknown", text)).collect::<Result<Vec<_>, _>>()
    });
    Ok(ConfirmRule {
        method: table.method.clone(),
        url: template("confirm.url", &table.url, keys)?,
        headers: headers.collect::<Result<_, _>>()?,
        body,
        expect: table
            .expect
            .as_ref()
            .map(|text| expectation("confirm.expect", text))
            .transpose()?
            .unwrap_or_default(),
        unknown: unknown.transpose()?.unwrap_or_else(Expectation::of_unknown),
        login: table.login.as_ref().map(|login| fetch_rule(login, keys)).transpose()?,
        shape_of: Place::parse(&table.shape_of).map_err(|error| problem("confirm.shape_of", error))?,
    })
}

/// Parses a header. It must not depend on the webhook request, which is no longer available when
/// creel calls the API.
fn confirm_header(
    name: &str,
    value: &str,
    table: &ConfirmTable,
    keys: &[KeyTable],
) -> Result<(String, Template), FieldProblem> {
    const FIELD: &str = "confirm.headers";
    if !is_header_name(name) {
        return Err(problem(FIELD, format!("`{name}` is not a valid header name")));
    }
    let value = template(FIELD, value, keys)?;
    if !value.needs_no_request() {
        return Err(problem(FIELD, "may contain only settings and `{login}`"));
    }
    if value.has_login() && table.login.is_none() {
        return Err(problem(FIELD, "has `{login}`, but there is no `[confirm.login]`"));
    }
    Ok((name.to_owned(), value))
}
