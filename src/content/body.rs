//! Determines the kind of a body. All code that reads a body, before or after authentication, uses
//! this one decision: the verified content must be the content that is read. Headers are only a
//! hint, because any client can change them.

use super::coding::{self, CodingProblem, DecodeBudget};
use super::form;
use super::request::{Headers, Request};
use crate::json;

/// The kind of a body without content codings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// JSON in UTF-8, possibly nested too deep to be read.
    Json,
    Form(form::FormKind),
    /// Any other body, e.g. JSON in another charset.
    Other,
}

/// A body without its content codings.
#[derive(Debug)]
pub struct DecodedBody {
    /// `None` if the body had no content coding.
    decoded: Option<Vec<u8>>,
    pub kind: BodyKind,
}

impl DecodedBody {
    /// Returns the decoded bytes, or `received` (the body that was passed to `open`) if there was
    /// no coding.
    pub fn bytes<'a>(&'a self, received: &'a [u8]) -> &'a [u8] {
        self.decoded.as_deref().unwrap_or(received)
    }

    /// The decoded bytes; `None` if there was no coding.
    pub fn into_decoded(self) -> Option<Vec<u8>> {
        self.decoded
    }
}

/// Removes the declared content codings, and determines the kind of the body. A body that is
/// already JSON is used as received, even if a coding is declared.
///
/// # Errors
/// A declared coding cannot be removed. The received bytes must not be used instead.
pub fn open(request: &Request<'_>, room: &mut dyn DecodeBudget) -> Result<DecodedBody, CodingProblem> {
    let kind = kind(request.body, request.headers);
    if kind == BodyKind::Json || request.body.is_empty() {
        return Ok(DecodedBody { decoded: None, kind });
    }
    let codings = coding::codings(request.headers)?;
    if codings.is_empty() {
        return Ok(DecodedBody { decoded: None, kind });
    }
    if request.body.len() > room.max_bytes() {
        return Err(CodingProblem::TooLarge);
    }
    let decoded = coding::decode(request.body, &codings, room)?;
    let kind = self::kind(&decoded, request.headers);
    Ok(DecodedBody { decoded: Some(decoded), kind })
}

/// Determines the kind of a body without content codings.
pub fn kind(body: &[u8], headers: Headers<'_>) -> BodyKind {
    let form = form_of(body, headers);
    if form != Some(form::FormKind::UrlEncoded) && json::is_json_of_any_depth(body) {
        return BodyKind::Json;
    }
    form.map_or(BodyKind::Other, BodyKind::Form)
}

/// Whether a body may be treated as JSON if it parses as JSON. A urlencoded form of one name
/// without a value can parse as a JSON number, but stays a form.
pub fn may_be_json(body: &[u8], headers: Headers<'_>) -> bool {
    form_of(body, headers) != Some(form::FormKind::UrlEncoded)
}

/// Returns the declared form type, if the body can be a form of that type. Some clients (`curl -d`)
/// declare a form by default, for any body. Unreadable JSON must not become a form with one odd
/// name, because it would then pass a filter like `!/draft`.
pub fn form_of(body: &[u8], headers: Headers<'_>) -> Option<form::FormKind> {
    form::kind(headers).filter(|kind| *kind != form::FormKind::UrlEncoded || form::is_url_encoded(body))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: &str = "application/x-www-form-urlencoded";

    #[test]
    fn json_is_recognized_despite_declared_type() {
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        let of = |content_type: &str, body: &str| {
            kind(body.as_bytes(), Headers(&[("content-type", content_type.as_bytes())]))
        };
        for content_type in ["application/json", "", FORM, "multipart/form-data; boundary=b", "text/plain"] {
            for body in ["{}", " [1]", "\u{feff}{\"a\":\"&b=1&\"}", &deep] {
                assert_eq!(of(content_type, body), BodyKind::Json, "{content_type} {body}");
            }
        }
        assert_eq!(of(FORM, "1"), BodyKind::Form(form::FormKind::UrlEncoded));
        assert_eq!(of(FORM, "\"&a=1&\""), BodyKind::Json);
        assert_eq!(of("text/plain", "1"), BodyKind::Json);
        assert_eq!(of("text/plain", "a=1"), BodyKind::Other);
    }

    #[test]
    fn unreadable_json_is_never_a_form() {
        let of = |body: &[u8]| kind(body, Headers(&[("content-type", FORM.as_bytes())]));
        for body in [
            &b"{\"draft\":true,\"s\":\"\xff\"}"[..],
            b"{\"a\":NaN}",
            b" \r\n{\"a\":1,}",
            b"[1,2",
            b"{\"a\":1}{\"b\":2}",
            b"{}=1",
            b"\"a",
            b"\xef\xbb\xbf{\"a\":1,}",
            b"\xef\xbb\xbfa=1",
            b"\xff\xfe{\0}\0",
            b"{\0}\0",
            b"\0{\0}",
            b"\x1f\x8b\x08\0",
            b"callback({\"a\":1})",
            b")]}',\n{\"a\":1}",
            b"data: {\"a\":1}\n\n",
            b"// c\n{\"a\":1}",
            b"<a b=\"1\"/>",
            b"a: 1\nb: 2",
            b"a=\0",
            b"a\x01=1",
            b"a=1&b\x7f=1",
            b"%7B%22a%22%3A1%7D=",
            b"+%7B%22a%22%3A1",
            b"%EF%BB%BF%7B%22draft%22%3Atrue%7D=",
            b"%C2%A0%7B%22draft%22%3Atrue%7D=",
            b"%A0%7B%22draft%22%3Atrue%7D=",
            b"%E2%80%8B%5B%7B%22draft%22%3Atrue%7D%5D=",
            b"%00%7B%22draft%22%3Atrue%7D",
            b"%00%7B%22draft%22%3A%22=1%22%7D",
            b"&=&%7B%22draft%22%3Atrue%7D",
            b"a=1&%7B%22draft%22%3Atrue%7D=",
            b"={\"draft\":true}",
            b"=+%7B%22draft%22%3Atrue%7D",
            b"%00=%5B%7B%22draft%22%3Atrue%7D%5D",
            b"%5B%7B%22draft%22%3Atrue%7D%5D=",
            b"%5B+%7B%22draft%22%3A%22=1%22%7D%5D",
            b"%5B0%2C%7B%22draft%22%3Atrue%7D%5D=",
            b"%5B%22draft%22%5D=",
            b"[1,{\"draft\":\"=1\"}",
            b"callback%28%7B%22draft%22%3Atrue%7D%29=",
            b"%22%7B%5C%22draft%5C%22%3Atrue%7D%22=",
            b"\"draft=1",
            b"<a>x=1</a>",
            b"<a>=1</a>",
        ] {
            assert_eq!(of(body), BodyKind::Other, "{}", body.escape_ascii());
        }
    }

    #[test]
    fn odd_names_and_control_characters_make_no_document() {
        for body in [
            "a",
            "a=1\n",
            "&a[b]=1",
            "a b=\"c\"",
            "payload={\"a\":\n\t[1]}",
            "a=<b>",
            "=1",
            "%5B0%5D=1",
            "%5B0%5D=",
            "[]=1&[]=2",
            "[draft]=1",
            "[0][draft]=1",
            "<a>=1",
            "\"a\"=1",
            "a=1&{b}=2",
            "a=1&[b",
            "text=\x1b[31mFAIL\x1b[0m&draft=1",
            "a=\x0c&draft=1",
            "a=\x01\x7f&draft=1",
            "a=1&\r\ndraft=1",
            "%C2%A0draft=1",
        ] {
            assert_eq!(
                kind(body.as_bytes(), Headers(&[("content-type", FORM.as_bytes())])),
                BodyKind::Form(form::FormKind::UrlEncoded),
                "{body}"
            );
        }
    }
}
