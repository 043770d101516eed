//! The providers as the rest of the crate sees them: settings and requests in, verdicts, descriptions and replies out.

mod descriptions;
mod properties;
mod recipe_files;
mod replies;
mod settings;
mod signatures;
mod vectors;

use super::*;
use time::OffsetDateTime;

const NOW: i64 = 1_760_000_000;

/// Names with values: settings, or header fields.
type Values<'a> = &'a [(&'a str, &'a str)];

fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(NOW).unwrap()
}

fn settings(values: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::default();
    for (key, value) in values {
        settings.values.entry((*key).to_owned()).or_default().push(Secret::new(*value));
    }
    settings
}

fn bind(provider: &str, values: &[(&str, &str)]) -> Verifier {
    Verifier::bind(recipe(provider).unwrap(), &settings(values)).unwrap()
}

/// Settings with which every provider of the catalogue can be bound.
fn usable(provider: &str) -> Vec<(&'static str, &'static str)> {
    match provider {
        "none" => vec![],
        "token" => vec![("header", "Acme-Webhook-Token"), ("secret", "correct horse")],
        "standard-webhooks" => vec![("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
        _ => vec![("secret", "correct horse")],
    }
}

/// A request that can be changed before it is put to a verifier.
#[derive(Clone, Debug)]
struct Sent {
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    now: OffsetDateTime,
}

impl Sent {
    fn new(headers: &[(&str, &str)], body: &str) -> Self {
        let headers =
            headers.iter().map(|(name, value)| (name.to_lowercase(), value.as_bytes().to_vec())).collect();
        Self { headers, body: body.as_bytes().to_vec(), now: now() }
    }

    fn sample(verifier: &Verifier, event: Option<&str>) -> Self {
        let sample = verifier.sample(event, now(), "nonce").unwrap();
        let headers = sample.headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
        Self { headers, body: sample.body.into_bytes(), now: now() }
    }

    fn put<T>(&self, use_request: impl FnOnce(&Request<'_>) -> T) -> T {
        let fields: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        use_request(&Request {
            method: "POST",
            target: "/webhooks/test",
            query: "",
            headers: Headers(&fields),
            body: &self.body,
            now: self.now,
        })
    }

    fn verdict(&self, verifier: &Verifier) -> Result<(), Cause> {
        self.put(|request| verifier.authenticate(request))
    }

    fn description(&self, verifier: &Verifier) -> Description {
        self.put(|request| verifier.describe(request, verifier.read_json(&self.body).as_ref()))
    }
}
