//! Cleanup on a real store.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ring::digest::{SHA256, digest};
use tempfile::TempDir;
use time::OffsetDateTime;
use time::macros::datetime;

use super::cleaner::CleanupOutcome;
use super::guard::CONFIRMED;
use super::*;
use crate::config::Retention;
use crate::store::{
    self, ConfirmationRequest, Identity, IngestError, MessageContent, MessageId, NewMessage, Receipt,
    StepResult, Store, StoreOptions, Timestamp, Unavailable,
};

mod deliveries;
mod limits;
mod settled;
mod targets;
mod yielding;

const NOW: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);
const DAY: Duration = Duration::from_secs(86_400);

struct CleanupSetup {
    _directory: TempDir,
    store: Store,
    number: std::cell::Cell<u64>,
}

impl CleanupSetup {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("creel.db");
        let store =
            Store::open(&StoreOptions { path, key: None, checkpoint: true, min_free_bytes: 0, search: None })
                .unwrap();
        Self { _directory: directory, store, number: std::cell::Cell::new(0) }
    }

    async fn keep(&self, source: &str, age: Duration, body: &str) -> Receipt {
        self.number.set(self.number.get() + 1);
        self.keep_with_id(source, age, body, &format!("id {}", self.number.get())).await
    }

    async fn keep_with_id(&self, source: &str, age: Duration, body: &str, id: &str) -> Receipt {
        self.keep_message(message(source, age, body, id)).await
    }

    /// Stores a message and returns its id.
    async fn keep_one(&self, age: Duration) -> MessageId {
        match self.keep("acme", age, "1").await {
            Receipt::New { id } => id,
            other => panic!("{other:?}"),
        }
    }

    async fn keep_message(&self, message: NewMessage) -> Receipt {
        self.store.ingest().keep(message, Instant::now() + Duration::from_secs(20)).await.unwrap()
    }

    async fn left(&self) -> usize {
        self.ids_left().await.len()
    }

    async fn ids_left(&self) -> Vec<MessageId> {
        let filter = store::MessageFilter::default();
        let page = self.store.reads().messages(filter, store::Direction::OldestFirst, None, 100_000).await;
        page.unwrap().messages.iter().map(|message| message.id).collect()
    }
}

fn message(source: &str, age: Duration, body: &str, id: &str) -> NewMessage {
    NewMessage {
        received_at: NOW - age,
        source: source.into(),
        event: format!("{source}.message"),
        identity: Identity::DeliveryId(id.to_owned()),
        method: "POST".to_owned(),
        query: None,
        remote_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
        headers: "{}".to_owned(),
        content: MessageContent::Json(Bytes::copy_from_slice(body.as_bytes())),
        body_sha256: digest(&SHA256, body.as_bytes()).as_ref().try_into().unwrap(),
        body_unsigned: false,
        owner: None,
        unverified: false,
        confirmation_request: None,
    }
}

fn cleaner(
    retention: Retention,
    of_sources: &[(&str, Retention)],
    max_database_bytes: Option<u64>,
) -> Cleaner {
    let of_sources = of_sources.iter().map(|(name, retention)| ((*name).to_owned(), *retention)).collect();
    let policy = Policy { of_sources, max_database_bytes, ..policy(retention) };
    Cleaner::new(policy, CleanupPace::Alone, NOW, Duration::ZERO)
}

fn policy(retention: Retention) -> Policy {
    Policy {
        retention,
        of_sources: Vec::new(),
        max_database_bytes: None,
        attempts: Retention::For(7 * DAY),
        dead: Retention::For(30 * DAY),
        quarantine: 7 * DAY,
    }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(test)
}

#[test]
fn messages_past_retention_are_deleted() {
    run(async {
        let setup = CleanupSetup::new();
        setup.keep("acme", 7 * DAY + Duration::from_micros(1), "1").await;
        setup.keep("acme", 7 * DAY, "2").await;
        setup.keep("acme", Duration::ZERO, "3").await;
        let outcome = cleaner(Retention::For(7 * DAY), &[], None)
            .run_once(&setup.store.cleanup(), NOW, Duration::ZERO)
            .await;
        assert_eq!(outcome, Ok(CleanupOutcome { messages: 1, ..CleanupOutcome::default() }));
        assert_eq!(setup.left().await, 2);
    });
}

#[test]
fn source_retention_overrides_the_default() {
    run(async {
        let setup = CleanupSetup::new();
        for source in ["short", "kept", "other"] {
            setup.keep(source, 2 * DAY, "1").await;
            setup.keep(source, 30 * DAY, "1").await;
        }
        let own = [("short", Retention::For(DAY)), ("kept", Retention::Keep)];
        let outcome = cleaner(Retention::For(7 * DAY), &own, None)
            .run_once(&setup.store.cleanup(), NOW, Duration::ZERO)
            .await;
        assert_eq!(outcome.unwrap().messages, 3);
        assert_eq!(setup.left().await, 3);
    });
}

#[test]
fn message_that_expires_later_is_deleted_in_a_later_run() {
    run(async {
        let setup = CleanupSetup::new();
        let mut cleaner = cleaner(Retention::For(DAY), &[], None);
        for hour in 0..5 {
            setup.keep("acme", Duration::from_secs(3_600 * hour), "1").await;
        }
        let mut left = Vec::new();
        for hours in [0, 20, 22, 26] {
            let later = Duration::from_secs(3_600 * hours);
            cleaner.run_once(&setup.store.cleanup(), NOW + later, later).await.unwrap();
            left.push(setup.left().await);
        }
        assert_eq!(left, [5, 5, 3, 0]);
    });
}

#[test]
fn key_of_deleted_message_is_retained_for_a_week() {
    run(async {
        let setup = CleanupSetup::new();
        setup.keep_with_id("acme", 2 * DAY, "1", "the id").await;
        let mut cleaner = cleaner(Retention::For(DAY), &[], None);
        cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        assert_eq!(setup.left().await, 0);
        cleaner.run_once(&setup.store.cleanup(), NOW + 6 * DAY, 6 * DAY).await.unwrap();
        assert_eq!(
            setup.keep_with_id("acme", Duration::ZERO, "1", "the id").await,
            Receipt::Duplicate { of: 1.into() }
        );
    });
}

#[test]
fn message_with_unmerged_key_is_not_deleted() {
    run(async {
        let setup = CleanupSetup::new();
        let message = setup.keep_one(DAY).await;
        let step =
            setup.store.cleanup().delete_messages(vec![message], store::RetentionRule::default()).await;
        assert_eq!(step, Ok(StepResult { taken: 1, changed: 0 }));
        assert_eq!(setup.left().await, 1);
    });
}

#[test]
fn size_limit_deletes_oldest_and_returns_space() {
    run(async {
        let setup = CleanupSetup::new();
        let body = format!("\"{}\"", "x".repeat(20_000));
        for _ in 0..500 {
            setup.keep("acme", Duration::ZERO, &body).await;
        }
        let (used, _) = setup.store.cleanup().used_and_free_bytes().await.unwrap();
        assert!(used > 9_000_000, "{used}");
        let mut cleaner = cleaner(Retention::Keep, &[], Some(4_000_000));
        let outcome = cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        assert!(outcome.messages > 200, "{outcome:?}");
        assert_eq!(setup.ids_left().await.last(), Some(&500.into()));
        let (used, free) = setup.store.cleanup().used_and_free_bytes().await.unwrap();
        assert!(used <= 4_000_000 && free <= 2_000_000, "{used} used, {free} free");
        setup.store.close(Duration::from_secs(10)).await;
        assert!(setup.store.stats().database_bytes < 6_500_000, "{:?}", setup.store.stats());
    });
}

#[test]
fn clock_jump_stops_deletion_until_confirmed() {
    run(async {
        let setup = CleanupSetup::new();
        setup.keep("acme", Duration::ZERO, "1").await;
        let mut cleaner = cleaner(Retention::For(7 * DAY), &[], None);
        let later = NOW + 3_650 * DAY;
        let outcome = cleaner.run_once(&setup.store.cleanup(), later, Duration::from_secs(60)).await.unwrap();
        assert!(outcome.paused.is_some());
        assert_eq!(setup.left().await, 1);
        store::write_setting_offline(setup.store.path(), CONFIRMED, Timestamp::from(later).as_str(), later)
            .unwrap();
        let outcome = cleaner.run_once(&setup.store.cleanup(), later, Duration::from_secs(61)).await.unwrap();
        assert_eq!(outcome.messages, 1);
    });
}

#[test]
fn restart_does_not_end_the_pause_after_a_jump() {
    run(async {
        let setup = CleanupSetup::new();
        setup.keep("acme", Duration::ZERO, "1").await;
        let policy = || policy(Retention::For(7 * DAY));
        let later = NOW + 3_650 * DAY;
        let mut before = Cleaner::new(policy(), CleanupPace::Alone, NOW, Duration::ZERO);
        assert!(before.run_once(&setup.store.cleanup(), later, DAY).await.unwrap().paused.is_some());
        let mut restarted = Cleaner::new(policy(), CleanupPace::Alone, later, DAY);
        assert!(restarted.run_once(&setup.store.cleanup(), later, DAY).await.unwrap().paused.is_some());
        assert_eq!(setup.left().await, 1);
    });
}

#[test]
fn messages_are_deleted_during_ingest() {
    run(async {
        let setup = CleanupSetup::new();
        for _ in 0..50 {
            setup.keep("acme", 30 * DAY, "1").await;
        }
        let mut cleaner = cleaner(Retention::For(7 * DAY), &[], None);
        let mut is_done = false;
        let cleaned = async {
            let outcome = cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await;
            outcome.map(|outcome| outcome.messages)
        };
        let mut cleaned = std::pin::pin!(cleaned);
        for _ in 0..2_000 {
            tokio::select! {
                biased;
                messages = &mut cleaned => {
                    assert_eq!(messages, Ok(50));
                    is_done = true;
                    break;
                }
                _ = setup.keep("acme", Duration::ZERO, "1") => {}
            }
        }
        assert!(is_done, "the cleanup deleted no message");
    });
}

#[test]
fn clock_set_back_over_restart_ignores_old_confirmation() {
    run(async {
        let setup = CleanupSetup::new();
        setup.keep("acme", 30 * DAY, "1").await;
        let keep = Retention::For(60 * DAY);
        cleaner(keep, &[], None).run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        let earlier = NOW - 2 * DAY;
        let old = NOW - 20 * DAY;
        store::write_setting_offline(setup.store.path(), CONFIRMED, Timestamp::from(old).as_str(), old)
            .unwrap();
        let policy = policy(Retention::For(DAY));
        let mut restarted = Cleaner::new(policy, CleanupPace::Alone, earlier, Duration::ZERO);
        let outcome = restarted.run_once(&setup.store.cleanup(), earlier, Duration::ZERO).await.unwrap();
        assert!(outcome.paused.is_some());
        assert_eq!(setup.left().await, 1);
    });
}

#[test]
fn message_with_edited_time_is_deleted_in_text_order() {
    run(async {
        let setup = CleanupSetup::new();
        for at in ["2026-01-01 00:00:00", "", "2026-01", "yesterday"] {
            let id = setup.keep_one(8 * DAY).await;
            let edit = format!("UPDATE messages SET received_at = '{at}' WHERE id = {id}");
            store::test_support::change(setup.store.path(), &edit);
        }
        let outcome = cleaner(Retention::For(7 * DAY), &[], None)
            .run_once(&setup.store.cleanup(), NOW, Duration::ZERO)
            .await;
        assert_eq!(outcome, Ok(CleanupOutcome { messages: 3, ..CleanupOutcome::default() }));
        assert_eq!(setup.ids_left().await, [4]);
    });
}
