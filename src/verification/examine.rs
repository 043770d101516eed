//! The CPU-bound steps of verification: authenticate, hash and parse the body.

use std::sync::Arc;

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use time::OffsetDateTime;

use crate::json;
use crate::providers::{
    ConfirmApi, ConfirmQuery, Description, Handshake, HandshakePhase, Headers, KeyRequest, KeyStore,
    LearningWindow, Request, Verifier, VerifyError,
};
use crate::store::MessageContent;
use crate::verification::reading::{self, NoRoom};
use crate::verification::rejection_reason::RejectionReason;
use crate::verification::room::{DecodingReservation, DecodingRoom};

/// Whether the scheme has already authenticated the sender, or needs the body to do so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Authenticated,
    NeedsBody,
}

/// A verified and described message that is not stored yet.
#[derive(Debug)]
pub struct VerifiedMessage {
    pub description: Description,
    pub content: MessageContent,
    pub body_sha256: [u8; 32],
    /// The API request that must confirm the message before it is delivered, if any.
    pub confirm_query: Option<ConfirmQuery>,
    /// The memory of the decoded payload, reserved in the body budget.
    pub decoded_memory: Option<Box<dyn DecodingReservation>>,
}

/// The result of verifying a request.
#[derive(Debug)]
pub enum VerificationOutcome {
    Message(VerifiedMessage),
    /// A signed handshake, which is answered and not stored.
    Handshake(Handshake),
    Rejected(RejectionReason),
}

/// The current rules of a source.
#[derive(Clone, Debug)]
pub struct Rules {
    pub verifier: Arc<Verifier>,
    pub confirm_api: Option<Arc<ConfirmApi>>,
}

impl Rules {
    /// Whether verification decodes or rewrites the body. In that case, only a few large bodies
    /// should be verified at the same time.
    pub fn rewrites_body(&self) -> bool {
        let confirm_decodes_body =
            self.confirm_api.as_ref().is_some_and(|confirm_api| confirm_api.decodes_body());
        confirm_decodes_body || self.verifier.rewrites_body()
    }
}

/// Reason why a request cannot be verified now.
#[derive(Debug)]
pub enum ExamineError {
    /// Verification needs this key first.
    Missing(KeyRequest),
    /// The body budget has no room for the decoded body now.
    NoRoom,
}

impl From<NoRoom> for ExamineError {
    fn from(NoRoom: NoRoom) -> Self {
        Self::NoRoom
    }
}

/// Authenticates a request, and reads and describes its message. `room`: memory for the decoded
/// body, used only after authentication.
///
/// # Errors
/// A key must be fetched first, or there is no memory for the decoded body.
pub fn examine(
    rules: &Rules,
    request: &Request<'_>,
    body: &Bytes,
    proof: Proof,
    outside: &dyn KeyStore,
    room: DecodingRoom,
) -> Result<VerificationOutcome, ExamineError> {
    let verifier = &rules.verifier;
    match authenticate(verifier, request, proof, outside) {
        Ok(None) => {}
        Ok(Some(handshake)) => return Ok(VerificationOutcome::Handshake(handshake)),
        Err(VerifyError::Rejected(cause)) => {
            let reason = RejectionReason::of(verifier, request, cause);
            return Ok(VerificationOutcome::Rejected(reason));
        }
        Err(VerifyError::Missing(wanted)) => return Err(ExamineError::Missing(wanted)),
    }
    // If a GET has its document in the query, the document is stored as the body of the message,
    // and headers that describe a body are ignored.
    let in_query = verifier.body_in_query(request).map(Bytes::from);
    let mut body_sha256 = [0; 32];
    body_sha256.copy_from_slice(digest(&SHA256, in_query.as_ref().unwrap_or(body)).as_ref());
    let (content, description, decoded_memory) = match in_query {
        Some(payload) => {
            let json = verifier.read_json(&payload);
            let description = verifier.describe(request, json.as_ref());
            let content = match json {
                Some(_) => MessageContent::Json(payload),
                None => MessageContent::Unreadable { reason: json::problem(&payload).into(), body: payload },
            };
            (content, description, None)
        }
        None => reading::read(verifier, request, body, room)?,
    };
    let confirm_query =
        rules.confirm_api.as_ref().map(|confirm_api| confirm_query(confirm_api, request, content.payload()));
    let message = VerifiedMessage { description, content, body_sha256, confirm_query, decoded_memory };
    Ok(VerificationOutcome::Message(message))
}

/// Authenticates the request; returns a signed handshake, or `None` for a message.
fn authenticate(
    verifier: &Verifier,
    request: &Request<'_>,
    proof: Proof,
    outside: &dyn KeyStore,
) -> Result<Option<Handshake>, VerifyError> {
    if proof == Proof::NeedsBody {
        verifier.authenticate(request, outside)?;
    }
    let handshake = verifier.handshake(request, HandshakePhase::AfterAuthentication, LearningWindow::Closed);
    Ok(handshake.transpose()?)
}

/// Returns the confirmation that a message needs. A message that cannot be confirmed is stored too,
/// and rejected later, off the request path.
fn confirm_query(confirm_api: &ConfirmApi, request: &Request<'_>, payload: Option<&[u8]>) -> ConfirmQuery {
    confirm_api
        .confirm_query(request, payload)
        .unwrap_or_else(|unconfirmable| ConfirmQuery::Unconfirmable(unconfirmable.reason))
}

/// A request that owns its data, so that it can be sent to another thread.
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
    /// Runs `examine` on this request.
    ///
    /// # Errors
    /// Those of `examine`.
    pub fn examine(
        &self,
        rules: &Rules,
        body: &Bytes,
        proof: Proof,
        outside: &dyn KeyStore,
        room: DecodingRoom,
    ) -> Result<VerificationOutcome, ExamineError> {
        self.with(body, |request| examine(rules, request, body, proof, outside, room))
    }

    /// Passes the request with its body to `read`, and returns the result.
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
