//! Replies as the provider expects them.

use crate::content::request::Cause;
use crate::json;

const TEXT: &str = "text/plain";
/// Content type of text that is not ASCII. ASCII text is sent without a charset.
const UNICODE_TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// A reply as the provider expects it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// `None` for an empty body, which is sent without Content-Type.
    pub content_type: Option<&'static str>,
    /// The headers other than Content-Type.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Reply {
    pub(super) fn empty(status: u16) -> Self {
        Self { status, content_type: None, headers: Vec::new(), body: String::new() }
    }

    pub(super) fn text(status: u16, body: String) -> Self {
        let content_type = if body.is_ascii() { TEXT } else { UNICODE_TEXT };
        Self { status, content_type: Some(content_type), headers: Vec::new(), body }
    }

    pub(super) fn json(status: u16, body: String) -> Self {
        Self { status, content_type: Some(JSON), headers: Vec::new(), body }
    }

    /// Returns the reply with a configured body: JSON if it is an object or an array, otherwise
    /// text.
    pub(super) fn configured(status: u16, body: &str) -> Self {
        match body.as_bytes().first() {
            None => Self::empty(status),
            Some(b'{' | b'[') if json::accepts(body.as_bytes()) => Self::json(status, body.to_owned()),
            Some(_) => Self::text(status, body.to_owned()),
        }
    }
}

/// The reply to an accepted message, for one event type or all other types.
#[derive(Clone, Debug)]
pub(super) struct AcceptedReply {
    pub event: Option<String>,
    pub reply: Reply,
}

/// The reply to a rejected request, for some causes or all other causes.
#[derive(Clone, Debug)]
pub(super) struct RejectedReply {
    pub causes: Option<Vec<Cause>>,
    pub reply: Reply,
}
