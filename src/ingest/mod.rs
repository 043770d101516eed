//! Handles a webhook from its first byte to its acknowledgement. `receive` contains all steps in
//! their order. It must not acknowledge a message before the store has committed it.

mod decoding;
mod endpoint;
mod error;
mod peers;
mod provider_reply;
mod receive;
mod reject;
mod report;
mod routes;
mod throttle;
mod webhooks;

pub use decoding::DecodedBodies;
pub use routes::mount;
pub use webhooks::Webhooks;
