//! The way of a message, from top to bottom. The order is fixed: each step is cheaper than the next, and nothing is
//! read or stored that an earlier step refuses.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use futures_util::FutureExt as _;

use super::body::{self, BodyError};
use super::budget::Permit;
use super::examine::{self, Examined};
use super::head::Head;
use super::request_log::{self, Details, Line};
use super::state::Inbox;
use super::{redaction, reply};
use crate::config::LogFormat;
use crate::providers::{Cause, Description, Headers};
use crate::store::{Identity, Kept, NewMessage, NewRejection, Unavailable};

/// From the last byte of the request; with what the reply itself takes it stays below 2.5 s.
const ACKNOWLEDGE_WITHIN: Duration = Duration::from_millis(2_400);

/// Why a request is not acknowledged.
enum Refusal {
    NotFound,
    MethodNotAllowed,
    NotHttp,
    RateLimited { retry_after_seconds: u64 },
    Body(BodyError),
    Cause(Cause),
    Unavailable(Unavailable),
}

struct Acknowledged {
    kept: Kept,
    event: String,
    is_json: bool,
    description: Description,
}

/// Receives one webhook, and says in the log what became of it. A panic costs this request a 500 and nothing else.
pub async fn receive(
    inbox: Arc<Inbox>,
    request: HttpRequest,
    payload: Payload,
    format: LogFormat,
) -> HttpResponse {
    let began = Instant::now();
    let mut client = None;
    let way = AssertUnwindSafe(pass(&inbox, &request, payload, &mut client)).catch_unwind().await;
    let outcome = match &way {
        Ok(Ok(acknowledged)) => Outcome::acknowledged(&inbox, acknowledged, began),
        Ok(Err(refusal)) => Outcome::refused(&inbox, refusal),
        Err(_) => Outcome {
            response: reply::closing(reply::internal_error()),
            details: Details::Refused { cause: "panic" },
        },
    };
    let is_known = !matches!(way, Ok(Err(Refusal::NotFound)));
    let line = Line {
        method: request.method().as_str(),
        path: Head::logged_path(&inbox.name, &request),
        status: outcome.response.status().as_u16(),
        took: began.elapsed(),
        source: is_known.then_some(&*inbox.name),
        ip: client.or_else(|| request.peer_addr().map(|peer| peer.ip())),
        details: outcome.details,
    };
    request_log::write(&line, format);
    outcome.response
}

async fn pass(
    inbox: &Arc<Inbox>,
    request: &HttpRequest,
    payload: Payload,
    client: &mut Option<IpAddr>,
) -> Result<Acknowledged, Refusal> {
    let service = &inbox.service;
    let head = Head::of(request);

    // 1. Route
    if !head.is_for(&inbox.name, inbox.source.path.as_ref()) {
        return Err(Refusal::NotFound);
    }
    // 2. Method
    if !inbox.methods.contains(request.method()) {
        return Err(Refusal::MethodNotAllowed);
    }
    // 3. Allowlist
    let address = head.client_address(&service.trusted_proxies).ok_or(Refusal::NotHttp)?;
    *client = Some(address);
    if !is_allowed(inbox, address) {
        quarantine(inbox, &head, address, Cause::AddressNotAllowed, None);
        return Err(Refusal::Cause(Cause::AddressNotAllowed));
    }
    // 4. Throttle
    if let Some(throttle) = &inbox.throttle {
        throttle
            .check(address)
            .map_err(|retry_after_seconds| Refusal::RateLimited { retry_after_seconds })?;
    }
    // 5. Body; a scheme that does not read it authenticates first
    let now = (service.clock)();
    if !inbox.source.verifier.reads_body() {
        let without_body = head.as_request(&[], now);
        inbox.source.verifier.authenticate(&without_body).map_err(|cause| {
            quarantine(inbox, &head, address, cause, None);
            Refusal::Cause(cause)
        })?;
    }
    let (body, _permit) = read_body(inbox, &head, address, payload).await.map_err(|error| match error {
        ReadError::NotHttp => Refusal::NotHttp,
        ReadError::Body(error) => Refusal::Body(error),
    })?;
    let deadline = Instant::now() + ACKNOWLEDGE_WITHIN;
    let received_at = (service.clock)();
    // 7. Authenticate, 8. Describe
    let examined = examine::examine(inbox, &head, &body, received_at).await.map_err(|cause| {
        quarantine(inbox, &head, address, cause, Some(body.clone()));
        Refusal::Cause(cause)
    })?;
    // 9. Commit
    let Examined { description, content, is_json, body_sha256 } = examined;
    let event = format!("{}.{}", inbox.name, description.event_type);
    let stored = redaction::stored_head(Headers(&head.fields), head.query, &inbox.source.verifier);
    let message = NewMessage {
        received_at,
        source: inbox.name.clone(),
        event: event.clone(),
        identity: identity(inbox, &description),
        method: head.method.to_owned(),
        query: stored.query,
        remote_ip: address,
        headers: stored.headers,
        content,
        body_sha256,
        body_unsigned: !inbox.source.verifier.covers_body(),
    };
    let kept = service.store.keep(message, deadline).await.map_err(Refusal::Unavailable)?;
    // 10. Acknowledge
    Ok(Acknowledged { kept, event, is_json, description })
}

fn is_allowed(inbox: &Inbox, address: IpAddr) -> bool {
    inbox.source.allow.as_ref().is_none_or(|allow| {
        allow.nets.iter().any(|net| net.contains(&address))
            || (allow.github && inbox.service.github.contains(address))
    })
}

enum ReadError {
    NotHttp,
    Body(BodyError),
}

impl From<BodyError> for ReadError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

/// The permit holds the body's share of the memory until the request is answered.
async fn read_body(
    inbox: &Inbox,
    head: &Head<'_>,
    client: IpAddr,
    payload: Payload,
) -> Result<(actix_web::web::Bytes, Permit), ReadError> {
    let declared = head.declared_length().map_err(|()| ReadError::NotHttp)?;
    let max_bytes = inbox.service.max_body_bytes;
    if declared.is_some_and(|bytes| bytes > max_bytes) {
        return Err(BodyError::TooLarge.into());
    }
    let mut permit =
        inbox.service.budget.reserve(client, body::first_reservation(declared)).map_err(BodyError::from)?;
    let body = body::read(payload, declared, max_bytes, &mut permit).await?;
    Ok((body, permit))
}

fn identity(inbox: &Inbox, description: &Description) -> Identity {
    match (&description.delivery_id, inbox.source.dedupe) {
        (Some(id), _) => Identity::DeliveryId(id.clone()),
        (None, Some(window)) => Identity::Content { window },
        (None, None) => Identity::None,
    }
}

fn quarantine(
    inbox: &Inbox,
    head: &Head<'_>,
    client: IpAddr,
    cause: Cause,
    body: Option<actix_web::web::Bytes>,
) {
    let verifier = &inbox.source.verifier;
    let stored = redaction::stored_head(Headers(&head.fields), head.query, verifier);
    inbox.service.store.quarantine(NewRejection {
        received_at: (inbox.service.clock)(),
        source: inbox.name.clone(),
        cause: cause.name(),
        remote_ip: client,
        method: head.method.to_owned(),
        query: stored.query,
        headers: stored.headers,
        body,
        credentials: redaction::credentials(Headers(&head.fields), head.query, verifier),
    });
}

struct Outcome<'a> {
    response: HttpResponse,
    details: Details<'a>,
}

impl<'a> Outcome<'a> {
    fn acknowledged(inbox: &Inbox, acknowledged: &'a Acknowledged, began: Instant) -> Self {
        let metrics = &inbox.metrics;
        let note = match acknowledged.kept {
            Kept::Duplicate { .. } => {
                metrics.duplicates.inc();
                Some("duplicate")
            }
            Kept::New { .. } | Kept::Conflict { .. } => {
                metrics.received.inc();
                matches!(acknowledged.kept, Kept::Conflict { .. }).then_some("conflict")
            }
        };
        if !acknowledged.is_json {
            metrics.not_json.inc();
        }
        metrics.acknowledged(began.elapsed());
        Self {
            response: reply::provider(inbox.source.verifier.accepted(&acknowledged.description)),
            details: Details::Kept {
                event: &acknowledged.event,
                id: acknowledged.kept.id(),
                note: note.or((!acknowledged.is_json).then_some("not_json")),
            },
        }
    }

    fn refused(inbox: &Inbox, refusal: &Refusal) -> Self {
        let (response, cause) = match refusal {
            Refusal::NotFound => (reply::not_found(), None),
            Refusal::MethodNotAllowed => (reply::closing(reply::method_not_allowed(&inbox.allow)), None),
            Refusal::NotHttp => (reply::bad_request(), None),
            Refusal::RateLimited { retry_after_seconds } => {
                inbox.metrics.rate_limited();
                (reply::closing(reply::too_many_requests(*retry_after_seconds)), Some("rate_limited"))
            }
            Refusal::Body(error) => {
                if *error == BodyError::BudgetUsedUp {
                    inbox.metrics.unavailable("body_budget");
                }
                (reply::body(*error), None)
            }
            Refusal::Cause(cause) => {
                inbox.metrics.rejected(*cause);
                let response = reply::provider(inbox.source.verifier.refused(*cause));
                let is_body_left = *cause == Cause::AddressNotAllowed || !inbox.source.verifier.reads_body();
                (if is_body_left { reply::closing(response) } else { response }, Some(cause.name()))
            }
            Refusal::Unavailable(why) => {
                inbox.metrics.unavailable(why.name());
                (reply::unavailable(), Some(why.name()))
            }
        };
        Self { response, details: cause.map_or(Details::None, |cause| Details::Refused { cause }) }
    }
}
