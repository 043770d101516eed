//! A verified message to store: the input of the writer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use crate::store::message::content::MessageContent;

/// Decides whether two messages are the same.
#[derive(Clone, Debug)]
pub enum Identity {
    /// The provider's own id.
    DeliveryId(String),
    /// The id of an event that may arrive in two forms, only one of which has the header `mark`.
    /// Both forms are the same message if their event, attributes and data are the same.
    EventId { id: String, mark: &'static str },
    /// No id, but the source is configured to drop repeats of method, query and body within the
    /// window.
    Content { window: Duration },
    /// A key chosen by the user's own app: a second message with the same key and another body is
    /// rejected.
    IdempotencyKey(String),
    /// No deduplication: every message is stored.
    None,
}

/// The confirmation that a message needs before delivery.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfirmationRequest {
    /// The values for the query to the provider's API; sealed before they are stored.
    pub request: String,
    /// Maximum number of awaiting messages of the source; further messages are rejected. `None`: no
    /// limit.
    pub max_awaiting: Option<u32>,
}

impl std::fmt::Debug for ConfirmationRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A verified message that is not stored yet.
#[derive(Clone, Debug)]
pub struct NewMessage {
    pub received_at: OffsetDateTime,
    pub source: Arc<str>,
    /// `<source>.<type>`; for an emitted event, the name that the app sent.
    pub event: String,
    /// The owner of an emitted event.
    pub owner: Option<String>,
    pub identity: Identity,
    pub method: String,
    pub query: Option<String>,
    pub remote_ip: IpAddr,
    /// JSON object: lower-case name to value, or to an array of values for a repeated field.
    pub headers: String,
    pub content: MessageContent,
    pub body_sha256: [u8; 32],
    /// Whether the verified signature or credential does not cover the body.
    pub body_unsigned: bool,
    /// Whether it was released from quarantine without verification.
    pub unverified: bool,
    /// Set if the message must not be delivered before the provider's API has confirmed it.
    pub confirmation_request: Option<ConfirmationRequest>,
}
