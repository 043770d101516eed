//! Every vector at the provider interface.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use creel::testing::{
    Cause, ConfirmQuery, ConfirmResult, Handshake, HandshakeAction, HandshakePhase, LearningWindow, Reply,
    Request, Verifier, VerifyError, recipes,
};
use ipnet::IpNet;

use crate::vector::{self, Expect, Kind, Response, Vector, World};

/// The outcome of a vector.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Message,
    Handshake(Box<Handshake>),
    Rejected(Cause),
}

fn outcome(vector: &Vector, verifier: &Verifier, request: &Request<'_>) -> Result<Outcome, String> {
    if !admits(vector) {
        return Ok(Outcome::Rejected(Cause::AddressNotAllowed));
    }
    let learning = if verifier.waits_for_secret() { LearningWindow::Open } else { LearningWindow::Closed };
    match verifier.handshake(request, HandshakePhase::BeforeAuthentication, learning) {
        Some(Ok(handshake)) => return Ok(Outcome::Handshake(Box::new(handshake))),
        Some(Err(cause)) => return Ok(Outcome::Rejected(cause)),
        None => {}
    }
    if !["GET", "POST", "PUT", "PATCH", "DELETE"].contains(&request.method) {
        return Ok(Outcome::Rejected(Cause::HandshakeRefused));
    }
    match verifier.authenticate(request, &World::of(vector)) {
        Ok(()) => {}
        Err(VerifyError::Rejected(cause)) => return Ok(Outcome::Rejected(cause)),
        Err(VerifyError::Missing(wanted)) => return Err(format!("needs {wanted:?}, which the vector lacks")),
    }
    match verifier.handshake(request, HandshakePhase::AfterAuthentication, LearningWindow::Closed) {
        Some(Ok(handshake)) => Ok(Outcome::Handshake(Box::new(handshake))),
        Some(Err(cause)) => Ok(Outcome::Rejected(cause)),
        None => Ok(confirmation_outcome(vector, verifier, request)),
    }
}

/// The outcome after the provider's API has answered, for providers that have one.
fn confirmation_outcome(vector: &Vector, verifier: &Verifier, request: &Request<'_>) -> Outcome {
    let Some(confirm_api) = verifier.confirm_api() else { return Outcome::Message };
    let ConfirmQuery::Values(values) = confirm_api.confirm_query(request, None).unwrap() else {
        panic!("no value for the confirmation")
    };
    let login = confirm_api
        .login()
        .map(|call| confirm_api.logged_in(vector.api_response(&call.url).1.as_bytes()).unwrap());
    let call = confirm_api.call(&values, request.body, login.as_ref()).unwrap();
    let (status, body) = vector.api_response(&call.url);
    match confirm_api.evaluate(status, body.as_bytes()) {
        ConfirmResult::Confirmed => Outcome::Message,
        ConfirmResult::Unknown(_) | ConfirmResult::NotYet(_) => Outcome::Rejected(Cause::NotConfirmed),
    }
}

fn admits(vector: &Vector) -> bool {
    let Some(peer) = &vector.config.peer_ip else { return true };
    let peer: IpAddr = peer.parse().unwrap();
    vector.config.allow.iter().any(|net| net.parse::<IpNet>().unwrap().contains(&peer))
}

/// Compares the outcome of a vector with the expected one, and returns the difference.
fn verify(vector: &Vector) -> Result<(), String> {
    let verifier = vector.verifier()?;
    vector.put(|request| {
        let outcome = outcome(vector, &verifier, request)?;
        match (vector.kind, vector.expect, &outcome) {
            (_, Expect::Reject, Outcome::Rejected(_)) => Ok(()),
            (Kind::Delivery, Expect::Accept, Outcome::Message) => described(vector, &verifier, request),
            (Kind::Handshake, Expect::Accept, Outcome::Handshake(handshake)) => answered(vector, handshake),
            // A provider's probe, which is stored like any other message.
            (Kind::Handshake, Expect::Accept, Outcome::Message) => {
                let reply = verifier.accepted(&description(&verifier, request));
                is_expected(&reply, vector.expect_response.as_ref().ok_or("states no response")?)
            }
            _ => Err(format!("{outcome:?}")),
        }
    })
}

fn description(verifier: &Verifier, request: &Request<'_>) -> creel::testing::Description {
    let form = verifier.body_in_query(request).or_else(|| verifier.form_to_json(request).ok().flatten());
    let text = form.as_ref().map_or(request.body, String::as_bytes);
    verifier.describe(request, verifier.read_json(text).as_ref())
}

/// Compares the event, the delivery id and the reply, which only the project's own vectors have.
fn described(vector: &Vector, verifier: &Verifier, request: &Request<'_>) -> Result<(), String> {
    let Some(event) = &vector.event else { return Ok(()) };
    let description = description(verifier, request);
    if description.event_type != *event {
        return Err(format!("event {:?} instead of {event:?}", description.event_type));
    }
    let id = vector.delivery_id.as_ref().ok_or("states an event, but no delivery_id")?;
    if description.delivery_id != *id {
        return Err(format!("delivery id {:?} instead of {id:?}", description.delivery_id));
    }
    let wanted = vector.reply.as_ref().ok_or("states an event, but no reply")?;
    let reply = verifier.accepted(&description);
    let is_same = (reply.status, reply.content_type, &reply.body)
        == (wanted.status, wanted.content_type.as_deref(), &wanted.body);
    if is_same { Ok(()) } else { Err(format!("reply {reply:?} instead of {wanted:?}")) }
}

fn answered(vector: &Vector, handshake: &Handshake) -> Result<(), String> {
    let wanted = vector.expect_response.as_ref().ok_or("states no response")?;
    let first = match &handshake.first {
        HandshakeAction::Nothing => (None, None),
        HandshakeAction::Visit(url) => (Some(url.clone()), None),
        HandshakeAction::Learn(secret) => (None, Some(String::from_utf8(secret.expose().to_vec()).unwrap())),
    };
    let is_same = first.0 == wanted.then_get && (wanted.then_store.is_none() || first.1 == wanted.then_store);
    if !is_same {
        return Err(format!("{:?} instead of {wanted:?}", handshake.first));
    }
    is_expected(&handshake.reply, wanted)
}

fn is_expected(reply: &Reply, wanted: &Response) -> Result<(), String> {
    let header = |name: &str| {
        let named = reply.headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        match name.to_ascii_lowercase().as_str() {
            "content-type" => {
                reply.content_type.map(|kind| kind.split(';').next().unwrap_or_default().to_owned())
            }
            // The HTTP layer sets this header for every reply with a body.
            "x-content-type-options" => reply.content_type.map(|_| "nosniff".to_owned()),
            _ => named.map(|(_, value)| value.clone()),
        }
    };
    let headers_agree = wanted.headers.iter().all(|(name, value)| header(name).as_ref() == Some(value));
    if reply.status == wanted.status && reply.body == wanted.body && headers_agree {
        return Ok(());
    }
    Err(format!("{reply:?} instead of {wanted:?}"))
}

#[test]
fn all_vectors_agree() {
    let vectors = vector::all();
    let mut counts: BTreeMap<(Kind, Expect), usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for vector in &vectors {
        *counts.entry((vector.kind, vector.expect)).or_default() += 1;
        if let Err(problem) = verify(vector) {
            wrong.push(format!("{}: {}: {:?}, but {problem}", vector.provider, vector.name, vector.expect));
        }
    }
    let providers: BTreeSet<&str> = vectors.iter().map(|vector| vector.provider.as_str()).collect();
    println!("vectors at the interface: {} of {} providers", vectors.len(), providers.len());
    for ((kind, expect), count) in counts {
        println!("  {kind:?} {expect:?}: {count}");
    }
    assert!(wrong.is_empty(), "{} vectors disagree:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_provider_has_own_vector_with_event_id_reply() {
    if std::env::var_os("TEST_VECTORS").is_some() {
        return;
    }
    let vectors = vector::all();
    let stated: BTreeSet<&str> = vectors
        .iter()
        .filter(|vector| vector.event.is_some() && vector.reply.is_some() && vector.expect == Expect::Accept)
        .map(Vector::provider)
        .collect();
    let missing: Vec<&str> =
        recipes().map(|recipe| recipe.name()).filter(|name| !stated.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
