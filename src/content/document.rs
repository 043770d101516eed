//! The JSON document of a request whose sender puts it into the body, a form field, or a query
//! field. Such senders sign the document, not the body. The verified text must be the text that is
//! read, so a request that could hold two documents is rejected.

use super::body::{self, BodyKind};
use super::form;
use super::request::{Cause, Request};
use super::{charset, coding};
use crate::json;

/// The fields that hold the document if the body itself is not the document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PayloadFields<'a> {
    /// Field of a form.
    pub form: Option<&'a str>,
    /// Field in the query of a GET without a body.
    pub query: Option<&'a str>,
}

/// Returns the signed document; `None` if that is the whole body. A document that is nested too
/// deep to be parsed is returned too, because verification does not parse it.
///
/// # Errors
/// `MalformedSignature` if the query field is repeated, is not UTF-8, or is in a request other than
/// a GET without a body. `SignatureMismatch` for a form, unless it is urlencoded without a content
/// coding, and has the form field, with JSON, as its only field.
pub fn signed(request: &Request<'_>, fields: PayloadFields<'_>) -> Result<Option<String>, Cause> {
    let in_query = fields.query.map_or(Ok(None), |field| sole_value(request.query, field))?;
    if in_query.is_some() && !has_no_body(request) {
        return Err(Cause::MalformedSignature);
    }
    if request.body.is_empty() {
        return Ok(in_query.filter(|text| json::is_json_of_any_depth(text.as_bytes())));
    }
    match body::kind(request.body, request.headers) {
        BodyKind::Form(kind) => {
            let field = fields.form.filter(|_| kind == form::FormKind::UrlEncoded && !is_coded(request));
            let text = field
                .and_then(|field| form::sole_text(request.body, field, charset::declared(request.headers)));
            text.filter(|text| json::is_json_of_any_depth(text.as_bytes()))
                .map(Some)
                .ok_or(Cause::SignatureMismatch)
        }
        BodyKind::Json | BodyKind::Other => Ok(None),
    }
}

/// Returns the document in the query of a GET, possibly nested too deep; `None` if it is not JSON,
/// or there are several.
pub fn in_query(request: &Request<'_>, field: &str) -> Option<String> {
    let text = if has_no_body(request) { sole_value(request.query, field).ok()? } else { None };
    text.filter(|text| json::is_json_of_any_depth(text.as_bytes()))
}

/// Whether the body has a content coding, so that the form may differ from the received bytes.
fn is_coded(request: &Request<'_>) -> bool {
    coding::codings(request.headers).map_or(true, |codings| !codings.is_empty())
}

fn has_no_body(request: &Request<'_>) -> bool {
    request.method == "GET" && request.body.is_empty()
}

fn sole_value(query: &str, field: &str) -> Result<Option<String>, Cause> {
    let mut values = form::values(query, field);
    match (values.next(), values.next()) {
        (Some(_), Some(_)) => Err(Cause::MalformedSignature),
        // Replacing invalid bytes could produce a text that the sender signed.
        (Some(value), None) => {
            String::from_utf8(value.into_owned()).map(Some).map_err(|_| Cause::MalformedSignature)
        }
        (None, _) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::content::request::Headers;

    const FORM: &str = "application/x-www-form-urlencoded";
    const FIELDS: PayloadFields<'_> = PayloadFields { form: Some("payload"), query: Some("payload") };

    /// Returns the signed text of a POST, or of a GET without a body.
    fn document(content_type: &str, query: &str, body: &str) -> Result<String, Cause> {
        request(if body.is_empty() { "GET" } else { "POST" }, content_type, query, body)
    }

    fn request(method: &str, content_type: &str, query: &str, body: &str) -> Result<String, Cause> {
        let headers = [("content-type", content_type.as_bytes())];
        let request = Request {
            method,
            target: "/",
            query,
            url: "",
            headers: Headers(&headers),
            body: body.as_bytes(),
            now: OffsetDateTime::UNIX_EPOCH,
        };
        signed(&request, FIELDS).map(|text| text.unwrap_or_else(|| body.to_owned()))
    }

    #[test]
    fn document_is_found_in_body_form_and_query() {
        let found = |text: &str| Ok(text.to_owned());
        assert_eq!(document("application/json", "", r#"{"a":1}"#), found(r#"{"a":1}"#));
        assert_eq!(document("application/json", "token=x", r#"{"a":1}"#), found(r#"{"a":1}"#));
        assert_eq!(document(FORM, "", "payload=%7B%22a%22%3A+1%7D"), found(r#"{"a": 1}"#));
        assert_eq!(document("", "token=x&payload=%7B%22a%22%3A1%7D", ""), found(r#"{"a":1}"#));
        // JSON that a tool such as curl declares as a form by default.
        assert_eq!(document(FORM, "", r#"{"a":1}"#), found(r#"{"a":1}"#));
        assert_eq!(document(FORM, "", "&payload=%7B%7D&"), found("{}"));
    }

    #[test]
    fn document_too_deep_to_be_read_is_found() {
        let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
        let field = format!("payload={deep}");
        for (content_type, query, body) in
            [(FORM, "", field.as_str()), ("", &field, ""), (FORM, "", &deep), ("text/plain", "", &deep)]
        {
            assert_eq!(document(content_type, query, body), Ok(deep.clone()), "{content_type}");
        }
    }

    #[test]
    fn false_charset_does_not_change_the_document() {
        let false_charset = "application/x-www-form-urlencoded; charset=gbk";
        assert_eq!(document(false_charset, "", "payload=[%22%C3%A9%22]"), Ok("[\"é\"]".to_owned()));
    }

    #[test]
    fn invalid_byte_does_not_stand_for_a_replacement_character() {
        let json = |escape: &str| format!("payload=%7B%22a%22%3A%22{escape}%22%7D");
        for (content_type, is_form) in [(FORM, true), ("", false)] {
            let found = |field: &str| match is_form {
                true => document(content_type, "", field),
                false => document(content_type, field, ""),
            };
            assert_eq!(found(&json("%EF%BF%BD")), Ok("{\"a\":\"\u{fffd}\"}".to_owned()));
            assert!(found(&json("%FF")).is_err());
            assert!(found(&json("%C3")).is_err());
        }
    }

    #[test]
    fn second_document_is_rejected() {
        let json = "payload=%7B%22a%22%3A1%7D";
        for (content_type, query, body) in [
            ("application/json", json, r#"{"b":1}"#),
            ("application/json", "p%61yload=", r#"{"b":1}"#),
            (FORM, json, json),
            ("", "payload=%7B%7D&payload=%7B%7D", ""),
            ("", "payload=%7B%7D&%70ayload=", ""),
        ] {
            let problem = document(content_type, query, body);
            assert_eq!(problem, Err(Cause::MalformedSignature), "{query} {body}");
        }
        assert_eq!(request("POST", "", json, ""), Err(Cause::MalformedSignature));
        assert_eq!(request("GET", "", json, "{}"), Err(Cause::MalformedSignature));
    }

    #[test]
    fn form_that_holds_anything_else_is_rejected() {
        for body in [
            "payload=%7B%7D&payload=%7B%7D",
            "payload=%7B%7D&a=1",
            "a=1&payload=%7B%7D",
            "payload=%7B",
            "payload=",
            "other=%7B%7D",
        ] {
            assert_eq!(document(FORM, "", body), Err(Cause::SignatureMismatch), "{body}");
        }
        let part = "--b\r\ncontent-disposition: form-data; name=payload\r\n\r\n{}\r\n--b--\r\n";
        let multipart = document("multipart/form-data; boundary=b", "", part);
        assert_eq!(multipart, Err(Cause::SignatureMismatch));
    }
}
