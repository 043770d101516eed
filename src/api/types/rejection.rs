//! Rejections, as clients see them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[cfg(test)]
use super::schemas;
use super::words::Word;

/// A request that failed authentication, without its content.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct RejectionHead {
    #[cfg_attr(test, schema(examples(17)))]
    pub id: i64,
    #[cfg_attr(test, schema(format = DateTime, examples("2026-11-22T14:31:00.000000Z")))]
    pub received_at: String,
    /// The source to which the request was sent.
    #[cfg_attr(test, schema(examples("github")))]
    pub source: String,
    #[cfg_attr(test, schema(examples("signature_mismatch")))]
    pub cause: String,
    /// Whether the request has everything that the scheme requires (a well-formed signature and a
    /// fresh time, or a token), so that it may be genuine. Candidates are stored for
    /// `CREEL_QUARANTINE_RETENTION`, other rejections for at most a day.
    pub candidate: bool,
    /// The cause in words, with hints.
    #[serde(default)]
    #[cfg_attr(test, schema(required = true))]
    pub explanation: Cow<'static, str>,
    /// URL used for verification under the source's current configuration, if the scheme signs the
    /// URL and the signature does not match. It must equal the URL that is registered with the
    /// provider. Secrets and the query of the request are omitted; the log has the query.
    #[cfg_attr(test, schema(examples("https://hooks.example.com/webhooks/twilio")))]
    pub signed_url: Option<String>,
    #[cfg_attr(test, schema(examples("192.0.2.7")))]
    pub remote_ip: String,
    #[cfg_attr(test, schema(examples("POST")))]
    pub method: String,
    /// Null if the body was not stored. The request cannot become a message then.
    pub body_bytes: Option<i64>,
}

/// A rejection with its stored content.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Rejection {
    #[serde(flatten)]
    pub head: RejectionHead,
    /// Null for the read token.
    pub content: Option<RejectionContent>,
}

/// Content from an unauthenticated client.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct RejectionContent {
    /// Tokens are redacted.
    pub query: Option<String>,
    /// Header names with their value, or values if repeated; credentials are redacted. A value that
    /// is not UTF-8 is shown as Latin-1 after the character U+001A.
    #[cfg_attr(test, schema(value_type = Object))]
    pub headers: Box<RawValue>,
    /// Beginning of the body, if it is text: up to 64 KiB.
    pub body_text: Option<String>,
    /// Beginning of the body, if it is not text: up to 64 KiB in base64.
    pub body_base64: Option<String>,
}

/// Filters that select rejections. A rejection must match all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RejectionSelection {
    #[cfg_attr(test, schema(schema_with = schemas::name_or_null, required = false))]
    pub source: Option<String>,
    /// Cause of the rejection, e.g. `signature_mismatch`.
    #[cfg_attr(test, schema(schema_with = schemas::name_or_null, required = false))]
    pub cause: Option<String>,
    /// Received at or after: a time such as `2026-11-22T14:31:00Z`, or an age such as `2h`.
    #[cfg_attr(test, schema(schema_with = schemas::time_or_null, required = false))]
    pub since: Option<String>,
    /// Received before: same format as `since`.
    #[cfg_attr(test, schema(schema_with = schemas::time_or_null, required = false))]
    pub until: Option<String>,
}

/// Result of re-verifying a rejection.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct Recheck {
    #[cfg_attr(test, schema(value_type = Verdict))]
    pub verdict: Word<Verdict>,
    /// Cause of the rejection under the current settings.
    #[cfg_attr(test, schema(examples("signature_mismatch")))]
    pub cause: Option<Cow<'static, str>>,
    /// The verdict in words.
    pub explanation: Cow<'static, str>,
    /// The message created from it.
    pub message_id: Option<i64>,
    /// The message was a duplicate and is only counted.
    pub duplicate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Verified. If its body was stored, it is now a message and the rejection is deleted.
    Accepted,
    /// Verification failed again; the rejection stays.
    Refused,
    /// A verified handshake, which cannot become a message; the rejection stays.
    Handshake,
}

/// The message created from a rejection.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = Released))]
pub struct ReleasedMessage {
    #[cfg_attr(test, schema(examples(42)))]
    pub message_id: i64,
    /// The message was a duplicate and is only counted.
    pub duplicate: bool,
}
