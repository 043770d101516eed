//! Parses the tables of handshakes.

use crate::scheme::place::{Place, is_header_name};
use crate::scheme::template::Template;

use super::super::recipe::{AnswerRule, HandshakeBody, HandshakeReply, HandshakeRule, KeySource, Proofs};
use super::fields::{FieldProblem, conditions, declared, key_source, problem, template};
use super::tables::{AnswerTable, HandshakeReplyTable, HandshakeTable, KeyKind, KeyTable};
use crate::scheme::shape::{ChallengeShape, is_byte_of_id};

const METHODS: [&str; 4] = ["GET", "POST", "HEAD", "OPTIONS"];

pub fn handshakes(
    tables: &[HandshakeTable],
    keys: &[KeyTable],
    proofs: &Proofs,
) -> Result<Vec<HandshakeRule>, FieldProblem> {
    let rules: Vec<_> = tables.iter().map(|table| handshake(table, keys)).collect::<Result<_, _>>()?;
    if rules.iter().any(HandshakeRule::signs_unauthenticated) {
        no_message_is_a_challenge(proofs)?;
    }
    Ok(rules)
}

/// Checks that a signed challenge can never serve as a message, because any client can request one.
/// `Verifier::authenticate` rejects a body with the shape of a challenge; every other signed text
/// must be unable to have that shape.
fn no_message_is_a_challenge(proofs: &Proofs) -> Result<(), FieldProblem> {
    let is_safe = |text: &Template| {
        text.is_body_alone() || text.has_literal(|literal| !literal.bytes().all(is_byte_of_id))
    };
    let by_secret = proofs.signatures.iter().filter(|signature| signature.key.setting().is_some());
    let signed_by_code =
        proofs.code.is_some_and(|code| !code.secret_settings().is_empty() && !code.rejects_challenges());
    if signed_by_code || by_secret.into_iter().any(|signature| !is_safe(&signature.scheme.template)) {
        return Err(problem(
            "handshake.answer",
            "signs challenges for unauthenticated requests, and the signed text of a message could look like a challenge: that text \
             must be `{body}`, or contain a fixed character that no challenge contains, such as a dot",
        ));
    }
    Ok(())
}

fn handshake(table: &HandshakeTable, keys: &[KeyTable]) -> Result<HandshakeRule, FieldProblem> {
    if !METHODS.contains(&table.method.as_str()) {
        return Err(problem(
            "handshake.method",
            format!("`{}` is not one of {}", table.method, METHODS.join(", ")),
        ));
    }
    if table.method == "POST" && table.when.is_empty() {
        return Err(problem("handshake.when", "is missing: every message would be treated as a handshake"));
    }
    let place = |field: &str, text: &Option<String>| {
        text.as_ref().map(|text| Place::parse(text).map_err(|error| problem(field, error))).transpose()
    };
    let challenge = place("handshake.challenge", &table.challenge)?;
    let answer = table.answer.as_ref().map(|answer| answer_rule(answer, keys)).transpose()?;
    if answer.is_some() && challenge.is_none() {
        return Err(problem(
            "handshake.challenge",
            "is missing: creel signs only texts with the form of a challenge",
        ));
    }
    let unauthenticated_answer = answer.as_ref().filter(|answer| answer.key.is_some() && !table.signed);
    if let (Some(answer), Some(challenge)) = (unauthenticated_answer, &challenge)
        && !answer.text.is_place_alone(challenge)
    {
        return Err(problem("handshake.answer.text", "must be only the challenge"));
    }
    let visit = place("handshake.visit", &table.visit)?;
    if visit.is_some() && (table.visit_hosts.is_empty() || !table.signed) {
        return Err(problem(
            "handshake.visit",
            "needs `visit_hosts` and `signed`: only the sender may choose a URL that creel requests",
        ));
    }
    if table.learn.is_some() {
        declared("handshake.learn", "secret", &[KeyKind::Secret], keys)?;
    }
    Ok(HandshakeRule {
        method: table.method.clone(),
        when: conditions("handshake.when", &table.when, keys)?,
        check: conditions("handshake.check", &table.check, keys)?,
        signed: table.signed,
        answer,
        challenge,
        challenge_shape: challenge_shape(table)?,
        reply: reply(&table.reply, keys)?,
        learn: place("handshake.learn", &table.learn)?,
        visit,
        visit_hosts: table.visit_hosts.clone(),
    })
}

fn challenge_shape(table: &HandshakeTable) -> Result<ChallengeShape, FieldProblem> {
    match table.challenge_hex_digits {
        None => Ok(ChallengeShape::Id),
        Some((least, most)) if table.challenge.is_some() && least > 0 && least <= most && most <= 100 => {
            Ok(ChallengeShape::HexDigits(least..=most))
        }
        Some(_) => Err(problem(
            "handshake.challenge_hex_digits",
            "must be the minimum and maximum number of digits of the `challenge`, at most 100, like [20, 32]",
        )),
    }
}

fn answer_rule(table: &AnswerTable, keys: &[KeyTable]) -> Result<AnswerRule, FieldProblem> {
    let key = table.key.as_ref().map(|key| key_source("handshake.answer.key", key, keys)).transpose()?;
    let key = match key {
        Some(KeySource::Setting { setting, derivation }) => Some((setting, derivation)),
        Some(_) => return Err(problem("handshake.answer.key", "must be a setting")),
        None => None,
    };
    if key.is_some() == table.algorithm.is_plain_digest() || table.algorithm.public().is_some() {
        return Err(problem(
            "handshake.answer.algorithm",
            "must be an HMAC with a `key`, or a plain digest without a key",
        ));
    }
    Ok(AnswerRule {
        algorithm: table.algorithm,
        encoding: table.encoding,
        text: template("handshake.answer.text", &table.text, keys)?,
        key,
    })
}

fn reply(table: &HandshakeReplyTable, keys: &[KeyTable]) -> Result<HandshakeReply, FieldProblem> {
    if !(200..=299).contains(&table.status) {
        return Err(problem(
            "handshake.reply.status",
            format!("{} is not between 200 and 299", table.status),
        ));
    }
    let body = match (&table.text, &table.json) {
        (Some(_), Some(_)) => return Err(problem("handshake.reply", "has both `text` and `json`")),
        (Some(text), None) if text.is_empty() => HandshakeBody::Empty,
        (Some(text), None) => HandshakeBody::Text(template("handshake.reply.text", text, keys)?),
        (None, Some(json)) => HandshakeBody::Json(template("handshake.reply.json", json, keys)?),
        (None, None) => HandshakeBody::Empty,
    };
    let header = |(name, value): (&String, &String)| {
        if !is_header_name(name) {
            return Err(problem("handshake.reply.headers", format!("`{name}` is not a valid header name")));
        }
        Ok((name.clone(), template("handshake.reply.headers", value, keys)?))
    };
    let headers = table.headers.iter().map(header).collect::<Result<_, _>>()?;
    Ok(HandshakeReply { status: table.status, body, headers })
}
