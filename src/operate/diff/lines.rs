//! Compares two texts by lines.

use super::alignment::{Orientation, Run, runs};

/// Limits of each text. They bound the time and the memory. The alignment of 100,000 short lines
/// would take more than half a second.
pub const MAX_BYTES: usize = 8 << 20;
const MAX_LINES: usize = 25_000;

/// Differing lines at one place. Lines include their line break.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineDelta<'a> {
    /// Index of the first line, or of the line that follows if there are no lines.
    pub left_at: usize,
    pub left: Vec<&'a str>,
    pub right_at: usize,
    pub right: Vec<&'a str>,
}

/// Returns the differing lines in order; `None` if a text exceeds the limits.
pub fn compare<'a>(left: &'a str, right: &'a str) -> Option<Vec<LineDelta<'a>>> {
    let (left_lines, right_lines) = (lines(left)?, lines(right)?);
    let runs = runs(&left_lines, &right_lines, Orientation::of(left, right));
    let delta = |run: Run| match run {
        Run::Equal { .. } => None,
        Run::Different { left, left_len, right, right_len } => Some(LineDelta {
            left_at: left,
            left: left_lines[left..left + left_len].to_vec(),
            right_at: right,
            right: right_lines[right..right + right_len].to_vec(),
        }),
    };
    Some(runs.into_iter().filter_map(delta).collect())
}

fn lines(text: &str) -> Option<Vec<&str>> {
    if text.len() > MAX_BYTES {
        return None;
    }
    let lines: Vec<&str> = text.split_inclusive('\n').take(MAX_LINES + 1).collect();
    (lines.len() <= MAX_LINES).then_some(lines)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Replaces the differing lines of the left text.
    fn applied(deltas: &[LineDelta<'_>], left: &str) -> String {
        let lines: Vec<&str> = left.split_inclusive('\n').collect();
        let mut written = String::new();
        let mut at = 0;
        for delta in deltas {
            written.extend(lines[at..delta.left_at].iter().copied());
            assert_eq!(lines[delta.left_at..delta.left_at + delta.left.len()], delta.left);
            written.extend(delta.right.iter().copied());
            at = delta.left_at + delta.left.len();
        }
        written.extend(lines[at..].iter().copied());
        written
    }

    fn exchanged(delta: LineDelta<'_>) -> LineDelta<'_> {
        let LineDelta { left_at, left, right_at, right } = delta;
        LineDelta { left_at: right_at, left: right, right_at: left_at, right: left }
    }

    #[test]
    fn differing_lines_have_their_places() {
        let deltas = compare("a\nb\nc\n", "a\nx\ny\nc").unwrap();
        assert_eq!(
            deltas,
            [LineDelta { left_at: 1, left: vec!["b\n", "c\n"], right_at: 1, right: vec!["x\n", "y\n", "c"] }]
        );
        assert_eq!(compare("a", "a"), Some(Vec::new()));
        assert_eq!(compare("", "a\n").unwrap()[0].right, ["a\n"]);
    }

    #[test]
    fn text_above_a_limit_is_not_compared() {
        assert!(compare(&"\n".repeat(MAX_LINES), "").is_some());
        assert!(compare(&"\n".repeat(MAX_LINES + 1), "").is_none());
        assert!(compare("", &"a".repeat(MAX_BYTES + 1)).is_none());
    }

    proptest! {
        #[test]
        fn line_deltas_restore_the_right_text(left in "[ab\n]{0,30}", right in "[ab\n]{0,30}") {
            let deltas = compare(&left, &right).unwrap();
            prop_assert_eq!(applied(&deltas, &left), right.as_str());
            let mirrored: Vec<_> = deltas.into_iter().map(exchanged).collect();
            prop_assert_eq!(compare(&right, &left).unwrap(), mirrored);
            prop_assert!(compare(&left, &left).unwrap().is_empty());
        }
    }
}
