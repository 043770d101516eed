//! Standard Webhooks signatures of deliveries (standardwebhooks.com, specification version 1.0.0).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac::{self, HMAC_SHA256, Key};

/// Secrets with this prefix contain base64; any others are used as they are.
const PREFIX: &str = "whsec_";

/// The keys of a target, newest first. Does not implement `Debug`.
#[derive(Clone)]
pub struct Signer {
    /// Keys, each with its expiry time in seconds since 1970.
    keys: Vec<(Key, Option<i64>)>,
}

impl Signer {
    /// Creates a signer. A prefixed secret with invalid base64 is used as it is, like one without
    /// the prefix.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a [u8], Option<i64>)>) -> Self {
        let key = |(secret, until)| (Key::new(HMAC_SHA256, &key_bytes(secret)), until);
        Self { keys: secrets.into_iter().map(key).collect() }
    }

    /// Returns the value of `webhook-signature`, with one signature per key that has not expired;
    /// `None` without such a key.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
        let mut value = String::new();
        for (key, _) in self.keys.iter().filter(|(_, until)| until.is_none_or(|until| timestamp < until)) {
            let mut context = hmac::Context::with_key(key);
            context.update(format!("{id}.{timestamp}.").as_bytes());
            context.update(body);
            if !value.is_empty() {
                value.push(' ');
            }
            value.push_str("v1,");
            BASE64_STANDARD.encode_string(context.sign(), &mut value);
        }
        (!value.is_empty()).then_some(value)
    }
}

fn key_bytes(secret: &[u8]) -> Vec<u8> {
    let encoded = secret.strip_prefix(PREFIX.as_bytes());
    encoded.and_then(|text| BASE64_STANDARD.decode(text).ok()).unwrap_or_else(|| secret.to_vec())
}

#[cfg(test)]
mod tests {
    use standardwebhooks::Webhook;

    use super::*;

    const ENCODED: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    fn headers(id: &str, timestamp: i64, signature: &str) -> http::HeaderMap {
        let mut headers = http::HeaderMap::new();
        headers.insert("webhook-id", id.parse().unwrap());
        headers.insert("webhook-timestamp", timestamp.to_string().parse().unwrap());
        headers.insert("webhook-signature", signature.parse().unwrap());
        headers
    }

    #[test]
    fn public_library_verifies_both_secret_forms() {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let body = "{\"name\":\"Zoë\"}".as_bytes();
        let signer = Signer::new([(ENCODED.as_bytes(), None), (b"plain text".as_slice(), None)]);
        let signature = signer.sign("msg_1", now, body).unwrap();
        for webhook in [Webhook::new(ENCODED).unwrap(), Webhook::from_bytes(b"plain text".to_vec()).unwrap()]
        {
            webhook.verify(body, &headers("msg_1", now, &signature)).unwrap();
            assert!(webhook.verify(b"{}", &headers("msg_1", now, &signature)).is_err());
            assert!(webhook.verify(body, &headers("msg_2", now, &signature)).is_err());
            assert!(webhook.verify(body, &headers("msg_1", now + 1, &signature)).is_err());
        }
        let other = Signer::new([(b"another".as_slice(), None)]).sign("msg_1", now, body).unwrap();
        assert!(Webhook::new(ENCODED).unwrap().verify(body, &headers("msg_1", now, &other)).is_err());
    }

    #[test]
    fn published_example_matches_its_signature() {
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let body = br#"{"test": 2432232314}"#;
        let signer = Signer::new([(b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".as_slice(), None)]);
        assert_eq!(
            signer.sign(id, 1_614_265_330, body).unwrap(),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn old_secret_also_signs_until_it_expires() {
        let signer = Signer::new([(b"new".as_slice(), None), (b"old".as_slice(), Some(1_000))]);
        let signatures = |at| signer.sign("msg_1", at, b"").unwrap().split(' ').count();
        assert_eq!((signatures(999), signatures(1_000)), (2, 1));
    }

    #[test]
    fn body_is_unsigned_without_secret() {
        assert_eq!(Signer::new([]).sign("msg_1", 0, b""), None);
    }
}
