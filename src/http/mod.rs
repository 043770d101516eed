//! The HTTP side: routes, the way of a message from its first byte to its acknowledgement, and the few operational
//! endpoints. `receive` shows the way from top to bottom; the other files are its steps. It must never deliver
//! anything, name a provider, or let one of actix-web's own error texts reach a client. `api` is the admin API.

#[expect(unused_qualifications, reason = "utoipa's macro makes paths of the types of parameters")]
mod api;
mod attempts;
mod body;
mod budget;
mod buffer;
mod client;
pub mod connection;
pub mod connections;
mod endpoints;
mod error;
pub mod escape;
mod examine;
mod fetches;
mod framing;
mod hosts;
pub mod learning;
mod log_limit;
mod lookups;
mod malformed;
mod metrics;
#[cfg(test)]
mod one_reading_tests;
mod pace;
mod panics;
mod peers;
mod reading;
mod receive;
mod record;
mod refusal;
mod reject;
mod reply;
mod request_log;
pub mod routes;
mod scanner;
mod service;
mod shown_url;
#[cfg(test)]
mod signed_content_tests;
mod source;
pub mod source_health;
mod streams;
mod throttle;
pub mod tokens;

pub use request_log::TARGET as REQUEST_LOG_TARGET;
pub use service::{Clock, Service};
