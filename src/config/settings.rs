//! The whole configuration, validated.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::source::SourceConfig;
use super::targets::TargetConfig;
use super::targets::rules::KnownEvents;
use super::types::{INBOX, LogFormat, Retention};
use crate::providers::Secret;

/// All settings of the operator.
#[derive(Debug)]
pub struct Config {
    pub listen: SocketAddr,
    pub admin_listen: Option<SocketAddr>,
    pub admin_token: Option<Secret>,
    pub read_token: Option<Secret>,
    pub listener_token: Option<Secret>,
    pub database: PathBuf,
    pub key: Option<Secret>,
    /// The URL without a trailing slash.
    pub public_url: Option<String>,
    pub trusted_proxies: Vec<IpNet>,
    pub retention: Retention,
    pub cleanup_interval: Duration,
    pub max_database_bytes: Option<u64>,
    pub min_free_bytes: u64,
    pub max_body_bytes: usize,
    pub body_budget_bytes: usize,
    pub checkpoint: bool,
    pub search: bool,
    /// `env_logger` filter.
    pub log: String,
    pub log_format: LogFormat,
    pub github_meta_url: String,
    /// Sources in alphabetical order. If empty, the service starts with the source `inbox`.
    pub sources: Vec<SourceConfig>,
    /// Targets in alphabetical order.
    pub targets: Vec<TargetConfig>,
    /// Names of the events that the user's app may emit.
    pub events: Vec<String>,
    /// Private networks that targets created through the API may reach.
    pub target_allow_ips: Vec<IpNet>,
    /// Age at which successful deliveries and the attempts of all finished deliveries are deleted.
    pub attempt_retention: Retention,
    /// Age at which dead deliveries are cleaned up.
    pub dead_retention: Retention,
    /// Limit on the size of rejected requests in the database.
    pub quarantine_bytes: u64,
    /// Age at which rejected requests are cleaned up.
    pub quarantine_retention: Duration,
    /// Warnings about valid values that are probably mistakes; each names its variable.
    pub advice: Vec<String>,
}

impl Config {
    /// Returns the events that targets can subscribe to.
    pub fn known_events(&self) -> KnownEvents {
        known_events(self.sources.iter().map(|source| source.name.clone()), &self.events)
    }

    /// Returns the service's URL on this machine, without a trailing slash: `http://127.0.0.1:8080`
    /// for `0.0.0.0:8080`.
    pub fn local_url(&self) -> String {
        format!("http://{}", reachable(self.listen))
    }

    /// Returns the API's URL on this machine.
    pub fn local_admin_url(&self) -> String {
        format!("http://{}", reachable(self.admin_listen.unwrap_or(self.listen)))
    }

    /// Returns the public URL, or the local one if there is no public URL.
    pub fn base_url(&self) -> String {
        self.public_url.clone().unwrap_or_else(|| self.local_url())
    }
}

pub(super) fn known_events(sources: impl Iterator<Item = String>, events: &[String]) -> KnownEvents {
    let mut sources: Vec<String> = sources.collect();
    if sources.is_empty() {
        sources.push(INBOX.to_owned());
    }
    KnownEvents { sources, emitted: events.to_vec() }
}

/// Returns the address to connect to for a listening address: `0.0.0.0` is not a destination.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}
