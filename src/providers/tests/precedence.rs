//! The deciding scheme if a source has several: a signature always decides if present.

use crate::scheme::encoding::{Encoding, hex};

use super::recipe::Detail;
use super::*;

const BODY: &str = r#"{"type":"a"}"#;

/// A signature and a JWT with separate keys, a token with its own setting, a token that is the
/// signing key, and basic authentication.
const SEVERAL: &str = r#"
title = "Several"
source = "a test"
delivery_id = "header X-Id"
traps = ["It is made up."]
[[key]]
name = "signing_secret"
kind = "secret"
rotates = true
doc = "signs"
[[key]]
name = "jwt_secret"
kind = "secret"
doc = "signs tokens"
[[key]]
name = "secret"
kind = "secret"
doc = "is sent along"
[[key]]
name = "username"
kind = "text"
doc = "a user"
[[key]]
name = "password"
kind = "secret"
doc = "a password"
[[signature]]
at = "header X-Signature"
layout = "t={ts},v1={signature}"
encoding = "hex"
algorithm = "hmac-sha256"
key = "signing_secret"
text = "{header:X-Id}.{ts}.{body}"
[timestamp]
at = "layout ts"
unit = "any"
[[jwt]]
at = "header Authorization"
scheme = "Bearer"
algorithms = ["HS256"]
key = "jwt_secret"
[[token]]
at = "header Authorization"
scheme = "Token"
[[token]]
at = "header X-Hash"
key = "signing_secret"
[basic]
"#;

fn several(values: &[(&str, &str)]) -> Verifier {
    let recipe: &'static Recipe = Box::leak(Box::new(Recipe::parse("several", SEVERAL).unwrap()));
    Verifier::bind(recipe, &settings(values)).unwrap()
}

fn signature(secret: &str, timestamp: &str) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = ring::hmac::sign(&key, format!("7.{timestamp}.{BODY}").as_bytes());
    format!("t={timestamp},v1={}", hex(tag.as_ref()))
}

fn jwt(secret: &str) -> String {
    let part = |text: &str| Encoding::Base64Url.encode(text.as_bytes());
    let signed = format!("{}.{}", part(r#"{"alg":"HS256"}"#), part("{}"));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = ring::hmac::sign(&key, signed.as_bytes());
    format!("Bearer {signed}.{}", Encoding::Base64Url.encode(tag.as_ref()))
}

#[test]
fn wrong_signature_is_rejected_despite_right_token() {
    let verifier = several(&[("signing_secret", "s"), ("secret", "t"), ("username", "u"), ("password", "p")]);
    let (right, wrong) = (signature("s", "1760000000"), signature("x", "1760000000"));
    let stale = signature("s", "1759000000");
    let rows: &[(TestSettings<'_>, Result<(), Cause>)] = &[
        (&[("X-Id", "7"), ("X-Signature", &right)], Ok(())),
        (&[("X-Id", "7"), ("X-Signature", &right), ("Authorization", "Token wrong")], Ok(())),
        (&[("X-Id", "7"), ("X-Signature", &wrong), ("X-Hash", "s")], Err(Cause::SignatureMismatch)),
        (
            &[("X-Id", "7"), ("X-Signature", &wrong), ("Authorization", "Token t")],
            Err(Cause::SignatureMismatch),
        ),
        (&[("X-Id", "7"), ("X-Signature", &stale), ("X-Hash", "s")], Err(Cause::StaleTimestamp)),
        (&[("X-Id", "7"), ("X-Signature", "nonsense"), ("X-Hash", "s")], Err(Cause::MalformedSignature)),
        // The signature is present, but the header `X-Id`, which it covers, is missing.
        (&[("X-Signature", &right), ("X-Hash", "s")], Err(Cause::MissingHeader)),
        (&[("X-Signature", &wrong), ("X-Hash", "s")], Err(Cause::MissingHeader)),
    ];
    for (headers, verdict) in rows {
        assert_eq!(SentRequest::new(headers, BODY).verdict(&verifier), *verdict, "{headers:?}");
    }
}

#[test]
fn token_does_not_replace_a_configured_signature() {
    let verifier = several(&[("signing_secret", "s"), ("secret", "t"), ("username", "u"), ("password", "p")]);
    let verdict = |headers: &[(&str, &str)]| SentRequest::new(headers, BODY).verdict(&verifier);
    for left_out in [&[][..], &[("X-Signature", "")], &[("X-Signature", " ")]] {
        let with = |name, value| [left_out, &[(name, value)]].concat();
        assert_eq!(verdict(&with("Authorization", "Token t")), Err(Cause::MissingHeader));
        assert_eq!(verdict(&with("Authorization", "Basic dTpw")), Err(Cause::MissingHeader));
        // The token is the signing key itself: its holder can also sign.
        assert_eq!(verdict(&with("X-Hash", "s")), Ok(()));
        assert_eq!(verdict(&with("X-Hash", "t")), Err(Cause::TokenMismatch));
    }
    assert!(!verifier.covers_body(), "one of its proofs does not cover the body");
    assert_eq!(verifier.unused_signing_settings(), Vec::<&str>::new());
}

#[test]
fn token_decides_without_a_key_for_signatures() {
    let verifier = several(&[("secret", "t"), ("username", "u"), ("password", "p")]);
    let verdict = |headers: &[(&str, &str)]| SentRequest::new(headers, BODY).verdict(&verifier);
    let signed = signature("x", "1760000000");
    assert_eq!(verdict(&[("Authorization", "Token t"), ("X-Signature", &signed)]), Ok(()));
    assert_eq!(verdict(&[("Authorization", "token  t")]), Ok(()));
    assert_eq!(verdict(&[("Authorization", "Basic dTpw")]), Ok(()));
    assert_eq!(verdict(&[("Authorization", "Bearer t")]), Err(Cause::TokenMismatch));
    assert_eq!(verdict(&[("X-Signature", &signed)]), Err(Cause::MissingHeader));
    assert!(!verifier.covers_body());
    assert_eq!(verifier.unused_signing_settings(), ["jwt_secret", "signing_secret"]);
    let unchecked = |headers: &[(&str, &str)]| {
        SentRequest::new(headers, BODY).put(|request| verifier.unchecked_signature(request.headers))
    };
    assert_eq!(unchecked(&[("X-Signature", &signed)]), Some("x-signature"));
    assert_eq!(unchecked(&[("X-Signature", ""), ("Authorization", "Token t")]), None);
}

#[test]
fn wrong_jwt_is_rejected_despite_right_token() {
    let both = several(&[("jwt_secret", "j"), ("signing_secret", "s")]);
    let verdict = |headers: &[(&str, &str)]| SentRequest::new(headers, BODY).verdict(&both);
    let signed = signature("s", "1760000000");
    assert_eq!(verdict(&[("Authorization", &jwt("j"))]), Ok(()));
    assert_eq!(verdict(&[("Authorization", &jwt("x"))]), Err(Cause::SignatureMismatch));
    assert_eq!(verdict(&[("Authorization", &jwt("x")), ("X-Hash", "s")]), Err(Cause::SignatureMismatch));
    assert_eq!(
        verdict(&[("Authorization", &jwt("j")), ("X-Id", "7"), ("X-Signature", "t=1,v1=00")]),
        Err(Cause::MalformedSignature)
    );
    assert_eq!(verdict(&[("Authorization", &jwt("x")), ("X-Id", "7"), ("X-Signature", &signed)]), Ok(()));
    let jwt_alone = several(&[("jwt_secret", "j"), ("secret", "t")]);
    let token = SentRequest::new(&[("Authorization", "Token t")], BODY);
    assert_eq!(token.verdict(&jwt_alone), Err(Cause::MalformedSignature), "a token cannot replace the JWT");
}

#[test]
fn each_signing_key_of_a_rotation_is_accepted() {
    let github = bind("github", &[("secret", "s")]);
    assert!(github.covers_body() && github.coverage() == Coverage::Full);
    let values = &[("signing_secret", "old"), ("signing_secret", "new")];
    let rotating = several(values);
    for secret in ["old", "new"] {
        let sent = SentRequest::new(
            &[("X-Id", "7"), ("X-Signature", &signature(secret, "2025-10-09T10:53:20+02"))],
            BODY,
        );
        assert_eq!(sent.verdict(&rotating), Ok(()), "{secret}");
    }
}

#[test]
fn rotated_secrets_may_belong_to_different_schemes() {
    let values = &[("secret", "polar_whs_not_base64"), ("secret", "whsec_YWJjZGVmZ2hpamtsbW5vcA==")];
    let verifier = bind("polar", values);
    let keys: Vec<usize> = verifier
        .proofs
        .signatures
        .iter()
        .map(|keyed| match &keyed.keys {
            crate::scheme::signature::SignatureKeys::Secrets(keys) => keys.len(),
            _ => 0,
        })
        .collect();
    assert_eq!(keys, [1, 2]);
}

#[test]
fn unknown_shared_key_makes_a_candidate() {
    let signature = Encoding::Base64.encode(&[7; 32]);
    let settings = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256";
    let sent = SentRequest::new(
        &[("X-Twilio-Signature", &signature), ("X-Twilio-Webhooks-Signature-Settings", settings)],
        "",
    );
    let old = bind("twilio", &[("secret", "auth token")]);
    assert_eq!(sent.verdict(&old), Err(Cause::UnknownKey));
    assert!(sent.put(|request| old.is_proof_carried(request)), "it is stored, and rechecked with the key");
    let both = bind("twilio", &[("secret", "auth token"), ("shared_key", "another")]);
    assert_eq!(sent.verdict(&both), Err(Cause::SignatureMismatch));
}

#[test]
fn partly_signed_id_is_used_only_if_signed() {
    let verifier = several(&[("signing_secret", "s"), ("jwt_secret", "j")]);
    let id = |headers: &[(&str, &str)]| {
        let sent = SentRequest::new(headers, BODY);
        assert_eq!(sent.verdict(&verifier), Ok(()), "{headers:?}");
        sent.description(&verifier).delivery_id
    };
    let signed = signature("s", "1760000000");
    assert_eq!(id(&[("X-Id", "7"), ("X-Signature", &signed)]).as_deref(), Some("7"));
    assert_eq!(id(&[("X-Id", "forged"), ("Authorization", &jwt("j"))]), None);
    // A source whose messages are never signed has no other id.
    let token = several(&[("secret", "t")]);
    let sent = SentRequest::new(&[("X-Id", "7"), ("Authorization", "Token t")], BODY);
    assert_eq!(sent.description(&token).delivery_id.as_deref(), Some("7"));
}

/// Signs the sample of each recipe with each of its signatures, and adds the headers that only
/// another signature covers.
#[test]
fn header_of_another_signature_is_ignored() {
    let mut checked = Vec::new();
    for own in own_requests() {
        let verifier = &own.verifier;
        for place in 0..verifier.proofs.signatures.len() {
            let mut signer = Verifier::bind(verifier.recipe(), &own.settings).unwrap();
            let keyed = signer.proofs.signatures.swap_remove(place);
            let is_covered = |header: &str| keyed.scheme.template.covers_header(header);
            let foreign: Vec<&str> =
                verifier.partly_signed_headers.iter().copied().filter(|header| !is_covered(header)).collect();
            signer.proofs.signatures = vec![keyed.clone()];
            let Some(sample) = signer.sample(&sample_options(None, "nonce")).filter(|_| !foreign.is_empty())
            else {
                continue;
            };
            let mut sent = SentRequest::of(sample);
            sent.headers.retain(|(name, _)| !foreign.contains(&name.as_str()));
            let expected = sent.description(verifier);
            sent.headers.extend(foreign.iter().map(|header| ((*header).to_owned(), b"forged".to_vec())));
            assert_eq!(sent.verdict(verifier), Ok(()), "{}", own.provider);
            assert_eq!(sent.description(verifier), expected, "{} {foreign:?}", own.provider);
            checked.push(own.provider.clone());
        }
    }
    assert_eq!(checked, ["hook0", "lovable", "seam", "seam", "svix", "svix"]);
}

#[test]
fn unsigned_delivery_id_is_named_in_the_traps() {
    let mut unnamed: Vec<&str> = Vec::new();
    for recipe in recipes() {
        let signatures = &recipe.proofs.signatures;
        let covers =
            |header: &str| signatures.iter().any(|signature| signature.scheme.template.covers_header(header));
        let is_signed = |detail: &Detail| !matches!(detail, Detail::Header(header) if !covers(header));
        if signatures.is_empty() || recipe.delivery_id.iter().flatten().all(is_signed) {
            continue;
        }
        let traps = &recipe.facts().traps;
        if !traps.iter().any(|trap| trap.contains("not signed")) {
            unnamed.push(recipe.name());
        }
    }
    assert_eq!(unnamed, Vec::<&str>::new());
}
