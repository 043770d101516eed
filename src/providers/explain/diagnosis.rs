//! The input and the result of an explanation.

use crate::content::request::{Cause, Request, Secret};
use crate::scheme::key_store::KeyStore;
use crate::scheme::trace::SignaturePrefix;

use super::super::verifier::Verifier;
use super::excerpt::TextExcerpt;

/// A stored rejection, with the verifier and keys of its source.
#[derive(Clone, Copy)]
pub struct RejectedRequest<'a> {
    /// The name of the source.
    pub source: &'a str,
    pub verifier: &'a Verifier,
    /// The request with its arrival as the time.
    pub request: &'a Request<'a>,
    /// False if the body was not stored; it is empty then.
    pub has_body: bool,
    /// The recorded cause; `None` if this version does not know it.
    pub cause: Option<Cause>,
    pub key_store: &'a dyn KeyStore,
    /// The other sources of the server.
    pub others: &'a [OtherSource<'a>],
    /// Further texts that must not be shown.
    pub hidden: &'a [Secret],
}

/// Another source of the server.
#[derive(Clone, Copy, Debug)]
pub struct OtherSource<'a> {
    pub name: &'a str,
    pub verifier: &'a Verifier,
}

/// The explanation of a rejection.
#[derive(Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// Whether the request verifies with the current settings.
    pub verifies: bool,
    /// The schemes of the provider, one sentence each.
    pub schemes: Vec<String>,
    /// The text that creel verified the signature against.
    pub signed_text: Option<TextExcerpt>,
    pub received_signature: Option<SignaturePrefix>,
    pub computed_signature: Option<SignaturePrefix>,
    pub trials: Vec<TrialResult>,
    /// Advice, most specific first.
    pub advice: Vec<String>,
    /// Texts that name each part that was left out, with the reason.
    pub omissions: Vec<String>,
}

/// A trial and its result.
#[derive(Debug, PartialEq, Eq)]
pub struct TrialResult {
    pub trial: Trial,
    pub outcome: TrialOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialOutcome {
    /// The request verifies with this change; with advice.
    Fits(String),
    /// The request does not verify with this change.
    Differs,
    /// The change does not apply to this request or scheme, or cannot remove the cause.
    Inapplicable,
    /// The trial did not run or did not finish: the limit was reached, the body is unavailable, or
    /// a key is not cached.
    LeftOut,
}

/// A change of the request or of the settings that is tried alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    WithoutLineEnd,
    WithLineEnd,
    CrlfToLf,
    LfToCrlf,
    CompactJson,
    SpacedJson,
    EscapedJson,
    DecodedBody,
    TrimmedSecret,
    SecretWithLineFeed,
    SecretAsText,
    SecretFromBase64,
    SecretFromHex,
    SecretPrefix,
    OtherSetting,
    OtherSecret,
    OtherSource,
    TimestampUnit,
    UrlScheme,
    UrlHost,
    UrlForm,
    SignatureForm,
    TokenForm,
    OtherRecipe,
}

impl Trial {
    /// All trials, in the order in which they run: roughly cheapest first.
    pub const ALL: [Self; 24] = [
        Self::WithoutLineEnd,
        Self::WithLineEnd,
        Self::TrimmedSecret,
        Self::SecretPrefix,
        Self::SecretFromBase64,
        Self::SecretFromHex,
        Self::SecretAsText,
        Self::SecretWithLineFeed,
        Self::UrlScheme,
        Self::UrlHost,
        Self::UrlForm,
        Self::TokenForm,
        Self::TimestampUnit,
        Self::CompactJson,
        Self::SpacedJson,
        Self::EscapedJson,
        Self::CrlfToLf,
        Self::LfToCrlf,
        Self::DecodedBody,
        Self::OtherSetting,
        Self::SignatureForm,
        Self::OtherSecret,
        Self::OtherSource,
        Self::OtherRecipe,
    ];

    /// The name for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WithoutLineEnd => "body_without_line_end",
            Self::WithLineEnd => "body_with_line_end",
            Self::CrlfToLf => "body_crlf_to_lf",
            Self::LfToCrlf => "body_lf_to_crlf",
            Self::CompactJson => "json_compact",
            Self::SpacedJson => "json_spaced",
            Self::EscapedJson => "json_escaped",
            Self::DecodedBody => "body_decoded",
            Self::TrimmedSecret => "secret_trimmed",
            Self::SecretWithLineFeed => "secret_with_line_feed",
            Self::SecretAsText => "secret_as_text",
            Self::SecretFromBase64 => "secret_from_base64",
            Self::SecretFromHex => "secret_from_hex",
            Self::SecretPrefix => "secret_prefix",
            Self::OtherSetting => "other_setting",
            Self::OtherSecret => "other_secret",
            Self::OtherSource => "other_source",
            Self::TimestampUnit => "timestamp_unit",
            Self::UrlScheme => "url_scheme",
            Self::UrlHost => "url_host",
            Self::UrlForm => "url_form",
            Self::SignatureForm => "signature_form",
            Self::TokenForm => "token_form",
            Self::OtherRecipe => "other_recipe",
        }
    }

    /// The change in words.
    pub const fn title(self) -> &'static str {
        match self {
            Self::WithoutLineEnd => "the body without the line end after its last character",
            Self::WithLineEnd => "the body with a line end after its last character",
            Self::CrlfToLf => "the body with LF instead of CRLF",
            Self::LfToCrlf => "the body with CRLF instead of LF",
            Self::CompactJson => "the JSON without white space",
            Self::SpacedJson => "the JSON with a space after each comma and colon",
            Self::EscapedJson => "the JSON with non-ASCII characters as \\u escapes",
            Self::DecodedBody => "the body without compression or byte order mark",
            Self::TrimmedSecret => "the secret without white space or quotation marks around it",
            Self::SecretWithLineFeed => "the secret with a line feed at its end",
            Self::SecretAsText => "the secret as text, not decoded",
            Self::SecretFromBase64 => "the secret decoded from base64",
            Self::SecretFromHex => "the secret decoded from hex",
            Self::SecretPrefix => "the secret with or without its prefix",
            Self::OtherSetting => "another value in the settings of this source as the secret",
            Self::OtherSecret => "the secrets of the other sources of this server",
            Self::OtherSource => "the other sources of this server",
            Self::TimestampUnit => "the timestamp in another unit or format",
            Self::UrlScheme => "the URL with http for https, or https for http",
            Self::UrlHost => "the URL with the host and path prefix that the proxy forwards",
            Self::UrlForm => "the URL with another port, query, or slash at the end of its path",
            Self::SignatureForm => "the signature with another algorithm, encoding or layout",
            Self::TokenForm => "the token with other text around it, or in another header",
            Self::OtherRecipe => "the other known providers and schemes, with the secret of this source",
        }
    }
}
