//! Declared charsets, and decoding of text in them.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::request::Headers;
use crate::json;

/// Reason why bytes cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CharsetProblem {
    Unknown,
    Malformed,
}

/// A declared charset, if any.
pub type DeclaredCharset = Result<Option<&'static Encoding>, CharsetProblem>;

/// Returns the charset that the first Content-Type declares, if any.
///
/// # Errors
/// The charset is not in the Encoding Standard.
pub fn declared(headers: Headers<'_>) -> DeclaredCharset {
    let content_type = headers.0.iter().find(|(name, _)| *name == "content-type");
    content_type.map_or(Ok(None), |(_, value)| of_content_type(value))
}

/// Returns the charset that a Content-Type declares, if any.
///
/// # Errors
/// See `declared`.
pub fn of_content_type(value: &[u8]) -> DeclaredCharset {
    let Some((_, label)) = parameters(value).find(|(name, _)| name.eq_ignore_ascii_case(b"charset")) else {
        return Ok(None);
    };
    // Some senders use single quotes, which have no meaning in HTTP.
    let unquoted = |quote: &[u8]| label.strip_prefix(quote).and_then(|label| label.strip_suffix(quote));
    let label = unquoted(b"\"").or_else(|| unquoted(b"'")).unwrap_or(label).trim_ascii();
    // An empty value declares nothing.
    if label.is_empty() {
        return Ok(None);
    }
    Encoding::for_label(label).map(Some).ok_or(CharsetProblem::Unknown)
}

/// The parameters of a header value, as written. A semicolon between double quotes is part of a
/// value.
pub fn parameters(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let (mut is_quoted, mut is_escaped) = (false, false);
    let pieces = value.split(move |byte| {
        match byte {
            b'"' if !is_escaped => is_quoted = !is_quoted,
            _ => {}
        }
        is_escaped = is_quoted && *byte == b'\\' && !is_escaped;
        *byte == b';' && !is_quoted
    });
    pieces.skip(1).filter_map(|parameter| {
        let at = parameter.iter().position(|byte| *byte == b'=')?;
        Some((parameter[..at].trim_ascii(), parameter[at + 1..].trim_ascii()))
    })
}

/// Decodes bytes without replacement characters.
///
/// # Errors
/// Bytes that are invalid in the charset.
pub fn decode(bytes: &[u8], charset: &'static Encoding) -> Result<String, CharsetProblem> {
    let text = charset.decode_without_bom_handling_and_without_replacement(bytes);
    text.map(std::borrow::Cow::into_owned).ok_or(CharsetProblem::Malformed)
}

/// Returns the charset of a JSON body with the length of its byte order mark. A mark overrides the
/// declared charset. `None` if the charset is UTF-8, or if there is neither a mark nor a
/// declaration.
///
/// # Errors
/// `Unknown` if the body has no mark, and the declared charset is not in the Encoding Standard.
pub fn of_json(
    body: &[u8],
    headers: Headers<'_>,
) -> Result<Option<(&'static Encoding, usize)>, CharsetProblem> {
    match Encoding::for_bom(body) {
        Some((charset, _)) if charset == UTF_8 => return Ok(None),
        Some(marked) => return Ok(Some(marked)),
        None => {}
    }
    let charset = declared(headers)?.filter(|charset| *charset != UTF_8);
    Ok(charset.map(|charset| (byte_order(charset, body), 0)))
}

/// Converts JSON in another charset to UTF-8; `None` if the body is already JSON in UTF-8 (of any
/// depth), or is not a readable document in its charset.
pub fn json_in_utf8(body: &[u8], headers: Headers<'_>) -> Option<String> {
    if json::problem(body) == json::JsonProblem::TooDeep || json::accepts(body) {
        return None;
    }
    let (charset, mark) = of_json(body, headers).ok()??;
    let text = decode(&body[mark..], charset).ok()?;
    json::accepts(text.as_bytes()).then_some(text)
}

/// Detects the byte order of UTF-16 without a mark: the first character of JSON is ASCII, so one of
/// its bytes is zero.
fn byte_order(charset: &'static Encoding, body: &[u8]) -> &'static Encoding {
    let is_utf16 = charset == UTF_16LE || charset == UTF_16BE;
    match body {
        [0, 1..=0xff, ..] if is_utf16 => UTF_16BE,
        [1..=0xff, 0, ..] if is_utf16 => UTF_16LE,
        _ => charset,
    }
}

#[cfg(test)]
mod tests {
    use encoding_rs::{SHIFT_JIS, WINDOWS_1252};

    use super::*;

    #[test]
    fn charset_is_read_from_the_content_type() {
        let rows: [(&str, Result<Option<&'static Encoding>, CharsetProblem>); 15] = [
            ("application/json", Ok(None)),
            ("application/json; charset=utf-8", Ok(Some(UTF_8))),
            ("text/plain;CHARSET = \"UTF8\"", Ok(Some(UTF_8))),
            ("x/y; a=b; charset=iso-8859-1 ; c=d", Ok(Some(WINDOWS_1252))),
            ("x/y; charset=Shift_JIS", Ok(Some(SHIFT_JIS))),
            ("x/y; charset=utf-16", Ok(Some(UTF_16LE))),
            ("x/y; charset=klingon", Err(CharsetProblem::Unknown)),
            ("x/y; charset=", Ok(None)),
            ("x/y; charset=\"\"", Ok(None)),
            ("x/y; charset=' '; a=b", Ok(None)),
            ("x/y; charset", Ok(None)),
            ("x/y; charset='utf-8'", Ok(Some(UTF_8))),
            ("x/y; boundary=\"a;charset=klingon\"", Ok(None)),
            ("x/y; boundary=\"a\\\";charset=klingon\"; charset=utf-8", Ok(Some(UTF_8))),
            ("x/y; boundary=a;charset=utf-8", Ok(Some(UTF_8))),
        ];
        for (content_type, expected) in rows {
            let fields = [("content-type", content_type.as_bytes())];
            assert_eq!(declared(Headers(&fields)), expected, "{content_type}");
        }
        assert_eq!(declared(Headers(&[])), Ok(None));
    }

    #[test]
    fn json_byte_order_mark_overrides_declared_charset() {
        let of = |body: &[u8], content_type: &str| {
            of_json(body, Headers(&[("content-type", content_type.as_bytes())]))
        };
        assert_eq!(of(b"\xff\xfe{\0}\0", ""), Ok(Some((UTF_16LE, 2))));
        assert_eq!(of(b"\xfe\xff\0{\0}", "x/y;charset=utf-8"), Ok(Some((UTF_16BE, 2))));
        assert_eq!(of(b"{}", "x/y;charset=utf-8"), Ok(None));
        assert_eq!(of(b"{\0}\0", ""), Ok(None));
        assert_eq!(of(b"\0{\0}", "x/y;charset=utf-16"), Ok(Some((UTF_16BE, 0))));
        assert_eq!(of(b"{\0}\0", "x/y;charset=utf-16"), Ok(Some((UTF_16LE, 0))));
        assert_eq!(of(b"{}", "x/y;charset=klingon"), Err(CharsetProblem::Unknown));
    }

    #[test]
    fn only_json_of_another_charset_is_converted() {
        let of = |body: &[u8], charset: &str| {
            let value = format!("application/json; charset={charset}");
            json_in_utf8(body, Headers(&[("content-type", value.as_bytes())]))
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of(b"\xff\xfe{\0}\0", "utf-8"), some("{}"));
        assert_eq!(of(b"\0{\0}", "utf-16"), some("{}"));
        assert_eq!(of(b"{\"a\":\"\xe9\"}", "latin1"), some("{\"a\":\"\u{e9}\"}"));
        for (body, charset) in [
            (&b"{}"[..], "utf-16"),
            (b"\xef\xbb\xbf{}", "latin1"),
            (b"\0{\0}", "utf-8"),
            (b"\xff\xfe{\0", "utf-8"),
            (b"\xff\xfea\0", "utf-8"),
            (b"{\"a\":\"\xe9\"}", "klingon"),
            (b"a=\xe9", "latin1"),
        ] {
            assert_eq!(of(body, charset), None, "{body:?} {charset}");
        }
    }
}
