//! Each trial with genuine requests that were broken in its way.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::scheme::place::Place;

const SECRET: &str = "correct horse battery";

/// Verifiers of schemes that sign the exact body: HMAC in hex and base64, with a timestamp, and a
/// JWT with the digest of the body.
fn of_bodies() -> Vec<Verifier> {
    let mut all: Vec<Verifier> =
        ["github", "shopify", "stripe"].map(|name| bind(name, &[("secret", SECRET)])).into();
    all.push(bind("standard-webhooks", &[("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]));
    all.push(bind("netlify", &[("secret", SECRET)]));
    all
}

#[test]
fn changed_body_is_explained() {
    let compact = r#"{"a":[1,"x, y"],"ü":{"b":null}}"#;
    let rows = [
        ("{}", "{}\n", Trial::WithoutLineEnd),
        ("{}", "{}\r\n", Trial::WithoutLineEnd),
        ("{}\n", "{}", Trial::WithLineEnd),
        ("{\n}", "{\r\n}", Trial::CrlfToLf),
        ("{\r\n}", "{\n}", Trial::LfToCrlf),
        (compact, "{ \"a\" : [ 1, \"x, y\" ], \"ü\" : { \"b\" : null } }", Trial::CompactJson),
        (r#"{"a": [1, "x, y"], "b": {"c": null}}"#, r#"{"a":[1,"x, y"],"b":{"c":null}}"#, Trial::SpacedJson),
        (r#"{"a":[1,"x, y"],"\u00fc":{"b":null}}"#, compact, Trial::EscapedJson),
        (r#"{"a": [1, "x, y"], "\u00fc": {"b": null}}"#, compact, Trial::EscapedJson),
        ("{}", "\u{feff}{}", Trial::DecodedBody),
    ];
    for verifier in of_bodies() {
        for (sent, received, trial) in &rows {
            let mut request = signed(&verifier, sent);
            assert_eq!(request.verdict(&verifier), Ok(()), "{}", verifier.recipe.name);
            request.body = received.as_bytes().to_vec();
            let diagnosis = diagnosis(&request, &verifier);
            assert_fits(&diagnosis, *trial, &format!("{} {received:?}", verifier.recipe.name));
        }
    }
}

#[test]
fn compression_after_signing_is_explained() {
    for verifier in of_bodies() {
        let mut request = signed(&verifier, r#"{"a":1}"#);
        request.body = miniz_oxide::deflate::compress_to_vec_zlib(&request.body, 6);
        request.headers.push(("content-encoding".to_owned(), b"deflate".to_vec()));
        assert_fits(&diagnosis(&request, &verifier), Trial::DecodedBody, &verifier.recipe.name);
    }
}

#[test]
fn public_key_request_with_added_line_feed_is_explained() {
    let mut seen = 0;
    for own in properties::OWN.iter() {
        if !["discord", "sendgrid", "paypal", "svix", "wise", "telnyx"].contains(&own.provider.as_str()) {
            continue;
        }
        let mut sent = own.sent.clone();
        sent.body.extend_from_slice(b"\r\n");
        let diagnosis = diagnosis_among(&sent, &own.verifier, &own.world, &[]);
        assert_fits(&diagnosis, Trial::WithoutLineEnd, &own.provider);
        seen += 1;
    }
    assert!(seen >= 4, "{seen}");
}

/// Explains a request that a sender with the second settings signs for a source with the first.
#[track_caller]
fn assert_secret(provider: &str, configured: &str, used: &str, trial: Trial) {
    let request = signed(&bind(provider, &[("secret", used)]), r#"{"a":1}"#);
    let diagnosis = diagnosis(&request, &bind(provider, &[("secret", configured)]));
    assert_fits(&diagnosis, trial, &format!("{provider} {configured:?} {used:?}"));
    let advice = diagnosis.advice.join(" ");
    assert!(!advice.contains(configured.trim()) && !advice.contains(used), "{advice}");
    assert!(advice.contains("SECRET") || trial == Trial::SecretPrefix, "{advice}");
}

#[test]
fn other_form_of_secret_is_explained() {
    for provider in ["github", "shopify", "stripe", "netlify"] {
        assert_secret(provider, "\"s3cret-value\"", "s3cret-value", Trial::TrimmedSecret);
        assert_secret(provider, "s3cret-value\n", "s3cret-value", Trial::TrimmedSecret);
        assert_secret(provider, "s3cret-value", "s3cret-value\n", Trial::SecretWithLineFeed);
        // The decoded keys are text, so that the sender can be bound with them.
        assert_secret(provider, "czNjcmV0LXZhbHVl", "s3cret-value", Trial::SecretFromBase64);
        assert_secret(provider, "73336372657400", "s3cret\0", Trial::SecretFromHex);
        assert_secret(provider, "whsec_s3cret-value", "s3cret-value", Trial::SecretPrefix);
        assert_secret(provider, "v1,whsec_czNjcmV0LXZhbHVl", "s3cret-value", Trial::SecretPrefix);
    }
    // The scheme decodes base64, and the sender uses the text: its base64 is the sender's secret.
    let text = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    assert_secret(
        "standard-webhooks",
        &format!("whsec_{text}"),
        &STANDARD.encode(format!("whsec_{text}")),
        Trial::SecretAsText,
    );
    assert_secret(
        "standard-webhooks",
        "00112233445566778899aabbccddeeff",
        "ABEiM0RVZneImaq7zN3u/w==",
        Trial::SecretFromHex,
    );
}

#[test]
fn secret_of_another_source_is_explained() {
    let shop = bind("github", &[("secret", "secret-of-the-shop")]);
    let many: Vec<(String, Verifier)> = (0..40)
        .map(|number| {
            (format!("source-{number}"), bind("stripe", &[("secret", &format!("whsec_other-{number}"))]))
        })
        .collect();
    let mut others: Vec<OtherSource<'_>> =
        many.iter().map(|(name, verifier)| OtherSource { name, verifier }).collect();
    others.insert(20, OtherSource { name: "shop", verifier: &shop });
    for provider in ["github", "shopify", "gitlab", "netlify"] {
        let sender = bind(provider, &[("secret", "secret-of-the-shop")]);
        let request = signed(&sender, "{}");
        let own = bind(provider, &[("secret", SECRET)]);
        let diagnosis = diagnosis_among(&request, &own, &EmptyKeyStore, &others);
        assert_fits(&diagnosis, Trial::OtherSecret, provider);
        let text = format!("{diagnosis:?}");
        assert!(text.contains("source `shop`") && !text.contains("secret-of-the-shop"), "{text}");
    }
    // A request to the URL of another source.
    let request = signed(&shop, "{}");
    let own = bind("stripe", &[("secret", SECRET)]);
    let diagnosis = diagnosis_among(&request, &own, &EmptyKeyStore, &others);
    assert_fits(&diagnosis, Trial::OtherSource, "stripe");
    assert!(diagnosis.advice.join(" ").contains("source `shop`"), "{:?}", diagnosis.advice);
}

#[test]
fn exchanged_settings_are_explained() {
    let values = [("secret", "the-auth-token-of-twilio"), ("shared_key", "the-shared-key-of-twilio")];
    let exchanged = [("secret", values[1].1), ("shared_key", values[0].1)];
    let request = SentRequest::sample(&bind("twilio", &values), None);
    let found = diagnosis(&request, &bind("twilio", &exchanged));
    assert_fits(&found, Trial::OtherSetting, "twilio");
    let advice = found.advice.join(" ");
    assert!(
        advice.contains("the value of CREEL_SOURCE_TEST_SHARED_KEY as the secret")
            && advice.contains("set CREEL_SOURCE_TEST_SECRET to that value"),
        "{advice}"
    );
}

#[test]
fn secret_in_the_place_of_an_empty_setting_is_explained() {
    let key = "the-shared-key-of-twilio";
    let rows = [("shared_key", "secret"), ("secret", "shared_key")];
    for (wanted, used) in rows {
        let request = SentRequest::sample(&bind("twilio", &[(wanted, key)]), None);
        let found = diagnosis(&request, &bind("twilio", &[(used, key)]));
        assert_fits(&found, Trial::OtherSetting, used);
        let [wanted, used] = [wanted, used].map(|name| source_variable("test", name));
        let advice = found.advice.join(" ");
        assert!(advice.contains(&format!("the value of {used} as the secret: set {wanted} to")), "{advice}");
    }
}

#[test]
fn wrong_provider_or_disabled_scheme_is_explained() {
    // Both sign the body with HMAC-SHA256; the headers differ.
    let request = signed(&bind("shopify", &[("secret", SECRET)]), "{}");
    let diagnosis = diagnosis(&request, &bind("github", &[("secret", SECRET)]));
    assert_fits(&diagnosis, Trial::OtherRecipe, "github");
    let advice = diagnosis.advice.join(" ");
    assert!(
        advice.contains("provider `shopify`") && advice.contains("CREEL_SOURCE_TEST_PROVIDER=shopify"),
        "{advice}"
    );
    assert!(advice.contains("shopify-hmac-sha256` of provider `shopify`"), "{advice}");
}

#[test]
fn scheme_that_is_not_allowed_is_explained() {
    let sender = bind("github", &[("secret", SECRET), ("allow_sha1", "yes")]);
    let mut draft = sender.unsigned_sample(&sample_options(None, "nonce")).unwrap();
    let place = Place::Header("x-hub-signature".to_owned());
    sender.add_proofs(&mut draft, Some(&place)).unwrap();
    let sample = Sample { headers: draft.headers, query: draft.query, body: draft.body };
    let found = diagnosis(&SentRequest::of(sample), &bind("github", &[("secret", SECRET)]));
    assert_eq!(fitting(&found), [Trial::OtherRecipe], "{:?}", found.advice);
    assert!(found.advice[0].contains("CREEL_SOURCE_TEST_ALLOW_SHA1=yes"), "{:?}", found.advice);
}

#[test]
fn other_url_is_explained() {
    let twilio = || bind("twilio", &[("secret", SECRET)]);
    // Square signs URL and body, and Mandrill URL and form.
    let verifiers =
        [twilio(), bind("square", &[("secret", SECRET)]), bind("mandrill", &[("secret", SECRET)])];
    let path = "/webhooks/test";
    let rows = [
        (format!("http://hooks.example.com{path}"), Trial::UrlScheme),
        (format!("https://10.0.0.7:9000{path}"), Trial::UrlHost),
        (path.to_owned(), Trial::UrlHost),
        (format!("https://hooks.example.com{path}/"), Trial::UrlForm),
        (format!("https://hooks.example.com:8443{path}"), Trial::UrlForm),
        (format!("https://hooks.example.com{path}?x=1"), Trial::UrlForm),
    ];
    for verifier in verifiers {
        for (url, trial) in &rows {
            let mut request = SentRequest::sample(&verifier, None);
            let query = request.url.split_once('?').map(|(_, query)| query.to_owned());
            let joined = query.map(|query| format!("{url}?{query}"));
            request.url = joined.unwrap_or_else(|| url.clone());
            request.headers.push(("x-forwarded-host".to_owned(), b"hooks.example.com".to_vec()));
            if request.verdict(&verifier) == Ok(()) {
                // Twilio's URL is accepted with and without its port.
                continue;
            }
            assert_fits(&diagnosis(&request, &verifier), *trial, &format!("{} {url}", verifier.recipe.name));
        }
    }
}

#[test]
fn hidden_text_in_url_is_not_shown() {
    let verifier = bind("twilio", &[("secret", SECRET)]);
    let mut request = SentRequest::sample(&verifier, None);
    request.url = request.url.replace("https://", "http://");
    let hidden = [Secret::new("webhooks/test")];
    let found = diagnosis_hiding(&request, &verifier, &EmptyKeyStore, &[], &hidden);
    assert_fits(&found, Trial::UrlScheme, "twilio");
    assert!(!format!("{found:?}").contains("webhooks/test"), "{found:?}");
    assert!(found.signed_text.unwrap().first.starts_with("http://hooks.example.com/[redacted]"));
    assert!(found.advice.join(" ").contains("https://hooks.example.com/[redacted]"), "{:?}", found.advice);
}

fn custom(fields: &'static [(&'static str, &'static str)]) -> Verifier {
    let given =
        |name: &str| fields.iter().find(|(field, _)| *field == name).map(|(_, text)| (*text).to_owned());
    let recipe = custom_recipe("test", given, custom_variable).unwrap();
    Verifier::bind(recipe, &settings(&[("secret", SECRET)])).unwrap()
}

#[test]
fn other_timestamp_unit_is_explained() {
    let sender = custom(&[
        ("signature.at", "header X-Signature"),
        ("signature.text", "{ts}.{body}"),
        ("timestamp.at", "header X-Time"),
        ("timestamp.unit", "ms"),
    ]);
    let source = custom(&[
        ("signature.at", "header X-Signature"),
        ("signature.text", "{ts}.{body}"),
        ("timestamp.at", "header X-Time"),
    ]);
    let request = signed(&sender, "{}");
    let found = diagnosis(&request, &source);
    assert_eq!(fitting(&found), [Trial::TimestampUnit]);
    assert!(found.advice.join(" ").contains("TIMESTAMP_UNIT"), "{:?}", found.advice);
    // Signed in seconds, and sent in milliseconds.
    let mut request = signed(&source, "{}");
    for (_, value) in request.headers.iter_mut().filter(|(name, _)| name == "x-time") {
        value.extend_from_slice(b"000");
    }
    assert_fits(&diagnosis(&request, &source), Trial::TimestampUnit, "s");
}

#[test]
fn timestamp_of_public_key_signature_is_not_compared() {
    let own = properties::OWN.iter().find(|own| own.provider == "discord").unwrap();
    let mut sent = own.sent.clone();
    sent.body.push(b' ');
    let found = diagnosis_among(&sent, &own.verifier, &own.world, &[]);
    let rows = found.trials.iter().filter(|row| row.trial == Trial::TimestampUnit);
    assert_eq!(rows.map(|row| &row.outcome).collect::<Vec<_>>(), [&TrialOutcome::Inapplicable]);
    assert!(found.trials.iter().any(|row| row.outcome == TrialOutcome::Differs));
}

#[test]
fn other_form_of_signature_is_explained() {
    let plain: &'static [_] = &[("signature.at", "header X-Signature")];
    let others: [&'static [(&'static str, &'static str)]; 4] = [
        &[("signature.at", "header X-Signature"), ("signature.encoding", "base64")],
        &[("signature.at", "header X-Signature"), ("signature.algorithm", "hmac-sha1")],
        &[("signature.at", "header X-Signature"), ("signature.layout", "sha256={signature}")],
        &[
            ("signature.at", "header X-Signature"),
            ("signature.algorithm", "hmac-sha512"),
            ("signature.encoding", "base64url"),
            ("signature.layout", "v1={signature}"),
        ],
    ];
    for other in others {
        for (sender, source) in [(plain, other), (other, plain)] {
            let request = signed(&custom(sender), "{}");
            assert_fits(&diagnosis(&request, &custom(source)), Trial::SignatureForm, &format!("{other:?}"));
        }
    }
}

#[test]
fn token_with_other_text_is_explained() {
    let token = |scheme: &'static str| match scheme {
        "" => custom(&[("token.at", "header X-Token")]),
        _ => custom(&[("token.at", "header X-Token"), ("token.scheme", "Bearer")]),
    };
    for (verifier, name, value) in [
        (token(""), "x-token", format!("Bearer {SECRET}")),
        (token("Bearer"), "x-token", SECRET.to_owned()),
        (token(""), "x-token", format!("\"{SECRET}\"")),
        (token("Bearer"), "x-token", format!("Basic {}", STANDARD.encode(format!("user:{SECRET}")))),
        (token("Bearer"), "authorization", format!("Bearer {SECRET}")),
        (token(""), "x-other", SECRET.to_owned()),
    ] {
        let request = SentRequest::new(&[(name, &value)], "{}");
        let diagnosis = diagnosis(&request, &verifier);
        assert_fits(&diagnosis, Trial::TokenForm, &value);
        assert!(!format!("{diagnosis:?}").contains(SECRET));
    }
}

#[test]
fn each_trial_has_a_name_and_the_list_is_complete() {
    let names: std::collections::BTreeSet<&str> = Trial::ALL.iter().map(|trial| trial.name()).collect();
    assert_eq!(names.len(), Trial::ALL.len());
    assert!(Trial::ALL.len() <= 24);
    let own = bind("github", &[("secret", SECRET)]);
    let diagnosis = diagnosis(&signed(&bind("github", &[("secret", "another")]), "{}"), &own);
    assert_eq!(diagnosis.trials.iter().map(|row| row.trial).collect::<Vec<_>>(), Trial::ALL);
    assert!(fitting(&diagnosis).is_empty(), "{diagnosis:?}");
    assert!(diagnosis.advice.join(" ").contains("CREEL_SOURCE_TEST_SECRET"), "{:?}", diagnosis.advice);
}
