//! Confirmation: queries a source's API about its messages before they are processed, outside the
//! request path. Each source has its own lane, so that a slow API never delays the others. This
//! module must never deliver anything: the transaction that confirms a message creates its
//! deliveries.

mod answer;
mod confirmer;
mod lane;
mod source;

pub use confirmer::Confirmer;
pub use source::ConfirmationSource;
