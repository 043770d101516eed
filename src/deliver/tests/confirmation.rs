//! Confirmation, stepped through the schedule, with real APIs on loopback.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

use super::super::confirm::{ConfirmationSource, Confirmer};
use super::server::ScriptedReply;
use super::*;
use crate::config::Config;
use crate::outbound::Client;
use crate::providers::ConfirmQuery;
use crate::store::{ConfirmationRequest, ConfirmationState, MessageId, StoredConfirmation};

/// Runs a test on one thread, with its own store.
pub(super) fn with_store<F: Future>(test: impl FnOnce(Store) -> F) -> F::Output {
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        create(&store, settings("app", "http://127.0.0.1:1/")).await;
        let outcome = test(store.clone()).await;
        store.close(LIMIT).await;
        outcome
    })
}

/// Returns the sources that the environment describes.
pub(super) fn sources(variables: &[(&str, &str)]) -> Vec<ConfirmationSource> {
    let variables: BTreeMap<String, String> =
        variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    ConfirmationSource::among(&Config::from_vars(variables).unwrap().sources)
}

fn pay(api: &Server) -> Vec<ConfirmationSource> {
    sources(&[
        ("CREEL_SOURCE_PAY_PROVIDER", "none"),
        ("CREEL_SOURCE_PAY_CONFIRM_URL", &format!("{}/{{query:id}}", api.url)),
        ("CREEL_SOURCE_PAY_CONFIRM_EXPECT", "200 /status=paid"),
        ("CREEL_SOURCE_PAY_CONFIRM_TOKEN", "gateway-token"),
    ])
}

pub(super) fn confirmer(store: &Store, sources: Vec<ConfirmationSource>) -> Confirmer {
    Confirmer::new(store.delivery_queue(), clock, Client::new(), sources)
}

fn about(source: &str, confirm_query: &ConfirmQuery) -> NewMessage {
    let confirmation_request = ConfirmationRequest { request: confirm_query.to_text(), max_awaiting: None };
    NewMessage {
        confirmation_request: Some(confirmation_request),
        ..message(&format!("{source}.message"), "{}")
    }
}

pub(super) fn values(pairs: &[(&str, &str)]) -> ConfirmQuery {
    ConfirmQuery::Values(
        pairs.iter().map(|(place, value)| ((*place).to_owned(), (*value).to_owned())).collect(),
    )
}

fn payment(id: &str) -> NewMessage {
    about("pay", &values(&[("query field id", id)]))
}

pub(super) async fn confirmation(store: &Store, message: MessageId) -> StoredConfirmation {
    store.reads().confirmation(message).await.unwrap().unwrap()
}

async fn state_of_message(store: &Store, message: MessageId) -> Option<String> {
    store.reads().message(message).await.unwrap().unwrap().head.confirmation
}

/// The schedule, with slightly longer pauses.
pub(super) const PAUSES_SECONDS: [i64; 11] =
    [6, 34, 140, 670, 2_000, 4_000, 12_000, 24_000, 48_000, 96_000, 96_000];

/// Sends due requests immediately, and then at each time of the schedule.
pub(super) async fn confirm_through(confirmer: &mut Confirmer, pauses: &[i64]) {
    let mut now = clock();
    confirmer.run_once(now).await;
    for pause in pauses {
        now += time::Duration::seconds(*pause);
        confirmer.run_once(now).await;
    }
}

#[test]
fn message_is_delivered_only_after_confirmation() {
    let api = Server::start(|_| ScriptedReply::With(200, "", r#"{"status":"paid"}"#));
    with_store(async |store| {
        let id = keep(&store, payment("a/b c")).await;
        assert_eq!(state_of_message(&store, id).await.as_deref(), Some("awaiting"));
        assert!(all(&store).await.is_empty(), "no delivery before confirmation");
        let next = confirmer(&store, pay(&api)).run_once(clock()).await;
        assert_eq!(next, None, "no request is left");
        assert_eq!(state_of_message(&store, id).await.as_deref(), Some("confirmed"));
        let settled = confirmation(&store, id).await;
        assert_eq!((settled.state, settled.tries), (ConfirmationState::Confirmed, 1));
        assert!(settled.settled_at.is_some());
        let deliveries = all(&store).await;
        assert_eq!(deliveries.iter().map(|delivery| delivery.message).collect::<Vec<_>>(), [id]);
    });
    let requests = api.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].target, "/hooks/a%2Fb%20c");
    assert_eq!(requests[0].headers["authorization"], "Bearer gateway-token");
}

#[test]
fn answer_in_utf_16_confirms() {
    // The bytes of ASCII text in UTF-16 are also valid UTF-8.
    let api = Server::start(|_| {
        ScriptedReply::With(
            200,
            "content-type: application/json; charset=utf-16be\r\n",
            "\0{\0\"\0s\0t\0a\0t\0u\0s\0\"\0:\0\"\0p\0a\0i\0d\0\"\0}",
        )
    });
    with_store(async |store| {
        let id = keep(&store, payment("one")).await;
        confirmer(&store, pay(&api)).run_once(clock()).await;
        assert_eq!(state_of_message(&store, id).await.as_deref(), Some("confirmed"));
    });
}

/// A server may compress although the request did not allow it.
#[test]
fn compressed_answer_confirms() {
    let body: &[u8] = Box::leak(gzip(br#"{"status":"paid"}"#).into_boxed_slice());
    let api = Server::start(|_| ScriptedReply::Bytes(200, "content-encoding: gzip\r\n", body));
    with_store(async |store| {
        let id = keep(&store, payment("one")).await;
        confirmer(&store, pay(&api)).run_once(clock()).await;
        assert_eq!(state_of_message(&store, id).await.as_deref(), Some("confirmed"));
    });
    assert_eq!(api.requests()[0].headers["accept-encoding"], "identity");
}

#[test]
fn unreadable_answer_is_retried_with_reason() {
    let bomb: &[u8] = Box::leak(gzip(&vec![b' '; 2 << 20]).into_boxed_slice());
    let rows: [(&str, &[u8], &str); 4] = [
        ("", b"{\"name\":\"Zo\xeb\",\"status\":\"paid\"}", "its body is neither UTF-8 nor in the charset"),
        ("content-encoding: br\r\n", b"?", "it has a content coding that is not supported"),
        ("content-encoding: gzip\r\n", b"?", "its body cannot be decompressed"),
        ("content-encoding: gzip\r\n", bomb, "its body is larger than 1 MiB when decompressed"),
    ];
    for (headers, body, reason) in rows {
        let api = Server::start(move |_| ScriptedReply::Bytes(200, headers, body));
        with_store(async |store| {
            let id = keep(&store, payment("one")).await;
            confirmer(&store, pay(&api)).run_once(clock()).await;
            let stored = confirmation(&store, id).await;
            assert_eq!(stored.state, ConfirmationState::Awaiting);
            assert!(stored.reason.as_deref().unwrap().contains(reason), "{:?}", stored.reason);
        });
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut coded = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    coded.extend(miniz_oxide::deflate::compress_to_vec(plain, 6));
    coded.extend(crc32fast::hash(plain).to_le_bytes());
    coded.extend(u32::try_from(plain.len()).unwrap().to_le_bytes());
    coded
}

#[test]
fn late_payment_is_confirmed_later() {
    let times = AtomicUsize::new(0);
    let api = Server::start(move |_| match times.fetch_add(1, Ordering::Relaxed) {
        0 => ScriptedReply::With(200, "", r#"{"status":"open"}"#),
        _ => ScriptedReply::With(200, "", r#"{"status":"paid"}"#),
    });
    with_store(async |store| {
        let id = keep(&store, payment("abc")).await;
        let mut confirmer = confirmer(&store, pay(&api));
        let began = clock();
        let next = confirmer.run_once(began).await.unwrap();
        let pause = (next - began).as_seconds_f64();
        assert!((4.5..6.0).contains(&pause), "{pause}");
        let open = confirmation(&store, id).await;
        assert_eq!((open.state, open.tries), (ConfirmationState::Awaiting, 1));
        assert_eq!(open.reason.as_deref(), Some(r#"answered 200, but /status is "open", not paid"#));
        assert_eq!(confirmer.run_once(began + Duration::from_secs(1)).await, Some(next), "it is not due");
        assert_eq!(confirmer.run_once(next).await, None);
        assert_eq!(confirmation(&store, id).await.state, ConfirmationState::Confirmed);
        assert_eq!(all(&store).await.len(), 1);
    });
    assert_eq!(api.requests().len(), 2);
}

#[test]
fn unknown_message_is_rejected_after_three_attempts() {
    let api = Server::start(|_| ScriptedReply::Status(404));
    with_store(async |store| {
        let id = keep(&store, payment("abc")).await;
        confirm_through(&mut confirmer(&store, pay(&api)), &PAUSES_SECONDS).await;
        let refused = confirmation(&store, id).await;
        assert_eq!((refused.state, refused.tries), (ConfirmationState::Refused, 3));
        assert_eq!(refused.reason.as_deref(), Some("answered 404, 3 times"));
        assert!(refused.settled_at.is_some());
        assert_eq!(state_of_message(&store, id).await.as_deref(), Some("refused"));
        assert!(all(&store).await.is_empty());
    });
    assert_eq!(api.requests().len(), 3);
}

#[test]
fn other_answers_are_retried_for_three_days() {
    let large: &'static str = Box::leak("x".repeat((1 << 20) + 1).into_boxed_str());
    let replies: [(ScriptedReply, &str); 8] = [
        (ScriptedReply::With(200, "", r#"{"status":"open"}"#), "answered 200, but"),
        (ScriptedReply::With(200, "", "<html>"), "answered 200, but not with JSON"),
        (ScriptedReply::With(302, "location: /hooks/paid\r\n", ""), "answered 302"),
        (ScriptedReply::Status(401), "answered 401"),
        (ScriptedReply::Status(403), "answered 403"),
        (ScriptedReply::Status(500), "answered 500"),
        (ScriptedReply::With(200, "", large), "larger than 1048576 bytes"),
        (ScriptedReply::Reset, "exchange failed"),
    ];
    for (reply, reason) in replies {
        let answer = reply.clone();
        let api = Server::start(move |_| answer.clone());
        with_store(async |store| {
            let id = keep(&store, payment("abc")).await;
            let mut confirmer = confirmer(&store, pay(&api));
            confirm_through(&mut confirmer, &PAUSES_SECONDS[..10]).await;
            let waiting = confirmation(&store, id).await;
            assert_eq!((waiting.state, waiting.tries), (ConfirmationState::Awaiting, 11), "{reply:?}");
            confirmer.run_once(clock() + time::Duration::days(9)).await;
            let refused = confirmation(&store, id).await;
            assert_eq!((refused.state, refused.tries), (ConfirmationState::Refused, 12), "{reply:?}");
            let stored = refused.reason.unwrap();
            assert!(stored.contains(reason) && stored.ends_with(", after 12 attempts"), "{stored}");
            assert!(!stored.contains("gateway-token") && !stored.contains("127.0.0.1"), "{stored}");
            assert!(all(&store).await.is_empty());
        });
    }
}

#[test]
fn unreachable_api_is_retried_after_restart() {
    let nobody = sources(&[
        ("CREEL_SOURCE_PAY_PROVIDER", "none"),
        ("CREEL_SOURCE_PAY_CONFIRM_URL", "http://127.0.0.1:1/{query:id}"),
    ]);
    let api = Server::start(|_| ScriptedReply::With(200, "", r#"{"status":"paid"}"#));
    with_store(async |store| {
        let id = keep(&store, payment("abc")).await;
        let next = confirmer(&store, nobody).run_once(clock()).await.unwrap();
        let stored = confirmation(&store, id).await;
        assert_eq!((stored.state, stored.tries), (ConfirmationState::Awaiting, 1));
        assert!(stored.reason.unwrap().starts_with("cannot connect"));
        // The operator has corrected the address meanwhile.
        assert_eq!(confirmer(&store, pay(&api)).run_once(next).await, None);
        let confirmed = confirmation(&store, id).await;
        assert_eq!((confirmed.state, confirmed.tries), (ConfirmationState::Confirmed, 2));
    });
}

#[test]
fn pause_requested_by_api_is_respected() {
    for (status, header, expected) in [
        (429, "retry-after: 3600\r\n", 3_600.0..3_700.0),
        (503, "retry-after: 3600\r\n", 3_600.0..3_700.0),
        (429, "", 4.5..6.0),
        (500, "retry-after: 3600\r\n", 4.5..6.0),
    ] {
        let api = Server::start(move |_| ScriptedReply::With(status, header, ""));
        with_store(async |store| {
            keep(&store, payment("abc")).await;
            let began = clock();
            let next = confirmer(&store, pay(&api)).run_once(began).await.unwrap();
            let pause = (next - began).as_seconds_f64();
            assert!(expected.contains(&pause), "{status}: {pause}");
        });
    }
}

#[test]
fn unconfirmable_message_is_rejected_without_request() {
    let api = Server::start(|_| ScriptedReply::Status(200));
    with_store(async |store| {
        let confirm_query = ConfirmQuery::Unconfirmable("query field id is missing".to_owned());
        let id = keep(&store, about("pay", &confirm_query)).await;
        confirmer(&store, pay(&api)).run_once(clock()).await;
        let refused = confirmation(&store, id).await;
        assert_eq!((refused.state, refused.tries), (ConfirmationState::Refused, 0));
        assert_eq!(refused.reason.as_deref(), Some("query field id is missing"));
    });
    assert!(api.requests().is_empty());
}

#[test]
fn messages_of_source_without_confirmation_are_finally_rejected() {
    with_store(async |store| {
        let id = keep(&store, payment("abc")).await;
        let mut confirmer = confirmer(&store, Vec::new());
        confirm_through(&mut confirmer, &PAUSES_SECONDS).await;
        let refused = confirmation(&store, id).await;
        assert_eq!(refused.state, ConfirmationState::Refused);
        assert!(refused.reason.unwrap().contains("no longer configured"));
        assert!(all(&store).await.is_empty());
    });
}

/// Blocks answers until it is opened, and counts the blocked ones.
#[derive(Default)]
struct Gate {
    state: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.1).unwrap());
    }

    fn waiting(&self) -> usize {
        self.state.lock().unwrap().0
    }

    fn open(&self) {
        self.state.lock().unwrap().1 = true;
        self.changed.notify_all();
    }
}

async fn until_true(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !holds().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn slow_api_gets_few_requests_and_delays_no_others() {
    let gate = Arc::new(Gate::default());
    let held = Arc::clone(&gate);
    let slow = Server::start(move |_| {
        held.pass();
        ScriptedReply::With(200, "", r#"{"status":"paid"}"#)
    });
    let quick = Server::start(|_| ScriptedReply::Status(200));
    let mut sources_of_both = pay(&slow);
    sources_of_both.extend(sources(&[
        ("CREEL_SOURCE_SHOP_PROVIDER", "none"),
        ("CREEL_SOURCE_SHOP_CONFIRM_URL", &format!("{}/{{query:id}}", quick.url)),
    ]));
    with_store(async |store| {
        let mut slow_ones = Vec::new();
        for number in 0..20 {
            slow_ones.push(keep(&store, payment(&number.to_string())).await);
        }
        let running = tokio::task::spawn_local(confirmer(&store, sources_of_both).run());
        until_true("the slow API is queried", async || gate.waiting() == 4).await;
        // New messages are queried immediately.
        for number in 0..20 {
            let confirm_query = values(&[("query field id", &number.to_string())]);
            let id = keep(&store, about("shop", &confirm_query)).await;
            until_true("the other source continues", async || {
                confirmation(&store, id).await.state == ConfirmationState::Confirmed
            })
            .await;
        }
        assert_eq!(gate.waiting(), 4, "no more than four at a time");
        gate.open();
        until_true("the slow source continues", async || {
            let last = slow_ones.last().copied().unwrap();
            confirmation(&store, last).await.state == ConfirmationState::Confirmed
        })
        .await;
        running.abort();
    });
}
