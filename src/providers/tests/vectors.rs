//! Published and computed vectors, one file for each provider.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::*;

#[derive(Deserialize)]
struct Vector {
    provider: String,
    name: String,
    config: Config,
    headers: BTreeMap<String, String>,
    body: String,
    now: Option<i64>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    secret: Option<String>,
    secrets: Option<Vec<String>>,
    header: Option<String>,
    tolerance_seconds: Option<u64>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Expect {
    Accept,
    Reject,
}

impl Config {
    fn settings(&self) -> Settings {
        let secrets = self.secret.iter().chain(self.secrets.iter().flatten());
        let mut values: Vec<(&str, &str)> = secrets.map(|secret| ("secret", secret.as_str())).collect();
        values.extend(self.header.iter().map(|header| ("header", header.as_str())));
        Settings { tolerance: self.tolerance_seconds.map(Duration::from_secs), ..settings(&values) }
    }
}

fn run(vectors: &str, count: usize) {
    let vectors: Vec<Vector> = serde_json::from_str(vectors).unwrap();
    assert_eq!(vectors.len(), count, "a vector was lost");
    for vector in vectors {
        let verifier = Verifier::bind(recipe(&vector.provider).unwrap(), &vector.config.settings()).unwrap();
        let headers: Vec<(&str, &str)> =
            vector.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let mut sent = Sent::new(&headers, &vector.body);
        sent.now = OffsetDateTime::from_unix_timestamp(vector.now.unwrap_or(NOW)).unwrap();
        let verdict = sent.verdict(&verifier);
        let got = if verdict.is_ok() { Expect::Accept } else { Expect::Reject };
        assert_eq!(got, vector.expect, "{}: {verdict:?}", vector.name);
    }
}

#[test]
fn github_agrees_with_its_vectors() {
    run(include_str!("../../../tests/vectors/github.json"), 28);
}

#[test]
fn typeform_agrees_with_its_vectors() {
    run(include_str!("../../../tests/vectors/typeform.json"), 7);
}

#[test]
fn stripe_agrees_with_its_vectors() {
    run(include_str!("../../../tests/vectors/stripe.json"), 12);
}

#[test]
fn standard_webhooks_agrees_with_its_vectors() {
    run(include_str!("../../../tests/vectors/standard-webhooks.json"), 18);
}

#[test]
fn token_agrees_with_its_vectors() {
    run(include_str!("../../../tests/vectors/token.json"), 8);
}
