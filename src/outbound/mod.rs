//! Requests that creel makes itself: the only module that names the HTTP client.
//!
//! Owns the client and what is fetched with it. It must never follow a redirect, read a reply without a bound, take a
//! proxy from the environment, or use another part of the crate.

mod client;
mod github_meta;
#[cfg(test)]
mod loopback;
mod roots;

pub use client::{Client, MAX_RESPONSE_BYTES, RequestError, Response};
pub use github_meta::{GithubAddresses, ListError, Refreshed};
pub use roots::system_roots;
