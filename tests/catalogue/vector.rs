//! A test vector: a request, the configuration of its source, and the expected result.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use creel::testing::{
    Headers, KeyRequest, KeyResponse, KeyStore, Recipe, Request, Roots, Secret, Settings, Verifier, recipe,
};
use serde::Deserialize;
use serde_json::Value;
use time::OffsetDateTime;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vector {
    pub provider: String,
    pub name: String,
    #[serde(default)]
    pub kind: Kind,
    #[expect(dead_code, reason = "for readers of the file")]
    source: String,
    #[expect(dead_code, reason = "for readers of the file")]
    published: bool,
    pub config: Config,
    pub method: String,
    pub path_and_query: String,
    pub full_url: Option<String>,
    pub headers: BTreeMap<String, HeaderValue>,
    #[serde(default)]
    body: String,
    body_base64: Option<String>,
    pub now: Option<f64>,
    pub expect: Expect,
    #[expect(dead_code, reason = "for readers of the file")]
    why: String,
    pub expect_response: Option<Response>,
    /// The expected event. Only the project's own vectors have an event, a delivery id and a reply.
    pub event: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub delivery_id: Option<Option<String>>,
    pub reply: Option<Reply>,
}

/// Distinguishes `null` from a missing field.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    #[default]
    Delivery,
    Handshake,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    Accept,
    Reject,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum HeaderValue {
    One(String),
    Many(Vec<String>),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    pub status: u16,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub body: String,
    pub then_get: Option<String>,
    pub then_store: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    pub status: u16,
    pub content_type: Option<String>,
    pub body: String,
}

/// The configuration of the source, and the external data of the test: keys, documents and the
/// address of the client.
#[derive(Clone, Debug, Deserialize)]
pub struct Config {
    pub jwks: Option<Value>,
    #[serde(default)]
    pub keys_by_id: BTreeMap<String, String>,
    #[serde(default)]
    pub fetch: BTreeMap<String, Value>,
    pub url: Option<String>,
    pub tolerance_seconds: Option<u64>,
    #[serde(default)]
    pub secrets: Vec<String>,
    #[serde(default)]
    pub allow: Vec<String>,
    pub peer_ip: Option<String>,
    /// The settings of the recipe: all other fields.
    #[serde(flatten)]
    pub settings: BTreeMap<String, Value>,
}

/// Reads all vectors.
pub fn all() -> Vec<Vector> {
    let given = std::env::var("TEST_VECTORS").ok().filter(|path| !path.is_empty());
    let place =
        given.map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors"), PathBuf::from);
    let mut files: Vec<PathBuf> = if place.is_dir() {
        std::fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().path()).collect()
    } else {
        vec![place]
    };
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let read = |file: &PathBuf| -> Vec<Vector> {
        let text =
            std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    };
    let vectors: Vec<Vector> = files.iter().flat_map(read).collect();
    assert!(!vectors.is_empty(), "no vectors were found");
    vectors
}

impl Vector {
    /// The name of the recipe. The vectors use other names for two recipes.
    pub fn provider(&self) -> &str {
        match self.provider.as_str() {
            "acme-token" => "token",
            "ip-allowlist" => "none",
            other => other,
        }
    }

    pub fn recipe(&self) -> Result<&'static Recipe, String> {
        recipe(self.provider()).ok_or_else(|| "there is no such provider".to_owned())
    }

    pub fn body(&self) -> Vec<u8> {
        match &self.body_base64 {
            Some(text) => STANDARD.decode(text).unwrap(),
            None => self.body.clone().into_bytes(),
        }
    }

    pub fn now(&self) -> OffsetDateTime {
        let seconds = self.now.unwrap_or(1_760_000_000.0);
        #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970 with decimals fit")]
        OffsetDateTime::from_unix_timestamp_nanos((seconds * 1e3) as i128 * 1_000_000).unwrap()
    }

    /// The URL as registered with the provider.
    pub fn registered_url(&self) -> String {
        let configured = self.config.url.clone().or_else(|| self.full_url.clone());
        configured.unwrap_or_else(|| format!("https://hooks.example.com{}", self.path_and_query))
    }

    pub fn query(&self) -> &str {
        self.path_and_query.split_once('?').map_or("", |(_, query)| query)
    }

    /// The URL that the scheme verifies: the registered URL, with the query of the request if it
    /// has no query.
    pub fn url(&self) -> String {
        let url = self.registered_url();
        if url.contains('?') || self.query().is_empty() { url } else { format!("{url}?{}", self.query()) }
    }

    /// The settings of the recipe, each with its values.
    pub fn settings(&self) -> BTreeMap<String, Vec<String>> {
        let mut settings: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in &self.config.settings {
            let name = if name == "rate" { "allowed_rate" } else { name };
            let text = match value {
                Value::Array(words) => {
                    words.iter().map(|word| word.as_str().unwrap()).collect::<Vec<_>>().join(" ")
                }
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            settings.insert(name.to_owned(), vec![text]);
        }
        if !self.config.secrets.is_empty() {
            settings.entry("secret".to_owned()).or_default().extend(self.config.secrets.iter().cloned());
        }
        settings
    }

    /// The configured tolerance, if the recipe supports one.
    pub fn tolerance(&self) -> Option<u64> {
        let has_one = self.recipe().is_ok_and(|recipe| recipe.tolerance().is_some());
        self.config.tolerance_seconds.filter(|_| has_one)
    }

    /// # Errors
    /// An unknown provider, or settings that it does not accept.
    pub fn verifier(&self) -> Result<Verifier, String> {
        let values = self
            .settings()
            .into_iter()
            .map(|(name, values)| (name, values.into_iter().map(Secret::new).collect::<Vec<_>>()));
        let settings = Settings {
            values: values.collect(),
            tolerance: self.tolerance().map(Duration::from_secs),
            ..Settings::default()
        };
        Verifier::bind(self.recipe()?, &settings)
            .map_err(|errors| format!("it cannot be configured: {errors:?}"))
    }

    pub fn header_lines(&self) -> Vec<(String, String)> {
        let lines = |(name, value): (&String, &HeaderValue)| match value {
            HeaderValue::One(value) => vec![(name.clone(), value.clone())],
            HeaderValue::Many(values) => values.iter().map(|value| (name.clone(), value.clone())).collect(),
        };
        self.headers.iter().flat_map(lines).collect()
    }

    /// Calls the function with the request, in the form that the HTTP layer uses.
    pub fn put<T>(&self, use_request: impl FnOnce(&Request<'_>) -> T) -> T {
        let lines: Vec<(String, String)> =
            self.header_lines().into_iter().map(|(name, value)| (name.to_lowercase(), value)).collect();
        let mut fields: Vec<(&str, &[u8])> =
            lines.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        fields.sort_by_key(|(name, _)| *name);
        let (body, url) = (self.body(), self.url());
        use_request(&Request {
            method: &self.method,
            target: &self.path_and_query,
            query: self.query(),
            url: &url,
            headers: Headers(&fields),
            body: &body,
            now: self.now(),
        })
    }

    /// The response to a key request, from the data of the vector.
    pub fn fetched(&self, wanted: &KeyRequest) -> KeyResponse {
        match wanted {
            KeyRequest::Key { id } => self.keys(id.as_deref()),
            KeyRequest::Document(url) | KeyRequest::Issuer(url) => match self.config.fetch.get(url) {
                Some(Value::String(text)) => KeyResponse::Document(text.clone().into_bytes()),
                _ => KeyResponse::Unknown,
            },
        }
    }

    /// The response of the provider's API at a URL: 200 with a body, or another status without one.
    pub fn api_response(&self, url: &str) -> (u16, String) {
        match self.config.fetch.get(url) {
            Some(Value::String(text)) => (200, text.clone()),
            Some(status) => (u16::try_from(status.as_u64().unwrap()).unwrap(), String::new()),
            None => (404, String::new()),
        }
    }

    fn keys(&self, id: Option<&str>) -> KeyResponse {
        let set = self.config.jwks.as_ref().and_then(|set| set.get("keys")).and_then(Value::as_array);
        let in_set = set.into_iter().flatten().filter(|key| {
            let kid = key.get("kid").and_then(Value::as_str);
            id.is_none() || kid == id
        });
        let by_id = self.config.keys_by_id.iter().filter(|(kid, _)| id.is_none_or(|id| id == *kid));
        let keys: Vec<String> =
            in_set.map(ToString::to_string).chain(by_id.map(|(_, key)| key.clone())).collect();
        if keys.is_empty() { KeyResponse::Unknown } else { KeyResponse::Keys(keys) }
    }

    /// The certificates of the vector, which are the only trusted ones.
    pub fn certificates(&self) -> String {
        self.config.fetch.values().filter_map(Value::as_str).collect()
    }
}

/// A key store with the keys, documents and trusted certificates of a vector.
pub struct World<'a> {
    vector: &'a Vector,
    roots: Roots,
}

impl<'a> World<'a> {
    pub fn of(vector: &'a Vector) -> Self {
        Self { vector, roots: Roots::from_pem(&vector.certificates()) }
    }
}

impl KeyStore for World<'_> {
    fn known(&self, wanted: &KeyRequest) -> KeyResponse {
        self.vector.fetched(wanted)
    }

    fn roots(&self) -> &Roots {
        &self.roots
    }
}
