//! Bodies that verification decodes or rewrites: genuine ones, bodies that differ from the signed
//! text, and bodies too large to verify.

use std::borrow::Cow;

use ring::hmac;

use super::*;
use crate::scheme::encoding::{Encoding, hex};

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn base64_hmac(algorithm: hmac::Algorithm, key: &str, text: &str) -> String {
    Encoding::Base64.encode(hmac::sign(&hmac::Key::new(algorithm, key.as_bytes()), text.as_bytes()).as_ref())
}

fn hex_hmac(algorithm: hmac::Algorithm, key: &str, text: &str) -> String {
    hex(hmac::sign(&hmac::Key::new(algorithm, key.as_bytes()), text.as_bytes()).as_ref())
}

fn form(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// A form as Mandrill signs it.
fn mandrill(fields: &[(&str, &str)]) -> SentRequest {
    let mut sorted = fields.to_vec();
    sorted.sort_unstable();
    let text: String = sorted.iter().flat_map(|(name, value)| [*name, *value]).collect();
    let signature = base64_hmac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, "the key", &format!("{URL}{text}"));
    SentRequest::new(&[FORM, ("x-mandrill-signature", &signature)], &form(fields))
}

#[test]
fn signed_form_of_any_size_is_accepted() {
    let verifier = bind("mandrill", &[("secret", "the key")]);
    for size in [900_000, 1_100_000, 8 << 20] {
        let events = format!(r#"[{{"event":"inbound","msg":{{"raw_msg":"{}"}}}}]"#, "x".repeat(size));
        let mut sent = mandrill(&[("mandrill_events", &events)]);
        assert_eq!(sent.verdict(&verifier), Ok(()), "{size}");
        sent.body.push(b'x');
        assert_eq!(sent.verdict(&verifier), Err(Cause::SignatureMismatch), "{size}");
    }
    let braintree = bind("braintree", &[("public_key", "public"), ("secret", "private key")]);
    let mut large = braintree.sample(&sample_options(None, "nonce")).unwrap();
    let payload = format!("{}\n", Encoding::Base64.encode(&vec![b'x'; 2 << 20]));
    let key = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, b"private key");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_ref());
    let signature = hex(hmac::sign(&key, payload.as_bytes()).as_ref());
    large.body = form(&[("bt_signature", &format!("public|{signature}")), ("bt_payload", &payload)]);
    assert_eq!(SentRequest::of(large).verdict(&braintree), Ok(()));
}

#[test]
fn body_too_large_to_verify_is_not_a_mismatch() {
    let verifier = bind("mandrill", &[("secret", "the key")]);
    let many = vec![("a", ""); 10_001];
    assert_eq!(mandrill(&many).verdict(&verifier), Err(Cause::TooLarge));
    // Small enough, but not a form of Mandrill.
    assert_eq!(mandrill(&many[1..]).verdict(&verifier), Err(Cause::UnknownAlgorithm));

    let nowpayments = bind("nowpayments", &[("secret", "k")]);
    let sorted = |size: usize| {
        let body = format!(r#"{{"a":"{}"}}"#, "x".repeat(size));
        SentRequest::new(&[("x-nowpayments-sig", &hex_hmac(hmac::HMAC_SHA512, "k", &body))], &body)
    };
    assert_eq!(sorted(1 << 20).verdict(&nowpayments), Ok(()));
    assert_eq!(sorted(2 << 20).verdict(&nowpayments), Err(Cause::TooLarge));

    // One of the schemes at this place does not rewrite the body.
    let inngest = bind("inngest", &[("secret", "k")]);
    let body = format!(r#"{{"b":1.0,"a":"{}"}}"#, "x".repeat(3 << 20));
    let signature = format!("t={NOW}&s={}", hex_hmac(hmac::HMAC_SHA256, "k", &format!("{body}{NOW}")));
    assert_eq!(SentRequest::new(&[("x-inngest-signature", &signature)], &body).verdict(&inngest), Ok(()));

    let adyen = bind("adyen", &[("secret", "00ff")]);
    let item = r#"{"NotificationRequestItem":{"additionalData":{"hmacSignature":"AAAA"}}}"#;
    let items = |count: usize| format!(r#"{{"notificationItems":[{}]}}"#, vec![item; count].join(","));
    assert_eq!(SentRequest::new(&[], &items(2)).verdict(&adyen), Err(Cause::MalformedSignature));
    assert_eq!(SentRequest::new(&[], &items(100_000)).verdict(&adyen), Err(Cause::TooLarge));
    assert_eq!(SentRequest::new(&[], &items(0)).verdict(&adyen), Err(Cause::MissingHeader));
}

#[test]
fn adyen_signature_covers_eight_fields_of_any_size() {
    let verifier = bind("adyen", &[("secret", "00ff")]);
    let text = "7914073381342284::TestMerchant:a \u{e9}\":1130:EUR:AUTHORISATION:true";
    let signature = Encoding::Base64
        .encode(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &[0, 0xff]), text.as_bytes()).as_ref());
    let sent = |success: &str, more: &str| {
        let item = format!(
            r#"{{"amount":{{"currency":"EUR","value":1130}},"pspReference":"7914073381342284","originalReference":null,
            "merchantAccountCode":"TestMerchant","merchantReference":"a \u00e9\"","eventCode":"AUTHORISATION",
            "success":{success},"additionalData":{{"hmacSignature":"{signature}","x":"{more}"}}}}"#
        );
        SentRequest::new(
            &[],
            &format!(r#" {{"live":"false","notificationItems":[{{"NotificationRequestItem":{item}}}]}}"#),
        )
    };
    assert_eq!(sent("\"true\"", "").verdict(&verifier), Ok(()));
    assert_eq!(sent("true", &"x".repeat(3 << 20)).verdict(&verifier), Ok(()));
    assert_eq!(sent("false", "").verdict(&verifier), Err(Cause::SignatureMismatch));
}

#[test]
fn file_next_to_signed_fields_is_not_signed() {
    let verifier = bind("mandrill", &[("secret", "the key")]);
    let events = r#"[{"event":"send"}]"#;
    let mut sent = mandrill(&[("mandrill_events", events)]);
    assert_eq!(sent.verdict(&verifier), Ok(()));
    sent.headers[0].1 = b"multipart/form-data; boundary=b".to_vec();
    sent.body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"mandrill_events\"\r\n\r\n{events}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"x\"; filename=\"f\"\r\n\r\nnot signed\r\n--b--\r\n"
    )
    .into_bytes();
    assert_eq!(sent.verdict(&verifier), Err(Cause::SignatureMismatch));
}

#[test]
fn duplicate_key_is_rejected_in_sorted_json() {
    let verifier = bind("nowpayments", &[("secret", "k")]);
    let signature = hex_hmac(hmac::HMAC_SHA512, "k", r#"{"price_amount":1000}"#);
    let verdict =
        |body: &str| SentRequest::new(&[("x-nowpayments-sig", &signature)], body).verdict(&verifier);
    assert_eq!(verdict(r#"{"price_amount":1000}"#), Ok(()));
    assert_eq!(verdict(r#"{"price_amount":1,"price_amount":1000}"#), Err(Cause::SignatureMismatch));
    assert_eq!(verdict(r#"{"price_amount":1,"price\u005famount":1000}"#), Err(Cause::SignatureMismatch));
}

#[test]
fn signature_over_rewritten_body_is_partial_coverage() {
    for provider in ["nowpayments", "inngest", "checkr", "kontent-ai", "twilio", "plivo-v3"] {
        assert_eq!(recipe(provider).unwrap().coverage(), Coverage::Partial, "{provider}");
    }
    for provider in ["github", "stripe", "coinbase-cdp", "hygraph", "fusionauth", "mandrill"] {
        assert_eq!(recipe(provider).unwrap().coverage(), Coverage::Full, "{provider}");
    }
    let mine = |text: &str| {
        let recipe = format!(
            "title = \"T\"\n[[key]]\nname = \"secret\"\nkind = \"secret\"\ndoc = \"d\"\n[[jwt]]\nat = \"header A\"\n\
             key = \"secret\"\nalgorithms = [\"HS256\"]\n[[jwt.claim]]\nname = \"body\"\nequals = \"{text}\""
        );
        Recipe::parse("mine", &recipe).unwrap().coverage()
    };
    assert_eq!(mine("{body:sha256-hex}"), Coverage::Full);
    assert_eq!(mine("{body:sorted}"), Coverage::Partial);
    assert_eq!(mine("{body:first-item}"), Coverage::None);
    assert_eq!(mine("{url}"), Coverage::None);
}

/// A form with its signature in the last field, as Payfast and a shop's checkout sign it.
fn payfast(fields: &[(&str, &str)], passphrase: &str) -> SentRequest {
    use md5::{Digest, Md5};
    let encoded = |text: &str| {
        let text: Cow<'_, str> = form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().into();
        text.replace('*', "%2A")
    };
    let signed: String = fields.iter().map(|(name, value)| format!("{name}={}&", encoded(value))).collect();
    let signature = hex(&Md5::digest(format!("{signed}passphrase={}", encoded(passphrase))));
    let mut all = fields.to_vec();
    all.push(("signature", &signature));
    SentRequest::new(&[FORM], &form(&all))
}

#[test]
fn payfast_checkout_form_is_rejected_as_notification() {
    let verifier = bind("payfast", &[("secret", "jt7NOE43FZPn")]);
    let verdict = |fields: &[(&str, &str)]| payfast(fields, "jt7NOE43FZPn").verdict(&verifier);
    let checkout = [
        ("merchant_id", "10000100"),
        ("merchant_key", "46f0cd694581a"),
        ("return_url", "https://shop.example/thanks"),
        ("m_payment_id", "1042"),
        ("amount", "5.00"),
        ("item_name", "Tea"),
    ];
    assert_eq!(verdict(&checkout), Err(Cause::ClaimMismatch));
    let notification =
        [("m_payment_id", "1042"), ("pf_payment_id", "1089250"), ("payment_status", "COMPLETE")];
    assert_eq!(verdict(&notification), Ok(()));
    assert_eq!(verdict(&[("pf_payment_id", ""), ("payment_status", "CANCELLED")]), Ok(()));
    for lacking in [
        &[("pf_payment_id", "1")][..],
        &[("payment_status", "COMPLETE")],
        &[("pf_payment_id", "1"), ("payment_status", "")],
    ] {
        assert_eq!(verdict(lacking), Err(Cause::ClaimMismatch), "{lacking:?}");
    }
}

#[test]
fn payfast_field_merged_into_another_is_rejected() {
    let verifier = bind("payfast", &[("secret", "a passphrase * of words")]);
    let genuine = [
        ("amount", "5.00"),
        ("payment_status", "COMPLETE"),
        ("pf_payment_id", "1"),
        ("item_name", "* \u{eb}~"),
    ];
    let sent = payfast(&genuine, "a passphrase * of words");
    assert_eq!(sent.verdict(&verifier), Ok(()));
    let body = String::from_utf8(sent.body.clone()).unwrap();
    for (as_signed, merged) in [
        ("amount=5.00&payment_status=COMPLETE", "amount%3D5.00%26payment_status=COMPLETE"),
        ("amount=5.00&", "amount%3D5.00="),
        ("&payment_status=", "%26payment_status="),
    ] {
        let forged = SentRequest { body: body.replace(as_signed, merged).into_bytes(), ..sent.clone() };
        assert_ne!(forged.body, sent.body);
        assert!(forged.verdict(&verifier).is_err(), "{merged}");
    }
}

#[test]
fn blank_passphrase_is_rejected_and_blanks_are_trimmed() {
    for passphrase in ["", " ", " \t "] {
        assert!(Verifier::bind(recipe("payfast").unwrap(), &settings(&[("secret", passphrase)])).is_err());
    }
    let verifier = bind("payfast", &[("secret", " words with blanks around ")]);
    let notification = [("pf_payment_id", "1"), ("payment_status", "COMPLETE")];
    assert_eq!(payfast(&notification, "words with blanks around").verdict(&verifier), Ok(()));
}

#[test]
fn signature_with_headers_does_not_fit_body_starting_with_them() {
    let verifier = bind("coinbase-cdp", &[("secret", "k")]);
    let body = r#"{"a":1}"#;
    let sign = |text: &str| hex_hmac(hmac::HMAC_SHA256, "k", text);
    let v1 = sign(&format!("{NOW}.content-type.application/json.{body}"));
    let sent = |value: &str, body: &str| {
        SentRequest::new(&[("content-type", "application/json"), ("x-hook0-signature", value)], body)
    };
    assert_eq!(sent(&format!("t={NOW},h=content-type,v1={v1}"), body).verdict(&verifier), Ok(()));
    let v0 = sign(&format!("{NOW}.{body}"));
    assert_eq!(sent(&format!("t={NOW},v0={v0}"), body).verdict(&verifier), Ok(()));
    let forged = format!("content-type.application/json.{body}");
    for value in [format!("t={NOW},v0={v1}"), format!("t={NOW},h=content-type,v0={v1}")] {
        assert_eq!(sent(&value, &forged).verdict(&verifier), Err(Cause::SignatureMismatch), "{value}");
    }
    let both = format!("t={NOW},v0={v1},v1={v1}");
    assert_eq!(sent(&both, &forged).verdict(&verifier), Err(Cause::MalformedSignature));
}
