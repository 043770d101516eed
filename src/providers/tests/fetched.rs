//! Tests which answers of a provider are accepted, and when an unknown key is fetched again.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::*;
use crate::providers::verifier::OwnKey;

const KEY: &str =
    r#"{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

fn id(id: &str) -> KeyRequest {
    KeyRequest::Key { id: Some(id.to_owned()) }
}

#[test]
fn key_set_is_accepted_only_with_usable_key() {
    let pubsub = bind("google-pubsub", &[("audience", "a"), ("service_account", "s")]);
    let all = KeyRequest::Key { id: None };
    let read = |status: u16, body: &str| pubsub.plan(&all).read(status, body.as_bytes());
    assert_eq!(read(200, &format!(r#"{{"keys":[{KEY}]}}"#)), Some(KeyResponse::Keys(vec![KEY.to_owned()])));
    let html = "<html>maintenance</html>";
    for (status, body) in [
        (404, ""),
        (410, ""),
        (400, ""),
        (403, ""),
        (500, ""),
        (302, ""),
        (200, ""),
        (200, html),
        (200, r#"{"error":"later"}"#),
        (200, r#"{"keys":[]}"#),
        (200, r#"{"keys":[{"kid":"a"}]}"#),
        (200, r#"{"keys":[{"kid":"a","kty":"oct","k":"AAAA"}]}"#),
        (200, &format!(r#"{{"keys":[{KEY}]}}{}"#, " ".repeat(300 << 10))),
    ] {
        assert_eq!(read(status, body), None, "{status} {body:.60}");
    }
}

#[test]
fn tink_key_set_contains_web_keys_by_id() {
    let google = bind("google-health", &[("secret", "Bearer correct horse")]);
    let key = |id: u32, status: &str| {
        format!(
            r#"{{"keyData":{{"typeUrl":"type.googleapis.com/google.crypto.tink.EcdsaPublicKey","value":"EgYIAxACGAIaIQBDWg3kaiabjtrVXbSSbcn6e3QqiCLD+B4GuhC/Z1C6miIhACarm0VQv9WjNZG/AB0itXCIGFW5ddInmBFUjK/8w0v3","keyMaterialType":"ASYMMETRIC_PUBLIC"}},"status":"{status}","keyId":{id},"outputPrefixType":"TINK"}}"#
        )
    };
    let set = |keys: &[String]| format!(r#"{{"primaryKeyId":1,"key":[{}]}}"#, keys.join(","));
    let read = |wanted: &KeyRequest, body: &str| google.plan(wanted).read(200, body.as_bytes());
    let all = KeyRequest::Key { id: None };
    let keys = match read(&all, &set(&[key(1, "ENABLED"), key(2, "DISABLED"), key(3, "ENABLED")])) {
        Some(KeyResponse::Keys(keys)) => keys,
        other => panic!("{other:?}"),
    };
    assert_eq!(keys.len(), 2);
    assert_eq!(key_of_set(&keys, "3"), Some(KeyResponse::Keys(vec![keys[1].clone()])));
    assert_eq!(key_of_set(&keys, "2"), None);
    for unusable in
        [set(&[]), set(&[key(2, "DISABLED")]), r#"{"key":{}}"#.to_owned(), r#"{"key":[{}]}"#.to_owned()]
    {
        assert_eq!(read(&all, &unusable), None, "{unusable}");
    }
}

#[test]
fn key_is_unknown_only_after_definite_answer() {
    let plaid = bind("plaid", &[("client_id", "c"), ("api_secret", "s")]);
    let wanted = id("a");
    let read = |status: u16, body: &str| plaid.plan(&wanted).read(status, body.as_bytes());
    assert_eq!(read(200, &format!(r#"{{"key":{KEY}}}"#)), Some(KeyResponse::Keys(vec![KEY.to_owned()])));
    assert_eq!(read(404, ""), Some(KeyResponse::Unknown));
    // Rejected credentials or an outage do not mean that the key is unknown: the sender retries.
    for (status, body) in
        [(400, ""), (401, ""), (422, ""), (500, ""), (200, "{}"), (200, r#"{"key":"later"}"#)]
    {
        assert_eq!(read(status, body), None, "{status} {body}");
    }
}

#[test]
fn html_page_is_not_accepted_as_certificate() {
    let paypal = bind("paypal", &[("webhook_id", "w")]);
    for wanted in [
        KeyRequest::Document("https://api.paypal.com/c".into()),
        KeyRequest::Issuer("http://ca.example/c".into()),
    ] {
        let read = |status: u16, body: &[u8]| paypal.plan(&wanted).read(status, body);
        assert_eq!(read(200, b"<html>maintenance</html>"), None);
        assert_eq!(read(200, b""), None);
        assert_eq!(read(500, b""), None);
        assert_eq!(read(404, b""), Some(KeyResponse::Unknown));
        let certificate = [&[0x30, 0x82][..], &[0; 1_000]].concat();
        assert_eq!(read(200, &certificate), Some(KeyResponse::Document(certificate.clone())));
        assert_eq!(read(200, &[certificate, vec![0; 64 << 10]].concat()), None);
    }
}

/// A key store with fixed keys, which may be outdated.
struct FixedKeys {
    keys: Vec<String>,
    is_old: bool,
}

impl KeyStore for FixedKeys {
    fn known(&self, _: &KeyRequest) -> KeyResponse {
        KeyResponse::Keys(self.keys.clone())
    }

    fn may_be_outdated(&self, wanted: &KeyRequest) -> bool {
        self.is_old && *wanted == (KeyRequest::Key { id: None })
    }

    fn roots(&self) -> &Roots {
        EmptyKeyStore.roots()
    }
}

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap()
}

fn known(pair: &Ed25519KeyPair, is_old: bool) -> FixedKeys {
    let x = URL_SAFE_NO_PAD.encode(pair.public_key().as_ref());
    FixedKeys { keys: vec![format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)], is_old }
}

#[test]
fn signature_with_unnamed_new_key_needs_new_set() {
    let fal = bind("fal", &[]);
    let (old, new) = (pair(1), pair(2));
    let (body, time) = ("{}", NOW.to_string());
    let digest =
        crate::scheme::encoding::hex(ring::digest::digest(&ring::digest::SHA256, body.as_bytes()).as_ref());
    let signature =
        crate::scheme::encoding::hex(new.sign(format!("id\nuser\n{time}\n{digest}").as_bytes()).as_ref());
    let fal_sent = SentRequest::new(
        &[
            ("x-fal-webhook-request-id", "id"),
            ("x-fal-webhook-user-id", "user"),
            ("x-fal-webhook-timestamp", &time),
            ("x-fal-webhook-signature", &signature),
        ],
        body,
    );
    let auth = bind("fusionauth", &[("base_url", "https://auth.example.com")]);
    let token = |header: &str| {
        let digest = ring::digest::digest(&ring::digest::SHA256, body.as_bytes());
        let digest = base64::engine::general_purpose::STANDARD.encode(digest.as_ref());
        let claims = URL_SAFE_NO_PAD.encode(format!(r#"{{"request_body_sha256":"{digest}"}}"#));
        let signed = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(header));
        let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(new.sign(signed.as_bytes())));
        SentRequest::new(&[("x-fusionauth-signature-jwt", &token)], body)
    };
    let missing = Err(VerifyError::Missing(KeyRequest::Key { id: None }));
    let rejected = Err(VerifyError::Rejected(Cause::SignatureMismatch));
    for (verifier, sent) in [(&fal, fal_sent), (&auth, token(r#"{"alg":"EdDSA"}"#))] {
        let verdict = |key_store: &FixedKeys| sent.put(|request| verifier.authenticate(request, key_store));
        assert_eq!(verdict(&known(&new, true)), Ok(()));
        assert_eq!(verdict(&known(&old, true)), missing);
        assert_eq!(verdict(&known(&old, false)), rejected);
    }
    // A known key with an id is not fetched again.
    let named = token(r#"{"alg":"EdDSA","kid":"a"}"#);
    assert_eq!(named.put(|request| auth.authenticate(request, &known(&old, true))), rejected);
    // A source with its own keys fetches none.
    let mut configured = bind("fusionauth", &[]);
    configured.own_keys = vec![OwnKey { id: None, text: known(&old, true).keys.remove(0) }];
    let sent = token(r#"{"alg":"EdDSA"}"#);
    assert_eq!(sent.put(|request| configured.authenticate(request, &known(&old, true))), rejected);
}

#[test]
fn malformed_key_id_is_never_fetched() {
    let plaid = bind("plaid", &[("client_id", "c"), ("api_secret", "s")]);
    let ebay = bind("ebay", &[("app_credentials", "c")]);
    let token = |kid: &str| {
        let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"ES256"{kid}}}"#));
        SentRequest::new(&[("plaid-verification", &format!("{header}.e30.AAAA"))], "{}")
    };
    let named = |id: &str| {
        let value = format!(r#"{{"alg":"ecdsa","kid":"{id}","signature":"AAAA","digest":"SHA1"}}"#);
        let value = base64::engine::general_purpose::STANDARD.encode(value);
        SentRequest::new(&[("x-ebay-signature", &value)], "{}")
    };
    for (verifier, sent) in [
        (&plaid, token("")),
        (&plaid, token(r#","kid":"""#)),
        (&ebay, named("..")),
        (&ebay, named(".")),
        (&ebay, named("")),
        (&ebay, named(&"a".repeat(257))),
    ] {
        assert_eq!(sent.verdict(verifier), Err(Cause::UnknownKey), "{sent:?}");
    }
    let missing = |wanted: KeyRequest| Err(VerifyError::Missing(wanted));
    assert_eq!(token(r#","kid":"a""#).put(|r| plaid.authenticate(r, &EmptyKeyStore)), missing(id("a")));
    assert_eq!(named("a.b").put(|r| ebay.authenticate(r, &EmptyKeyStore)), missing(id("a.b")));
}
