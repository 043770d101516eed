//! Confirmation: queries a provider's API about the messages of a source before they are delivered,
//! outside the request path. Each source has its own lane, so that a slow API never delays the
//! others. This module must never deliver anything: the transaction that confirms a message creates
//! its deliveries.

mod answer;
mod confirmer;
mod lane;
mod source;

pub use confirmer::Confirmer;
pub use source::ConfirmationSource;
