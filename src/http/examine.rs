//! The part of the way that only computes: authenticate, hash, read what the body says.

use std::sync::Arc;

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use time::OffsetDateTime;

use super::budget::Reservation;
use super::reading::{self, DecodingRoom, NoRoom};
use super::reject::RejectionReason;
use crate::json;
use crate::providers::{
    Asker, Description, Handshake, Headers, Learning, Moment, Outside, Question, Request, Unproven, Verifier,
    Wanted,
};
use crate::store::Content;

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
    /// The share that the decoded payload holds of the body budget.
    pub decoded_memory: Option<Reservation>,
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
    /// The body budget has no room for the decoded body at the moment.
    NoRoom,
}

impl From<NoRoom> for Unaccepted {
    fn from(NoRoom: NoRoom) -> Self {
        Self::NoRoom
    }
}

/// `room`: memory for the decoded body, used only after authentication.
///
/// # Errors
/// Why the request is not authentic, or what must be fetched first.
pub fn examine(
    rules: &Rules,
    request: &Request<'_>,
    body: &Bytes,
    proof: Proof,
    outside: &dyn Outside,
    room: DecodingRoom,
) -> Result<Found, Unaccepted> {
    let verifier = &rules.verifier;
    let proven = prove(verifier, request, proof, outside).map_err(|unproven| match unproven {
        Unproven::Refused(cause) => Unaccepted::Rejected(RejectionReason::of(verifier, request, cause)),
        Unproven::Wanting(wanted) => Unaccepted::Wanting(wanted),
    });
    if let Some(handshake) = proven? {
        return Ok(Found::Handshake(handshake));
    }
    // The document in the query of a GET is stored as its body. Headers that describe a body are ignored then.
    let in_query = verifier.body_in_query(request).map(Bytes::from);
    let mut body_sha256 = [0; 32];
    body_sha256.copy_from_slice(digest(&SHA256, in_query.as_ref().unwrap_or(body)).as_ref());
    let (content, description, decoded_memory) = match in_query {
        Some(payload) => {
            let json = verifier.read_json(&payload);
            let description = verifier.describe(request, json.as_ref());
            let content = match json {
                Some(_) => Content::Json(payload),
                None => Content::Unreadable { reason: json::problem(&payload).into(), body: payload },
            };
            (content, description, None)
        }
        None => reading::read(verifier, request, body, room)?,
    };
    let question = rules.asker.as_ref().map(|asker| question(asker, request, content.payload()));
    Ok(Found::Message(Examined { description, content, body_sha256, question, decoded_memory }))
}

/// Authenticates the request; returns a signed handshake, or `None` for a message.
fn prove(
    verifier: &Verifier,
    request: &Request<'_>,
    proof: Proof,
    outside: &dyn Outside,
) -> Result<Option<Handshake>, Unproven> {
    if proof == Proof::NeedsBody {
        verifier.authenticate(request, outside)?;
    }
    let handshake = verifier.handshake(request, Moment::AfterAuthentication, Learning::Closed);
    Ok(handshake.transpose()?)
}

/// What a stranger sent and cannot be asked about is kept like the rest, and refused off the path of the request.
fn question(asker: &Asker, request: &Request<'_>, payload: Option<&[u8]>) -> Question {
    asker.question(request, payload).unwrap_or_else(|unaskable| Question::Unaskable(unaskable.reason))
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
        room: DecodingRoom,
    ) -> Result<Found, Unaccepted> {
        self.with(body, |request| examine(rules, request, body, proof, outside, room))
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
