//! Texts that end in an id, a timestamp and the whole body, e.g. `{header:webhook-id}.{ts}.{body}`.
//!
//! A body of structured JSON is found from the right: no object or array ends with a shorter one.
//! The id can then contain anything, including a delimiter and a timestamp. Any other body is found
//! from the left: the id ends at the first delimiter with a timestamp. A body found from the left
//! must not end in a timestamp followed by structured JSON, because the same text could be read
//! with that JSON as its body.

use super::super::forms::is_structured;
use super::super::parts::Part;
use super::{MAX_DATE_BYTES, SplitCheck, clear, is_of_date, literal};
use crate::content::request::Cause;

impl SplitCheck<'_> {
    pub(super) fn tail(&self, id_at: usize) -> Result<(), Cause> {
        let stamp_at =
            id_at + self.parts[id_at..].iter().position(|part| *part == Part::Timestamp).unwrap_or(0);
        let body = self.scope.view.request.body;
        let from_left = (id_at..self.parts.len() - 1).try_for_each(|at| self.end(at));
        let from_right = self.beginning(stamp_at);
        let ends_in_another = self.ends_in_another_body(stamp_at, body)?;
        // Most bodies need no parsing.
        if from_left.is_ok() && from_right.is_ok() && !ends_in_another {
            return Ok(());
        }
        if !body.is_empty() && is_structured(body) {
            return from_right;
        }
        from_left?;
        clear(!ends_in_another)
    }

    /// Whether the body may end in a timestamp followed by structured JSON, with the same
    /// delimiters around the timestamp as in the text itself.
    fn ends_in_another_body(&self, stamp_at: usize, body: &[u8]) -> Result<bool, Cause> {
        if !matches!(body.trim_ascii_end(), [.., b'}' | b']']) {
            return Ok(false);
        }
        let (delimiter, close) =
            (literal(self.parts.get(stamp_at - 1)), literal(self.parts.get(stamp_at + 1)));
        let head = [&*self.value(&Part::Timestamp)?, close].concat();
        let reach = MAX_DATE_BYTES + delimiter.len() + close.len();
        let follows_stamp = |before: &[u8]| {
            // Almost every opening bracket fails this check, before any memory is needed.
            let is_near =
                before.strip_suffix(close).map(|before| before.last().is_none_or(|last| is_of_date(*last)));
            if before.len() >= close.len() && is_near != Some(true) {
                return false;
            }
            let near = &before[before.len().saturating_sub(reach)..];
            let window = if near.len() < before.len() { near.to_vec() } else { [&head, near].concat() };
            window.strip_suffix(close).is_some_and(|window| self.ends_in_stamp(window, delimiter))
        };
        let is_another = |at: usize| {
            let before = &body[..at];
            let unmarked = without_blanks_and_mark(before);
            // A match at the start of the body is the text's own timestamp, not another reading.
            !unmarked.is_empty() && (follows_stamp(before) || follows_stamp(unmarked))
        };
        let mut openings = (0..body.len()).filter(|at| b"{[".contains(&body[*at]));
        Ok(openings.any(is_another))
    }

    fn ends_in_stamp(&self, text: &[u8], delimiter: &[u8]) -> bool {
        let reach = text.iter().rev().take_while(|byte| is_of_date(**byte)).count().min(MAX_DATE_BYTES);
        (1..=reach).any(|length| {
            let (head, stamp) = text.split_at(text.len() - length);
            head.ends_with(delimiter) && self.is_timestamp(stamp)
        })
    }
}

/// Blanks, and a byte order mark before them, may precede JSON.
fn without_blanks_and_mark(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii_end();
    text.strip_suffix(b"\xef\xbb\xbf").unwrap_or(text)
}
