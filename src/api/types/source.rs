//! Sources, as clients see them.

use serde::{Deserialize, Serialize};

/// One configured sender.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = Source))]
pub struct SourceSummary {
    #[cfg_attr(test, schema(examples("github")))]
    pub name: String,
    /// The provider whose rules it follows.
    #[cfg_attr(test, schema(examples("github")))]
    pub provider: String,
    /// Address for its messages: a URL if `CREEL_PUBLIC_URL` is set, otherwise a path. A random
    /// last part is shown to the admin token only; for the read token it is `…`.
    #[cfg_attr(test, schema(examples("https://hooks.example.com/webhooks/github")))]
    pub endpoint: String,
    /// Accepted methods.
    #[cfg_attr(test, schema(examples(json!(["POST"]))))]
    pub methods: Vec<String>,
    /// Whether the sender's credentials cover the body, so that it cannot be changed in transit.
    pub covers_body: bool,
    /// The secret is set by a handshake that has not happened yet.
    pub waits_for_secret: bool,
    /// Null if none of the newest 20,000 messages is from it.
    #[cfg_attr(test, schema(format = DateTime, examples("2026-11-22T14:31:00.000000Z")))]
    pub last_message_at: Option<String>,
    /// Number of the newest 20,000 messages that are from it.
    pub recent_messages: i64,
    /// Rejected requests in quarantine, plus those that were only counted.
    pub rejections: i64,
}
