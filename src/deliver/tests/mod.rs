//! Tests of the engine with a real store, real HTTP servers on loopback, and a clock that the tests
//! advance.

mod confirmation;
mod lanes;
mod post_back;
mod regressions;
mod repeats;
mod server;
mod shared;
mod targets;

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::sync::watch;

use super::engine::Engine;
use super::route::Routes;
use crate::config::command_environment;
use crate::outbound::{DeliveryClient, Reach};
use crate::store::{
    DeliveryFilter, DeliveryOrdering, DeliveryState, EMITTED, Identity, MessageContent, MessageId,
    NewMessage, Origin, Pattern, Receipt, Store, StoreOptions, StoredDelivery, StoredSecret, TargetDraft,
    TargetId, TargetKind, TargetSecrets, TargetSettings, UnreadableReason,
};
use server::Server;

thread_local! {
    /// Offset of the engine's clock.
    static CLOCK_OFFSET: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

fn clock() -> OffsetDateTime {
    OffsetDateTime::now_utc() + CLOCK_OFFSET.get()
}

const LIMIT: Duration = Duration::from_secs(20);
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// Runs `test` with a store and an engine on it.
fn with_engine<F: Future>(test: impl FnOnce(Store) -> F) -> F::Output {
    CLOCK_OFFSET.set(Duration::ZERO);
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let (stop, stopping) = watch::channel(false);
        let running = tokio::task::spawn_local(run(store.clone(), stopping));
        let outcome = test(store.clone()).await;
        stop.send(true).unwrap();
        running.await.unwrap();
        store.close(LIMIT).await;
        outcome
    })
}

fn open(directory: &TempDir) -> Store {
    Store::open(&StoreOptions {
        path: directory.path().join("creel.db"),
        key: Some(vec![7; 32]),
        checkpoint: true,
        min_free_bytes: 1,
        search: None,
    })
    .unwrap()
}

async fn run(store: Store, stopping: watch::Receiver<bool>) {
    let allowed = vec!["127.0.0.0/8".parse().unwrap()];
    let routes = Routes {
        declared: Default::default(),
        environment: command_environment(),
        anywhere: DeliveryClient::new(Reach::Anywhere),
        public: DeliveryClient::new(Reach::Public { allowed: allowed.into() }),
    };
    Engine::run(
        store.delivery_queue(),
        clock,
        || super::clock::monotonic() + CLOCK_OFFSET.get(),
        routes,
        stopping,
    )
    .await;
}

fn settings(name: &str, url: &str) -> TargetSettings {
    TargetSettings {
        name: name.to_owned(),
        owner: None,
        events: vec![Pattern::new("*")],
        filter: None,
        url: Some(url.to_owned()),
        content_type: None,
        concurrency: 4,
        ordering: DeliveryOrdering::Any,
        rate: None,
        timeout: Duration::from_secs(5),
    }
}

async fn create(store: &Store, settings: TargetSettings) -> TargetId {
    let secrets = vec![StoredSecret { secret: SECRET.to_owned(), until: None }];
    let headers = vec![("X-Team".to_owned(), "payments".to_owned())];
    let new = TargetDraft {
        kind: TargetKind::Http,
        origin: Origin::Api,
        settings,
        secrets: Some(TargetSecrets { secrets, headers }),
    };
    store.target_registry().create_target(new, clock()).await.unwrap()
}

fn message(event: &str, body: &str) -> NewMessage {
    let content = match serde_json::from_str::<serde_json::Value>(body) {
        Ok(_) => MessageContent::Json(Bytes::copy_from_slice(body.as_bytes())),
        Err(_) => MessageContent::Unreadable {
            body: Bytes::copy_from_slice(body.as_bytes()),
            reason: UnreadableReason::NotJson,
        },
    };
    NewMessage {
        received_at: OffsetDateTime::now_utc(),
        source: event.split('.').next().unwrap().into(),
        event: event.to_owned(),
        owner: None,
        identity: Identity::None,
        method: "POST".to_owned(),
        query: None,
        remote_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        headers: r#"{"content-type":"application/json","host":"example.com","x-github-event":"push","authorization":"[redacted]"}"#.to_owned(),
        body_sha256: digest(&SHA256, body.as_bytes()).as_ref().try_into().unwrap(),
        content,
        body_unsigned: false,
        unverified: false,
        confirmation_request: None,
    }
}

fn emitted(event: &str, owner: Option<&str>, body: &str) -> NewMessage {
    NewMessage {
        source: EMITTED.into(),
        owner: owner.map(str::to_owned),
        headers: "{}".to_owned(),
        ..message(event, body)
    }
}

async fn keep(store: &Store, message: NewMessage) -> MessageId {
    match store.ingest().keep(message, Instant::now() + LIMIT).await.unwrap() {
        Receipt::New { id } => id,
        other => panic!("{other:?}"),
    }
}

/// Advances the clock and wakes the engine.
async fn pass(store: &Store, time: Duration) {
    CLOCK_OFFSET.set(CLOCK_OFFSET.get() + time);
    let ids: Vec<TargetId> = store.reads().targets().await.unwrap().iter().map(|target| target.id).collect();
    store.delivery_queue().due_signal().add(ids);
}

async fn all(store: &Store) -> Vec<StoredDelivery> {
    let (mut deliveries, _) = store.reads().deliveries(DeliveryFilter::default(), None, 1_000).await.unwrap();
    deliveries.reverse();
    deliveries
}

/// Waits until the deliveries meet the condition, and returns them.
async fn until(store: &Store, what: &str, holds: impl Fn(&[StoredDelivery]) -> bool) -> Vec<StoredDelivery> {
    let deadline = Instant::now() + LIMIT;
    loop {
        let deliveries = all(store).await;
        if holds(&deliveries) {
            return deliveries;
        }
        assert!(Instant::now() < deadline, "not in time: {what}: {deliveries:#?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn are_all(state: DeliveryState, count: usize) -> impl Fn(&[StoredDelivery]) -> bool {
    move |all| all.len() == count && all.iter().all(|delivery| delivery.state == state)
}
