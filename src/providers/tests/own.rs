//! The project's own accepted vector of each provider, as a request that tests can change.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::*;

#[derive(Deserialize)]
struct Vector {
    provider: String,
    source: String,
    config: BTreeMap<String, Value>,
    method: String,
    path_and_query: String,
    full_url: Option<String>,
    headers: BTreeMap<String, Value>,
    #[serde(default)]
    body: String,
    now: Option<i64>,
    event: Option<String>,
}

/// A request that its provider's verifier accepts.
#[derive(Debug)]
pub struct OwnRequest {
    pub provider: String,
    pub settings: Settings,
    pub verifier: Verifier,
    pub sent: SentRequest,
    pub world: RemoteKeys,
}

/// The keys and certificates that the network returns for a vector.
#[derive(Clone, Debug)]
pub struct RemoteKeys {
    keys: Vec<(Option<String>, String)>,
    documents: BTreeMap<String, KeyResponse>,
    roots: Roots,
}

impl KeyStore for RemoteKeys {
    fn known(&self, wanted: &KeyRequest) -> KeyResponse {
        match wanted {
            KeyRequest::Key { id } => {
                let fits = |known: &&(Option<String>, String)| id.is_none() || known.0 == *id;
                let keys: Vec<String> = self.keys.iter().filter(fits).map(|(_, key)| key.clone()).collect();
                if keys.is_empty() { KeyResponse::Unknown } else { KeyResponse::Keys(keys) }
            }
            KeyRequest::Document(url) | KeyRequest::Issuer(url) => {
                self.documents.get(url).cloned().unwrap_or(KeyResponse::Unknown)
            }
        }
    }

    fn roots(&self) -> &Roots {
        &self.roots
    }
}

impl RemoteKeys {
    /// Makes all keys unknown.
    pub fn forget_keys(&mut self) {
        self.keys.clear();
    }
}

/// Returns a request for each accepted vector of the project, one for each provider.
pub fn own_requests() -> Vec<OwnRequest> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read =
        |file| -> Vec<Vector> { serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap() };
    let own = |vector: &Vector| vector.source == "creel" && vector.event.is_some();
    files.into_iter().flat_map(read).filter(own).map(OwnRequest::from).collect()
}

impl From<Vector> for OwnRequest {
    fn from(vector: Vector) -> Self {
        let provider = match vector.provider.as_str() {
            "acme-token" => "token",
            "ip-allowlist" => "none",
            other => other,
        };
        let recipe = recipe(provider).unwrap_or_else(|| panic!("{provider}"));
        let settings = settings_of(&vector.config, recipe);
        let query = vector.path_and_query.split_once('?').map_or("", |(_, query)| query).to_owned();
        let registered =
            vector.config.get("url").and_then(Value::as_str).map(str::to_owned).or(vector.full_url);
        let sent = SentRequest {
            method: vector.method,
            url: registered.unwrap_or_else(|| format!("https://hooks.example.com{}", vector.path_and_query)),
            query,
            headers: vector
                .headers
                .into_iter()
                .map(|(name, value)| (name.to_lowercase(), value.as_str().unwrap().as_bytes().to_vec()))
                .collect(),
            body: vector.body.into_bytes(),
            now: OffsetDateTime::from_unix_timestamp(vector.now.unwrap_or(NOW)).unwrap(),
        };
        Self {
            verifier: Verifier::bind(recipe, &settings)
                .unwrap_or_else(|errors| panic!("{provider}: {errors:?}")),
            world: world(&vector.config),
            provider: provider.to_owned(),
            settings,
            sent,
        }
    }
}

fn settings_of(config: &BTreeMap<String, Value>, recipe: &Recipe) -> Settings {
    const PASSED_IN: [&str; 7] =
        ["jwks", "keys_by_id", "fetch", "url", "allow", "peer_ip", "tolerance_seconds"];
    let mut settings = Settings::default();
    for (name, value) in config.iter().filter(|(name, _)| !PASSED_IN.contains(&name.as_str())) {
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Array(words) => words.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
            other => other.to_string(),
        };
        let name = if name == "rate" { "allowed_rate" } else { name };
        settings.values.insert(name.to_owned(), vec![Secret::new(text)]);
    }
    let tolerance =
        config.get("tolerance_seconds").and_then(Value::as_u64).filter(|_| recipe.tolerance().is_some());
    Settings { tolerance: tolerance.map(std::time::Duration::from_secs), ..settings }
}

fn world(config: &BTreeMap<String, Value>) -> RemoteKeys {
    let set = config.get("jwks").and_then(|set| set.get("keys")).and_then(Value::as_array);
    let in_set = set
        .into_iter()
        .flatten()
        .map(|key| (key.get("kid").and_then(Value::as_str).map(str::to_owned), key.to_string()));
    let by_id = config.get("keys_by_id").and_then(Value::as_object);
    let by_id =
        by_id.into_iter().flatten().map(|(id, key)| (Some(id.clone()), key.as_str().unwrap().to_owned()));
    let fetch = config.get("fetch").and_then(Value::as_object);
    let documents: BTreeMap<String, KeyResponse> = fetch
        .into_iter()
        .flatten()
        .filter_map(|(url, value)| {
            Some((url.clone(), KeyResponse::Document(value.as_str()?.as_bytes().to_vec())))
        })
        .collect();
    let certificates = documents.values().filter_map(|answer| match answer {
        KeyResponse::Document(text) => Some(String::from_utf8(text.clone()).unwrap()),
        _ => None,
    });
    let roots = Roots::from_pem(&certificates.collect::<String>());
    RemoteKeys { keys: in_set.chain(by_id).collect(), documents, roots }
}
