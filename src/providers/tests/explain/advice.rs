//! The advice for each cause.

use serde_json::json;

use super::super::properties::OWN;
use super::*;
use crate::scheme::jwt::{JwtAlgorithm, compose};

const SECRET: &str = "correct horse battery";

fn advice(diagnosis: &Diagnosis) -> String {
    diagnosis.advice.join("\n")
}

#[test]
fn stale_timestamp_names_both_clocks_and_the_tolerance() {
    let verifier = bind("stripe", &[("secret", SECRET)]);
    let mut sent = signed(&verifier, "{}");
    for (offset, direction) in [(400, "400 s earlier"), (-400, "400 s later")] {
        sent.now = OffsetDateTime::from_unix_timestamp(NOW + offset).unwrap();
        let diagnosis = diagnosis(&sent, &verifier);
        let text = advice(&diagnosis);
        let received = if offset > 0 { "2025-10-09T09:00:00Z" } else { "2025-10-09T08:46:40Z" };
        for part in
            ["2025-10-09T08:53:20Z", received, direction, "tolerance is 300 s", "CREEL_SOURCE_TEST_TOLERANCE"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(fitting(&diagnosis).is_empty());
        assert_eq!(diagnosis.received_signature, diagnosis.computed_signature);
    }
}

#[test]
fn matching_one_of_several_signatures_is_shown() {
    let verifier = bind("persona", &[("secret", SECRET)]);
    let mut sent = signed(&verifier, "{}");
    let (_, value) = sent.headers.iter_mut().find(|(name, _)| name == "persona-signature").unwrap();
    let other = format!("t={NOW},v1={} ", "0a".repeat(32));
    *value = [other.as_bytes(), value].concat();
    sent.now = OffsetDateTime::from_unix_timestamp(NOW + 4_000).unwrap();
    assert_eq!(sent.verdict(&verifier), Err(Cause::StaleTimestamp));
    let diagnosis = diagnosis(&sent, &verifier);
    assert!(diagnosis.received_signature.is_some());
    assert_eq!(diagnosis.received_signature, diagnosis.computed_signature);
}

#[test]
fn stale_jwt_names_its_times() {
    let verifier = bind("livekit", &[("api_key", "key"), ("secret", SECRET)]);
    let mut sent = SentRequest::sample(&verifier, None);
    sent.now = OffsetDateTime::from_unix_timestamp(NOW + 100_000).unwrap();
    assert_eq!(sent.verdict(&verifier), Err(Cause::StaleTimestamp));
    let text = advice(&diagnosis(&sent, &verifier));
    assert!(text.contains("`exp` 2025-10-09T08:58:20Z"), "{text}");
}

#[test]
fn wrong_token_names_lengths_only() {
    let verifier = bind("gitlab", &[("secret", SECRET)]);
    let sent = SentRequest::new(&[("x-gitlab-token", "entirely wrong")], "{}");
    let diagnosis = diagnosis(&sent, &verifier);
    let text = advice(&diagnosis);
    assert!(text.contains("has 14 bytes") && text.contains("has 21"), "{text}");
    assert!(!format!("{diagnosis:?}").contains("entirely wrong"), "{diagnosis:?}");
}

#[test]
fn unknown_key_is_named() {
    let mut seen = 0;
    for own in OWN.iter() {
        let mut world = own.world.clone();
        world.forget_keys();
        let diagnosis = diagnosis_among(&own.sent, &own.verifier, &world, &[]);
        let verdict = own.sent.put(|request| own.verifier.authenticate(request, &world));
        if verdict == Err(VerifyError::Rejected(Cause::UnknownKey)) {
            let text = advice(&diagnosis);
            assert!(
                text.contains("names the key `") || text.contains("needs a key of a kind"),
                "{}: {text}",
                own.provider
            );
            seen += usize::from(text.contains("names the key `"));
        }
    }
    assert!(seen >= 3, "{seen}");
}

#[test]
fn missing_header_is_named() {
    let verifier = bind("github", &[("secret", SECRET)]);
    let sent = SentRequest::new(&[("x-shopify-hmac-sha256", "AAAA")], "{}");
    let text = advice(&diagnosis(&sent, &verifier));
    assert!(text.contains("header x-hub-signature-256"), "{text}");
    assert!(text.contains("`x-shopify-hmac-sha256` of provider `shopify`"), "{text}");
}

#[test]
fn place_in_a_body_that_was_not_stored_is_not_missing() {
    for own in OWN.iter() {
        let mut sent = own.sent.clone();
        sent.body.clear();
        let found = sent.put(|request| {
            explain(&RejectedRequest {
                source: "test",
                verifier: &own.verifier,
                request,
                has_body: false,
                cause: Some(Cause::MissingHeader),
                key_store: &own.world,
                others: &[],
                hidden: &[],
            })
        });
        let text = advice(&found);
        assert!(!text.contains(" in the body") && !text.contains("form field"), "{}: {text}", own.provider);
    }
}

#[test]
fn missing_key_leaves_out_trials_and_cause() {
    let mut seen = 0;
    for own in OWN.iter() {
        let found = own.sent.put(|request| {
            let verdict = own.verifier.authenticate(request, &EmptyKeyStore);
            matches!(verdict, Err(VerifyError::Missing(_))).then(|| {
                explain(&RejectedRequest {
                    source: "test",
                    verifier: &own.verifier,
                    request,
                    has_body: true,
                    cause: Some(Cause::SignatureMismatch),
                    key_store: &EmptyKeyStore,
                    others: &[],
                    hidden: &[],
                })
            })
        });
        let Some(found) = found else { continue };
        assert!(found.trials.iter().all(|row| row.outcome == TrialOutcome::LeftOut), "{}", own.provider);
        assert!(found.omissions.join(" ").contains("there is no trial"), "{:?}", found.omissions);
        assert_eq!(found.advice.len(), 1, "{}: {:?}", own.provider, found.advice);
        assert!(found.advice[0].contains("creel recheck"), "{:?}", found.advice);
        seen += 1;
    }
    assert!(seen >= 3, "{seen}");
}

#[test]
fn wrong_claim_is_named() {
    let verifier = bind("netlify", &[("secret", SECRET)]);
    let mut sent = signed(&verifier, "{}");
    sent.body = b"{\"other\":1}".to_vec();
    assert_eq!(sent.verdict(&verifier), Err(Cause::ClaimMismatch));
    let text = advice(&diagnosis(&sent, &verifier));
    assert!(text.contains("than the source expects: `sha256`."), "{text}");
}

#[test]
fn absent_time_claim_is_named() {
    let verifier = bind("livekit", &[("api_key", "key"), ("secret", SECRET)]);
    // The digest of `{}`.
    let digest = "RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=";
    for (claims, verdict) in [
        (json!({"iss": "key", "sha256": digest}), Err(Cause::ClaimMismatch)),
        (json!({"iss": "key", "sha256": digest, "exp": null}), Err(Cause::ClaimMismatch)),
        (json!({"iss": "key", "sha256": digest, "exp": NOW + 60}), Ok(())),
    ] {
        let token = compose(JwtAlgorithm::HS256, &Secret::new(SECRET), &claims).unwrap();
        let sent = SentRequest::new(&[("authorization", &token)], "{}");
        assert_eq!(sent.verdict(&verifier), verdict, "{claims}");
        let text = advice(&diagnosis(&sent, &verifier));
        assert_eq!(text.contains("than the source expects: `exp`."), verdict.is_err(), "{claims}: {text}");
    }
}

#[test]
fn request_that_verifies_now_has_no_trial() {
    let verifier = bind("github", &[("secret", SECRET)]);
    let diagnosis = diagnosis(&signed(&verifier, "{}"), &verifier);
    assert!(diagnosis.verifies && advice(&diagnosis).contains("creel recheck"), "{diagnosis:?}");
    assert!(diagnosis.trials.iter().all(|row| row.outcome == TrialOutcome::Inapplicable));
}

#[test]
fn signed_text_and_signatures_are_shown_in_part() {
    let verifier = bind("stripe", &[("secret", SECRET)]);
    let mut sent = signed(&verifier, "{\"a\": 1}");
    sent.body.extend_from_slice(b"\r\n");
    let diagnosis = diagnosis(&sent, &verifier);
    let text = diagnosis.signed_text.clone().unwrap();
    assert_eq!((text.bytes, text.first.as_str(), text.last), (21, "1760000000.{\"a\":·1}␍␊", None));
    assert!(diagnosis.schemes[0].contains("`{ts}.{body}`"), "{:?}", diagnosis.schemes);
    let prefix = |signature: Option<SignaturePrefix>| signature.unwrap().as_str().to_owned();
    let (received, computed) = (prefix(diagnosis.received_signature), prefix(diagnosis.computed_signature));
    assert!(received.len() == 8 && computed.len() == 8 && received != computed);
}

#[test]
fn secret_in_place_of_the_signature_is_noticed() {
    let verifier = bind("github", &[("secret", SECRET)]);
    let sent = SentRequest::new(&[("x-hub-signature-256", SECRET)], "{}");
    let diagnosis = diagnosis(&sent, &verifier);
    assert!(advice(&diagnosis).contains("contains a configured secret"), "{diagnosis:?}");
    assert_eq!(diagnosis.received_signature, None);
}
