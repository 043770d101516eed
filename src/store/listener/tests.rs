//! Listeners: their opening, the messages that they receive, and the order of these messages.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration as Wait, Instant};

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

use super::*;
use crate::store::confirmation::{ConfirmationOutcome, Settlement};
use crate::store::delivery::due::DueQuery;
use crate::store::delivery::read::DeliveryFilter;
use crate::store::handle::store::Store;
use crate::store::id::{MessageId, TargetId};
use crate::store::message::content::MessageContent;
use crate::store::message::new::{ConfirmationRequest, Identity, NewMessage};
use crate::store::options::StoreOptions;
use crate::store::timestamp::Timestamp;

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

fn open_store(directory: &Path) -> Store {
    let path = directory.join("creel.db");
    Store::open(&StoreOptions { path, key: None, checkpoint: true, min_free_bytes: 0, search: None }).unwrap()
}

fn run(test: impl AsyncFnOnce(Store)) {
    let directory = TempDir::new().unwrap();
    let store = open_store(directory.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        test(store.clone()).await;
        store.close(Wait::from_secs(10)).await;
    });
}

fn patterns(events: &[&str]) -> Vec<Pattern> {
    events.iter().map(|event| Pattern::new(event)).collect()
}

async fn open(store: &Store, name: &str, events: &[&str], since: Option<OffsetDateTime>) -> ListenerSession {
    let since = since.map(Timestamp::from);
    store.listener_registry().open_listener(name.to_owned(), patterns(events), since, now()).await.unwrap()
}

async fn keep(
    store: &Store,
    event: &str,
    age: Duration,
    confirmation_request: Option<ConfirmationRequest>,
) -> MessageId {
    let message = message(event, age, confirmation_request);
    store.ingest().keep(message, soon()).await.unwrap().id()
}

fn soon() -> Instant {
    Instant::now() + Wait::from_secs(20)
}

fn message(event: &str, age: Duration, confirmation_request: Option<ConfirmationRequest>) -> NewMessage {
    NewMessage {
        received_at: now() - age,
        source: "github".into(),
        event: event.to_owned(),
        owner: None,
        identity: Identity::None,
        method: "POST".to_owned(),
        query: None,
        remote_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        headers: "{}".to_owned(),
        content: MessageContent::Json(Bytes::from_static(b"{}")),
        body_sha256: digest(&SHA256, b"{}").as_ref().try_into().unwrap(),
        body_unsigned: false,
        unverified: false,
        confirmation_request,
    }
}

/// Returns the pending messages of a listener, in order.
async fn pending(store: &Store, target: TargetId) -> Vec<MessageId> {
    let query = DueQuery {
        target,
        ordering: DeliveryOrdering::Any,
        now: Timestamp::MAX,
        held: Vec::new(),
        limit: 1_000,
        bytes: usize::MAX,
    };
    let page = store.delivery_queue().due_deliveries(query).await.unwrap();
    page.deliveries.iter().map(|delivery| delivery.message.head.id).collect()
}

#[test]
fn new_listener_gets_only_later_messages() {
    run(async |store| {
        keep(&store, "github.push", Duration::ZERO, None).await;
        let opened = open(&store, "laptop", &["github.*"], None).await;
        assert!(opened.is_new && !opened.must_be_filled);
        let push = keep(&store, "github.push", Duration::ZERO, None).await;
        keep(&store, "stripe.paid", Duration::ZERO, None).await;
        assert_eq!(pending(&store, opened.target).await, [push]);
        let again = open(&store, "laptop", &["github.*"], Some(now() - Duration::HOUR)).await;
        assert_eq!(again, ListenerSession { target: opened.target, is_new: false, must_be_filled: false });
        assert_eq!(store.reads().pending_of_listener(opened.target).await, Ok(1));
    });
}

#[test]
fn old_messages_come_before_new_ones_and_only_once() {
    run(async |store| {
        keep(&store, "github.push", Duration::hours(3), None).await;
        let older = keep(&store, "github.push", Duration::hours(1), None).await;
        let oldest = keep(&store, "github.push", Duration::hours(2) - Duration::minutes(1), None).await;
        keep(&store, "stripe.paid", Duration::hours(1), None).await;
        let opened = open(&store, "laptop", &["github.*"], Some(now() - Duration::hours(2))).await;
        assert!(opened.must_be_filled);
        let new = keep(&store, "github.push", Duration::ZERO, None).await;
        assert_eq!(store.listener_registry().fill_listener(opened.target, false, now()).await, Ok(2));
        assert_eq!(pending(&store, opened.target).await, [oldest, older, new]);
        assert!(open(&store, "laptop", &["github.*"], None).await.must_be_filled, "it was not the last fill");
        assert_eq!(store.listener_registry().fill_listener(opened.target, true, now()).await, Ok(0));
        assert!(!open(&store, "laptop", &["github.*"], None).await.must_be_filled);
        assert_eq!(pending(&store, opened.target).await, [oldest, older, new]);
    });
}

#[test]
fn last_fill_adds_only_late_commits() {
    run(async |store| {
        let old = keep(&store, "github.push", Duration::hours(1), None).await;
        // Matched before the listener exists, and committed after all old messages were added.
        let late = message("github.push", Duration::ZERO, None);
        let late = store.ingest().prepare(late, soon()).await.unwrap();
        let opened = open(&store, "laptop", &["github.*"], Some(now() - Duration::hours(2))).await;
        assert_eq!(store.listener_registry().fill_listener(opened.target, false, now()).await, Ok(1));
        // The last search would add the old message again if it were not limited to later ones.
        store.core.write(|database| database.connection.execute("DELETE FROM deliveries", [])).await.unwrap();
        let late = store.ingest().keep_prepared(late, None, soon()).await.unwrap().id();
        let new = keep(&store, "github.push", Duration::ZERO, None).await;
        assert_eq!(pending(&store, opened.target).await, [new]);
        assert_eq!(store.listener_registry().finish_filling(opened.target, old, now()).await, Ok(1));
        assert_eq!(pending(&store, opened.target).await, [late, new]);
        assert!(!open(&store, "laptop", &["github.*"], None).await.must_be_filled);
    });
}

#[test]
fn fill_adds_more_messages_than_one_page() {
    run(async |store| {
        let kept = (0..1_200).map(|_| keep(&store, "github.push", Duration::MINUTE, None));
        let mut messages = futures_util::future::join_all(kept).await;
        messages.sort_unstable();
        let opened = open(&store, "laptop", &["*"], Some(now() - Duration::HOUR)).await;
        assert_eq!(store.listener_registry().fill_listener(opened.target, true, now()).await, Ok(1_200));
        let mut all = pending(&store, opened.target).await;
        all.sort_unstable();
        assert_eq!(all, messages[..1_000]);
    });
}

#[test]
fn unconfirmed_messages_are_not_filled() {
    run(async |store| {
        let confirmation_request =
            || Some(ConfirmationRequest { request: String::new(), max_awaiting: Some(9) });
        let confirmed = keep(&store, "github.push", Duration::MINUTE, confirmation_request()).await;
        keep(&store, "github.push", Duration::MINUTE, confirmation_request()).await;
        let settlement = Settlement::Confirmed;
        let outcome = ConfirmationOutcome {
            message: confirmed,
            tries: 1,
            unknowns: 0,
            reason: String::new(),
            settlement,
        };
        store.delivery_queue().settle_confirmation(outcome, now()).await.unwrap();
        let opened = open(&store, "laptop", &["*"], Some(now() - Duration::HOUR)).await;
        assert_eq!(store.listener_registry().fill_listener(opened.target, true, now()).await, Ok(1));
        assert_eq!(pending(&store, opened.target).await, [confirmed]);
    });
}

#[test]
fn changed_subscription_keeps_pending_deliveries() {
    run(async |store| {
        let opened = open(&store, "laptop", &["github.*"], None).await;
        let push = keep(&store, "github.push", Duration::ZERO, None).await;
        open(&store, "laptop", &["stripe.*", "github.issues.*"], None).await;
        keep(&store, "github.push", Duration::ZERO, None).await;
        let paid = keep(&store, "stripe.paid", Duration::ZERO, None).await;
        assert_eq!(pending(&store, opened.target).await, [push, paid]);
    });
}

#[test]
fn listener_is_paused_while_disconnected() {
    run(async |store| {
        let opened = open(&store, "laptop", &["*"], None).await;
        let state = async || store.reads().target(opened.target).await.unwrap().unwrap().state;
        assert_eq!(state().await, TargetState::Active);
        store.listener_registry().pause_listeners(now()).await.unwrap();
        assert_eq!(state().await, TargetState::Paused);
        store.listener_registry().set_listener_connected(opened.target, true, now()).await.unwrap();
        assert_eq!(state().await, TargetState::Active);
        store.listener_registry().set_listener_connected(opened.target, false, now()).await.unwrap();
        assert_eq!(state().await, TargetState::Paused);
        open(&store, "laptop", &["*"], None).await;
        assert_eq!(state().await, TargetState::Active, "cleanup removes only paused listeners");
    });
}

#[test]
fn listeners_are_limited_and_separate_from_target_names() {
    run(async |store| {
        for number in 0..MAX_LISTENERS {
            open(&store, &format!("laptop-{number}"), &["*"], None).await;
        }
        let rejected = store
            .listener_registry()
            .open_listener("one-more".to_owned(), patterns(&["*"]), None, now())
            .await;
        assert_eq!(rejected, Err(ListenerError::TooMany));
        let listeners = store.reads().listeners().await.unwrap();
        assert_eq!((listeners.len(), listeners[0].name.as_str()), (MAX_LISTENERS, "laptop-0"));
        assert!(store.reads().target_named("laptop-0").await.unwrap().is_none());
        let found = store.reads().listener_named("laptop-0").await.unwrap().unwrap();
        store.target_registry().set_target_state(found.id, TargetState::Removed, None, now()).await.unwrap();
        assert!(open(&store, "laptop-0", &["*"], None).await.is_new);
    });
}

#[test]
fn acknowledgement_completes_delivery_once_and_stores_response() {
    run(async |store| {
        let opened = open(&store, "laptop", &["*"], None).await;
        let other = open(&store, "other", &["*"], None).await;
        keep(&store, "github.push", Duration::ZERO, None).await;
        keep(&store, "github.push", Duration::ZERO, None).await;
        let (all, _) = store.reads().deliveries(DeliveryFilter::default(), None, 9).await.unwrap();
        let mut own: Vec<DeliveryId> =
            all.iter().filter(|one| one.target == opened.target).map(|one| one.id).collect();
        own.sort_unstable();
        let answer =
            ListenerAnswer { status: 500, took: Wait::from_millis(12), excerpt: Some("oh".to_owned()) };
        let acknowledgements = vec![
            DeliveryAcknowledgement { delivery: own[0], answer: Some(answer) },
            DeliveryAcknowledgement { delivery: own[1], answer: None },
        ];
        let acknowledge = async |target| {
            store.listener_registry().acknowledge_deliveries(target, acknowledgements.clone(), now()).await
        };
        assert_eq!(acknowledge(other.target).await, Ok(0), "they belong to another listener");
        assert_eq!(acknowledge(opened.target).await, Ok(2));
        assert_eq!(acknowledge(opened.target).await, Ok(0));
        assert!(pending(&store, opened.target).await.is_empty());
        let attempts = store.reads().attempts(own[0]).await.unwrap();
        assert_eq!(attempts.len(), 1);
        assert_eq!((attempts[0].status, attempts[0].took_ms), (Some(500), 12));
        assert_eq!(attempts[0].excerpt.as_deref(), Some("oh"));
        let delivery = store.reads().delivery(own[0]).await.unwrap().unwrap();
        assert_eq!((delivery.attempts, delivery.outcome.as_deref()), (1, Some("500")));
        assert!(store.reads().attempts(own[1]).await.unwrap().is_empty());
    });
}

#[test]
fn messages_of_one_time_are_paged_by_index() {
    run(|store| async move {
        let opened = open(&store, "laptop", &["*"], Some(now() - Duration::DAY)).await;
        let target = store.reads().target(opened.target).await.unwrap().unwrap();
        let (mut from, mut found) =
            (FillPosition::new(Timestamp::from(now() - Duration::DAY), None), Vec::new());
        let at = Timestamp::from(now() - Duration::HOUR);
        for _ in 0..25 {
            keep(&store, "github.push", Duration::HOUR, None).await;
        }
        store
            .core
            .write(move |database| database.connection.execute("UPDATE messages SET received_at = ?1", [at]))
            .await
            .unwrap();
        store.core.write(|database| database.connection.execute("DELETE FROM deliveries", [])).await.unwrap();
        loop {
            let (target, position) = (target.clone(), from.clone());
            let page =
                store.core.read(move |connection| missing(connection, &target, &position, 10)).await.unwrap();
            found.extend(page.messages);
            match page.next {
                Some(next) => from = next,
                None => break,
            }
        }
        assert_eq!(found, (1..=25).collect::<Vec<i64>>());
    });
}

#[test]
fn page_of_edited_times_has_a_next_one() {
    run(|store| async move {
        let since = now() - Duration::DAY;
        let opened = open(&store, "laptop", &["*"], Some(since)).await;
        let target = store.reads().target(opened.target).await.unwrap().unwrap();
        for _ in 0..3 {
            keep(&store, "github.push", Duration::HOUR, None).await;
        }
        let edit = "UPDATE messages SET received_at = received_at || '!'; DELETE FROM deliveries";
        store.core.write(move |database| database.connection.execute_batch(edit)).await.unwrap();
        let (mut next, mut found) = (Some(FillPosition::new(Timestamp::from(since), None)), Vec::new());
        while let Some(from) = next {
            let target = target.clone();
            let page =
                store.core.read(move |connection| missing(connection, &target, &from, 1)).await.unwrap();
            found.extend(page.messages);
            next = page.next;
        }
        assert_eq!(found, [1, 2, 3]);
    });
}

#[test]
fn positions_of_old_messages_are_found_by_index() {
    let mut connection = Connection::open_in_memory().unwrap();
    crate::store::schema::migrate(&mut connection).unwrap();
    for (sql, count) in [(POSITIONS_SAME_TIME, 3), (POSITIONS_LATER, 2)] {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let values = rusqlite::params_from_iter(vec![1; count]);
        let rows = statement.query_map(values, |row| row.get::<_, String>(3)).unwrap();
        let plan: Vec<String> = rows.map(Result::unwrap).collect();
        assert!(plan.len() == 1 && plan[0].contains("COVERING INDEX messages_received_at"), "{plan:?}");
    }
}
