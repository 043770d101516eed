//! For senders that sign the JSON, in any part of the request, the stored content is the signed
//! content.

use std::sync::Arc;

use bytes::Bytes;
use ring::hmac;
use time::OffsetDateTime;

use crate::providers::{Cause, EmptyKeyStore, Headers, Request, Secret, Settings, Verifier, recipe};
use crate::store::MessageContent;
use crate::verification::examine::{Proof, Rules, VerificationOutcome, examine};
use crate::verification::room::DecodingRoom;

const SIGNED: &str = r#"{"ref":"é","after":"signed + 1%"}"#;
const OTHER: &str = r#"{"ref":"other"}"#;
const FORM: &str = "application/x-www-form-urlencoded";

/// A request whose signature is that of `SIGNED`.
struct SignedRequest<'a> {
    method: &'a str,
    query: String,
    headers: Vec<(&'a str, &'a str)>,
    body: String,
}

fn field(name: &str, value: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

fn post<'a>(content_type: &'a str, body: &str) -> SignedRequest<'a> {
    let headers = vec![("content-type", content_type)];
    SignedRequest { method: "POST", query: String::new(), headers, body: body.to_owned() }
}

fn get(query: &str) -> SignedRequest<'static> {
    SignedRequest { method: "GET", query: query.to_owned(), headers: Vec::new(), body: String::new() }
}

impl SignedRequest<'_> {
    fn content(&self) -> Result<MessageContent, Cause> {
        let secret = Secret::new("the secret");
        let settings =
            Settings { values: [("secret".to_owned(), vec![secret])].into(), ..Settings::default() };
        let verifier = Verifier::bind(recipe("gitea").unwrap(), &settings).unwrap();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, b"the secret"), SIGNED.as_bytes());
        let signature: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut fields: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        fields.push(("x-gitea-signature", signature.as_bytes()));
        let body = Bytes::from(self.body.clone());
        let request = Request {
            method: self.method,
            target: "/",
            query: &self.query,
            url: "",
            headers: Headers(&fields),
            body: &body,
            now: OffsetDateTime::UNIX_EPOCH,
        };
        let rules = Rules { verifier: Arc::new(verifier), confirm_api: None };
        let room = DecodingRoom { max_bytes: 1 << 20, reservation: None };
        match examine(&rules, &request, &body, Proof::NeedsBody, &EmptyKeyStore, room) {
            Ok(VerificationOutcome::Message(examined)) => Ok(examined.content),
            Ok(VerificationOutcome::Handshake(_)) => panic!("no handshake was sent"),
            Ok(VerificationOutcome::Rejected(reason)) => Err(reason.cause),
            Err(error) => panic!("{error:?}"),
        }
    }

    fn with_query(self, query: String) -> Self {
        Self { query, ..self }
    }
}

#[test]
fn json_is_read_from_body_form_and_query() {
    let payload = field("payload", SIGNED);
    for sent in [
        post("application/json", SIGNED),
        post("text/plain", SIGNED),
        post(FORM, SIGNED),
        post(FORM, &payload),
        post("Application/X-WWW-Form-Urlencoded; charset=utf-8", &payload),
        get(&payload),
        get(&format!("token=x&{payload}")),
        post("application/json", SIGNED).with_query("token=x".to_owned()),
    ] {
        let content = sent.content().unwrap();
        assert_eq!(content.payload(), Some(SIGNED.as_bytes()), "{} {}", sent.query, sent.body);
    }
}

/// Other fields and misleading headers never change the parsed content.
#[test]
fn other_json_is_never_read_with_the_signature() {
    let (signed, other) = (field("payload", SIGNED), field("payload", OTHER));
    let part = |json: &str| {
        format!("--b\r\nContent-Disposition: form-data; name=\"payload\"\r\n\r\n{json}\r\n--b--\r\n")
    };
    let headers = |more: &'static str, value: &'static str| {
        let mut sent = post(FORM, &signed);
        sent.headers.insert(0, (more, value));
        sent
    };
    let twice = |first: &'static str, second: &'static str, body: &str| {
        let mut sent = post(first, body);
        sent.headers.push(("content-type", second));
        sent
    };
    let both = |one: &str, two: &str| format!("{one}&{two}");
    let escaped_name = signed.replacen("payload", "p%61yload", 1);
    let requests = [
        post("application/json", OTHER),
        post(FORM, &other),
        post(FORM, &both(&signed, &other)),
        post(FORM, &both(&other, &signed)),
        post(FORM, &both(&signed, "ref=other")),
        post(FORM, &both(&signed, &escaped_name)),
        post("multipart/form-data; boundary=b", &part(SIGNED)),
        post("multipart/form-data; boundary=b", &part(OTHER)),
        post("application/json", SIGNED).with_query(other.clone()),
        post("application/json", SIGNED).with_query(escaped_name.clone()),
        post(FORM, &signed).with_query(other.clone()),
        post(FORM, &other).with_query(signed.clone()),
        post("application/json", OTHER).with_query(signed.clone()),
        post("application/json", "").with_query(signed.clone()),
        get(&other),
        get(&both(&signed, &other)),
        get(&both(&other, &signed)),
        get(&both(&signed, &escaped_name)),
        SignedRequest { body: OTHER.to_owned(), ..get(&signed) },
        SignedRequest { body: SIGNED.to_owned(), ..get(&other) },
        SignedRequest { headers: vec![("content-type", FORM)], ..get(&signed) },
        SignedRequest { headers: vec![("content-encoding", "gzip")], ..get(&signed) },
        post("application/x-www-form-urlencoded; charset=iso-8859-1", &signed),
        post("application/x-www-form-urlencoded; charset=utf-16", &signed),
        headers("content-encoding", "gzip"),
        headers("content-encoding", "deflate"),
        twice(FORM, "application/json", &signed),
        twice("application/json", FORM, &signed),
        twice("multipart/form-data; boundary=b", FORM, &signed),
    ];
    let mut accepted = 0;
    for sent in requests {
        let name = format!("{} ?{} {:?} {}", sent.method, sent.query, sent.headers, sent.body);
        let Ok(content) = sent.content() else { continue };
        accepted += 1;
        assert!(content.payload().is_none_or(|payload| payload == SIGNED.as_bytes()), "{name}: {content:?}");
        let stored = match &content {
            MessageContent::Json(body)
            | MessageContent::Decoded { body, .. }
            | MessageContent::Unreadable { body, .. } => body,
        };
        let is_signed = *stored == SIGNED.as_bytes() || *stored == signed.as_bytes();
        assert!(is_signed, "{name}: {content:?}");
    }
    // Misleading headers alone do not cause a genuine request to be rejected.
    assert!(accepted >= 3, "{accepted}");
}
