//! Differences of two messages, as clients see them.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::message::MessageHead;
use super::words::Word;

/// The difference of two messages. The message in the path is on the left.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct MessageDiff {
    pub left: MessageHead,
    pub right: MessageHead,
    /// Whether anything differs that is not hidden. Ids and times of arrival do not count. White
    /// space and the order of keys do not count if the bodies were compared as JSON.
    pub different: bool,
    /// Number of differences that `hide_noise` has hidden.
    pub hidden: usize,
    /// `event`, `source`, `method` and `query`, if they differ.
    pub fields: Vec<FieldDiff>,
    /// Headers that differ or are present only on one side. Redacted values are equal.
    pub headers: Vec<HeaderDiff>,
    pub body: BodyDiff,
}

/// A field with two values.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct FieldDiff {
    #[cfg_attr(test, schema(examples("event")))]
    pub name: String,
    pub left: Option<String>,
    pub right: Option<String>,
    /// Only ids and times differ.
    pub noise: bool,
}

/// The values of a header on both sides; empty where it is absent.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct HeaderDiff {
    #[cfg_attr(test, schema(examples("content-type")))]
    pub name: String,
    /// As in a message's content: a value that is not UTF-8 is shown as Latin-1 after the character
    /// U+001A.
    pub left: Vec<String>,
    pub right: Vec<String>,
    /// Only ids and times differ.
    pub noise: bool,
}

/// The difference of two bodies. The heads of the messages have their lengths and hashes.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct BodyDiff {
    /// Both bodies have the same bytes.
    pub same_bytes: bool,
    #[cfg_attr(test, schema(value_type = DiffMethod))]
    pub method: Word<DiffMethod>,
    /// Reason why the bodies were not compared as JSON; null if they were, or if they have the same
    /// bytes.
    #[cfg_attr(test, schema(value_type = Option<DiffLimitation>))]
    pub limitation: Option<Word<DiffLimitation>>,
    /// Differences of the JSON, at most 5,000.
    pub changes: Vec<PayloadChange>,
    /// Differing lines, at most 5,000 places.
    pub lines: Vec<LinesDiff>,
    /// Number of differences that are not listed: above 5,000, or above 4 MiB of paths and values.
    pub left_out: usize,
}

/// The way in which two bodies were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DiffMethod {
    /// As JSON: objects by key, lists by alignment, numbers as written.
    Json,
    /// Line by line: formatted if both are JSON, otherwise as received.
    Lines,
    /// Only whether their bytes are the same.
    Bytes,
}

/// Reason why two bodies were not compared as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DiffLimitation {
    /// At least one body could not be parsed.
    NotJson,
    /// At least one body is not JSON, and the received bytes of one are not UTF-8 text.
    Binary,
    /// A payload is longer than 1 MiB; with the method `bytes`, a text is longer than 8 MiB or has
    /// more than 25,000 lines.
    TooLarge,
    /// A payload has more than 20,000 values.
    TooManyValues,
}

/// One difference of two JSON documents.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct PayloadChange {
    #[cfg_attr(test, schema(value_type = PayloadChangeKind))]
    pub kind: Word<PayloadChangeKind>,
    /// JSON pointer (RFC 6901) in the left payload; for `only_right`, in the right one.
    #[cfg_attr(test, schema(examples("/commits/0/message")))]
    pub path: String,
    /// Pointer in the right payload, if it differs: the element of a list has another position.
    pub right_path: Option<String>,
    /// The value on the left, as written. Omitted for `only_right` and `moved`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Value, required = false))]
    pub left: Option<Box<RawValue>>,
    /// The value on the right, as written. Omitted for `only_left` and `moved`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Value, required = false))]
    pub right: Option<Box<RawValue>>,
    /// The parts of both texts in order, if one of them is longer than 40 characters and they share
    /// a word; otherwise empty. At most 20,000 words and other characters of each payload are
    /// compared; a text above this limit has no parts.
    pub words: Vec<TextPartDiff>,
    /// Only ids and times differ.
    pub noise: bool,
}

/// The kind of a difference. `moved`: an element of a list that has the same `id`, `key`, `name` or
/// `sha` on both sides, in another order among the paired elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum PayloadChangeKind {
    Changed,
    /// An element whose position changes only by insertions and deletions is not moved. Differences
    /// inside a moved element are separate changes.
    Moved,
    OnlyLeft,
    OnlyRight,
}

/// A part of one text or of both.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct TextPartDiff {
    #[cfg_attr(test, schema(value_type = TextPartSide))]
    pub side: Word<TextPartSide>,
    pub text: String,
}

/// The side of a part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum TextPartSide {
    Both,
    Left,
    Right,
}

/// Differing lines at one place.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub struct LinesDiff {
    /// Number of the first line, from 1, or of the line that follows if `left` is empty.
    #[cfg_attr(test, schema(examples(1)))]
    pub left_line: usize,
    /// Lines with their line breaks.
    pub left: Vec<String>,
    #[cfg_attr(test, schema(examples(1)))]
    pub right_line: usize,
    pub right: Vec<String>,
    /// Only ids and times differ.
    pub noise: bool,
}
