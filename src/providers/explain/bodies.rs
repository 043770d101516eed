//! Changes of the body between the signature and creel.

use std::fmt::Write as _;

use crate::content::request::Request;
use crate::json;

use super::checks::{Checks, TrialFinding, first_fit, unique};
use super::diagnosis::Trial;

/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Tries one change of the body; returns the advice if it fits.
pub fn try_body(checks: &Checks<'_>, trial: Trial) -> TrialFinding<String> {
    let request = checks.rejected.request;
    if !checks.rejected.verifier.reads_body() {
        return TrialFinding::Inapplicable;
    }
    // JSON without white space has no line end either, and that is another trial.
    let is_json = matches!(trial, Trial::CompactJson | Trial::SpacedJson);
    let known = if is_json { changed(checks, Trial::WithoutLineEnd) } else { Vec::new() };
    let bodies = unique(changed(checks, trial)).into_iter().filter(|body| !known.contains(body));
    let bodies = bodies.filter(|body| body.as_slice() != request.body);
    let fits = |body: &Vec<u8>| {
        let changed = Request { body, ..*request };
        checks.verifies(checks.rejected.verifier, &changed)
    };
    first_fit(bodies, fits).map(|_| remedy(trial).to_owned())
}

/// Returns the bodies that the sender may have signed.
fn changed(checks: &Checks<'_>, trial: Trial) -> Vec<Vec<u8>> {
    let body = checks.rejected.request.body;
    if body.is_empty() {
        return Vec::new();
    }
    match trial {
        Trial::WithoutLineEnd => {
            let without = body.strip_suffix(b"\r\n").or_else(|| body.strip_suffix(b"\n"));
            let ends = body.iter().rposition(|byte| !b"\r\n".contains(byte)).map(|last| &body[..=last]);
            without.into_iter().chain(ends).map(<[u8]>::to_vec).collect()
        }
        Trial::WithLineEnd => vec![[body, b"\n"].concat(), [body, b"\r\n"].concat()],
        Trial::CrlfToLf => vec![with_line_ends(body, b"\n")],
        Trial::LfToCrlf => vec![with_line_ends(body, b"\r\n")],
        Trial::CompactJson => {
            document(body).map(|text| json::compact(text).into_bytes()).into_iter().collect()
        }
        Trial::SpacedJson => document(body).map(|text| spaced(&json::compact(text))).into_iter().collect(),
        Trial::EscapedJson => match document(body).filter(|text| !text.is_ascii()) {
            // Serializers that escape may also add or remove white space.
            Some(text) => {
                let (plain, compact) = (escaped(text), escaped(&json::compact(text)));
                vec![spaced(&compact), compact.into_bytes(), plain.into_bytes()]
            }
            None => Vec::new(),
        },
        Trial::DecodedBody => {
            let view = checks.rejected.verifier.view(checks.rejected.request);
            let decoded = view.decoded_body().ok().map(<[u8]>::to_vec);
            decoded.into_iter().chain(body.strip_prefix(MARK).map(<[u8]>::to_vec)).collect()
        }
        _ => Vec::new(),
    }
}

fn document(body: &[u8]) -> Option<&str> {
    json::document(body).ok()
}

/// Replaces each CRLF and each LF.
fn with_line_ends(body: &[u8], end: &[u8]) -> Vec<u8> {
    let mut changed = Vec::with_capacity(body.len() + body.len() / 16);
    for (number, line) in body.split(|byte| *byte == b'\n').enumerate() {
        if number > 0 {
            let before = changed.strip_suffix(b"\r").map_or(changed.len(), <[u8]>::len);
            changed.truncate(before);
            changed.extend_from_slice(end);
        }
        changed.extend_from_slice(line);
    }
    changed
}

/// Adds a space after each comma and colon outside strings, as Python's `json.dumps` does.
fn spaced(compact: &str) -> Vec<u8> {
    let mut written = Vec::with_capacity(compact.len() + compact.len() / 8);
    let (mut is_in_string, mut is_escaped) = (false, false);
    for byte in compact.bytes() {
        written.push(byte);
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' => is_escaped = is_in_string,
            b'"' => is_in_string = !is_in_string,
            b',' | b':' if !is_in_string => written.push(b' '),
            _ => {}
        }
    }
    written
}

/// Writes characters other than ASCII as `\u` escapes with lower-case digits.
fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len() * 2);
    let mut units = [0; 2];
    for character in text.chars() {
        if character.is_ascii() {
            written.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut units) {
            // Writing into a string cannot fail.
            let _ = write!(written, "\\u{unit:04x}");
        }
    }
    written
}

const fn remedy(trial: Trial) -> &'static str {
    match trial {
        Trial::WithoutLineEnd => {
            "The request verifies without the line end after its body: a proxy or the sender's HTTP client appends it after signing. Send exactly the signed bytes."
        }
        Trial::WithLineEnd => {
            "The request verifies with a line end after its body: a proxy or the sender's HTTP client removes it after signing. Send exactly the signed bytes."
        }
        Trial::CrlfToLf => {
            "The request verifies with LF instead of CRLF in its body: a component between the signature and creel converts line ends. Forward the body unchanged."
        }
        Trial::LfToCrlf => {
            "The request verifies with CRLF instead of LF in its body: a component between the signature and creel converts line ends. Forward the body unchanged."
        }
        Trial::CompactJson => {
            "The request verifies with compact JSON: the sender signs JSON without white space and sends another form, or a proxy formats the body. Sign and send the same bytes."
        }
        Trial::SpacedJson => {
            "The request verifies with a space after each comma and colon of the JSON, as Python's `json.dumps` writes it: the sender signs one form and sends another. Sign and send the same bytes."
        }
        Trial::EscapedJson => {
            "The request verifies with `\\u` escapes in the JSON: the sender signs the escaped form, or a proxy rewrites the body. Sign and send the same bytes."
        }
        _ => {
            "The request verifies with the decoded body: the sender signs it before it is compressed or marked. Turn off compression of requests between the sender and creel."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_are_converted_once() {
        assert_eq!(with_line_ends(b"a\r\nb\nc\r", b"\n"), b"a\nb\nc\r");
        assert_eq!(with_line_ends(b"a\r\nb\n", b"\r\n"), b"a\r\nb\r\n");
        assert_eq!(with_line_ends(b"", b"\n"), b"");
    }

    #[test]
    fn json_is_written_as_other_serializers_do() {
        let text = r#"{"a":[1,2],"b\"":"x,y:z\\"}"#;
        assert_eq!(spaced(text), br#"{"a": [1, 2], "b\"": "x,y:z\\"}"#);
        assert_eq!(escaped("{\"ü\":\"😀a\"}"), r#"{"\u00fc":"\ud83d\ude00a"}"#);
    }
}
