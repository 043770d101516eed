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
    /// The URL registered with the provider, if it is not the public URL followed by the path of
    /// the request.
    pub url: Option<String>,
    pub allow: Option<Allow>,
    /// Upper case.
    pub methods: Vec<String>,
    /// Whether GET and HEAD requests are answered with 200 and not stored.
    pub probe: bool,
    pub rate: Option<Rate>,
    pub dedupe: Option<Duration>,
    pub retention: Option<Retention>,
    /// Confirmation of messages before they are delivered; `None`: off.
    pub confirm: Option<Confirm>,
}

impl SourceConfig {
    /// Returns the path of the source's URL, such as `/webhooks/shop/<path>`. The result contains
    /// the random path part, so it must be printed only where that is intended.
    pub fn endpoint(&self) -> String {
        match &self.path {
            Some(path) => format!("/webhooks/{}/{}", self.name, String::from_utf8_lossy(path.expose())),
            None => format!("/webhooks/{}", self.name),
        }
    }
}
