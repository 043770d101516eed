//! The way of a message, from top to bottom. Each step is cheaper than the next, and nothing is read or stored that an
//! earlier step refuses, except the body of a request that may be genuine (`reject`). What the steps do is in the files
//! next to this one; their order is here and nowhere else.

use std::borrow::Cow;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::HeaderMap;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use time::OffsetDateTime;

use super::body::{Body, BodyError};
use super::budget::Reservation;
use super::client::Network;
use super::endpoints::webhook_client;
use super::examine::{Examined, Found, OwnedRequest, Proof, Unaccepted, examine};
use super::lookups::Lookups;
use super::panics::caught;
use super::refusal::Refusal;
use super::reject::{RejectionReason, reject, reject_unread};
use super::request_log::{Entry, Path};
use super::service::Service;
use super::source::Source;
use super::{body, fetches, framing, learning, reading, reply};
use crate::providers::{
    Cause, First, Handshake, Headers, Learning, Moment, NothingOutside, Request, Unproven, Verifier, Wanted,
};
use crate::store::{Identity, Kept, Memory, NewMessage, UnreadableReason};

/// After the last byte of a request it is answered within 2.5 s; what is left of them is for the reply itself.
const KEPT_WITHIN: Duration = Duration::from_millis(2_400);
/// Hashing and reading more than this takes so long that other requests should not wait for it.
pub const COMPUTED_ELSEWHERE_ABOVE: usize = 256 << 10;

/// A key, a certificate, and the issuers of that.
const MOST_FETCHES: usize = 5;

/// A source with what it shares with all others; one for each worker thread.
#[derive(Debug)]
pub struct Mount {
    pub source: Arc<Source>,
    pub service: web::Data<Service>,
}

/// The head of a request, and when and from where it came.
pub struct Incoming<'a> {
    pub method: &'a str,
    pub target: &'a str,
    pub query: &'a str,
    /// As registered at the provider, where a scheme signs it.
    pub url: Cow<'a, str>,
    /// By name; fields of one name in the order in which they came.
    pub fields: Vec<(&'a str, &'a [u8])>,
    pub received_at: OffsetDateTime,
    pub client: IpAddr,
}

/// What was found out on the way, for the log.
#[derive(Default)]
struct Findings {
    client: Option<IpAddr>,
    event_type: Option<String>,
    kept: Option<Kept>,
    unreadable: Option<UnreadableReason>,
}

/// The handler of all sources.
pub async fn receive(mount: Rc<Mount>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let began = Instant::now();
    let mut findings = Findings::default();
    let way = caught(way_of_a_message(&mount, &request, payload, &mut findings)).await;
    let outcome = way.unwrap_or_else(|panicked| Err(panicked.into()));
    let took = began.elapsed();
    let (response, refusal) = match outcome {
        Ok(response) => (response, None),
        Err(refusal) => (refusal.reply(&mount.source), Some(refusal)),
    };
    count(&mount, &findings, refusal, took);
    log(&mount, &request, &response, &findings, refusal, took);
    response
}

async fn way_of_a_message(
    mount: &Mount,
    request: &HttpRequest,
    payload: web::Payload,
    findings: &mut Findings,
) -> Result<HttpResponse, Refusal> {
    let (service, source) = (&**mount.service, &mount.source);
    let client = webhook_client(service, request);
    findings.client = Some(client);

    // 1. Route: a wrong path part leads to the same place as an unknown source.
    if !source.is_reached_by(request.uri().path()) {
        return Err(Refusal::NotFound);
    }

    // 2. Method, and whether it is clear where the request ends.
    if !source.takes(request.method()) {
        return Err(Refusal::MethodNotAllowed);
    }
    let announced_length = framing::announced_length(request.headers())?;

    // 3. Allowlist.
    let mut incoming = Incoming::new(request, (service.clock)(), client);
    incoming.url = source.registered_url(incoming.target, incoming.query);
    if !source.admits(client, &service.github) {
        let (cause, payload) = (Cause::AddressNotAllowed, payload.into_inner());
        return Err(reject_unread(mount, request, incoming, cause, payload, announced_length).await);
    }

    // 4. Throttle.
    let network = Network::from(client);
    source.throttle(request.method(), network).map_err(Refusal::RateLimited)?;

    // 5. Body; a scheme that does not read it comes before it.
    let verifier = source.verifier();
    let mut proof = Proof::NeedsBody;
    if !verifier.reads_body() {
        if let Some(handshake) = unsigned_handshake(&verifier, &incoming, &[]) {
            return answer(mount, &incoming, handshake, Instant::now() + KEPT_WITHIN).await;
        }
        if !source.makes_message_of(request.method()) {
            return source.answer_probe(request.method());
        }
        match verifier.authenticate(&incoming.request(&[]), &NothingOutside) {
            Ok(()) => proof = Proof::Given,
            Err(Unproven::Refused(cause)) => {
                let payload = payload.into_inner();
                return Err(reject_unread(mount, request, incoming, cause, payload, announced_length).await);
            }
            // Nothing is given that had still to be fetched: it is asked again below.
            Err(Unproven::Wanting(_)) => {}
        }
    }
    let reservation = service.budget.reservation(network);
    let (payload, max_bytes) = (payload.into_inner(), service.max_body_bytes);
    let Body { bytes: body, memory } =
        body::read_accounted(payload, announced_length, max_bytes, reservation).await?;
    let deadline = Instant::now() + KEPT_WITHIN;
    incoming.received_at = (service.clock)();

    // 6. Unsigned handshakes: answered and not stored.
    if let Some(handshake) = unsigned_handshake(&verifier, &incoming, &body) {
        return answer(mount, &incoming, handshake, deadline).await;
    }
    if !source.makes_message_of(request.method()) {
        return source.answer_probe(request.method());
    }

    // 7. Authenticate, signed handshakes, 8. describe.
    let mut examined = match prove(mount, &verifier, &incoming, &body, proof, deadline).await? {
        Ok(Found::Message(examined)) => examined,
        Ok(Found::Handshake(handshake)) => {
            return answer(mount, &incoming, Ok(handshake), deadline).await;
        }
        Err(reason) => return Err(reject(service, source, &incoming, reason, Some(&body)).await),
    };
    source.health.verified(service, source);
    source.health.warn_of_unchecked_signature(&source.name, &verifier, Headers(&incoming.fields));
    findings.unreadable = examined.content.unreadable();
    findings.event_type = Some(examined.description.event_type.clone());

    // 9. Commit.
    let accepted = verifier.accepted(&examined.description);
    drop(body);
    let memory = store_memory(memory, examined.decoded_memory.take());
    let message = message(source, &verifier, incoming, examined);
    let kept = service.store.keep_accounted(message, memory, deadline).await?;
    findings.kept = Some(kept);

    // 10. Acknowledge: a message that had come before gets the reply of the first.
    Ok(reply::of_provider(accepted))
}

/// The shares of the body budget that the store holds until the message is written.
fn store_memory(body: Option<Arc<Reservation>>, decoded: Option<Reservation>) -> Option<Memory> {
    match (body, decoded) {
        (None, None) => None,
        both => Some(Box::new(both)),
    }
}

/// The answer to a handshake that needs no signature; nothing where the request is none.
fn unsigned_handshake(
    verifier: &Verifier,
    incoming: &Incoming<'_>,
    body: &[u8],
) -> Option<Result<Handshake, Cause>> {
    // Whether a secret may be learned now is asked when there is one to learn.
    verifier.handshake(&incoming.request(body), Moment::BeforeAuthentication, Learning::Open)
}

/// Does what must come first, then answers. What is refused is kept without its body: that may be a secret to be learned.
async fn answer(
    mount: &Mount,
    incoming: &Incoming<'_>,
    handshake: Result<Handshake, Cause>,
    deadline: Instant,
) -> Result<HttpResponse, Refusal> {
    let (service, source) = (&**mount.service, &mount.source);
    let handshake = match handshake {
        Ok(handshake) => handshake,
        Err(cause) => {
            return Err(reject(service, source, incoming, RejectionReason::noise(cause), None).await);
        }
    };
    match handshake.first {
        First::Nothing => {}
        First::Learn(secret) => {
            if learning::learn(source, &service.store, &secret, incoming.received_at).await?
                == Learning::Closed
            {
                let reason = RejectionReason::noise(Cause::HandshakeRefused);
                return Err(reject(service, source, incoming, reason, None).await);
            }
        }
        First::Visit(url) => fetches::visit(&service.client, url, deadline).await?,
    }
    Ok(reply::of_provider(handshake.reply))
}

/// Judges a request, fetching what that takes.
///
/// # Errors
/// When it cannot be judged now; `Err` inside: why it is no message.
pub async fn prove(
    mount: &Mount,
    verifier: &Arc<Verifier>,
    incoming: &Incoming<'_>,
    body: &Bytes,
    proof: Proof,
    deadline: Instant,
) -> Result<Result<Found, RejectionReason>, Refusal> {
    let (source, client) = (&mount.source, &mount.service.client);
    let network = Network::from(incoming.client);
    for _ in 0..MOST_FETCHES {
        let (verdict, used) = examine_where_it_fits(mount, verifier, incoming, body, proof, deadline).await?;
        match verdict {
            Ok(found) => {
                fetches::has_proven(source, client, &used, network);
                return Ok(Ok(found));
            }
            Err(Unaccepted::Rejected(reason)) => return Ok(Err(reason)),
            Err(Unaccepted::NoRoom) => return Err(BodyError::BudgetUsedUp.into()),
            Err(Unaccepted::Wanting(wanted)) => {
                fetches::fetch(source, client, &wanted, network, deadline).await?;
            }
        }
    }
    Err(Refusal::NotReached)
}

impl<'a> Incoming<'a> {
    fn new(request: &'a HttpRequest, received_at: OffsetDateTime, client: IpAddr) -> Self {
        let uri = request.uri();
        Self {
            method: request.method().as_str(),
            target: uri.path_and_query().map_or_else(|| uri.path(), |target| target.as_str()),
            query: uri.query().unwrap_or_default(),
            url: Cow::Borrowed(""),
            fields: fields(request.headers()),
            received_at,
            client,
        }
    }

    pub fn request(&'a self, body: &'a [u8]) -> Request<'a> {
        Request {
            method: self.method,
            target: self.target,
            query: self.query,
            url: &self.url,
            headers: Headers(&self.fields),
            body,
            now: self.received_at,
        }
    }
}

/// By name, so that what is stored has an order; fields of one name stay in the order in which they came.
fn fields(headers: &HeaderMap) -> Vec<(&str, &[u8])> {
    let mut fields = Vec::with_capacity(headers.len());
    fields.extend(headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())));
    fields.sort_by_key(|(name, _)| *name);
    fields
}

/// Small bodies here, large ones on a thread for such work. With the verdict comes what it was given by.
async fn examine_where_it_fits(
    mount: &Mount,
    verifier: &Arc<Verifier>,
    incoming: &Incoming<'_>,
    body: &Bytes,
    proof: Proof,
    deadline: Instant,
) -> Result<(Result<Found, Unaccepted>, Vec<Wanted>), Refusal> {
    let (request, rules) = (incoming.request(body), mount.source.rules(verifier));
    let room = mount.service.decoding_room();
    if body.len() <= COMPUTED_ELSEWHERE_ABOVE && reading::is_quick(&request) {
        let lookups = Lookups::new(mount);
        let verdict = examine(&rules, &request, body, proof, &lookups, room);
        return Ok((verdict, lookups.used()));
    }
    let mut turn = None;
    if rules.rewrites_body() {
        let next = Arc::clone(&mount.service.rewriting).acquire_owned();
        turn = tokio::time::timeout_at(deadline.into(), next).await?.ok();
    }
    let mount = Mount { source: Arc::clone(&mount.source), service: mount.service.clone() };
    let (request, body) = (OwnedRequest::from(&request), body.clone());
    let examined = web::block(move || {
        // It ends with the work, which goes on when nobody waits for it any more.
        let _turn = turn;
        let lookups = Lookups::new(&mount);
        let verdict = request.examine(&rules, &body, proof, &lookups, room);
        (verdict, lookups.used())
    });
    tokio::time::timeout_at(deadline.into(), examined).await?.map_err(|_| Refusal::Failed)
}

/// What is kept of a request that was judged to be a message.
pub fn message(
    source: &Source,
    verifier: &Verifier,
    incoming: Incoming<'_>,
    examined: Examined,
) -> NewMessage {
    let Examined { description, content, body_sha256, question, decoded_memory: _ } = examined;
    let mut event = String::with_capacity(source.name.len() + 1 + description.event_type.len());
    event.push_str(&source.name);
    event.push('.');
    event.push_str(&description.event_type);
    NewMessage {
        received_at: incoming.received_at,
        source: Arc::clone(&source.name),
        event,
        identity: match (description.delivery_id, source.dedupe) {
            (Some(id), _) => match description.form_mark {
                None => Identity::DeliveryId(id),
                Some(mark) => Identity::EventId { id, mark },
            },
            (None, Some(window)) => Identity::Content { window },
            (None, None) => Identity::None,
        },
        method: incoming.method.to_owned(),
        query: source.redaction.query(incoming.query).map(Into::into),
        remote_ip: incoming.client,
        headers: source.redaction.headers(&incoming.fields),
        content,
        body_sha256,
        body_unsigned: !verifier.covers_body_of(&incoming.request(&[])),
        owner: None,
        unverified: false,
        asking: question.map(|question| source.asking(&question)),
    }
}

fn count(mount: &Mount, findings: &Findings, refusal: Option<Refusal>, took: Duration) {
    let metrics = &mount.source.metrics;
    if let Some(kept) = findings.kept {
        mount.service.metrics.ack_seconds.observe(took.as_secs_f64());
        metrics.received.inc();
        if matches!(kept, Kept::Duplicate { .. }) {
            metrics.duplicates.inc();
        } else if let Some(reason) = findings.unreadable {
            metrics.unreadable(reason);
        }
    }
    if let Some(cause) = refusal.and_then(Refusal::cause) {
        metrics.rejected(cause);
    }
    if let Some(reason) = refusal.and_then(Refusal::unavailable_reason) {
        mount.service.metrics.unavailable(reason);
    }
}

fn log(
    mount: &Mount,
    request: &HttpRequest,
    response: &HttpResponse,
    findings: &Findings,
    refusal: Option<Refusal>,
    took: Duration,
) {
    let is_ours = refusal != Some(Refusal::NotFound);
    let is_of_url = refusal.is_some_and(Refusal::may_concern_url);
    let signed_url = if is_of_url { mount.source.signed_url_of(request.uri()) } else { None };
    let entry = Entry {
        method: request.method().as_str(),
        path: if is_ours { Path::Known(mount.source.path()) } else { Path::Unknown(request.uri().path()) },
        status: response.status().as_u16(),
        took,
        source: is_ours.then_some(&*mount.source.name),
        event_type: findings.event_type.as_deref(),
        id: findings.kept.map(Kept::id),
        is_duplicate: matches!(findings.kept, Some(Kept::Duplicate { .. })),
        conflict_of: match findings.kept {
            Some(Kept::Conflict { of, .. }) => Some(of),
            _ => None,
        },
        unreadable: findings.unreadable.map(UnreadableReason::name),
        cause: refusal.and_then(Refusal::cause),
        reason: refusal.and_then(Refusal::unavailable_reason),
        signed_url: signed_url.as_deref(),
        ip: findings.client,
    };
    entry.write(mount.service.log_format);
}
