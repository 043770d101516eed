//! The part of the way that only computes: authenticate, hash, read what the body says.

use std::sync::Arc;

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use time::OffsetDateTime;

use super::reject::RejectionReason;
use crate::providers::{
    Asker, Description, Handshake, Headers, Learning, Moment, Outside, Question, Request, Unproven, Verifier,
    Wanted,
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
    /// What is to be asked before it is believed.
    pub question: Option<Question>,
}

/// What a request is found to be.
#[derive(Debug)]
pub enum Found {
    Message(Examined),
    /// A signed one; it is answered and not stored.
    Handshake(Handshake),
}

/// The rules of a source, as they are now.
#[derive(Clone, Debug)]
pub struct Rules {
    pub verifier: Arc<Verifier>,
    pub asker: Option<Arc<Asker>>,
}

impl Rules {
    /// Of large bodies for which this holds only a few should be judged at a time.
    pub fn rewrites_body(&self) -> bool {
        let asks = self.asker.as_ref().is_some_and(|asker| asker.decodes_body());
        asks || self.verifier.rewrites_body()
    }
}

/// Why a request is no message, or not yet.
#[derive(Debug)]
pub enum Unaccepted {
    Rejected(RejectionReason),
    /// It can be judged once this has been fetched.
    Wanting(Wanted),
}

/// # Errors
/// Why the request is not authentic, or what must be fetched first.
pub fn examine(
    rules: &Rules,
    request: &Request<'_>,
    body: &Bytes,
    proof: Proof,
    outside: &dyn Outside,
) -> Result<Found, Unaccepted> {
    prove_and_read(rules, request, body, proof, outside).map_err(|unproven| match unproven {
        Unproven::Refused(cause) => {
            Unaccepted::Rejected(RejectionReason::of(&rules.verifier, request, cause))
        }
        Unproven::Wanting(wanted) => Unaccepted::Wanting(wanted),
    })
}

fn prove_and_read(
    rules: &Rules,
    request: &Request<'_>,
    body: &Bytes,
    proof: Proof,
    outside: &dyn Outside,
) -> Result<Found, Unproven> {
    let verifier = &rules.verifier;
    if proof == Proof::NeedsBody {
        verifier.authenticate(request, outside)?;
    }
    if let Some(handshake) = verifier.handshake(request, Moment::AfterAuthentication, Learning::Closed) {
        return Ok(Found::Handshake(handshake?));
    }
    let question = rules.asker.as_ref().map(|asker| question(asker, request));
    // The JSON in the query of a GET is stored as its body. Headers that describe a body are ignored then.
    let in_query = verifier.query_to_json(request).map(Bytes::from);
    let mut body_sha256 = [0; 32];
    body_sha256.copy_from_slice(digest(&SHA256, in_query.as_ref().unwrap_or(body)).as_ref());
    let (content, description) = match in_query {
        Some(payload) => {
            let description = verifier.describe(request, verifier.read_json(&payload).as_ref());
            (Content::Json(payload), description)
        }
        None => read(verifier, request, body),
    };
    Ok(Found::Message(Examined { description, content, body_sha256, question }))
}

/// What a stranger sent and cannot be asked about is kept like the rest, and refused off the path of the request.
fn question(asker: &Asker, request: &Request<'_>) -> Question {
    asker.question(request).unwrap_or_else(|unaskable| Question::Unaskable(unaskable.reason))
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
        rules: &Rules,
        body: &Bytes,
        proof: Proof,
        outside: &dyn Outside,
    ) -> Result<Found, Unaccepted> {
        self.with(body, |request| examine(rules, request, body, proof, outside))
    }

    /// What `read` makes of the request with its body.
    pub fn with<T>(&self, body: &[u8], read: impl FnOnce(&Request<'_>) -> T) -> T {
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
        read(&request)
    }
}

#[cfg(test)]
mod tests {
    use crate::providers::{NothingOutside, Settings, recipe};

    use super::*;

    fn content(body: &'static str, content_type: &str) -> Content {
        let verifier = Verifier::bind(recipe("none").unwrap(), &Settings::default()).unwrap();
        let rules = Rules { verifier: Arc::new(verifier), asker: None };
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
        let found = examine(&rules, &request, &body, Proof::Given, &NothingOutside).unwrap();
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
