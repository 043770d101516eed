//! Small values that several parts of the configuration share.

use std::fmt;
use std::time::Duration;

use ipnet::IpNet;

/// Name of the source that exists if no source is configured.
pub const INBOX: &str = "inbox";

/// Age at which messages are cleaned up.
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
    /// Also GitHub's published `hooks` list.
    pub github: bool,
}

/// `count` requests in `per`, as a token bucket of `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u32,
    pub per: Duration,
}

/// Every problem found, each with its variable's name.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} problem{plural} in the configuration:")?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}
