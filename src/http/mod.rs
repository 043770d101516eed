//! Shared parts of webhooks, the admin API and the operator's pages: connections and their limits,
//! bodies and their memory, client addresses, tokens, the request log, metrics. This module has no
//! routes.

pub mod attempts;
pub mod authorization;
pub mod body;
pub mod budget;
mod buffer;
pub mod client;
pub mod connection;
pub mod connections;
pub mod escape;
pub mod framing;
pub mod hosts;
mod log_limit;
pub mod malformed;
pub mod metrics;
pub mod network;
mod pace;
pub mod panics;
pub mod proxies;
pub mod reply;
pub mod request_log;
mod scanner;
pub mod service;
pub mod streams;
pub mod tokens;

pub use request_log::TARGET as REQUEST_LOG_TARGET;
pub use service::Service;
