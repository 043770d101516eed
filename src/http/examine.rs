//! Authenticating and describing a request whose body has been read.

use std::sync::Arc;

use actix_web::web::{self, Bytes};
use ring::digest::{SHA256, digest};
use time::OffsetDateTime;

use super::head::Head;
use super::state::Inbox;
use crate::providers::{Cause, Description, Headers, Request, Verifier};
use crate::store::Content;

/// Larger bodies are examined on a thread of their own, so that they do not hold up the small ones.
const LARGE_BODY_BYTES: usize = 256 * 1024;

/// A request that is genuine.
pub struct Examined {
    pub description: Description,
    pub content: Content,
    /// False where the body is neither JSON, nor a form, nor empty.
    pub is_json: bool,
    pub body_sha256: [u8; 32],
}

/// # Errors
/// The named cause of the refusal.
pub async fn examine(
    inbox: &Arc<Inbox>,
    head: &Head<'_>,
    body: &Bytes,
    now: OffsetDateTime,
) -> Result<Examined, Cause> {
    if body.len() <= LARGE_BODY_BYTES {
        return examine_now(&inbox.source.verifier, &head.as_request(body, now), body);
    }
    let owned = Owned::of(&head.as_request(&[], now));
    let (inbox, body) = (inbox.clone(), body.clone());
    let examined =
        web::block(move || owned.with(&body, |request| examine_now(&inbox.source.verifier, request, &body)));
    match examined.await {
        Ok(examined) => examined,
        // The thread has panicked: let the request do the same, which costs it a 500.
        Err(error) => std::panic::panic_any(error.to_string()),
    }
}

fn examine_now(verifier: &Verifier, request: &Request<'_>, body: &Bytes) -> Result<Examined, Cause> {
    if verifier.reads_body() {
        verifier.authenticate(request)?;
    }
    let mut body_sha256 = [0; 32];
    body_sha256.copy_from_slice(digest(&SHA256, body).as_ref());
    let (content, json, is_json) = match verifier.read_json(body) {
        Some(json) => (Content::Json(body.clone()), Some(json), true),
        None if is_form(request.headers) => {
            let payload = verifier.form_to_json(body);
            let json = verifier.read_json(payload.as_bytes());
            (Content::Form { body: body.clone(), payload }, json, true)
        }
        None => (Content::Other(body.clone()), None, body.is_empty()),
    };
    let description = verifier.describe(request, json.as_ref());
    Ok(Examined { description, content, is_json, body_sha256 })
}

fn is_form(headers: Headers<'_>) -> bool {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    let content_type = headers.0.iter().find(|(name, _)| *name == "content-type");
    content_type.is_some_and(|(_, value)| {
        let media_type = value.split(|&byte| byte == b';').next().unwrap_or_default();
        media_type.trim_ascii().eq_ignore_ascii_case(FORM)
    })
}

/// A head that another thread can look at.
struct Owned {
    method: String,
    target: String,
    query: String,
    fields: Vec<(String, Vec<u8>)>,
    now: OffsetDateTime,
}

impl Owned {
    fn of(request: &Request<'_>) -> Self {
        Self {
            method: request.method.to_owned(),
            target: request.target.to_owned(),
            query: request.query.to_owned(),
            fields: request
                .headers
                .0
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.to_vec()))
                .collect(),
            now: request.now,
        }
    }

    fn with<T>(&self, body: &[u8], examine: impl FnOnce(&Request<'_>) -> T) -> T {
        let fields: Vec<_> =
            self.fields.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        examine(&Request {
            method: &self.method,
            target: &self.target,
            query: &self.query,
            headers: Headers(&fields),
            body,
            now: self.now,
        })
    }
}
