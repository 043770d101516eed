//! The samples of `creel send`, for every provider whose page recommends them.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::harness::{Builder, TestApp};

/// The fields of a vector that contain its settings.
#[derive(Deserialize)]
struct Vector {
    provider: String,
    source: String,
    config: BTreeMap<String, Value>,
    event: Option<String>,
}

/// Fields of `config` that are not settings.
const NOT_SETTINGS: [&str; 7] =
    ["allow", "fetch", "jwks", "keys_by_id", "peer_ip", "tolerance_seconds", "url"];

/// Settings with the address of a provider's API. No process listens on the replacement.
const API_ADDRESSES: [&str; 2] = ["api_url", "validate_url"];

impl Vector {
    /// Returns the project's own vectors, one for each provider.
    fn own() -> Vec<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
        let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let read =
            |file| -> Vec<Self> { serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap() };
        let is_own = |vector: &Self| vector.source == "creel" && vector.event.is_some();
        files.flat_map(read).filter(is_own).collect()
    }

    fn provider(&self) -> &str {
        match self.provider.as_str() {
            "acme-token" => "token",
            "ip-allowlist" => "none",
            other => other,
        }
    }

    /// Whether the page of the provider recommends a sample.
    fn is_recommended(&self) -> bool {
        let page = format!("{}/docs/providers/{}.md", env!("CARGO_MANIFEST_DIR"), self.provider());
        std::fs::read_to_string(page).unwrap().contains(&format!("`creel send {}", self.provider()))
    }

    /// The variables of a source that is named after the provider, as its page shows them.
    fn variables(&self) -> Vec<(String, String)> {
        let prefix = format!("CREEL_SOURCE_{}_", self.provider().replace('-', "_").to_uppercase());
        let text = |name: &str, value: &Value| match value {
            _ if API_ADDRESSES.contains(&name) => "http://127.0.0.1:1/".to_owned(),
            Value::String(text) => text.clone(),
            Value::Array(words) => {
                words.iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(" ")
            }
            other => other.to_string(),
        };
        let settings = self.config.iter().filter(|(name, _)| !NOT_SETTINGS.contains(&name.as_str()));
        let mut variables: Vec<(String, String)> = settings
            .map(|(name, value)| (format!("{prefix}{}", name.to_uppercase()), text(name, value)))
            .collect();
        if self.provider() == "none" {
            variables.push((format!("{prefix}PATH"), "random-path-part-of-the-source".to_owned()));
        }
        if self.provider() == "paypal-postback" {
            variables.push((format!("{prefix}API_URL"), "http://127.0.0.1:1".to_owned()));
        }
        variables
    }

    fn set_in(&self, builder: Builder) -> Builder {
        self.variables().into_iter().fold(builder, |builder, (name, value)| builder.set(&name, value))
    }
}

#[test]
fn recommended_sample_of_every_provider_is_accepted() {
    const PUBLIC_URL: (&str, &str) = ("CREEL_PUBLIC_URL", "https://hooks.example.com");
    let (recommended, others): (Vec<Vector>, Vec<Vector>) =
        Vector::own().into_iter().partition(Vector::is_recommended);
    assert!(recommended.len() > 150, "{}", recommended.len());
    let builder = recommended.iter().fold(TestApp::builder(), |builder, vector| vector.set_in(builder));
    let app = builder.set(PUBLIC_URL.0, PUBLIC_URL.1).start();
    for vector in &recommended {
        // Only this source, because every command would otherwise parse all of them.
        let sender = vector.set_in(Builder::bare().set(PUBLIC_URL.0, PUBLIC_URL.1));
        let sender = sender.set("CREEL_LISTEN", app.address.to_string());
        let reply = sender.run(&["send", vector.provider()]).succeeded();
        assert!(reply.starts_with('2'), "{}: {reply}", vector.provider());
    }
    assert_eq!(app.database().count("messages"), i64::try_from(recommended.len()).unwrap());
    for vector in &others {
        let failure = Builder::bare().run(&["send", vector.provider()]).failed();
        assert!(failure.contains("only the provider has the key"), "{}: {failure}", vector.provider());
    }
}
