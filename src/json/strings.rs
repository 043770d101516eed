//! Decoding of JSON strings.

use std::borrow::Cow;

use serde_json::value::RawValue;

/// Decodes a raw string; `None` if it is not a string or has a lone surrogate.
pub fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        return serde_json::from_str(raw).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// Decodes a raw string with U+FFFD for each lone surrogate, as browsers do for forms. Empty if it
/// is not a string.
pub fn text_lossy(raw: &str) -> Cow<'_, str> {
    text_of(raw).unwrap_or_else(|| Cow::Owned(serde_json::from_str(&repaired(raw)).unwrap_or_default()))
}

/// Replaces each lone surrogate escape with `\ufffd`.
fn repaired(raw: &str) -> String {
    replace_lone_surrogates(raw, |_, written| written.push_str("\\ufffd"))
}

/// Replaces each escape of a lone surrogate, in a string or a whole document.
pub fn replace_lone_surrogates(raw: &str, mut replace: impl FnMut(u16, &mut String)) -> String {
    const ESCAPE_BYTES: usize = 6;
    let mut written = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(start) = rest.find('\\') {
        written.push_str(&rest[..start]);
        rest = &rest[start..];
        let taken = match unit(rest) {
            Some(0xd800..=0xdbff)
                if matches!(rest.get(ESCAPE_BYTES..).and_then(unit), Some(0xdc00..=0xdfff)) =>
            {
                2 * ESCAPE_BYTES
            }
            Some(lone @ 0xd800..=0xdfff) => {
                replace(lone, &mut written);
                rest = &rest[ESCAPE_BYTES..];
                continue;
            }
            Some(_) => ESCAPE_BYTES,
            // A backslash and the ASCII character that it escapes.
            None => 2,
        };
        let (escape, rest_after) = rest.split_at_checked(taken).unwrap_or((rest, ""));
        written.push_str(escape);
        rest = rest_after;
    }
    written.push_str(rest);
    written
}

/// The UTF-16 code unit of a `\u` escape at the start of the text.
fn unit(text: &str) -> Option<u16> {
    u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()
}

/// Returns a key as text; `None` if it has a lone surrogate, which no requested key has. Keys are
/// read as raw values: if serde_json returns a key as bytes, it accepts control characters in it.
pub(super) fn key_text(key: &RawValue) -> Option<Cow<'_, str>> {
    text_of(key.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_with_lone_surrogate_has_no_text() {
        let rows = [
            (r#""a""#, Some("a"), "a"),
            (r#""a\u0062\n""#, Some("ab\n"), "ab\n"),
            (r#""\ud83d\udc1f""#, Some("\u{1f41f}"), "\u{1f41f}"),
            (r#""the \ud83d does""#, None, "the \u{fffd} does"),
            (r#""\ud83d\ud83d\udc1f\\ud800\udc00""#, None, "\u{fffd}\u{1f41f}\\ud800\u{fffd}"),
            (r#""\"\ud800""#, None, "\"\u{fffd}"),
            (r#""\uDFFFé""#, None, "\u{fffd}é"),
            ("1", None, ""),
            ("\"", None, ""),
        ];
        for (raw, text, lossy) in rows {
            assert_eq!(text_of(raw).as_deref(), text, "{raw}");
            assert_eq!(text_lossy(raw), lossy, "{raw}");
        }
    }
}
