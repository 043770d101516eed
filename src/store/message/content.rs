//! The content of a message: the exact bytes of its body, and the JSON text that filters and
//! searches read, or the reason why that text is missing.

use bytes::Bytes;

use crate::store::text_enum::words;

/// The stored content of a message.
#[derive(Clone, Debug)]
pub enum MessageContent {
    /// The body is JSON: stored as text, byte for byte.
    Json(Bytes),
    /// The body was decoded (form, content coding, charset, byte order mark): the exact bytes and
    /// the JSON text.
    Decoded { body: Bytes, payload: String },
    /// The body cannot be read: the exact bytes and the reason.
    Unreadable { body: Bytes, reason: UnreadableReason },
}

words!(
    /// Reason why a body cannot be read. A message with an unreadable body meets no condition of a
    /// filter.
    UnreadableReason {
        /// The body is empty.
        Empty = "empty",
        /// A body that is neither JSON nor a form, a form whose payload field is repeated or not
        /// JSON, or a multipart form without fields.
        NotJson = "not_json",
        /// JSON nested more than 127 levels deep.
        TooDeep = "too_deep",
        /// A form with too many fields or bytes.
        FormTooLarge = "form_too_large",
        /// The declared charset is unknown, or cannot be that of a form, such as UTF-16.
        UnknownCharset = "unknown_charset",
        /// Bytes that are invalid in the charset (without a declaration, UTF-8 or the detected
        /// one), or a multipart form with an unreadable field name or file description.
        MalformedText = "malformed_text",
        /// A content coding other than gzip and deflate, or too many of them.
        UnknownCoding = "unknown_coding",
        /// Bytes that cannot be decompressed.
        MalformedCoding = "malformed_coding",
        /// The decoded body exceeds the size limit or the limit on its growth.
        ExpandsTooMuch = "expands_too_much",
        /// A body stored by an older version, without a reason. Filters may have been evaluated
        /// when it was received.
        OlderVersion = "older_version",
    }
);

impl MessageContent {
    /// Returns the payload as JSON text.
    pub fn payload(&self) -> Option<&[u8]> {
        match self {
            Self::Json(payload) => Some(payload),
            Self::Decoded { payload, .. } => Some(payload.as_bytes()),
            Self::Unreadable { .. } => None,
        }
    }

    /// Returns the length of the exact body.
    pub fn body_bytes(&self) -> usize {
        match self {
            Self::Json(body) | Self::Decoded { body, .. } | Self::Unreadable { body, .. } => body.len(),
        }
    }

    /// Returns the reason why there is no payload.
    pub fn unreadable(&self) -> Option<UnreadableReason> {
        match self {
            Self::Unreadable { reason, .. } => Some(*reason),
            Self::Json(_) | Self::Decoded { .. } => None,
        }
    }
}
