//! The values read from a body before a message is stored match its stored payload, for any
//! headers.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
use proptest::prelude::*;
use ring::hmac;
use serde_json::Value;
use time::OffsetDateTime;

use crate::providers::{
    Cause, ConfirmApi, ConfirmQuery, ConfirmSettings, EmptyKeyStore, Headers, Request, Secret, Settings,
    Verifier, recipe,
};
use crate::store::{MessageContent, UnreadableReason};
use crate::verification::examine::{Proof, Rules, VerificationOutcome, examine};
use crate::verification::room::DecodingRoom;

const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=b";

/// A source without secrets that confirms each message with an API.
fn confirming(url: &str) -> Rules {
    let recipe = recipe("none").unwrap();
    let verifier = Verifier::bind(recipe, &Settings::default()).unwrap();
    let confirm_api = ConfirmApi::own(&ConfirmSettings { url, token: None }, recipe).unwrap();
    Rules { verifier: Arc::new(verifier), confirm_api: Some(Arc::new(confirm_api)) }
}

static BY_FORM: LazyLock<Rules> = LazyLock::new(|| confirming("https://api.example.com/{form:id}"));
static BY_JSON: LazyLock<Rules> = LazyLock::new(|| confirming("https://api.example.com/{json:/id}"));

/// A source with the secret `secret` and the given settings.
fn verifying(provider: &str, settings: &[(&str, &str)]) -> Rules {
    let values = settings.iter().map(|(name, value)| ((*name).to_owned(), vec![Secret::new_text(value)]));
    let settings = Settings { values: values.collect(), ..Settings::default() };
    Rules {
        verifier: Arc::new(Verifier::bind(recipe(provider).unwrap(), &settings).unwrap()),
        confirm_api: None,
    }
}

struct Observation {
    /// `None` if the message cannot be confirmed.
    queried: Option<String>,
    content: MessageContent,
}

fn post(rules: &Rules, headers: &[(&str, &str)], body: &[u8]) -> Result<Observation, Cause> {
    let mut fields: Vec<(&str, &[u8])> =
        headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    fields.sort_by_key(|(name, _)| *name);
    let body = Bytes::copy_from_slice(body);
    let request = Request {
        method: "POST",
        target: "/",
        query: "",
        url: "",
        headers: Headers(&fields),
        body: &body,
        now: OffsetDateTime::UNIX_EPOCH,
    };
    let room = DecodingRoom { max_bytes: 8 << 20, reservation: None };
    match examine(rules, &request, &body, Proof::NeedsBody, &EmptyKeyStore, room) {
        Ok(VerificationOutcome::Message(examined)) => {
            let queried = match examined.confirm_query {
                Some(ConfirmQuery::Values(values)) => values.into_values().next(),
                Some(ConfirmQuery::Unconfirmable(_)) | None => None,
            };
            Ok(Observation { queried, content: examined.content })
        }
        Ok(VerificationOutcome::Rejected(reason)) => Err(reason.cause),
        other => panic!("{other:?}"),
    }
}

/// Returns the id in the stored content; `None` if the body is unreadable.
fn stored_id(content: &MessageContent) -> Option<Value> {
    let payload = content.payload()?;
    let text = payload.strip_prefix(b"\xef\xbb\xbf").unwrap_or(payload);
    Some(serde_json::from_slice::<Value>(text).unwrap()["id"].clone())
}

fn assert_queried_is_stored(headers: &[(&str, &str)], body: &[u8]) {
    for rules in [&*BY_FORM, &*BY_JSON] {
        let seen = post(rules, headers, body).unwrap();
        if let (Some(queried), Some(stored)) = (&seen.queried, stored_id(&seen.content)) {
            assert_eq!(stored, Value::from(queried.clone()), "{headers:?} {}", body.escape_ascii());
        }
    }
}

fn gzip(comment: &[u8], data: &[u8]) -> Vec<u8> {
    let mut member = vec![0x1f, 0x8b, 8, 0x10, 0, 0, 0, 0, 0, 3];
    member.extend_from_slice(comment);
    member.push(0);
    member.extend(compress_to_vec(data, 6));
    member.extend(crc32fast::hash(data).to_le_bytes());
    member.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    member
}

fn part(name: &str, value: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n--b--\r\n")
}

fn plain_bodies() -> impl Strategy<Value = Vec<u8>> {
    let texts = [
        "id=A".to_owned(),
        "id=A&id=B".to_owned(),
        "&id=%41&x=%C3%A9&".to_owned(),
        "id=%E9".to_owned(),
        "id=%83%5C".to_owned(),
        "{\"id\":\"A\"}".to_owned(),
        "\u{feff}{\"id\":\"\u{e9}\"}".to_owned(),
        "{\"x\":\"&id=A&\",\"id\":\"B\"}".to_owned(),
        "[\"&id=A&\",{\"id\":\"B\"}]".to_owned(),
        "\"&id=A&\"".to_owned(),
        "{\"x\":\"&id=A&\",\"id\":\"B\"".to_owned(),
        format!("{{\"x\":\"&id=A&\",\"id\":\"B\",\"y\":{}{}}}", "[".repeat(130), "]".repeat(130)),
        part("id", "A"),
        format!("&id=B&x={}", part("id", "A")),
        format!("id=B&pad={}", "a".repeat(200_000)),
        String::new(),
    ];
    prop::sample::select(texts.map(String::into_bytes).to_vec())
}

fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let utf_16 = "{\"id\":\"A\"}".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let plain = prop_oneof![20 => plain_bodies(), 1 => Just(utf_16)];
    (plain, 0..5_u8).prop_map(|(plain, coding)| match coding {
        0 => gzip(b"&id=A&x=", &plain),
        1 => gzip(b"", &gzip(b"&id=B&x=", &plain)),
        2 => compress_to_vec(&plain, 6),
        3 => compress_to_vec_zlib(&plain, 0),
        _ => plain,
    })
}

fn content_types() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(vec![
        None,
        Some("application/json"),
        Some("text/plain; charset=iso-8859-1"),
        Some("application/json; charset=utf-16"),
        Some(FORM),
        Some("application/x-www-form-urlencoded; charset=utf-8"),
        Some("application/x-www-form-urlencoded; charset=iso-8859-1"),
        Some("application/x-www-form-urlencoded; charset=shift_jis"),
        Some("application/x-www-form-urlencoded; charset=utf-16"),
        Some("application/x-www-form-urlencoded; charset=klingon"),
        Some(MULTIPART),
    ])
}

fn codings() -> impl Strategy<Value = Option<&'static str>> {
    prop::sample::select(vec![
        None,
        Some("gzip"),
        Some("deflate"),
        Some("gzip, gzip"),
        Some("identity"),
        Some("utf-8"),
        Some("br"),
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn confirmed_value_is_stored(content_type in content_types(), coding in codings(), body in bodies()) {
        let mut headers = Vec::new();
        headers.extend(content_type.map(|value| ("content-type", value)));
        headers.extend(coding.map(|value| ("content-encoding", value)));
        assert_queried_is_stored(&headers, &body);
    }
}

/// A source, headers and a body.
type RuleRow<'a> = (&'a Rules, &'a [(&'a str, &'a str)], Vec<u8>);

#[test]
fn genuine_values_are_confirmed() {
    let rows: [RuleRow<'_>; 6] = [
        (&BY_FORM, &[("content-type", FORM)], b"id=A".to_vec()),
        (&BY_FORM, &[("content-type", FORM), ("content-encoding", "gzip")], gzip(b"", b"id=A")),
        (
            &BY_FORM,
            &[("content-type", "application/x-www-form-urlencoded; charset=latin1")],
            b"id=A".to_vec(),
        ),
        (&BY_JSON, &[], b"{\"id\":\"A\"}".to_vec()),
        (&BY_JSON, &[("content-encoding", "deflate")], compress_to_vec_zlib(b"{\"id\":\"A\"}", 6)),
        (
            &BY_JSON,
            &[("content-type", "application/json; charset=utf-16")],
            b"{\0\"\0i\0d\0\"\0:\0\"\0A\0\"\0}\0".to_vec(),
        ),
    ];
    for (rules, headers, body) in rows {
        let seen = post(rules, headers, &body).unwrap();
        assert_eq!(seen.queried.as_deref(), Some("A"), "{headers:?}");
        assert_eq!(stored_id(&seen.content), Some("A".into()), "{headers:?}");
    }
}

/// Content that is read after authentication can be confirmed, although unauthenticated bodies are
/// decoded only up to 2 MiB.
#[test]
fn large_compressed_body_is_confirmed() {
    let coded = ("content-encoding", "gzip");
    let form = gzip(b"&id=A&x=", format!("id=B&pad={}", "a".repeat(200_000)).as_bytes());
    let seen = post(&BY_FORM, &[("content-type", FORM), coded], &form).unwrap();
    assert_eq!((seen.queried.as_deref(), stored_id(&seen.content)), (Some("B"), Some("B".into())));
    let numbers: Vec<String> = (0..500_000).map(|number| number.to_string()).collect();
    let json = format!("{{\"pad\":[{}],\"id\":\"B\"}}", numbers.join(","));
    assert!(json.len() > 3 << 20);
    for content_type in ["application/json", FORM] {
        let seen = post(&BY_JSON, &[("content-type", content_type), coded], &gzip(b"", json.as_bytes()));
        assert_eq!(seen.unwrap().queried.as_deref(), Some("B"), "{content_type}");
    }
}

#[test]
fn undecodable_body_is_not_confirmed() {
    for (coding, body) in [("br", &b"id=A"[..]), ("gzip", b"id=A"), ("zstd", b"x&id=A")] {
        let seen = post(&BY_FORM, &[("content-type", FORM), ("content-encoding", coding)], body).unwrap();
        assert_eq!(seen.queried, None, "{coding}");
    }
}

#[test]
fn field_next_to_payload_is_not_confirmed() {
    let settings = ConfirmSettings { url: "https://api.example.com/{form:id}", token: None };
    let confirm_api = ConfirmApi::own(&settings, recipe("slack").unwrap()).unwrap();
    let queried = |body: &str| {
        let fields = [("content-type", FORM.as_bytes())];
        let request = Request {
            method: "POST",
            target: "/",
            query: "",
            url: "",
            headers: Headers(&fields),
            body: body.as_bytes(),
            now: OffsetDateTime::UNIX_EPOCH,
        };
        confirm_api.confirm_query(&request, None).is_ok()
    };
    assert!(queried("id=A"));
    assert!(!queried("id=A&payload={\"id\":\"B\"}"));
}

/// A genuine form of Braintree.
fn signed_form() -> String {
    let payload = "PG5vdGlmaWNhdGlvbj48a2luZD5jaGVjazwva2luZD48L25vdGlmaWNhdGlvbj4=";
    let key = ring::digest::digest(&ring::digest::SHA1_FOR_LEGACY_USE_ONLY, b"private");
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key.as_ref());
    let tag = hmac::sign(&key, payload.as_bytes());
    let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    form_urlencoded::Serializer::new(String::new())
        .append_pair("bt_signature", &format!("public|{tag}"))
        .append_pair("bt_payload", payload)
        .finish()
}

#[test]
fn signed_fields_do_not_verify_another_body() {
    let rules = verifying("braintree", &[("secret", "private"), ("public_key", "public")]);
    let (form, signed) = (("content-type", FORM), signed_form());
    let coded = |coding| [form, ("content-encoding", coding)];
    for (headers, body) in [
        (&[form][..], signed.clone().into_bytes()),
        (&coded("gzip")[..], gzip(b"", signed.as_bytes())),
        (&coded("identity")[..], signed.clone().into_bytes()),
    ] {
        let payload = post(&rules, headers, &body).unwrap().content;
        let payload: Value = serde_json::from_slice(payload.payload().unwrap()).unwrap();
        assert!(payload["bt_payload"].as_str().unwrap().starts_with("PG5v"), "{headers:?}");
    }
    let other = format!("bt_payload=other&pad={}", "a".repeat(200_000));
    let in_json = format!("{{\"x\":\"&{signed}&\",\"bt_payload\":\"other\"}}");
    for (headers, body, cause) in [
        (&[form][..], in_json.clone().into_bytes(), Cause::MissingHeader),
        (&coded("gzip")[..], in_json.into_bytes(), Cause::MissingHeader),
        (&coded("br")[..], signed.clone().into_bytes(), Cause::SignatureMismatch),
        (&coded("gzip")[..], signed.clone().into_bytes(), Cause::SignatureMismatch),
        (&coded("gzip")[..], gzip(format!("&{signed}&x=").as_bytes(), other.as_bytes()), Cause::TooLarge),
    ] {
        let rejected = post(&rules, headers, &body).map(|seen| seen.content);
        assert_eq!(rejected.unwrap_err(), cause, "{headers:?}");
    }
}

#[test]
fn payload_too_deep_is_verified_and_flagged() {
    let rules = verifying("gitea", &[("secret", "secret")]);
    let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"secret"), deep.as_bytes());
    let signature: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let signature = ("x-gitea-signature", signature.as_str());
    let field = form_urlencoded::Serializer::new(String::new()).append_pair("payload", &deep).finish();
    for (content_type, body) in
        [("application/json", &deep), (FORM, &deep), (FORM, &field), (FORM, &format!("&{field}&"))]
    {
        let seen = post(&rules, &[("content-type", content_type), signature], body.as_bytes()).unwrap();
        let is_flagged =
            matches!(seen.content, MessageContent::Unreadable { reason: UnreadableReason::TooDeep, .. });
        assert!(is_flagged, "{content_type} {body}");
    }
}
