//! The part of the way that only computes: authenticate, hash, read what the body says.

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use time::OffsetDateTime;

use crate::providers::{
    Description, Handshake, Headers, Learning, Moment, Outside, Request, Unproven, Verifier, Wanted,
};
use crate::store::Content;

const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// Whether the scheme has proven the sender already, or needs the body for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Given,
    NeedsBody,
}

/// What is known of a message before it is stored.
#[derive(Debug)]
pub struct Examined {
    pub description: Description,
    pub content: Content,
    pub body_sha256: [u8; 32],
}

/// What a request is found to be.
#[derive(Debug)]
pub enum Found {
    Message(Examined),
    /// A signed one; it is answered and not stored.
    Handshake(Handshake),
}

/// # Errors
/// Why the request is not authentic, or what must be fetched first.
pub fn examine(
    verifier: &Verifier,
    request: &Request<'_>,
    body: &Bytes,
    proof: Proof,
    outside: &dyn Outside,
) -> Result<Found, Unproven> {
    if proof == Proof::NeedsBody {
        match verifier.authenticate(request, outside) {
            // The provider's API is asked off the path of a request, and not by this version yet: `creel check` says so,
            // and the configuration demands a random path or an allowlist.
            Ok(()) | Err(Unproven::Wanting(Wanted::Status(_))) => {}
            Err(unproven) => return Err(unproven),
        }
    }
    if let Some(handshake) = verifier.handshake(request, Moment::AfterAuthentication, Learning::Closed) {
        return Ok(Found::Handshake(handshake?));
    }
    let mut body_sha256 = [0; 32];
    body_sha256.copy_from_slice(digest(&SHA256, body).as_ref());
    let (content, description) = read(verifier, request, body);
    Ok(Found::Message(Examined { description, content, body_sha256 }))
}

fn read(verifier: &Verifier, request: &Request<'_>, body: &Bytes) -> (Content, Description) {
    // Many senders forget to change the type that their tool calls a body by default: JSON is believed before forms.
    let is_form = is_form(request.headers) && !body.is_empty();
    if (!is_form || looks_like_json(body))
        && let Some(json) = verifier.read_json(body)
    {
        return (Content::Json(body.clone()), verifier.describe(request, Some(&json)));
    }
    if !body.is_empty()
        && let Some(payload) = verifier.form_to_json(request)
    {
        let json = verifier.read_json(payload.as_bytes());
        let description = verifier.describe(request, json.as_ref());
        return (Content::Form { body: body.clone(), payload }, description);
    }
    (Content::Other(body.clone()), verifier.describe(request, None))
}

fn is_form(headers: Headers<'_>) -> bool {
    let mut types = headers.0.iter().filter(|(name, _)| *name == "content-type");
    types.next().is_some_and(|(_, value)| {
        let essence = value.split(|byte| *byte == b';').next().unwrap_or_default();
        essence.trim_ascii().eq_ignore_ascii_case(FORM)
    })
}

fn looks_like_json(body: &[u8]) -> bool {
    matches!(body.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// A request that can be carried to another thread.
#[derive(Debug)]
pub struct OwnedRequest {
    method: String,
    target: String,
    query: String,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    now: OffsetDateTime,
}

impl From<&Request<'_>> for OwnedRequest {
    fn from(request: &Request<'_>) -> Self {
        let field = |(name, value): &(&str, &[u8])| ((*name).to_owned(), value.to_vec());
        Self {
            method: request.method.to_owned(),
            target: request.target.to_owned(),
            query: request.query.to_owned(),
            url: request.url.to_owned(),
            headers: request.headers.0.iter().map(field).collect(),
            now: request.now,
        }
    }
}

impl OwnedRequest {
    /// As `examine`, there.
    ///
    /// # Errors
    /// Why the request is not authentic, or what must be fetched first.
    pub fn examine(
        &self,
        verifier: &Verifier,
        body: &Bytes,
        proof: Proof,
        outside: &dyn Outside,
    ) -> Result<Found, Unproven> {
        let fields: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let request = Request {
            method: &self.method,
            target: &self.target,
            query: &self.query,
            url: &self.url,
            headers: Headers(&fields),
            body,
            now: self.now,
        };
        examine(verifier, &request, body, proof, outside)
    }
}

#[cfg(test)]
mod tests {
    use crate::providers::{NothingOutside, Settings, recipe};

    use super::*;

    fn content(body: &'static str, content_type: &str) -> Content {
        let verifier = Verifier::bind(recipe("none").unwrap(), &Settings::default()).unwrap();
        let fields = [("content-type", content_type.as_bytes())];
        let body = Bytes::from_static(body.as_bytes());
        let request = Request {
            method: "POST",
            target: "/",
            query: "",
            url: "",
            headers: Headers(&fields),
            body: &body,
            now: OffsetDateTime::UNIX_EPOCH,
        };
        let found = examine(&verifier, &request, &body, Proof::Given, &NothingOutside).unwrap();
        let Found::Message(examined) = found else { panic!("no handshake was sent") };
        examined.content
    }

    #[test]
    fn json_is_json_whatever_its_content_type() {
        for content_type in ["application/json", "text/plain", "application/x-www-form-urlencoded", ""] {
            assert!(matches!(content(r#" {"a":1}"#, content_type), Content::Json(_)), "{content_type}");
        }
        assert!(matches!(content("1", "application/json"), Content::Json(_)));
    }

    #[test]
    fn a_form_is_decoded_and_keeps_its_bytes() {
        for content_type in
            ["application/x-www-form-urlencoded", "Application/X-WWW-Form-URLencoded ; charset=utf-8"]
        {
            let Content::Form { body, payload } = content("a=1&b=x+y", content_type) else {
                panic!("{content_type} is a form");
            };
            assert_eq!((&body[..], payload.as_str()), (&b"a=1&b=x+y"[..], r#"{"a":"1","b":"x y"}"#));
        }
        assert!(matches!(content("1", "application/x-www-form-urlencoded"), Content::Form { .. }));
    }

    #[test]
    fn anything_else_is_kept_as_it_is() {
        for (body, content_type) in
            [("", "application/json"), ("", "application/x-www-form-urlencoded"), ("{", "")]
        {
            assert!(matches!(content(body, content_type), Content::Other(_)), "{body}");
        }
    }
}
