//! The forms of a body or a URL in a signed text.

use std::borrow::Cow;

use ring::digest::{SHA256, digest};

use crate::content::request::Cause;
use crate::json;
use crate::scheme::canonical;
use crate::scheme::encoding::Encoding;
use crate::scheme::error::SyntaxError;

/// Limits bodies that are sorted or escaped before authentication, because this takes up to ten
/// times their size. No provider that signs such a form sends larger bodies.
const MAX_MULTIPLIED_BYTES: usize = 2 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyForm {
    Sha256(Encoding),
    Crc32,
    JsonString,
    Compact,
    Sorted,
    SortedInEcmaScript,
    FirstItem,
    CrLf,
    /// Unchanged, if it is JSON of any nesting depth.
    Json,
    /// Unchanged, if it is a JSON object or array, or empty. No object or array begins or ends with
    /// a shorter one.
    Structured,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlForm {
    Whole,
    NoQuery,
    Sha256,
    Decoded,
}

impl BodyForm {
    /// Whether two bodies that differ in more than white space may have the same form.
    pub const fn loses_content(self) -> bool {
        matches!(self, Self::Sorted | Self::SortedInEcmaScript | Self::FirstItem | Self::Crc32)
    }

    /// Whether the form needs a rewritten copy of the body.
    pub const fn is_rewritten(self) -> bool {
        !matches!(self, Self::Sha256(_) | Self::Crc32 | Self::Json | Self::Structured)
    }

    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        Ok(match text {
            "sha256-hex" => Self::Sha256(Encoding::Hex),
            "sha256-base64" => Self::Sha256(Encoding::Base64),
            "sha256-base64url" => Self::Sha256(Encoding::Base64Url),
            "crc32" => Self::Crc32,
            "json-string" => Self::JsonString,
            "compact" => Self::Compact,
            "sorted" => Self::Sorted,
            "sorted-ecmascript" => Self::SortedInEcmaScript,
            "first-item" => Self::FirstItem,
            "json" => Self::Json,
            "structured" => Self::Structured,
            "crlf" => Self::CrLf,
            _ => return Err(format!("`{{body:{text}}}` is unknown").into()),
        })
    }

    pub fn of(self, body: &[u8]) -> Result<Cow<'_, [u8]>, Cause> {
        let owned = |text: String| Some(Cow::Owned(text.into_bytes()));
        let is_multiplied = matches!(self, Self::Sorted | Self::SortedInEcmaScript | Self::JsonString);
        if is_multiplied && body.len() > MAX_MULTIPLIED_BYTES {
            return Err(Cause::TooLarge);
        }
        let text = match self {
            Self::Sha256(encoding) => owned(encoding.encode(digest(&SHA256, body).as_ref())),
            Self::Crc32 => owned(crc32fast::hash(body).to_string()),
            Self::JsonString => canonical::json_string(body).and_then(owned),
            Self::Compact => canonical::compact(body),
            Self::Sorted => canonical::sorted(body).map(Cow::Owned),
            Self::SortedInEcmaScript => canonical::sorted_in_ecmascript(body).map(Cow::Owned),
            Self::FirstItem => canonical::first_item(body).map(Cow::Owned),
            Self::CrLf => Some(Cow::Owned(canonical::crlf(body))),
            Self::Json => json::is_json_of_any_depth(body).then_some(Cow::Borrowed(body)),
            Self::Structured => is_structured(body).then_some(Cow::Borrowed(body)),
        };
        // A body that cannot be read in this form was not signed in it.
        text.ok_or(Cause::SignatureMismatch)
    }
}

pub fn is_structured(body: &[u8]) -> bool {
    let first = json::without_mark(body).trim_ascii_start().first();
    body.is_empty() || (matches!(first, Some(b'{' | b'[')) && json::is_json_of_any_depth(body))
}

impl UrlForm {
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        Ok(match text {
            "" => Self::Whole,
            "no-query" => Self::NoQuery,
            "sha256-hex" => Self::Sha256,
            "decoded" => Self::Decoded,
            _ => return Err(format!("`{{url:{text}}}` is unknown").into()),
        })
    }

    pub fn of(self, url: &str) -> Cow<'_, [u8]> {
        match self {
            Self::Whole => Cow::Borrowed(url.as_bytes()),
            Self::NoQuery => Cow::Borrowed(url.split('?').next().unwrap_or(url).as_bytes()),
            Self::Sha256 => {
                Cow::Owned(Encoding::Hex.encode(digest(&SHA256, url.as_bytes()).as_ref()).into_bytes())
            }
            Self::Decoded => Cow::Owned(canonical::decoded_url(url).into_bytes()),
        }
    }
}
