//! The definition of a document: encoding, syntax and nesting.

use serde::de::IgnoredAny;

/// The nesting limit of serde_json; SQLite's JSON functions accept more.
pub const MAX_LEVELS: usize = 127;

/// Minimum size of a body that is hashed and parsed on a blocking thread, because this work would
/// block an async thread for too long.
pub const OFFLOAD_BYTES_MIN: usize = 256 << 10;

/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The white space of JSON.
pub(super) const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

/// Reason why bytes are not a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonProblem {
    /// Bytes that are not UTF-8, or not in JSON's syntax.
    NotJson,
    /// JSON nested more than `MAX_LEVELS` deep.
    TooDeep,
}

/// Whether the whole body is a document.
pub fn accepts(body: &[u8]) -> bool {
    candidate(body).is_some_and(has_syntax)
}

/// Whether the whole body has JSON's syntax, however deep it is nested.
pub fn is_json_of_any_depth(body: &[u8]) -> bool {
    std::str::from_utf8(without_mark(body)).is_ok_and(has_syntax)
}

/// Returns the text of a document without byte order mark and surrounding white space.
///
/// # Errors
/// The reason why the bytes are not a document.
pub fn document(body: &[u8]) -> Result<&str, JsonProblem> {
    match candidate(body) {
        Some(text) if has_syntax(text) => Ok(text.trim_matches(BLANKS)),
        Some(_) => Err(JsonProblem::NotJson),
        None => Err(problem(body)),
    }
}

/// Returns why bytes that are not a document were rejected.
pub fn problem(body: &[u8]) -> JsonProblem {
    if is_json_of_any_depth(body) { JsonProblem::TooDeep } else { JsonProblem::NotJson }
}

/// Strips a leading byte order mark.
pub fn without_mark(body: &[u8]) -> &[u8] {
    body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body)
}

/// Returns the text if encoding and nesting are acceptable; its syntax is not checked.
pub(super) fn candidate(body: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(without_mark(body)).ok()?;
    // Skipping values does not recurse, but later readers of the stored text may.
    let bytes = text.as_bytes();
    (opening_brackets(bytes) <= MAX_LEVELS || levels(bytes) <= MAX_LEVELS).then_some(text)
}

pub(super) fn has_syntax(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// Counts `[` and `{`, including those in strings: a cheap upper bound of the nesting.
fn opening_brackets(body: &[u8]) -> usize {
    // `[` and `{` differ in one bit. Sums of type `u8` let the compiler vectorize the loop.
    let count = |chunk: &[u8]| chunk.iter().map(|byte| u8::from(byte | 0x20 == b'{')).sum::<u8>();
    body.chunks(128).map(|chunk| usize::from(count(chunk))).sum()
}

/// Returns the deepest nesting outside strings; correct for any valid JSON.
fn levels(body: &[u8]) -> usize {
    let (mut level, mut deepest) = (0_usize, 0_usize);
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => skip_string(&mut bytes),
            b'[' | b'{' => {
                level += 1;
                deepest = deepest.max(level);
            }
            b']' | b'}' => level = level.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}
