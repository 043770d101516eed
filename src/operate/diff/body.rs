//! Compares two bodies: as JSON, by lines, or only by their bytes.

use std::borrow::Cow;

use super::changes::{Change, ChangeLister, LineChange};
use super::numbered::Numbering;
use super::{delta, lines};
use crate::json::{self, TreeProblem};

/// Limits of each JSON document. They bound the time and the memory.
const MAX_JSON_BYTES: usize = 1 << 20;
const MAX_VALUES: usize = 20_000;

/// The content of a message for a comparison.
#[derive(Clone, Copy, Debug)]
pub struct ComparedBody<'a> {
    /// Exactly as received.
    pub bytes: &'a [u8],
    /// The JSON decoded from it; `None` if it cannot be read.
    pub payload: Option<&'a [u8]>,
}

/// The difference of two bodies.
#[derive(Debug)]
pub struct BodyDelta {
    pub is_same: bool,
    pub method: ComparisonMethod,
    /// Reason why the bodies were not compared as JSON.
    pub limitation: Option<ComparisonLimitation>,
    pub changes: Vec<Change>,
    pub line_changes: Vec<LineChange>,
    pub hidden: usize,
    pub left_out: usize,
}

/// The way in which two bodies were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComparisonMethod {
    Json,
    Lines,
    Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComparisonLimitation {
    NotJson,
    /// A body that is not UTF-8 or has a NUL.
    Binary,
    /// JSON above its limit of bytes or, for `Bytes`, a text above its limits.
    TooLarge,
    TooManyValues,
}

/// Compares two bodies. The limits on bytes, values, words and lines bound the work, without a
/// clock. They are set for a target of 200 ms; `benches/diff` measures payloads close to them.
pub fn compare_bodies(left: ComparedBody<'_>, right: ComparedBody<'_>, hides_noise: bool) -> BodyDelta {
    let mut lister = ChangeLister::new(hides_noise);
    let is_same = left.bytes == right.bytes;
    let (method, limitation) = match is_same {
        true => (ComparisonMethod::Bytes, None),
        false => list_changes(left, right, &mut lister),
    };
    let ChangeLister { changes, line_changes, hidden, left_out, .. } = lister;
    BodyDelta { is_same, method, limitation, changes, line_changes, hidden, left_out }
}

fn list_changes(
    left: ComparedBody<'_>,
    right: ComparedBody<'_>,
    lister: &mut ChangeLister,
) -> (ComparisonMethod, Option<ComparisonLimitation>) {
    let Err(limitation) = list_json(left, right, lister) else { return (ComparisonMethod::Json, None) };
    match list_lines(left, right, limitation, lister) {
        Ok(()) => (ComparisonMethod::Lines, Some(limitation)),
        Err(limitation) => (ComparisonMethod::Bytes, Some(limitation)),
    }
}

fn list_json(
    left: ComparedBody<'_>,
    right: ComparedBody<'_>,
    lister: &mut ChangeLister,
) -> Result<(), ComparisonLimitation> {
    let (Some(left), Some(right)) = (left.payload, right.payload) else {
        return Err(ComparisonLimitation::NotJson);
    };
    if left.len().max(right.len()) > MAX_JSON_BYTES {
        return Err(ComparisonLimitation::TooLarge);
    }
    let (left, right) = (json::tree(left, MAX_VALUES)?, json::tree(right, MAX_VALUES)?);
    let mut numbering = Numbering::default();
    let (left, right) = (numbering.value(left), numbering.value(right));
    if let Some(delta) = delta::compare(&left, &right) {
        lister.list(&delta);
    }
    Ok(())
}

/// Compares two documents as formatted texts. If one body is not JSON, compares both as received.
fn list_lines(
    left: ComparedBody<'_>,
    right: ComparedBody<'_>,
    limitation: ComparisonLimitation,
    lister: &mut ChangeLister,
) -> Result<(), ComparisonLimitation> {
    let (left, right) = match limitation {
        ComparisonLimitation::TooLarge | ComparisonLimitation::TooManyValues => {
            (formatted(left)?, formatted(right)?)
        }
        ComparisonLimitation::NotJson | ComparisonLimitation::Binary => {
            (text(left.bytes)?, text(right.bytes)?)
        }
    };
    let deltas = lines::compare(&left, &right).ok_or(ComparisonLimitation::TooLarge)?;
    deltas.iter().for_each(|delta| lister.list_lines(delta));
    Ok(())
}

fn formatted(body: ComparedBody<'_>) -> Result<Cow<'_, str>, ComparisonLimitation> {
    let payload = body.payload.ok_or(ComparisonLimitation::NotJson)?;
    let document = json::document(payload).map_err(|_| ComparisonLimitation::NotJson)?;
    let text = json::pretty_up_to(lines::MAX_BYTES, document).ok_or(ComparisonLimitation::TooLarge)?;
    Ok(Cow::Owned(text))
}

fn text(bytes: &[u8]) -> Result<Cow<'_, str>, ComparisonLimitation> {
    let text = std::str::from_utf8(bytes).map_err(|_| ComparisonLimitation::Binary)?;
    if text.contains('\0') { Err(ComparisonLimitation::Binary) } else { Ok(text.into()) }
}

impl From<TreeProblem> for ComparisonLimitation {
    fn from(problem: TreeProblem) -> Self {
        match problem {
            TreeProblem::NotJson => Self::NotJson,
            TreeProblem::TooManyValues => Self::TooManyValues,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(left: &[u8], right: &[u8]) -> BodyDelta {
        let body = |bytes| ComparedBody { bytes, payload: json::accepts(bytes).then_some(bytes) };
        compare_bodies(body(left), body(right), false)
    }

    #[test]
    fn bodies_are_compared_as_json_lines_or_bytes() {
        use ComparisonLimitation::{Binary, NotJson, TooLarge, TooManyValues};
        use ComparisonMethod::{Bytes, Json, Lines};
        let list = |values: usize| format!("[{}1]", "1,".repeat(values - 2)).into_bytes();
        let text = |bytes: usize| format!("\"{}\"", "a".repeat(bytes - 2)).into_bytes();
        let rows: [(&[u8], &[u8], _, _, _); 10] = [
            (b"{\"a\":1}", b"{\"a\":1.0}", Json, None, 1),
            (b"{\"a\":1}", b"{ \"a\" : 1 }", Json, None, 0),
            (b"a\nb", b"a\nc", Lines, Some(NotJson), 1),
            (b"{\"a\":1}", b"a=1", Lines, Some(NotJson), 1),
            (b"", b"a=1", Lines, Some(NotJson), 1),
            (b"\xff", b"a", Bytes, Some(Binary), 0),
            (b"a\0", b"a", Bytes, Some(Binary), 0),
            (&list(MAX_VALUES), b"[1]", Json, None, MAX_VALUES - 2),
            (&list(MAX_VALUES + 1), b"[2]", Lines, Some(TooManyValues), 1),
            (&text(MAX_JSON_BYTES + 1), b"[2]", Lines, Some(TooLarge), 1),
        ];
        for (left, right, method, limitation, count) in rows {
            let found = compared(left, right);
            assert_eq!((found.method, found.limitation), (method, limitation), "{:.40}", left.escape_ascii());
            let listed = found.changes.len() + found.line_changes.len() + found.left_out;
            assert_eq!(listed, count, "{:.40}", left.escape_ascii());
            assert!(!found.is_same);
        }
        let same = compared(b"\xff", b"\xff");
        assert!(same.is_same && same.method == Bytes && same.limitation.is_none());
    }

    #[test]
    fn formatted_text_above_the_limit_is_not_compared() {
        let left = format!("{}{}0{}", "[".repeat(100), "0,".repeat(60_000), "]".repeat(100));
        let found = compared(left.as_bytes(), b"[1]");
        assert_eq!(found.method, ComparisonMethod::Bytes);
        assert_eq!(found.limitation, Some(ComparisonLimitation::TooLarge));
    }

    #[test]
    fn json_in_another_form_is_the_same_document() {
        let coded = ComparedBody { bytes: b"a=1", payload: Some(br#"{"a":"1"}"#) };
        let plain = ComparedBody { bytes: br#"{"a":"2"}"#, payload: Some(br#"{"a":"2"}"#) };
        assert_eq!(compare_bodies(coded, plain, false).changes[0].path, "/a");
    }

    #[test]
    fn body_without_payload_is_compared_as_received() {
        let form = ComparedBody { bytes: b"a=1", payload: Some(br#"{"a":"1"}"#) };
        let text = ComparedBody { bytes: b"a=1\n", payload: None };
        let found = compare_bodies(form, text, false);
        assert_eq!(found.method, ComparisonMethod::Lines);
        assert_eq!(
            (&*found.line_changes[0].left, &*found.line_changes[0].right),
            (&["a=1".to_owned()][..], &["a=1\n".to_owned()][..])
        );
        let found = compare_bodies(text, form, false);
        assert_eq!(found.line_changes[0].right, ["a=1"]);
        // A compressed document next to a body that is not JSON.
        let compressed = ComparedBody { bytes: b"\x1f\x8b", payload: Some(b"{}") };
        let found = compare_bodies(compressed, text, false);
        assert_eq!(found.limitation, Some(ComparisonLimitation::Binary));
    }
}
