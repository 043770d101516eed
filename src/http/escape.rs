//! Untrusted text in a log line: always one line, without terminal control sequences or changes of
//! text direction.

use std::fmt::{self, Display, Formatter, Write};

/// The value in `name=value`: bare if unambiguous, otherwise quoted.
#[derive(Clone, Copy, Debug)]
pub struct LogValue<'a>(pub &'a str);

/// A JSON string, quotes included.
#[derive(Clone, Copy, Debug)]
pub struct JsonString<'a>(pub &'a str);

/// A writer that escapes every harmful character.
pub struct EscapedText<W>(pub W);

impl Display for LogValue<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-@+%~,;()*".contains(&byte);
        if !self.0.is_empty() && self.0.bytes().all(is_bare) {
            return f.write_str(self.0);
        }
        f.write_char('"')?;
        for character in self.0.chars() {
            match character {
                '"' | '\\' => write!(f, "\\{character}")?,
                '\'' => f.write_char('\'')?,
                other => write!(f, "{}", other.escape_debug())?,
            }
        }
        f.write_char('"')
    }
}

impl Display for JsonString<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        JsonText(&mut *f).write_str(self.0)?;
        f.write_char('"')
    }
}

/// A writer for the content of a JSON string.
pub struct JsonText<W>(pub W);

impl<W: Write> Write for JsonText<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|character| match character {
            '"' | '\\' => write!(self.0, "\\{character}"),
            harmless if is_harmless(harmless) => self.0.write_char(harmless),
            harmful => {
                let mut units = [0; 2];
                harmful.encode_utf16(&mut units).iter().try_for_each(|unit| write!(self.0, "\\u{unit:04x}"))
            }
        })
    }
}

impl<W: Write> Write for EscapedText<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|character| match character {
            harmless if is_harmless(harmless) => self.0.write_char(harmless),
            harmful => write!(self.0, "{}", harmful.escape_debug()),
        })
    }
}

/// Whether a character can be printed as it is: not a control character, a direction override or a
/// line separator.
fn is_harmless(character: char) -> bool {
    matches!(character, '"' | '\'' | '\\') || character.escape_debug().len() == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Characters that must be escaped in a log.
    const HARMFUL: [char; 12] = [
        '\r', '\n', '\0', '\u{1b}', '\u{7f}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{200f}', '\u{2028}',
        '\u{feff}', '\u{85}',
    ];

    #[test]
    fn unambiguous_values_are_bare() {
        let rows = [
            ("github.push", "github.push"),
            ("2001:db8::1", "2001:db8::1"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("a=b", "\"a=b\""),
            ("say \"x\\y\"", "\"say \\\"x\\\\y\\\"\""),
            ("it's", "\"it's\""),
            ("grün", "\"grün\""),
            ("a\r\nb", "\"a\\r\\nb\""),
        ];
        for (text, shown) in rows {
            assert_eq!(LogValue(text).to_string(), shown);
        }
    }

    #[test]
    fn no_format_emits_harmful_characters() {
        for harmful in HARMFUL {
            let text = format!("a{harmful}b");
            let mut harmless = EscapedText(String::new());
            harmless.write_str(&text).unwrap();
            for shown in [LogValue(&text).to_string(), JsonString(&text).to_string(), harmless.0] {
                assert!(!shown.contains(HARMFUL), "{shown:?}");
                assert!(shown.contains('a') && shown.contains('b'), "{shown:?}");
            }
        }
    }

    #[test]
    fn json_strings_round_trip() {
        let text: String = HARMFUL.iter().chain(&['"', '\\', 'ü', '\u{1f600}', '\u{e0001}', '\'']).collect();
        let shown = JsonString(&text).to_string();
        assert_eq!(serde_json::from_str::<String>(&shown).unwrap(), text);
    }
}
