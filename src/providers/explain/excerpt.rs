//! Both ends of a text in readable form, without secrets.

use std::ops::Range;

use crate::content::request::Secret;

/// Characters that are shown at each end of a text.
const END_CHARACTERS: usize = 200;
/// Maximum bytes of these characters.
const END_BYTES: usize = END_CHARACTERS * 4;
const REDACTED: &str = "[redacted]";

/// Both ends of a text. A space is shown as `·`, and line feed, carriage return and tab as `␊`, `␍`
/// and `␉`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextExcerpt {
    pub bytes: usize,
    /// The first 200 characters, or up to 400 if that is the whole text.
    pub first: String,
    /// The last 200 characters of a longer text.
    pub last: Option<String>,
}

/// Removes secrets from texts that are shown.
#[derive(Debug)]
pub struct Redactor<'a> {
    /// The secrets by their first byte, longest first.
    by_first_byte: Vec<Vec<&'a [u8]>>,
    longest_bytes: usize,
}

impl<'a> Redactor<'a> {
    pub fn new(secrets: impl Iterator<Item = &'a Secret>) -> Self {
        let mut by_first_byte: Vec<Vec<&[u8]>> = vec![Vec::new(); 256];
        for secret in secrets.map(Secret::expose) {
            if let Some(first) = secret.first() {
                by_first_byte[usize::from(*first)].push(secret);
            }
        }
        for row in &mut by_first_byte {
            row.sort_unstable_by_key(|secret| std::cmp::Reverse(secret.len()));
            row.dedup();
        }
        let longest_bytes = by_first_byte.iter().flatten().map(|secret| secret.len()).max();
        Self { by_first_byte, longest_bytes: longest_bytes.unwrap_or_default() }
    }

    /// Returns the bytes at the offsets in `shown`. Secrets are replaced; overlapping ones have one
    /// mark.
    fn redact(&self, text: &[u8], shown: Range<usize>) -> Vec<u8> {
        let mut redacted = Vec::with_capacity(text.len());
        // End of the secrets that begin before the current offset.
        let mut end = 0;
        for (at, byte) in text.iter().enumerate().take(shown.end) {
            let is_first = at >= end || at == shown.start;
            let secrets = &self.by_first_byte[usize::from(*byte)];
            if let Some(secret) = secrets.iter().find(|secret| text[at..].starts_with(secret)) {
                end = end.max(at + secret.len());
            }
            if at < shown.start {
                continue;
            }
            if at >= end {
                redacted.push(*byte);
            } else if is_first {
                redacted.extend_from_slice(REDACTED.as_bytes());
            }
        }
        redacted
    }

    /// Returns the beginning of a text in readable form, at most `END_CHARACTERS` characters.
    pub fn show(&self, text: &[u8]) -> String {
        let window = &text[..text.len().min(END_BYTES + self.longest_bytes)];
        // A secret that begins after `END_BYTES` may be cut at the end of the window.
        let mut shown = readable(&self.redact(window, 0..END_BYTES));
        shown.truncate(END_CHARACTERS);
        shown.concat()
    }

    /// Returns both ends of a text.
    pub fn excerpt(&self, text: &[u8]) -> TextExcerpt {
        let bytes = text.len();
        if bytes <= 2 * END_BYTES {
            let shown = readable(&self.redact(text, 0..bytes));
            let is_whole = shown.len() <= 2 * END_CHARACTERS;
            let first = if is_whole { shown.concat() } else { shown[..END_CHARACTERS].concat() };
            return TextExcerpt { bytes, first, last: (!is_whole).then(|| end_of(&shown)) };
        }
        let window = &text[bytes.saturating_sub(END_BYTES + self.longest_bytes)..];
        // A secret that ends before the last `END_BYTES` may be cut at the beginning of the window.
        let last = readable(&self.redact(window, window.len() - END_BYTES..window.len()));
        TextExcerpt { bytes, first: self.show(text), last: Some(end_of(&last)) }
    }
}

fn end_of(shown: &[String]) -> String {
    shown[shown.len().saturating_sub(END_CHARACTERS)..].concat()
}

/// Returns the characters of a text, each in visible form.
fn readable(text: &[u8]) -> Vec<String> {
    let mut shown = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        shown.extend(chunk.valid().chars().map(visible));
        shown.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    shown
}

fn visible(character: char) -> String {
    match character {
        ' ' => "·".to_owned(),
        '\n' => "␊".to_owned(),
        '\r' => "␍".to_owned(),
        '\t' => "␉".to_owned(),
        '"' | '\'' | '\\' => character.to_string(),
        other => other.escape_debug().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excerpt(text: &[u8], secrets: &[&str]) -> TextExcerpt {
        let secrets: Vec<Secret> = secrets.iter().map(|secret| Secret::new(*secret)).collect();
        Redactor::new(secrets.iter()).excerpt(text)
    }

    #[test]
    fn spaces_and_line_ends_are_visible() {
        let shown = excerpt("{\"a\": 1}\r\n\tü\u{202e}\0".as_bytes(), &[]);
        assert_eq!(shown.first, "{\"a\":·1}␍␊␉ü\\u{202e}\\0");
        assert_eq!((shown.bytes, shown.last), (17, None));
        assert_eq!(excerpt(b"\xffa", &[]).first, "\\xffa");
        assert_eq!(excerpt(b"", &[]).first, "");
    }

    #[test]
    fn long_text_is_shown_at_both_ends() {
        let text = format!("<{}{}>", "é".repeat(400), "z".repeat(300));
        let shown = excerpt(text.as_bytes(), &[]);
        assert_eq!(shown.bytes, text.len());
        assert_eq!(shown.first, format!("<{}", "é".repeat(199)));
        assert_eq!(shown.last, Some(format!("{}>", "z".repeat(199))));
    }

    #[test]
    fn ends_of_text_do_not_overlap() {
        for character in ["a", "é", "字", "😀"] {
            for count in [200, 400] {
                let text = character.repeat(count);
                let whole = TextExcerpt { bytes: text.len(), first: text.clone(), last: None };
                assert_eq!(excerpt(text.as_bytes(), &[]), whole);
            }
            let text = format!("{}{}", character.repeat(201), "z".repeat(200));
            let shown = excerpt(text.as_bytes(), &[]);
            assert_eq!(shown.first, character.repeat(200));
            assert_eq!(shown.last, Some("z".repeat(200)));
        }
        let secret = "s".repeat(2_000);
        let shown = excerpt(format!("k={secret};").as_bytes(), &[&secret]);
        assert_eq!((shown.first.as_str(), shown.last.as_deref()), ("k=[redacted]", Some("[redacted];")));
    }

    #[test]
    fn secret_is_redacted_also_across_the_cut() {
        // In a text of at most 1,600 bytes and in a longer one.
        let pads = ["a", "😀"].into_iter().flat_map(|pad| (0..420).map(move |count| pad.repeat(count)));
        for (pad, rest) in pads.flat_map(|pad| [420, 2_000].map(|count| (pad.clone(), "b".repeat(count)))) {
            let text = format!("{pad}s3cret-value{rest}");
            let reversed: String = text.chars().rev().collect();
            for (text, secret) in [(&text, "s3cret-value"), (&reversed, "eulav-terc3s")] {
                let shown = excerpt(text.as_bytes(), &[secret, "s3cr"]);
                let both = format!("{}{}", shown.first, shown.last.unwrap_or_default());
                assert!(!both.contains("s3") && !both.contains("3s"), "{both}");
            }
        }
        assert_eq!(excerpt(b"k=abcd", &["ab", "abc"]).first, "k=[redacted]d");
        // Secrets that overlap, contain each other, or follow each other.
        assert_eq!(excerpt(b"s=correct", &["s=c", "correct"]).first, "[redacted]");
        assert_eq!(excerpt(b"<abcdef>", &["abcd", "b", "cde"]).first, "<[redacted]f>");
        assert_eq!(excerpt(b"abcabc", &["abc"]).first, "[redacted][redacted]");
        // The text of many secrets becomes shorter than the shown part.
        let many = "s3cret-value-that-is-longer-than-its-mark".repeat(60);
        let shown = excerpt(many.as_bytes(), &["s3cret-value-that-is-longer-than-its-mark"]);
        let both = format!("{}{}", shown.first, shown.last.unwrap_or_default());
        assert!(both.replace("[redacted]", "").is_empty(), "{both}");
    }
}
