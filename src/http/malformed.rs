//! Counts requests that actix-http rejects before any handler runs, and logs them with the peer's
//! address (that of a proxy, if there is one). The log is rate-limited, because any client can send
//! malformed requests.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use actix_http::error::{DispatchError, ParseError};
use prometheus::IntCounterVec;

use crate::http::connections::{Link, Opening};
use crate::http::log_limit::LogLimit;

const LOG_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct MalformedRequests {
    /// Counters by the status of the reply.
    counters: IntCounterVec,
    log: LogLimit,
}

impl MalformedRequests {
    pub fn new(counters: IntCounterVec) -> Self {
        for status in ["400", "408", "431"] {
            counters.with_label_values(&[status]);
        }
        Self { counters, log: LogLimit::new(LOG_INTERVAL) }
    }

    /// Records the end of a connection.
    pub fn connection_ended(&self, link: &Link, result: &Result<(), DispatchError>) {
        match result {
            _ if link.has_slow_head() => self.note(link, "408", "the head did not arrive in time"),
            Err(DispatchError::Parse(error)) => {
                let status = if matches!(error, ParseError::TooLarge) { "431" } else { "400" };
                self.note(link, status, problem(link, error));
            }
            // The client disconnected, or creel closed the connection.
            Ok(()) | Err(DispatchError::Io(_) | DispatchError::DisconnectTimeout) => {}
            Err(error) => log::error!("a connection of {} failed: {error}", Peer(link.peer())),
        }
    }

    fn note(&self, link: &Link, status: &str, problem: &str) {
        self.counters.with_label_values(&[status]).inc();
        let Some(omitted) = self.log.take(Instant::now()) else { return };
        let peer = Peer(link.peer());
        match link.opening() {
            Opening::ProxyProtocol => log::warn!(
                "{peer} sends the PROXY protocol, which is not supported: remove send-proxy or send-proxy-v2 (HAProxy), \
                 proxy_protocol (nginx) or write-proxy (hitch) there, have the proxy set X-Forwarded-For, and set \
                 CREEL_TRUSTED_PROXIES{omitted}"
            ),
            Opening::Tls => log::info!("{peer} sends TLS to a port that serves plain HTTP{omitted}"),
            Opening::Http => {
                log::info!("malformed request from {peer}: {problem}, answered {status}{omitted}")
            }
        }
    }
}

fn problem(link: &Link, error: &ParseError) -> &'static str {
    match error {
        _ if link.has_long_name() => "a header name is too long",
        ParseError::Method => "the method is invalid",
        ParseError::Uri(_) => "the request target is invalid",
        ParseError::Version => "the HTTP version is not supported",
        ParseError::Header => "a header is invalid",
        ParseError::TooLarge => "the head is too large",
        ParseError::Incomplete => "the request is incomplete",
        _ => "it cannot be parsed",
    }
}

/// The address of a peer, if known.
struct Peer(Option<IpAddr>);

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(ip) => ip.to_canonical().fmt(f),
            None => f.write_str("an unknown address"),
        }
    }
}
