//! Stores rejected requests in the quarantine, as candidates (which may be genuine) or as noise.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::{HttpRequest, web};
use bytes::Bytes;
use tokio::time::timeout;

use crate::http::network::Network;
use crate::http::{Service, body};
use crate::ingest::endpoint::Endpoint;
use crate::ingest::error::ReceiveError;
use crate::ingest::webhooks::Mount;
use crate::json::OFFLOAD_BYTES_MIN;
use crate::providers::{Cause, Request, Verifier};
use crate::request_id;
use crate::store::{NewRejection, RejectionKind};
use crate::verification::{IncomingRequest, OwnedRequest, RejectionReason, Source, Sources};

/// Maximum wait before a large body is examined.
const TURN_TIMEOUT: Duration = Duration::from_secs(2);

/// Stores a rejected request in the quarantine.
pub async fn reject(
    service: &Service,
    source: &Source,
    incoming: &IncomingRequest<'_>,
    reason: RejectionReason,
    body: Option<&Bytes>,
) -> ReceiveError {
    if reason.kind == RejectionKind::Candidate {
        source.health.failed(&source.name, &service.store, incoming.received_at, reason.cause);
    }
    let rejection = NewRejection {
        received_at: incoming.received_at,
        source: Arc::clone(&source.name),
        cause: reason.cause.name(),
        kind: reason.kind,
        remote_ip: incoming.client,
        method: incoming.method.to_owned(),
        query: source.redaction.query(incoming.query).map(Into::into),
        headers: source.redaction.headers(&incoming.fields),
        body: body.cloned(),
        credentials: source.redaction.credentials(&incoming.fields, incoming.query),
    };
    service.store.ingest().quarantine(rejection).await;
    ReceiveError::Rejected(reason.cause)
}

/// Rejects a request because of its address or token, before its body was read. If the head
/// contains the credentials that the scheme requires, or the body can contain them, the body is
/// read too: without it, a genuine request could never be released from the quarantine.
pub async fn reject_unread(
    mount: &Mount,
    request: &HttpRequest,
    mut incoming: IncomingRequest<'_>,
    cause: Cause,
    payload: Payload,
    announced_length: Option<u64>,
) -> ReceiveError {
    let Mount { endpoint, webhooks } = mount;
    let (service, source) = (&webhooks.service, &endpoint.source);
    let network = Network::from(incoming.client);
    let verifier = source.verifier();
    let makes_message = source.is_message_method(request.method().as_str());
    let is_in_head = makes_message && is_carried_in_head(source, &verifier, &incoming, cause);
    let may_be_in_body = makes_message && verifier.has_proof_in_body();
    let mut body = None;
    if (is_in_head || may_be_in_body) && is_within_rate(endpoint, incoming.method, network, cause) {
        let reservation = service.budget.reservation(network);
        body = body::read(payload, announced_length, service.max_body_bytes, reservation).await.ok();
        incoming.received_at = (service.clock)();
    }
    // If the request is noise even with its body, the body is not stored: it can contain anything,
    // such as a secret to learn.
    if let Some(read) = &body
        && !is_in_head
        && !is_carried(&webhooks.sources, &verifier, &incoming, read, cause).await
    {
        body = None;
    }
    let kind = if body.is_some() { RejectionKind::Candidate } else { RejectionKind::Noise };
    reject(service, source, &incoming, RejectionReason { cause, kind }, body.as_ref()).await
}

fn is_carried_in_head(
    source: &Source,
    verifier: &Verifier,
    incoming: &IncomingRequest<'_>,
    cause: Cause,
) -> bool {
    // Without a scheme, only the random part of the path authenticates a sender.
    let has_no_scheme =
        !verifier.verifies_sender() && verifier.confirm_api().is_none() && !verifier.waits_for_secret();
    let has_correct_path = has_no_scheme && source.has_path_part();
    let reason = RejectionReason::of(verifier, &incoming.request(&[]), cause);
    has_correct_path || reason.kind == RejectionKind::Candidate
}

/// Whether the request is a candidate when its body is included. Large bodies are examined on a
/// blocking thread; false if this cannot begin within `TURN_TIMEOUT`.
async fn is_carried(
    sources: &Sources,
    verifier: &Arc<Verifier>,
    incoming: &IncomingRequest<'_>,
    body: &Bytes,
    cause: Cause,
) -> bool {
    let is_candidate = move |verifier: &Verifier, request: &Request<'_>| {
        RejectionReason::of(verifier, request, cause).kind == RejectionKind::Candidate
    };
    let request = incoming.request(body);
    if body.len() < OFFLOAD_BYTES_MIN {
        return is_candidate(verifier, &request);
    }
    let (request, verifier, body) = (OwnedRequest::from(&request), Arc::clone(verifier), body.clone());
    let Ok(turn) = timeout(TURN_TIMEOUT, sources.rewrite_turn()).await else { return false };
    let verdict = web::block(request_id::for_thread(move || {
        let _turn = turn;
        request.with(&body, |request| is_candidate(&verifier, request))
    }));
    verdict.await.unwrap_or(false)
}

/// The allowlist is checked before the throttle, so a request from an address that is not on the
/// allowlist is throttled here.
fn is_within_rate(endpoint: &Endpoint, method: &str, network: Network, cause: Cause) -> bool {
    cause != Cause::AddressNotAllowed || endpoint.throttle(method, network).is_ok()
}
