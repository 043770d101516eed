//! Targets that the environment declares.

use crate::providers::Secret;
use crate::store::TargetSettings;

/// One declared target.
#[derive(Debug)]
pub struct Target {
    /// Without the URL, which may hold a token.
    pub settings: TargetSettings,
    pub destination: Destination,
    /// All of them sign, the first one first. Empty: nothing is signed.
    pub secrets: Vec<Secret>,
    /// Sent with every request; names in lower case.
    pub headers: Vec<(String, Secret)>,
}

/// Where it is.
#[derive(Debug)]
pub enum Destination {
    Http(Secret),
    /// The program and its arguments.
    Command(Vec<String>),
}
