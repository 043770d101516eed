//! Verdicts on example requests, with their causes.

use ring::signature::{Ed25519KeyPair, KeyPair};

use crate::scheme::encoding::{Encoding, hex};

use super::*;

const BODY: &str = "Hello, World!";
const SECRET: &str = "It's a Secret to Everybody";
const SHA256: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

fn sha1() -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET.as_bytes());
    hex(ring::hmac::sign(&key, BODY.as_bytes()).as_ref())
}

#[test]
fn github_rejection_names_each_cause() {
    let right = format!("sha256={SHA256}");
    let upper = format!("sha256={}", SHA256.to_uppercase());
    let [short, long] = [format!("sha256={}", &SHA256[2..]), format!("sha256={SHA256}00")];
    let old = format!("sha1={}", sha1());
    let (new_header, old_header) = ("x-hub-signature-256", "x-hub-signature");
    let rows: &[(TestSettings<'_>, Result<(), Cause>)] = &[
        (&[(new_header, &right)], Ok(())),
        (&[(new_header, &upper)], Ok(())),
        (&[], Err(Cause::MissingHeader)),
        (&[(new_header, "")], Err(Cause::MissingHeader)),
        (&[(new_header, SHA256)], Err(Cause::MalformedSignature)),
        (&[(new_header, "sha256=")], Err(Cause::MalformedSignature)),
        (&[(new_header, "sha256=zz")], Err(Cause::MalformedSignature)),
        (&[(new_header, "sha256=é")], Err(Cause::MalformedSignature)),
        (&[(new_header, &short)], Err(Cause::MalformedSignature)),
        (&[(new_header, &long)], Err(Cause::MalformedSignature)),
        (&[(new_header, &right.replace('7', "8"))], Err(Cause::SignatureMismatch)),
        (&[(new_header, &old)], Err(Cause::UnknownAlgorithm)),
        (&[(new_header, "md5=abc")], Err(Cause::UnknownAlgorithm)),
        (&[(new_header, &right), (new_header, &right)], Err(Cause::MalformedSignature)),
        (&[(new_header, &format!("{right},{right}"))], Err(Cause::MalformedSignature)),
        (&[(old_header, &old)], Err(Cause::MissingHeader)),
        (&[(old_header, "md5=abc")], Err(Cause::UnknownAlgorithm)),
        (&[(new_header, &right), (old_header, "sha1=00")], Ok(())),
    ];
    let verifier = bind("github", &[("secret", SECRET)]);
    for (headers, verdict) in rows {
        assert_eq!(SentRequest::new(headers, BODY).verdict(&verifier), *verdict, "{headers:?}");
    }
}

#[test]
fn github_sha1_counts_only_if_allowed_and_alone() {
    let verifier = bind("github", &[("secret", SECRET), ("allow_sha1", "yes")]);
    let old = format!("sha1={}", sha1());
    let wrong = format!("sha256={}", "0".repeat(64));
    let verdict = |headers: &[(&str, &str)]| SentRequest::new(headers, BODY).verdict(&verifier);
    assert_eq!(verdict(&[("X-Hub-Signature", &old)]), Ok(()));
    assert_eq!(verdict(&[("X-Hub-Signature", &format!("sha256={SHA256}"))]), Err(Cause::UnknownAlgorithm));
    assert_eq!(
        verdict(&[("X-Hub-Signature", &old), ("X-Hub-Signature-256", &wrong)]),
        Err(Cause::SignatureMismatch)
    );
    let forbidden = bind("github", &[("secret", SECRET), ("allow_sha1", "no")]);
    assert_eq!(
        SentRequest::new(&[("X-Hub-Signature", &old)], BODY).verdict(&forbidden),
        Err(Cause::MissingHeader)
    );
}

#[test]
fn timestamp_must_be_digits_and_within_tolerance() {
    let verifier = bind("stripe", &[("secret", "whsec_text")]);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"whsec_text");
    let verdict = |timestamp: &str| {
        let tag = ring::hmac::sign(&key, format!("{timestamp}.{{}}").as_bytes());
        SentRequest::new(&[("Stripe-Signature", &format!("t={timestamp},v1={}", hex(tag.as_ref())))], "{}")
            .verdict(&verifier)
    };
    for distance in [-300, -299, 0, 299, 300] {
        assert_eq!(verdict(&(NOW + distance).to_string()), Ok(()), "{distance}");
    }
    for distance in [-301, 301, 1_000_000] {
        assert_eq!(verdict(&(NOW + distance).to_string()), Err(Cause::StaleTimestamp), "{distance}");
    }
    for timestamp in ["", "NaN", "-1760000000", "+1760000000", "1760000000.0", "1e9", "17600000001760000000"]
    {
        assert_eq!(verdict(timestamp), Err(Cause::MalformedSignature), "{timestamp}");
    }
}

#[test]
fn clock_is_checked_only_after_signature() {
    let verifier = bind("stripe", &[("secret", "a")]);
    let value = format!("t=1000000000,v1={}", "0".repeat(64));
    assert_eq!(
        SentRequest::new(&[("Stripe-Signature", &value)], "{}").verdict(&verifier),
        Err(Cause::SignatureMismatch)
    );
}

#[test]
fn source_tolerance_replaces_provider_tolerance() {
    let wide =
        Settings { tolerance: Some(std::time::Duration::from_secs(3600)), ..settings(&[("secret", "a")]) };
    let verifier = Verifier::bind(recipe("stripe").unwrap(), &wide).unwrap();
    let mut sent = SentRequest::sample(&verifier, None);
    sent.now += time::Duration::HOUR;
    assert_eq!(sent.verdict(&verifier), Ok(()));
    sent.now += time::Duration::SECOND;
    assert_eq!(sent.verdict(&verifier), Err(Cause::StaleTimestamp));
}

#[test]
fn stripe_takes_any_v1_and_no_v0() {
    let verifier = bind("stripe", &[("secret", "a")]);
    let mut sent = SentRequest::sample(&verifier, None);
    let place = sent.headers.iter().position(|(name, _)| name == "stripe-signature").unwrap();
    let right = String::from_utf8(sent.headers[place].1.clone()).unwrap();
    let mut verdict = |value: String| {
        sent.headers[place].1 = value.into_bytes();
        sent.verdict(&verifier)
    };
    assert_eq!(verdict(right.replace(",v1=", &format!(", v1={}, v1=", "0".repeat(64)))), Ok(()));
    assert_eq!(verdict(right.replace(",v1=", ",v1=nothex,v1=")), Ok(()));
    assert_eq!(verdict(right.replace("v1=", "v0=")), Err(Cause::UnknownAlgorithm));
    assert_eq!(
        verdict(right.replace(",v1=", &",v1=00".repeat(1_000)) + &right),
        Err(Cause::MalformedSignature)
    );
}

#[test]
fn standard_webhooks_accepts_public_key_and_symmetric_signatures() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let public_key = format!("whpk_{}", Encoding::Base64.encode(pair.public_key().as_ref()));
    let signature = Encoding::Base64.encode(pair.sign(format!("msg_1.{NOW}.{{}}").as_bytes()).as_ref());
    let send = |verifier: &Verifier, signatures: &str| {
        let timestamp = NOW.to_string();
        let headers = [
            ("webhook-id", "msg_1"),
            ("webhook-timestamp", timestamp.as_str()),
            ("webhook-signature", signatures),
        ];
        SentRequest::new(&headers, "{}").verdict(verifier)
    };
    let both = bind("standard-webhooks", &[("secret", "whsec_YWJj"), ("public_key", &public_key)]);
    let public = bind("standard-webhooks", &[("public_key", &public_key)]);
    let symmetric = bind("standard-webhooks", &[("secret", "YWJj")]);
    let wrong = Encoding::Base64.encode(&[0; 32]);
    assert_eq!(send(&both, &format!("v1,{wrong} v1a,{signature}")), Ok(()));
    assert_eq!(send(&public, &format!("v1a,{signature}")), Ok(()));
    assert_eq!(send(&public, &format!("v1,{wrong}")), Err(Cause::UnknownAlgorithm));
    assert_eq!(
        send(&public, &format!("v1a,{}", Encoding::Base64.encode(&[0; 64]))),
        Err(Cause::SignatureMismatch)
    );
    assert_eq!(send(&symmetric, &format!("v1a,{signature}")), Err(Cause::UnknownAlgorithm));
    assert_eq!(public.sample(&sample_options(None, "nonce")), None);
}

#[test]
fn any_configured_token_is_accepted() {
    let verifier = bind("token", &[("header", "Acme-Webhook-Token"), ("secret", "one"), ("secret", "two")]);
    let verdict = |headers: &[(&str, &str)]| SentRequest::new(headers, "").verdict(&verifier);
    let header = "Acme-Webhook-Token";
    assert_eq!(verdict(&[(header, "one")]), Ok(()));
    assert_eq!(verdict(&[(header, "two")]), Ok(()));
    assert_eq!(verdict(&[(header, "three")]), Err(Cause::TokenMismatch));
    assert_eq!(verdict(&[(header, "one"), (header, "one")]), Err(Cause::TokenMismatch));
    assert_eq!(verdict(&[(header, "")]), Err(Cause::MissingHeader));
    assert_eq!(verdict(&[]), Err(Cause::MissingHeader));
    assert_eq!(verifier.credential_headers(), ["acme-webhook-token"]);
    assert!(!verifier.reads_body() && !verifier.covers_body());
}

#[test]
fn without_scheme_all_requests_pass_unverified() {
    let verifier = bind("none", &[]);
    assert_eq!(SentRequest::new(&[], "anything").verdict(&verifier), Ok(()));
    assert!(!verifier.reads_body() && !verifier.covers_body() && !verifier.verifies_sender());
    assert!(
        ["github", "stripe", "typeform", "standard-webhooks", "token"].iter().all(|name| bind(
            name,
            &usable(name)
        )
        .verifies_sender())
    );
    assert!(bind("github", &usable("github")).covers_body());
}
