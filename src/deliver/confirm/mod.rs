//! Confirmation: asks a source's API about its messages, off the path of a request, before anything is done with them. Each
//! source has a lane of its own, so that a slow API holds up nobody else. It must never deliver anything: a message that
//! is confirmed gets its deliveries in the transaction that says so.

mod answer;
mod confirmer;
mod lane;
mod source;

pub use confirmer::Confirmer;
pub use source::ConfirmationSource;
