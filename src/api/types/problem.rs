//! Problems in the sense of RFC 9457.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Reason why a request failed (RFC 9457).
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[cfg_attr(test, schema(as = Problem))]
pub struct ProblemDetails {
    /// The constant `about:blank`: problems differ by `code`.
    #[serde(rename = "type", default)]
    #[cfg_attr(test, schema(examples("about:blank"), required = true))]
    pub kind: Cow<'static, str>,
    /// Text of the status.
    #[serde(default)]
    #[cfg_attr(test, schema(examples("Not Found"), required = true))]
    pub title: Cow<'static, str>,
    /// The HTTP status.
    #[serde(default)]
    #[cfg_attr(test, schema(examples(404), required = true))]
    pub status: u16,
    /// The mistake in this request and its remedy, for people.
    #[cfg_attr(test, schema(examples("Message 42 not found (it may have been deleted by retention).")))]
    pub detail: String,
    /// The kind of mistake, for programs.
    #[serde(default)]
    #[cfg_attr(test, schema(examples("not_found"), required = true))]
    pub code: Cow<'static, str>,
    /// Byte offset of the mistake in a query (`q`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(examples(7)))]
    pub position: Option<usize>,
}
