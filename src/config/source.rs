//! A configured source.

use std::time::Duration;

use super::confirm::Confirm;
use super::types::{Allow, Rate, Retention};
use crate::providers::{Secret, Verifier};

/// One configured sender.
#[derive(Debug)]
pub struct SourceConfig {
    /// `[a-z0-9-]+`
    pub name: String,
    pub provider: String,
    pub verifier: Verifier,
    pub path: Option<Secret>,
    /// The URL registered with the provider, if it differs from the public URL and the path.
    pub url: Option<String>,
    pub allow: Option<Allow>,
    /// Upper case.
    pub methods: Vec<String>,
    /// Whether GET and HEAD receive a reply without storing anything.
    pub probe: bool,
    pub rate: Option<Rate>,
    pub dedupe: Option<Duration>,
    pub retention: Option<Retention>,
    /// Confirmation of its messages before they are processed.
    pub confirm: Option<Confirm>,
}

impl SourceConfig {
    /// Returns the path that receives its messages, such as `/webhooks/shop/<path>`. It contains
    /// the random path part: print it only on purpose.
    pub fn endpoint(&self) -> String {
        match &self.path {
            Some(path) => format!("/webhooks/{}/{}", self.name, String::from_utf8_lossy(path.expose())),
            None => format!("/webhooks/{}", self.name),
        }
    }
}
