//! Targets and the deliveries that messages create, on real files.

mod changes;
mod dead;
mod owners;

use std::future::Future;
use std::task::Poll;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rusqlite::Connection;
use rusqlite::types::FromSql;
use tempfile::TempDir;
use time::OffsetDateTime;

use super::setup::{self, with_id};
use crate::store::error::IngestError;
use crate::store::handle::store::Store;
use crate::store::id::{MessageId, TargetId};
use crate::store::options::StoreOptions;
use crate::store::timestamp::Timestamp;
use crate::store::{
    ContentType, DeliveryFilter, DeliveryOrdering, DeliveryRate, DeliveryState, DueQuery, Identity,
    MessageContent, NewMessage, Origin, Pattern, Receipt, StoredSecret, StoredTarget, TargetDraft,
    TargetError, TargetKind, TargetSecrets, TargetSettings, TargetState, Unavailable, UnreadableReason,
};

/// No targets.
const NONE: [TargetId; 0] = [];

/// A store, with the parts needed to use it.
struct World {
    directory: TempDir,
    runtime: tokio::runtime::Runtime,
    store: Store,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let store = open(&directory);
        Self { directory, runtime, store }
    }

    fn reopened(self) -> Self {
        self.wait(self.store.close(Duration::from_secs(10)));
        let Self { directory, runtime, store } = self;
        drop(store);
        let store = open(&directory);
        Self { directory, runtime, store }
    }

    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    fn declare(&self, targets: &[TargetSettings]) -> Result<Vec<TargetId>, TargetError> {
        let declared = targets.iter().map(|settings| TargetDraft {
            kind: TargetKind::Http,
            origin: Origin::Environment,
            settings: settings.clone(),
            secrets: None,
        });
        self.wait(self.store.target_registry().declare_targets(declared.collect(), now()))
    }

    fn create(&self, settings: TargetSettings) -> Result<TargetId, TargetError> {
        let secrets = Some(TargetSecrets::default());
        let target = TargetDraft { kind: TargetKind::Http, origin: Origin::Api, settings, secrets };
        self.wait(self.store.target_registry().create_target(target, now()))
    }

    fn update(&self, id: TargetId, settings: TargetSettings) -> Result<(), TargetError> {
        self.wait(self.store.target_registry().update_target(id, settings, now()))
    }

    fn set_state(&self, id: TargetId, state: TargetState) -> Result<(), TargetError> {
        self.wait(self.store.target_registry().set_target_state(id, state, None, now()))
    }

    fn target(&self, id: TargetId) -> StoredTarget {
        self.wait(self.store.reads().target(id)).unwrap().unwrap()
    }

    fn keep(&self, message: NewMessage) -> Result<Receipt, Unavailable> {
        let ingest = self.store.ingest();
        self.wait(ingest.keep(message, Instant::now() + Duration::from_secs(20)))
            .map_err(IngestError::unavailable)
    }

    /// Stores a new message; returns the targets that it is delivered to.
    fn targets_of(&self, message: NewMessage) -> Vec<TargetId> {
        let Ok(Receipt::New { id }) = self.keep(message) else { panic!("the message is new") };
        self.deliveries_of(id)
    }

    fn deliveries_of(&self, message: MessageId) -> Vec<TargetId> {
        let filter = DeliveryFilter { message: Some(message), ..DeliveryFilter::default() };
        let (deliveries, _) = self.wait(self.store.reads().deliveries(filter, None, 100)).unwrap();
        deliveries.iter().rev().map(|delivery| delivery.target).collect()
    }

    /// Returns the pending messages of a target.
    fn due(&self, target: TargetId) -> Vec<MessageId> {
        let query = DueQuery {
            target,
            ordering: DeliveryOrdering::Any,
            now: Timestamp::from(now()),
            held: Vec::new(),
            limit: 100,
            bytes: 1 << 20,
        };
        let page = self.wait(self.store.delivery_queue().due_deliveries(query)).unwrap();
        page.deliveries.iter().map(|delivery| delivery.message.head.id).collect()
    }

    fn connection(&self) -> Connection {
        Connection::open(self.directory.path().join("creel.db")).unwrap()
    }

    fn query<T: FromSql>(&self, sql: &str) -> T {
        self.connection().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

fn open(directory: &TempDir) -> Store {
    let path = directory.path().join("creel.db");
    Store::open(&StoreOptions { path, key: None, checkpoint: true, min_free_bytes: 0, search: None }).unwrap()
}

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

fn settings(name: &str, owner: Option<&str>, events: &str) -> TargetSettings {
    TargetSettings {
        name: name.to_owned(),
        owner: owner.map(str::to_owned),
        events: events.split_whitespace().map(Pattern::new).collect(),
        filter: None,
        url: None,
        content_type: None,
        concurrency: 8,
        ordering: DeliveryOrdering::Any,
        rate: None,
        timeout: Duration::from_secs(30),
    }
}

fn message(event: &str, owner: Option<&str>, body: &str) -> NewMessage {
    NewMessage {
        source: event.split('.').next().unwrap_or_default().into(),
        event: event.to_owned(),
        owner: owner.map(str::to_owned),
        ..setup::message(Identity::None, body)
    }
}

#[test]
fn redeclared_target_keeps_its_id() {
    let world = World::new();
    let first = world.declare(&[settings("app", None, "*"), settings("other", None, "github.*")]).unwrap();
    let mut changed = settings("app", None, "github.push");
    changed.concurrency = 3;
    changed.rate = Some(DeliveryRate { count: 50, per: Duration::from_secs(60) });
    changed.content_type = Some(ContentType::Form);
    changed.filter = Some(serde_json::from_str(r#"[{"pointer":"/a","equals":1}]"#).unwrap());
    assert_eq!(world.declare(std::slice::from_ref(&changed)), Ok(vec![first[0]]));
    let target = world.target(first[0]);
    assert_eq!((target.settings, target.state), (changed.clone(), TargetState::Active));
    let removed = world.target(first[1]);
    assert_eq!(
        (removed.state, removed.state_reason.as_deref()),
        (TargetState::Removed, Some("no longer declared"))
    );
    assert_eq!(world.wait(world.store.reads().targets()).unwrap().len(), 1);
    let again = world.declare(&[settings("other", None, "*"), changed]).unwrap();
    assert_eq!(again, [first[1], first[0]]);
    let target = world.target(first[1]);
    assert_eq!((target.state, target.state_reason), (TargetState::Active, None));
    assert_eq!(target.settings.events, [Pattern::new("*")]);
}

#[test]
fn paused_target_stays_paused_when_redeclared() {
    let world = World::new();
    let ids = world.declare(&[settings("app", None, "*")]).unwrap();
    world.set_state(ids[0], TargetState::Paused).unwrap();
    let world = world.reopened();
    assert_eq!(world.declare(&[settings("app", None, "*")]).unwrap(), ids);
    assert_eq!(world.target(ids[0]).state, TargetState::Paused);
}

#[test]
fn messages_match_targets_in_their_current_state() {
    let world = World::new();
    let id = world.create(settings("app", None, "github.*")).unwrap();
    assert_eq!(world.create(settings("app", None, "*")), Err(TargetError::NameTaken));
    assert_eq!(world.targets_of(message("github.push", None, "1")), [id]);
    assert_eq!(world.targets_of(message("gitlab.push", None, "1")), NONE);
    world.update(id, settings("renamed", None, "gitlab.*")).unwrap();
    assert_eq!(world.targets_of(message("gitlab.push", None, "2")), [id]);
    assert_eq!(world.targets_of(message("github.push", None, "2")), NONE);
    for state in [TargetState::Paused, TargetState::Disabled] {
        world.set_state(id, state).unwrap();
        assert_eq!(world.targets_of(message("gitlab.push", None, "3")), [id], "{state:?}");
    }
    let other = world.create(settings("app", None, "x.*")).unwrap();
    assert_eq!(world.update(other, settings("renamed", None, "*")), Err(TargetError::NameTaken));
    world.set_state(id, TargetState::Removed).unwrap();
    assert_eq!(world.targets_of(message("gitlab.push", None, "4")), NONE);
    assert_eq!(world.update(id, settings("renamed", None, "*")), Err(TargetError::NotFound));
    assert_eq!(world.set_state(id, TargetState::Active), Err(TargetError::NotFound));
    assert_eq!(world.update(99.into(), settings("x", None, "*")), Err(TargetError::NotFound));
}

#[test]
fn targets_survive_a_restart_with_their_subscriptions() {
    let world = World::new();
    let mut wanted = settings("app", Some("ann"), "*.paid a*b");
    wanted.url = Some("https://example.com/".to_owned());
    let id = world.create(wanted.clone()).unwrap();
    let world = world.reopened();
    assert_eq!(world.target(id).settings, wanted);
    assert_eq!(world.store.reads().targets_for("pay.paid", Some("ann"), None), [id]);
}

#[test]
fn concurrent_target_changes_all_reach_matching() {
    let world = World::new();
    let store = &world.store;
    let registry = store.target_registry();
    let changes = (0..40).map(|number| {
        let settings = settings(&format!("target-{number}"), None, "*");
        registry.create_target(
            TargetDraft { kind: TargetKind::Http, origin: Origin::Api, settings, secrets: None },
            now(),
        )
    });
    let made = world.wait(futures_util::future::join_all(changes));
    assert!(made.iter().all(Result::is_ok));
    assert_eq!(store.reads().targets_for("x.y", None, None).len(), 40);
}

#[test]
fn change_reaches_matching_after_client_disconnects() {
    let world = World::new();
    let target = TargetDraft {
        kind: TargetKind::Http,
        origin: Origin::Api,
        settings: settings("app", None, "*"),
        secrets: None,
    };
    let mut changes = world.store.reads().target_changes();
    world.wait(async {
        // Polled once, so that the writer receives it, and then dropped, like the request of a
        // client that disconnects.
        let registry = world.store.target_registry();
        let mut creation = Box::pin(registry.create_target(target, now()));
        let is_pending =
            std::future::poll_fn(|context| Poll::Ready(creation.as_mut().poll(context).is_pending()));
        assert!(is_pending.await);
        tokio::select! {
            biased;
            changed = changes.changed() => changed.unwrap(),
            _ = tokio::time::sleep(Duration::from_secs(20)) => panic!("no target was created"),
        }
        drop(creation);
    });
    assert_eq!(world.store.reads().targets_for("x.y", None, None).len(), 1);
}

#[test]
fn secrets_and_headers_are_stored_only_sealed() {
    let world = World::new();
    let id = world.create(settings("app", None, "*")).unwrap();
    let secret = |text: &str| StoredSecret { secret: text.to_owned(), until: None };
    let secrets = TargetSecrets {
        secrets: vec![secret("never-in-the-file-1"), secret("never-in-the-file-2")],
        headers: vec![("authorization".to_owned(), "Bearer never-in-the-file-3".to_owned())],
    };
    world.wait(world.store.target_registry().set_target_secrets(id, &secrets, now())).unwrap();
    assert!(world.wait(world.store.reads().target_secrets(id)).unwrap() == secrets);
    assert_eq!(format!("{secrets:?}"), "[redacted]");
    world.keep(message("github.push", None, "1")).unwrap();
    let files = || {
        let names = std::fs::read_dir(world.directory.path()).unwrap().map(|entry| entry.unwrap().path());
        // Read by another process: closing a descriptor of the database here would drop its locks.
        let output = std::process::Command::new("cat").args(names).output().unwrap();
        assert!(output.status.success());
        output.stdout
    };
    assert!(!files().windows(17).any(|bytes| bytes == b"never-in-the-file"));
    world.wait(world.store.close(Duration::from_secs(10)));
    assert!(!files().windows(17).any(|bytes| bytes == b"never-in-the-file"));
}

#[test]
fn message_and_deliveries_are_one_transaction() {
    let world = World::new();
    let ids = world.declare(&[settings("a", None, "*"), settings("b", None, "*")]).unwrap();
    assert_eq!(world.targets_of(message("github.push", None, "1")), ids);
    let poison = format!(
        "CREATE TRIGGER poison BEFORE INSERT ON deliveries WHEN NEW.target_id = {}
         BEGIN SELECT RAISE(ABORT, 'poison'); END",
        ids[1]
    );
    world.connection().execute_batch(&poison).unwrap();
    assert_eq!(world.keep(message("github.push", None, "2")), Err(Unavailable::Refused));
    assert_eq!(world.query::<i64>("SELECT count(*) FROM messages"), 1);
    assert_eq!(world.query::<i64>("SELECT count(*) FROM deliveries"), 2);
}

#[test]
fn duplicate_and_conflict_create_no_deliveries() {
    let world = World::new();
    let ids = world.declare(&[settings("app", None, "*")]).unwrap();
    assert_eq!(world.targets_of(with_id("one", "1")), ids);
    assert_eq!(world.keep(with_id("one", "1")), Ok(Receipt::Duplicate { of: 1.into() }));
    assert_eq!(world.keep(with_id("one", "2")), Ok(Receipt::Conflict { id: 2.into(), of: 1.into() }));
    assert_eq!(world.query::<i64>("SELECT count(*) FROM deliveries"), 1);
    assert_eq!(world.due(ids[0]), [1]);
}

#[test]
fn filter_matches_only_json_and_forms() {
    let world = World::new();
    let mut main = settings("main", None, "*");
    main.filter = Some(serde_json::from_str(r#"[{"pointer":"/ref","equals":"main"}]"#).unwrap());
    let ids = world.declare(&[main, settings("all", None, "*")]).unwrap();
    assert_eq!(world.targets_of(message("github.push", None, r#"{"ref": "main"}"#)), ids);
    assert_eq!(world.targets_of(message("github.push", None, r#"{"ref": "x"}"#)), ids[1..]);
    let form = MessageContent::Decoded {
        body: Bytes::from_static(b"ref=main"),
        payload: r#"{"ref":"main"}"#.to_owned(),
    };
    assert_eq!(world.targets_of(NewMessage { content: form, ..message("github.push", None, "") }), ids);
    let other = MessageContent::Unreadable {
        body: Bytes::from_static(b"ref=main"),
        reason: UnreadableReason::NotJson,
    };
    assert_eq!(world.targets_of(NewMessage { content: other, ..message("github.push", None, "") }), ids[1..]);
}

#[test]
fn pending_deliveries_of_removed_target_survive_until_redeclared() {
    let world = World::new();
    let ids = world.declare(&[settings("app", None, "*")]).unwrap();
    world.keep(message("github.push", None, "1")).unwrap();
    world.declare(&[]).unwrap();
    world.keep(message("github.push", None, "2")).unwrap();
    assert_eq!(world.declare(&[settings("app", None, "*")]).unwrap(), ids);
    assert_eq!(world.due(ids[0]), [1]);
    let state = world.query::<String>("SELECT state FROM deliveries");
    assert_eq!(DeliveryState::from_name(&state), Some(DeliveryState::Pending));
}

#[test]
fn target_with_edited_times_shows_stored_text() {
    let world = World::new();
    let id = world.create(settings("app", None, "*")).unwrap();
    world.set_state(id, TargetState::Paused).unwrap();
    let edit =
        "UPDATE targets SET state_since = 'yesterday', created_at = '2026-11-22 14:31:00', updated_at = ''";
    assert_eq!(world.connection().execute(edit, []).unwrap(), 1);
    let StoredTarget { state_since, created_at, updated_at, .. } = world.target(id);
    let shown = [state_since, created_at, updated_at].map(|at| at.to_string());
    assert_eq!(shown, ["yesterday", "2026-11-22T14:31:00.000000Z", ""]);
}
