//! The explanation of a rejection, as clients see it.

use serde::{Deserialize, Serialize};

use super::words::Word;

/// Why a request was rejected, under the current settings.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct RejectionExplanation {
    #[cfg_attr(test, schema(examples(17)))]
    pub id: i64,
    #[cfg_attr(test, schema(format = DateTime, examples("2026-11-22T14:31:00.000000Z")))]
    pub received_at: String,
    #[cfg_attr(test, schema(examples("github")))]
    pub source: String,
    /// The recorded cause.
    #[cfg_attr(test, schema(examples("signature_mismatch")))]
    pub cause: String,
    /// Whether the request verifies with the current settings. Its address is not considered.
    pub verifies: bool,
    /// The provider's schemes: the template of the signed text, the place and the encoding of the
    /// signature.
    #[cfg_attr(test, schema(examples(json!(["HMAC-SHA256 over `{body}`, in `header X-Hub-Signature-256` as `sha256={signature}`, encoded as hex"]))))]
    pub schemes: Vec<String>,
    /// Null if the scheme signs no text, a part of it is missing, or the body is not available.
    pub signed_text: Option<SignedText>,
    /// The first 8 characters of the received signature. Null if absent, if it contains a secret,
    /// or if it is not a signature in the encoding of the scheme.
    #[cfg_attr(test, schema(examples("1f3a9c0b")))]
    pub received_signature: Option<String>,
    /// The first 8 characters of the signature with the first configured secret. Null if only the
    /// provider can sign.
    #[cfg_attr(test, schema(examples("77e0d41c")))]
    pub computed_signature: Option<String>,
    pub trials: Vec<TriedChange>,
    /// Advice, most specific first.
    pub advice: Vec<String>,
    /// Null if the source has no allowlist.
    pub address: Option<ComparedAddress>,
    /// Texts that name each part that was left out, with the reason.
    pub omissions: Vec<String>,
}

/// Both ends of the text that the signature was verified against. A space is shown as `·`, line
/// feed, carriage return and tab as `␊`, `␍` and `␉`. Secrets are redacted.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct SignedText {
    pub bytes: usize,
    /// The first 200 characters, or up to 400 if that is the whole text.
    pub first: String,
    /// The last 200 characters of a longer text.
    pub last: Option<String>,
}

/// A change of the request or of the settings that was tried alone.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct TriedChange {
    #[cfg_attr(test, schema(examples("body_without_line_end")))]
    pub name: String,
    /// The change in words.
    pub title: String,
    #[cfg_attr(test, schema(value_type = TrialVerdict))]
    pub result: Word<TrialVerdict>,
    /// Advice, if the change fits.
    pub advice: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TrialVerdict {
    /// The request verifies with this change.
    Fits,
    /// The request does not verify with this change.
    Differs,
    /// The change does not apply to this request or scheme, or cannot remove the cause.
    Inapplicable,
    /// The trial did not run or did not finish: the limit was reached, the body is unavailable, or
    /// a key is not cached.
    LeftOut,
}

/// The client's address, and its origin.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct ComparedAddress {
    #[cfg_attr(test, schema(examples("192.0.2.7")))]
    pub client: String,
    /// Whether the source's allowlist has the address now.
    pub is_allowed: bool,
    #[cfg_attr(test, schema(examples(json!(["198.51.100.0/24"]))))]
    pub allowed: Vec<String>,
    /// The addresses in `X-Forwarded-For`, from left to right; at most the last 16.
    pub hops: Vec<ForwardedHop>,
}

/// An address in `X-Forwarded-For`.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct ForwardedHop {
    pub address: String,
    #[cfg_attr(test, schema(value_type = ForwardedRole))]
    pub role: Word<ForwardedRole>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ForwardedRole {
    /// Anyone may have written it.
    Unverified,
    Client,
    /// To the right of the client, and in `CREEL_TRUSTED_PROXIES`.
    TrustedProxy,
}
