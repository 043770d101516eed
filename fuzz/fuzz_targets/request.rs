//! A request to a source of a built-in recipe. The first line names the recipe; without a known
//! name, the request is sent to a source of each recipe.
#![no_main]

use std::collections::BTreeMap;
use std::sync::LazyLock;

use creel::testing::{
    EmptyKeyStore, Handshake, HandshakeAction, HandshakePhase, KeyStore, LearningWindow, Reply, Verifier,
    json,
};
use creel_fuzz::{Sent, World, line, sources};

static SOURCES: LazyLock<BTreeMap<&str, Verifier>> = LazyLock::new(sources);
static WORLD: LazyLock<World> = LazyLock::new(World::new);

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (name, rest) = line(data);
    let sent = Sent::read(rest);
    match SOURCES.get(&*name) {
        Some(verifier) => check(&name, verifier, &sent),
        None => SOURCES.iter().for_each(|(name, verifier)| check(name, verifier, &sent)),
    }
});

fn check(name: &str, verifier: &Verifier, sent: &Sent) {
    let outsides: [&dyn KeyStore; 2] = [&EmptyKeyStore, &*WORLD];
    for key_store in outsides {
        let verdict = sent.put(|request| verifier.authenticate(request, key_store));
        assert!(verdict.is_err() || !verifier.verifies_sender(), "{name} accepts an unsigned request");
    }
    describe(name, verifier, sent);
    for learning in [LearningWindow::Closed, LearningWindow::Open] {
        for moment in [HandshakePhase::BeforeAuthentication, HandshakePhase::AfterAuthentication] {
            match sent.put(|request| verifier.handshake(request, moment, learning)) {
                Some(Ok(handshake)) => check_handshake(name, &handshake, learning),
                Some(Err(cause)) => check_reply(name, &verifier.rejection_reply(cause)),
                None => {}
            }
        }
    }
}

fn describe(name: &str, verifier: &Verifier, sent: &Sent) {
    let form = sent.put(|request| verifier.form_to_json(request)).ok().flatten();
    let read = verifier.read_json(form.as_ref().map_or(&sent.body, |form| form.as_bytes()));
    assert!(form.is_none() || read.is_some(), "{name} converts a form to invalid JSON");
    let description = sent.put(|request| verifier.describe(request, read.as_ref()));
    assert!((1..=200).contains(&description.event_type.chars().count()), "{name}: {description:?}");
    assert!(description.event_type.starts_with(description.bare_type()), "{name}: {description:?}");
    let id = description.delivery_id.as_deref();
    assert!(id.is_none_or(|id| (1..=200).contains(&id.chars().count())), "{name}: {description:?}");
    check_reply(name, &verifier.accepted(&description));
}

fn check_handshake(name: &str, handshake: &Handshake, learning: LearningWindow) {
    assert!((200..=299).contains(&handshake.reply.status), "{name}: {handshake:?}");
    check_reply(name, &handshake.reply);
    match &handshake.first {
        HandshakeAction::Nothing => {}
        HandshakeAction::Learn(_) => {
            assert_eq!(learning, LearningWindow::Open, "{name} learns when it must not")
        }
        HandshakeAction::Visit(url) => {
            assert!(url.trim().to_ascii_lowercase().starts_with("https:"), "{name}: {url}")
        }
    }
}

/// Checks that a server can send the reply.
fn check_reply(name: &str, reply: &Reply) {
    assert!((100..=599).contains(&reply.status), "{name}: {reply:?}");
    assert!(reply.content_type.is_some() || reply.body.is_empty(), "{name}: {reply:?}");
    let is_json = reply.content_type == Some("application/json");
    assert!(!is_json || json::accepts(reply.body.as_bytes()), "{name}: {reply:?}");
    let is_visible = |byte: &u8| (b' '..=b'~').contains(byte);
    assert!(
        reply.headers.iter().all(|(_, value)| value.as_bytes().iter().all(is_visible)),
        "{name}: {reply:?}"
    );
}
