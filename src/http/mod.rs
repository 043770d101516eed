//! The HTTP side: what a webhook goes through from its first byte to its acknowledgement, and the few addresses for
//! operation. It must never acknowledge what the store has not kept, nor do any work that can wait until after.

mod body;
mod budget;
mod client_address;
mod examine;
mod head;
pub mod metrics;
mod operations;
mod receive;
mod redaction;
mod reply;
pub mod request_log;
mod routes;
mod state;
mod throttle;

pub use operations::{ADMIN_TOKEN_SETTING, token_hash};
pub use routes::{admin_routes, health_routes, inbox_routes};
pub use state::{Clock, Inbox, Service};
