//! The parts of a message that a query can test, borrowed from the caller.

use std::net::IpAddr;

use time::OffsetDateTime;

use crate::json;

/// A message or a rejected request, as the matcher reads it.
#[derive(Clone, Copy, Debug)]
pub struct SearchedMessage<'a> {
    pub facts: MessageFacts<'a>,
    pub text: MessageText<'a>,
}

/// The parts of a message that SQL can test.
#[derive(Clone, Copy, Debug)]
pub struct MessageFacts<'a> {
    /// The id of the message; `None` for a rejected request.
    pub id: Option<i64>,
    pub received_at: OffsetDateTime,
    pub source: &'a str,
    /// `None` for a rejected request.
    pub event: Option<&'a str>,
    pub owner: Option<&'a str>,
    pub method: &'a str,
    /// `None` if the stored address is unreadable.
    pub remote_ip: Option<IpAddr>,
    pub body_bytes: u64,
    pub flags: MessageFlags,
    /// The deliveries to targets other than listeners.
    pub deliveries: &'a [SearchedDelivery<'a>],
}

/// The parts of a message in which words are searched.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageText<'a> {
    /// The provider's delivery id.
    pub delivery_id: Option<&'a str>,
    /// The query of the request, without the question mark.
    pub query: Option<&'a str>,
    /// Names and values of the headers, without credentials.
    pub headers: &'a [(&'a str, &'a str)],
    /// The exact body, unless it is the payload, byte for byte.
    pub body: Option<&'a [u8]>,
    /// The body as JSON; `None` if it cannot be read.
    pub payload: Option<&'a str>,
}

impl<'a> MessageText<'a> {
    /// The text of a rejected request. Its body was not decoded on arrival: it is the payload if it
    /// is JSON.
    pub fn of_rejection(
        query: Option<&'a str>,
        headers: &'a [(&'a str, &'a str)],
        body: Option<&'a [u8]>,
    ) -> Self {
        let payload = body.and_then(|body| json::document(body).ok());
        let is_body = |payload: &str| body.is_some_and(|body| body == payload.as_bytes());
        let body = body.filter(|_| !payload.is_some_and(is_body));
        Self { delivery_id: None, query, headers, body, payload }
    }
}

/// Properties of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MessageFlags {
    pub is_conflict: bool,
    pub is_duplicate: bool,
    pub is_not_json: bool,
    pub is_unsigned: bool,
    pub is_unverified: bool,
    pub is_awaiting: bool,
    /// It failed to verify: in quarantine, released from it without verification, or rejected by
    /// the provider's API.
    pub is_rejected: bool,
    /// Emitted by the app.
    pub is_emitted: bool,
}

/// One delivery of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SearchedDelivery<'a> {
    /// The name of the target.
    pub target: &'a str,
    /// `dead`, `pending` or `delivered`; other states are `None`.
    pub state: Option<MessageState>,
}

/// A state that `is:` selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageState {
    /// Has a dead letter.
    Dead,
    /// Has a pending delivery.
    Pending,
    /// Has a successful delivery.
    Delivered,
    /// Has the delivery id of another message with another body.
    Conflict,
    /// Was received more than once.
    Duplicate,
    /// The body is not empty and cannot be read.
    NotJson,
    /// The sender's credentials do not cover the body.
    Unsigned,
    /// Was released from quarantine without verification.
    Unverified,
    /// Awaits the confirmation by the provider's API.
    Awaiting,
    /// Failed to verify: in quarantine, released without verification, or rejected by the
    /// provider's API.
    Rejected,
}

impl MessageState {
    pub const ALL: [Self; 10] = [
        Self::Dead,
        Self::Pending,
        Self::Delivered,
        Self::Conflict,
        Self::Duplicate,
        Self::NotJson,
        Self::Unsigned,
        Self::Unverified,
        Self::Awaiting,
        Self::Rejected,
    ];

    /// The word in a query.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Conflict => "conflict",
            Self::Duplicate => "duplicate",
            Self::NotJson => "notjson",
            Self::Unsigned => "unsigned",
            Self::Unverified => "unverified",
            Self::Awaiting => "awaiting",
            Self::Rejected => "rejected",
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}
