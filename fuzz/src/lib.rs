//! Shared parts of the fuzz targets: keys and certificates, requests as text, and a source for
//! every built-in recipe.
//!
//! The private keys for `fixtures/` were deleted after generation, so any input that a target
//! verifies is a bug in the code.

use std::borrow::Cow;
use std::collections::BTreeMap;

use creel::testing::{
    Headers, KeyRequest, KeyResponse, KeyStore, Recipe, Request, Roots, Secret, SettingKind, Settings,
    Verifier, recipes,
};
use time::OffsetDateTime;

pub const ROOT: &str = include_str!("../fixtures/root.pem");
pub const INTERMEDIATE: &str = include_str!("../fixtures/intermediate.pem");
pub const LEAF: &str = include_str!("../fixtures/leaf.pem");
/// One of each kind: Ed25519, RSA, P-256, P-384, P-521.
const KEYS: &str = include_str!("../fixtures/keys.pem");

/// The time at which all requests arrive.
pub fn now() -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_760_000_000).expect("the time is within the calendar")
}

/// The public keys, each as PEM.
pub fn keys() -> Vec<String> {
    KEYS.split_inclusive("-----END PUBLIC KEY-----\n").map(str::to_owned).collect()
}

/// Splits data at the first line break.
pub fn line(data: &[u8]) -> (Cow<'_, str>, &[u8]) {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    (String::from_utf8_lossy(&data[..end]), data.get(end + 1..).unwrap_or_default())
}

/// An owned request, which `put` borrows as a `Request`.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

impl Sent {
    /// Reads `METHOD target`, lines of header fields, an empty line, and the body.
    pub fn read(data: &[u8]) -> Self {
        let (first, mut rest) = line(data);
        let (method, target) = first.split_once(' ').unwrap_or((&first, "/"));
        let mut sent = Self { method: method.to_owned(), target: target.to_owned(), ..Self::default() };
        while !rest.is_empty() {
            let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
            let (field, after) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
            rest = after;
            if field.is_empty() {
                break;
            }
            let colon = field.iter().position(|byte| *byte == b':').unwrap_or(field.len());
            let name = String::from_utf8_lossy(&field[..colon]).to_ascii_lowercase();
            sent.headers.push((name, field.get(colon + 1..).unwrap_or_default().to_vec()));
        }
        sent.body = rest.to_vec();
        sent
    }

    pub fn put<T>(&self, use_request: impl FnOnce(&Request<'_>) -> T) -> T {
        let fields: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        use_request(&Request {
            method: &self.method,
            target: &self.target,
            query: self.target.split_once('?').map_or("", |(_, query)| query),
            url: &format!("https://hooks.example.com{}", self.target),
            headers: Headers(&fields),
            body: &self.body,
            now: now(),
        })
    }
}

/// A network that answers every request with the keys and certificates in `fixtures/`.
pub struct World {
    keys: Vec<String>,
    chain: Vec<u8>,
    roots: Roots,
}

impl World {
    pub fn new() -> Self {
        Self { keys: keys(), chain: [LEAF, INTERMEDIATE].concat().into_bytes(), roots: Roots::from_pem(ROOT) }
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl KeyStore for World {
    fn known(&self, wanted: &KeyRequest) -> KeyResponse {
        match wanted {
            KeyRequest::Key { .. } => KeyResponse::Keys(self.keys.clone()),
            KeyRequest::Document(_) | KeyRequest::Issuer(_) => KeyResponse::Document(self.chain.clone()),
        }
    }

    fn roots(&self) -> &Roots {
        &self.roots
    }
}

/// A source for every built-in recipe.
///
/// # Panics
/// No settings fit a recipe: add a value to `values`.
pub fn sources() -> BTreeMap<&'static str, Verifier> {
    recipes().map(|recipe| (recipe.name(), source(recipe))).collect()
}

/// Replaces values of rejected settings until the recipe accepts all.
fn source(recipe: &'static Recipe) -> Verifier {
    let mut choices: BTreeMap<&str, std::vec::IntoIter<String>> = recipe
        .keys()
        .iter()
        .map(|key| (key.name.as_str(), values(&key.name, key.kind).into_iter()))
        .collect();
    let mut settings = Settings::default();
    for (name, values) in &mut choices {
        settings.values.extend(values.next().map(|value| ((*name).to_owned(), vec![Secret::new(value)])));
    }
    loop {
        let errors = match Verifier::bind(recipe, &settings) {
            Ok(verifier) => return verifier,
            Err(errors) => errors,
        };
        for error in &errors {
            let next = choices.get_mut(error.key.as_str()).and_then(Iterator::next);
            let had = match next {
                Some(value) => settings.values.insert(error.key.clone(), vec![Secret::new(value)]),
                // Some settings exclude others.
                None => settings.values.remove(&error.key),
            };
            assert!(had.is_some(), "{} cannot be bound: {errors:?}", recipe.name());
        }
    }
}

/// Possible values of a setting, the likeliest first. No vector contains them.
fn values(name: &str, kind: SettingKind) -> Vec<String> {
    match kind {
        SettingKind::Switch => vec!["yes".to_owned()],
        SettingKind::List => vec!["first-of-the-list second-of-the-list".to_owned()],
        SettingKind::Text if name.contains("header") => vec!["X-Fuzz-Token".to_owned()],
        SettingKind::Text | SettingKind::Secret => {
            let plain = [
                "whsec_8Qp3yLz0cXv7Rk2Jt5Wn9Ad4Hs6Gf1Bu",
                "d41f6c0a97be35827c1e40fb6a9d2853d41f6c0a97be35827c1e40fb6a9d2853",
                "8Qp3yLz0cXv7Rk2Jt5Wn9Ad4Hs6Gf1Bu8Qp3yLz0cXs=",
                "https://hooks.example.com/",
            ];
            plain.into_iter().map(str::to_owned).chain(keys()).collect()
        }
    }
}
