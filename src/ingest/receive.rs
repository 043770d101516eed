//! Handles a webhook from its first byte to its acknowledgement. Cheap checks come first. If a
//! step rejects a request before its body was read, the body is read only if the request may be
//! genuine (`reject`). The other files in this directory implement the steps;
//! only this file defines their order.
//!
//! Futures of rare branches are boxed: actix copies the future of a handler, which is as large as
//! its largest branch, for each message.

use std::net::IpAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse, web};
use time::OffsetDateTime;

use crate::http::body::ReceivedBody;
use crate::http::budget::Reservation;
use crate::http::network::Network;
use crate::http::panics::caught;
use crate::http::{body, framing, reply};
use crate::ingest::error::ReceiveError;
use crate::ingest::provider_reply::provider_reply;
use crate::ingest::reject::{reject, reject_unread};
use crate::ingest::report::{Report, count, log};
use crate::ingest::webhooks::Mount;
use crate::providers::{
    Cause, EmptyKeyStore, Handshake, HandshakeAction, HandshakePhase, Headers, LearningWindow, Verifier,
    VerifyError,
};
use crate::store::Memory;
use crate::verification::{
    self, DecodingReservation, IncomingRequest, Proof, RejectionReason, Source, VerificationOutcome,
    new_message, verify,
};

/// Time limit for verifying and storing a message. A webhook is answered within 2.5 s of its last
/// byte; the remaining 100 ms are for sending the reply.
const COMMIT_TIMEOUT: Duration = Duration::from_millis(2_400);

/// The handler of all sources.
pub async fn receive(mount: Rc<Mount>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let began = Instant::now();
    let mut report = Report::default();
    let outcome = caught(pin!(process(&mount, &request, payload.into_inner(), &mut report))).await;
    let outcome = outcome.unwrap_or_else(|panicked| Err(panicked.into()));
    let took = began.elapsed();
    let (response, error) = match outcome {
        Ok(response) => (response, None),
        Err(error) => (error.reply(&mount.endpoint.source), Some(error)),
    };
    count(&mount, &report, error, took);
    log(&mount, &request, &response, &report, error, took);
    response
}

async fn process(
    mount: &Mount,
    request: &HttpRequest,
    payload: Payload,
    report: &mut Report,
) -> Result<HttpResponse, ReceiveError> {
    let Mount { endpoint, webhooks } = mount;
    let (service, sources, source) = (&webhooks.service, &webhooks.sources, &endpoint.source);
    let client = webhooks.client(request);
    report.client = Some(client);

    // 1. Route. A wrong path part has the same reply as an unknown source.
    if !source.is_reached_by(request.uri().path()) {
        return Err(ReceiveError::NotFound);
    }

    // 2. Method, and unambiguous framing of the body.
    let method = request.method().as_str();
    if !source.accepts_method(method) {
        return Err(ReceiveError::MethodNotAllowed);
    }
    let announced_length = framing::announced_length(request.headers())?;
    let reject_unread_now = |incoming, cause, payload| {
        Box::pin(reject_unread(mount, request, incoming, cause, payload, announced_length))
    };

    // 3. Allowlist.
    let mut incoming = incoming_request(request, source, (service.clock)(), client);
    if !source.admits(client, &sources.github) {
        return Err(reject_unread_now(incoming, Cause::AddressNotAllowed, payload).await);
    }

    // 4. Throttle.
    let network = Network::from(client);
    endpoint.throttle(method, network).map_err(ReceiveError::RateLimited)?;

    // 5. Body. A scheme that does not need the body is checked before the body is read.
    let verifier = source.verifier();
    let mut proof = Proof::NeedsBody;
    if !verifier.reads_body() {
        if let Some(handshake) = unsigned_handshake(&verifier, &incoming, &[]) {
            return Box::pin(answer(mount, &incoming, handshake, Instant::now() + COMMIT_TIMEOUT)).await;
        }
        if !source.is_message_method(method) {
            return answer_probe(source, method);
        }
        match verifier.authenticate(&incoming.request(&[]), &EmptyKeyStore) {
            Ok(()) => proof = Proof::Authenticated,
            Err(VerifyError::Rejected(cause)) => {
                return Err(reject_unread_now(incoming, cause, payload).await);
            }
            // A key must be fetched first. `verify` below does so, and repeats the check.
            Err(VerifyError::Missing(_)) => {}
        }
    }
    let reservation = service.budget.reservation(network);
    let ReceivedBody { bytes: body, memory } =
        body::read_accounted(payload, announced_length, service.max_body_bytes, reservation).await?;
    let deadline = Instant::now() + COMMIT_TIMEOUT;
    incoming.received_at = (service.clock)();

    // 6. Unsigned handshakes: answered and not stored.
    if let Some(handshake) = unsigned_handshake(&verifier, &incoming, &body) {
        return Box::pin(answer(mount, &incoming, handshake, deadline)).await;
    }
    if !source.is_message_method(method) {
        return answer_probe(source, method);
    }

    // 7. Authenticate, and answer signed handshakes. 8. Describe the message.
    let mut verified = match verify(sources, source, &verifier, &incoming, &body, proof, deadline).await? {
        VerificationOutcome::Message(verified) => verified,
        VerificationOutcome::Handshake(handshake) => {
            return Box::pin(answer(mount, &incoming, Ok(handshake), deadline)).await;
        }
        VerificationOutcome::Rejected(reason) => {
            return Err(Box::pin(reject(service, source, &incoming, reason, Some(&body))).await);
        }
    };
    source.health.verified(&source.name, &service.store, incoming.received_at);
    source.health.warn_of_unchecked_signature(&source.name, &verifier, Headers(&incoming.fields));
    report.unreadable = verified.content.unreadable();
    report.event_type = Some(verified.description.event_type.clone());

    // 9. Commit.
    let accepted = verifier.accepted(&verified.description);
    drop(body);
    let memory = store_memory(memory, verified.decoded_memory.take());
    let message = new_message(source, &verifier, incoming, verified);
    report.kept = Some(service.store.ingest().keep_accounted(message, memory, deadline).await?);

    // 10. Acknowledge. A duplicate has the same reply as the first message.
    Ok(provider_reply(accepted))
}

/// The shares of the body budget that the store holds until the message is written.
fn store_memory(
    body: Option<Arc<Reservation>>,
    decoded: Option<Box<dyn DecodingReservation>>,
) -> Option<Memory> {
    match (body, decoded) {
        (None, None) => None,
        both => Some(Box::new(both)),
    }
}

/// Returns the answer to a handshake that needs no signature; `None` if the request is not one.
fn unsigned_handshake(
    verifier: &Verifier,
    incoming: &IncomingRequest<'_>,
    body: &[u8],
) -> Option<Result<Handshake, Cause>> {
    // `learn` checks later whether the learning window is open.
    verifier.handshake(&incoming.request(body), HandshakePhase::BeforeAuthentication, LearningWindow::Open)
}

/// Performs the action that the handshake requires, then returns its reply. A rejected handshake is
/// stored without its body, which can contain a secret to learn.
async fn answer(
    mount: &Mount,
    incoming: &IncomingRequest<'_>,
    handshake: Result<Handshake, Cause>,
    deadline: Instant,
) -> Result<HttpResponse, ReceiveError> {
    let (service, source) = (&mount.webhooks.service, &mount.endpoint.source);
    let handshake = match handshake {
        Ok(handshake) => handshake,
        Err(cause) => {
            return Err(reject(service, source, incoming, RejectionReason::noise(cause), None).await);
        }
    };
    match handshake.first {
        HandshakeAction::Nothing => {}
        HandshakeAction::Learn(secret) => {
            if verification::learn(source, &service.store, &secret, incoming.received_at).await?
                == LearningWindow::Closed
            {
                let reason = RejectionReason::noise(Cause::HandshakeRefused);
                return Err(reject(service, source, incoming, reason, None).await);
            }
        }
        HandshakeAction::Visit(url) => {
            verification::visit(&mount.webhooks.sources.client, url, deadline).await?
        }
    }
    Ok(provider_reply(handshake.reply))
}

/// The answer to a request that is neither a message nor a handshake.
fn answer_probe(source: &Source, method: &str) -> Result<HttpResponse, ReceiveError> {
    if source.answers_probe(method) { Ok(reply::empty()) } else { Err(ReceiveError::MethodNotAllowed) }
}

fn incoming_request<'a>(
    request: &'a HttpRequest,
    source: &'a Source,
    received_at: OffsetDateTime,
    client: IpAddr,
) -> IncomingRequest<'a> {
    let uri = request.uri();
    let target = uri.path_and_query().map_or_else(|| uri.path(), |target| target.as_str());
    let query = uri.query().unwrap_or_default();
    IncomingRequest {
        method: request.method().as_str(),
        target,
        query,
        url: source.registered_url(target, query),
        fields: fields(request.headers()),
        received_at,
        client,
    }
}

/// Returns the header fields sorted by name, so that the stored order is stable. Fields with the
/// same name keep the order received.
fn fields(headers: &HeaderMap) -> Vec<(&str, &[u8])> {
    let mut fields = Vec::with_capacity(headers.len());
    fields.extend(headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
    fields.sort_by_key(|(name, _)| *name);
    fields
}
