//! Outgoing requests: the only module that uses the HTTP client.
//!
//! Owns the clients, the data fetched with them, and the rules on allowed addresses. It must never
//! follow a redirect, read a response without a limit, take a proxy from the environment, connect
//! to an address other than the vetted one, or use another part of the crate except `json`.

mod client;
mod delivery;
mod event_stream;
mod github_meta;
mod hop;
#[cfg(test)]
mod loopback;
mod reach;
mod resolve;
mod roots;
#[cfg(test)]
mod tests;
mod vetting;

pub use client::{Client, RequestError, Response};
pub use delivery::{DeliveryClient, DeliveryResponse, EXCERPT_BYTES};
pub use event_stream::{EventStream, ServerEvent, StreamAnswer};
pub use github_meta::GithubAddresses;
pub use hop::{HeaderFields, as_variable, remove_hop_fields};
pub use reach::{Reach, VetError, vet_url};
pub use roots::system_roots;
