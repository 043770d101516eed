//! The providers as used by the rest of the crate: from settings and requests to verdicts,
//! descriptions and replies.

mod ambiguity;
mod bodies;
mod carried;
mod confirm;
mod descriptions;
mod explain;
mod fetched;
mod handshakes;
mod own;
mod precedence;
mod properties;
mod recipe_files;
mod replies;
mod samples;
mod settings;
mod signatures;

use super::*;
use own::own_requests;
use time::OffsetDateTime;

const NOW: i64 = 1_760_000_000;
const URL: &str = "https://hooks.example.com/webhooks/test";

/// Names with values: settings, or header fields.
type TestSettings<'a> = &'a [(&'a str, &'a str)];

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

/// Settings that bind a provider, if it is listed here or needs only a plain secret.
fn usable(provider: &str) -> Vec<(&'static str, &'static str)> {
    match provider {
        "none" => vec![],
        "token" => vec![("header", "Acme-Webhook-Token"), ("secret", "correct horse")],
        "standard-webhooks" => vec![("secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")],
        _ => vec![("secret", "correct horse")],
    }
}

fn sample_options<'a>(event: Option<&'a str>, nonce: &'a str) -> SampleOptions<'a> {
    SampleOptions { event, now: now(), nonce, url: URL }
}

/// A request that can be changed before verification.
#[derive(Clone, Debug)]
struct SentRequest {
    method: String,
    url: String,
    query: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    now: OffsetDateTime,
}

impl SentRequest {
    fn new(headers: &[(&str, &str)], body: &str) -> Self {
        let headers =
            headers.iter().map(|(name, value)| (name.to_lowercase(), value.as_bytes().to_vec())).collect();
        Self {
            method: "POST".to_owned(),
            url: URL.to_owned(),
            query: String::new(),
            headers,
            body: body.as_bytes().to_vec(),
            now: now(),
        }
    }

    fn sample(verifier: &Verifier, event: Option<&str>) -> Self {
        Self::of(verifier.sample(&sample_options(event, "nonce")).unwrap())
    }

    fn of(sample: Sample) -> Self {
        let headers = sample.headers.into_iter().map(|(name, value)| (name, value.into_bytes())).collect();
        let mark = if sample.query.is_empty() { "" } else { "?" };
        let url = format!("{URL}{mark}{}", sample.query);
        Self {
            method: "POST".to_owned(),
            url,
            query: sample.query,
            headers,
            body: sample.body.into_bytes(),
            now: now(),
        }
    }

    fn put<T>(&self, use_request: impl FnOnce(&Request<'_>) -> T) -> T {
        let fields: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        use_request(&Request {
            method: &self.method,
            target: "/webhooks/test",
            query: &self.query,
            url: &self.url,
            headers: Headers(&fields),
            body: &self.body,
            now: self.now,
        })
    }

    fn verdict(&self, verifier: &Verifier) -> Result<(), Cause> {
        self.verdict_in(verifier, &EmptyKeyStore)
    }

    fn verdict_in(&self, verifier: &Verifier, key_store: &dyn KeyStore) -> Result<(), Cause> {
        self.put(|request| verifier.authenticate(request, key_store)).map_err(|error| match error {
            VerifyError::Rejected(cause) => cause,
            VerifyError::Missing(wanted) => panic!("{wanted:?} must be fetched"),
        })
    }

    fn description(&self, verifier: &Verifier) -> Description {
        self.put(|request| verifier.describe(request, verifier.read_json(&self.body).as_ref()))
    }
}
