//! The endpoints of all sources, with their shared state.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use actix_web::{HttpRequest, web};

use crate::config::FORWARDED_FOR;
use crate::http::Service;
use crate::http::client::client_address;
use crate::ingest::endpoint::Endpoint;
use crate::ingest::peers::Peers;
use crate::ingest::throttle::MAX_KEYS;
use crate::verification::Sources;

#[derive(Debug)]
pub struct Webhooks {
    pub service: web::Data<Service>,
    pub sources: Arc<Sources>,
    pub endpoints: Vec<Arc<Endpoint>>,
    peers: Peers,
}

/// An endpoint with the state that all endpoints share; one for each worker thread.
#[derive(Debug)]
pub struct Mount {
    pub endpoint: Arc<Endpoint>,
    pub webhooks: Arc<Webhooks>,
}

impl Webhooks {
    pub fn new(service: web::Data<Service>, sources: Arc<Sources>) -> Self {
        let throttled = sources.all().iter().filter(|source| source.rate.is_some()).count();
        let throttle_keys = MAX_KEYS / throttled.max(1);
        let endpoint = |source| Arc::new(Endpoint::new(source, throttle_keys, &service.metrics));
        let endpoints = sources.all().iter().map(endpoint).collect();
        Self { service, sources, endpoints, peers: Peers::default() }
    }

    /// Returns the client address of a webhook. Also records the peer, to detect an untrusted
    /// proxy.
    pub fn client(&self, request: &HttpRequest) -> IpAddr {
        let proxies = &self.service.proxies;
        if let Some(peer) = request.peer_addr() {
            let is_forwarded = request.headers().contains_key(FORWARDED_FOR);
            self.peers.note(peer.ip(), proxies.trust(peer.ip().to_canonical()), is_forwarded);
        }
        client_address(proxies, request).unwrap_or(Ipv4Addr::UNSPECIFIED.into())
    }
}
