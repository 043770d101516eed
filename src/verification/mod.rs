//! Verifies a request of a source and describes its message. Covers fetched keys, learned secrets
//! and decoded bodies. Has no access to the HTTP server.

mod examine;
mod explanation;
mod fetches;
mod health;
mod incoming;
mod learning;
mod lookups;
mod message;
mod reading;
mod redaction;
mod rejection_reason;
mod room;
mod shown_url;
mod source;
mod sources;
#[cfg(test)]
mod tests;
mod verify;

pub use examine::{OwnedRequest, Proof, VerificationOutcome, VerifiedMessage};
pub use explanation::diagnose;
pub use fetches::{ProviderUnreachable, visit};
pub use incoming::IncomingRequest;
pub use learning::{LEARNING_WINDOW, learn, secret_setting, window_setting};
pub use message::new_message;
pub use rejection_reason::{RejectionReason, cause_may_concern_url};
pub use room::{DecodingBudget, DecodingReservation, DecodingRoom};
pub use source::Source;
pub use sources::Sources;
pub use verify::{VerificationError, verify};
