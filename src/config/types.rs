//! Small values that several parts of the configuration share.

use std::time::Duration;

use ipnet::IpNet;

/// Name of the source that exists if no source is configured.
pub const INBOX: &str = "inbox";

/// Age at which messages or deliveries are deleted. `Keep`: never because of their age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retention {
    Keep,
    For(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

/// Client addresses that may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allow {
    pub nets: Vec<IpNet>,
    /// Whether addresses in GitHub's published `hooks` list may send, too.
    pub github: bool,
}

/// On average at most `count` requests in `per`, enforced by a token bucket with room for `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub per: Duration,
}
