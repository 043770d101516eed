//! Output of a command: read to its end, so that the command never blocks, and stored in part.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Limit on the size of an excerpt.
const EXCERPT_BYTES: usize = 1 << 10;
/// Bytes that the excerpt of a longer output takes from its beginning. The rest comes from its end,
/// where a script usually reports its error.
const FROM_BEGINNING: usize = 400;
const OMISSION_MARK: &str = "\n…\n";
const FROM_END: usize = EXCERPT_BYTES - FROM_BEGINNING - OMISSION_MARK.len();
const READ_BUFFER_BYTES: usize = 16 << 10;

/// The stored part of stdout and stderr, in order of arrival.
#[derive(Debug, Default)]
pub struct CommandOutput {
    bytes: u64,
    beginning: Vec<u8>,
    end: VecDeque<u8>,
}

impl CommandOutput {
    fn add(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let room = EXCERPT_BYTES - self.beginning.len();
        self.beginning.extend_from_slice(&bytes[..bytes.len().min(room)]);
        let last = &bytes[bytes.len().saturating_sub(FROM_END)..];
        self.end.extend(last);
        self.end.drain(..self.end.len().saturating_sub(FROM_END));
    }

    /// Returns the start and end of the output; `None` if there is no output.
    pub fn excerpt(mut self) -> Option<String> {
        if self.bytes <= EXCERPT_BYTES as u64 {
            let mut text = readable(&self.beginning);
            text.truncate(boundary_before(&text, EXCERPT_BYTES));
            return Some(text).filter(|text| !text.is_empty());
        }
        // A character that was cut in two is left out.
        let is_cut = |character| character == char::REPLACEMENT_CHARACTER;
        let beginning = readable(&self.beginning[..FROM_BEGINNING]);
        let beginning = beginning.trim_end_matches(is_cut);
        let beginning = &beginning[..boundary_before(beginning, FROM_BEGINNING)];
        let end = readable(self.end.make_contiguous());
        let end = end.trim_start_matches(is_cut);
        let end = &end[boundary_after(end, end.len().saturating_sub(FROM_END))..];
        Some(format!("{beginning}{OMISSION_MARK}{end}"))
    }
}

/// Returns the last position up to `limit` at which the text can be cut.
pub fn boundary_before(text: &str, limit: usize) -> usize {
    (0..=limit.min(text.len())).rev().find(|place| text.is_char_boundary(*place)).unwrap_or(0)
}

fn boundary_after(text: &str, from: usize) -> usize {
    (from..text.len()).find(|place| text.is_char_boundary(*place)).unwrap_or(text.len())
}

/// Converts to text without terminal control characters.
fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().filter(|character| matches!(character, '\n' | '\t') || !character.is_control()).collect()
}

/// Reads the pipe to its end and adds the bytes to the output.
pub async fn drain(pipe: Option<impl AsyncRead + Unpin>, output: &Mutex<CommandOutput>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; READ_BUFFER_BYTES];
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        output.lock().add(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt_of(parts: &[&[u8]]) -> Option<String> {
        let mut output = CommandOutput::default();
        parts.iter().for_each(|part| output.add(part));
        output.excerpt()
    }

    #[test]
    fn short_output_is_stored_and_empty_is_none() {
        assert_eq!(excerpt_of(&[]), None);
        assert_eq!(excerpt_of(&["a\n".as_bytes(), "ü\t\u{1b}[31mb".as_bytes()]).unwrap(), "a\nü\t[31mb");
        let longest = "x".repeat(EXCERPT_BYTES);
        assert_eq!(excerpt_of(&[longest.as_bytes()]).unwrap(), longest);
    }

    #[test]
    fn long_output_keeps_beginning_and_end() {
        let long = format!("begin{}the reason", "ü".repeat(100_000));
        for parts in [vec![long.as_bytes()], long.as_bytes().chunks(7).collect()] {
            let excerpt = excerpt_of(&parts).unwrap();
            assert!(excerpt.starts_with("beginü") && excerpt.ends_with("üthe reason"), "{excerpt}");
            assert!(excerpt.len() <= EXCERPT_BYTES && excerpt.len() > EXCERPT_BYTES - 8, "{}", excerpt.len());
            assert!(!excerpt.contains(char::REPLACEMENT_CHARACTER), "{excerpt}");
        }
    }

    #[test]
    fn invalid_utf_8_does_not_enlarge_the_excerpt() {
        for length in [1_000, 100_000] {
            assert!(excerpt_of(&[&vec![0xff; length]]).unwrap().len() <= EXCERPT_BYTES);
        }
    }
}
