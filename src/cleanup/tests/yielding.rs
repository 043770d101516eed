//! Pending deliveries that yield to new messages above the size limit, by the kind and state of
//! their target.

use std::collections::BTreeMap;

use super::*;
use crate::store::test_support::change;
use crate::store::{
    DeliveryState, Origin, Pattern, RetentionRule, TargetId, TargetKind, TargetState, YieldingTargets,
};

const LIMIT: u64 = 4_000_000;
const HOUR: Duration = Duration::from_secs(3_600);
const MINUTE: Duration = Duration::from_secs(60);

impl CleanupSetup {
    async fn listener(&self, is_connected: bool) -> TargetId {
        self.listener_to("laptop", Vec::new(), is_connected).await
    }

    async fn listener_to(&self, name: &str, events: Vec<Pattern>, is_connected: bool) -> TargetId {
        let opened =
            self.store.listener_registry().open_listener(name.to_owned(), events, None, NOW).await.unwrap();
        self.store
            .listener_registry()
            .set_listener_connected(opened.target, is_connected, NOW)
            .await
            .unwrap();
        opened.target
    }

    async fn reopen_with_min_free(self, min_free_bytes: u64) -> Self {
        self.store.close(Duration::from_secs(10)).await;
        let Self { _directory, store, number } = self;
        let path = store.path().to_owned();
        drop(store);
        let options = StoreOptions { path, key: None, checkpoint: true, min_free_bytes, search: None };
        Self { _directory, store: Store::open(&options).unwrap(), number }
    }

    /// Returns the number of pending deliveries of each target that retains messages even above the
    /// size limit.
    async fn holders(&self) -> Vec<u64> {
        let paused_before = Timestamp::from(NOW - DAY);
        let holders = self.store.cleanup().room_holders(paused_before).await.unwrap();
        assert_eq!(self.store.cleanup().is_room_held(paused_before).await.unwrap(), !holders.is_empty());
        holders.iter().map(|one| one.pending).collect()
    }

    async fn in_state(&self, state: TargetState, origin: Origin, since: OffsetDateTime) -> TargetId {
        let target = self.target(TargetKind::Http, origin).await;
        self.store.target_registry().set_target_state(target, state, None, since).await.unwrap();
        target
    }

    /// Stores more messages than fit, all pending for these targets. Returns whether new ones are
    /// rejected.
    async fn is_full_with(&self, targets: &[TargetId]) -> bool {
        let mut cleaner = cleaner(Retention::Keep, &[], Some(LIMIT));
        cleaner.run_once(&self.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        let body = format!("\"{}\"", "x".repeat(20_000));
        for _ in 0..250 {
            let Receipt::New { id } = self.keep("acme", Duration::ZERO, &body).await else {
                panic!("the message is new")
            };
            self.store.delivery_queue().deliver_again(id, targets.to_vec(), NOW).await.unwrap().unwrap();
        }
        cleaner.make_room(&self.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        self.store.ready() == Err(Unavailable::DatabaseFull)
    }
}

#[test]
fn expendable_targets_yield_and_others_do_not() {
    run(async {
        let rows = [
            ("active", false),
            ("paused an hour ago", false),
            ("paused two days ago", true),
            ("disabled", true),
            ("replay", true),
            ("listener not connected", true),
            ("listener connected", true),
            ("undeclared", true),
        ];
        for (what, yields) in rows {
            let setup = CleanupSetup::new();
            let undeclared = TargetState::Removed;
            let target = match what {
                "active" => setup.in_state(TargetState::Active, Origin::Api, NOW).await,
                "paused an hour ago" => setup.in_state(TargetState::Paused, Origin::Api, NOW - HOUR).await,
                "paused two days ago" => {
                    setup.in_state(TargetState::Paused, Origin::Api, NOW - 2 * DAY).await
                }
                "disabled" => setup.in_state(TargetState::Disabled, Origin::Environment, NOW).await,
                "replay" => setup.in_state(TargetState::Active, Origin::Replay, NOW).await,
                "listener connected" => setup.listener(true).await,
                "listener not connected" => setup.listener(false).await,
                _ => setup.target(TargetKind::Http, Origin::Environment).await,
            };
            assert!(setup.holders().await.is_empty(), "{what}: nothing is pending yet");
            if what == "undeclared" {
                // Its deliveries were created before it was removed.
                let mut cleaner = cleaner(Retention::Keep, &[], Some(LIMIT));
                assert!(setup.is_full_with(&[target]).await);
                setup.store.target_registry().set_target_state(target, undeclared, None, NOW).await.unwrap();
                cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
                assert_eq!(setup.store.ready(), Ok(()));
            } else {
                assert_eq!(setup.is_full_with(&[target]).await, !yields, "{what}");
            }
            let left = setup.ids_left().await;
            assert_eq!(setup.holders().await.is_empty(), yields, "{what}");
            let (used, _) = setup.store.cleanup().used_and_free_bytes().await.unwrap();
            assert!(left.contains(&250.into()), "{what}: the newest stays");
            assert_eq!((left.contains(&1.into()), used <= LIMIT), (!yields, yields), "{what}");
            // The rest nearly fills the limit, so no more than necessary was deleted.
            assert!(!yields || used > LIMIT * 9 / 10 - 200_000, "{what}: {used}");
        }
    });
}

#[test]
fn absent_listener_yields_before_other_expendable_targets() {
    run(async {
        let setup = CleanupSetup::new();
        let disabled = setup.in_state(TargetState::Disabled, Origin::Api, NOW).await;
        let first = setup.keep_one(DAY).await;
        let delivery = setup.deliver(first, disabled, NOW).await;
        let listener = setup.listener(false).await;
        assert!(!setup.is_full_with(&[listener]).await);
        assert_eq!(setup.state(delivery).await, Some(DeliveryState::Pending));
    });
}

#[test]
fn message_of_an_active_target_does_not_yield_with_a_listener() {
    run(async {
        let setup = CleanupSetup::new();
        let active = setup.target(TargetKind::Http, Origin::Api).await;
        let listener = setup.listener(false).await;
        assert!(setup.is_full_with(&[active, listener]).await);
        assert_eq!(setup.left().await, 250);
        assert_eq!(setup.holders().await, [250], "the listener holds nothing");
    });
}

#[test]
fn steady_sender_is_accepted_despite_absent_listeners() {
    run(async {
        let setup = CleanupSetup::new();
        for number in 0..20 {
            setup.listener_to(&format!("laptop-{number}"), vec![Pattern::new("*")], false).await;
        }
        let body = format!("\"{}\"", "x".repeat(20_000));
        for _ in 0..200 {
            setup.keep("acme", Duration::ZERO, &body).await;
        }
        let policy = Policy { max_database_bytes: Some(LIMIT), ..policy(Retention::Keep) };
        let mut cleaner = Cleaner::new(policy, CleanupPace::WhileServing, NOW, Duration::ZERO);
        cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        let send = async {
            loop {
                // Fails if the message is rejected.
                setup.keep("acme", Duration::ZERO, &body).await;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let clean = async {
            let mut dropped = 0;
            for _ in 0..4 {
                let began = Instant::now();
                dropped +=
                    cleaner.make_room(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap().messages;
                assert!(began.elapsed() < Duration::from_secs(5), "other work is delayed");
            }
            assert!(dropped > 0);
        };
        tokio::select! {
            () = send => {}
            () = clean => {}
        }
    });
}

#[test]
fn absent_targets_keep_old_messages_until_disk_is_short() {
    run(async {
        let setup = CleanupSetup::new();
        let paused = setup.in_state(TargetState::Paused, Origin::Api, NOW).await;
        let undeclared = setup.target(TargetKind::Http, Origin::Environment).await;
        let away = setup.listener_to("away", Vec::new(), false).await;
        let here = setup.listener_to("here", Vec::new(), false).await;
        let mut ids = Vec::new();
        for target in [paused, undeclared, here, away] {
            let old = setup.keep_one(8 * DAY).await;
            setup.deliver(old, target, NOW).await;
            ids.push(old);
        }
        let young = setup.keep_one(6 * DAY).await;
        setup.deliver(young, away, NOW).await;
        setup
            .store
            .target_registry()
            .set_target_state(undeclared, TargetState::Removed, None, NOW)
            .await
            .unwrap();
        let mut cleaner = cleaner(Retention::For(7 * DAY), &[], None);
        cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        assert_eq!(setup.left().await, 5, "the disk has space");

        let setup = setup.reopen_with_min_free(u64::MAX / 4).await;
        setup.store.listener_registry().set_listener_connected(here, true, NOW).await.unwrap();
        cleaner.run_once(&setup.store.cleanup(), NOW + MINUTE, MINUTE).await.unwrap();
        assert_eq!(setup.ids_left().await, [ids[0], ids[2], young]);

        setup.store.listener_registry().set_listener_connected(here, false, NOW + MINUTE).await.unwrap();
        cleaner.run_once(&setup.store.cleanup(), NOW + 2 * MINUTE, 2 * MINUTE).await.unwrap();
        assert_eq!(setup.ids_left().await, [ids[0], young]);
    });
}

#[test]
fn removed_target_drops_its_pending_deliveries() {
    run(async {
        let setup = CleanupSetup::new();
        let target = setup.target(TargetKind::Http, Origin::Api).await;
        let message = setup.keep_one(10 * DAY).await;
        let delivery = setup.deliver(message, target, NOW).await;
        setup
            .store
            .target_registry()
            .set_target_state(target, TargetState::Removed, None, NOW)
            .await
            .unwrap();
        // Simulates a kill -9 after the removal, before the deliveries are dropped.
        let mut cleaner = cleaner(Retention::For(DAY), &[], None);
        let outcome = cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        assert_eq!((outcome.discarded, outcome.messages), (1, 1));
        assert_eq!(setup.state(delivery).await, None, "deleted with its message, which nothing retains");
    });
}

#[test]
fn partial_deletion_reports_only_dropped_deliveries() {
    run(async {
        let setup = CleanupSetup::new();
        let active = setup.target(TargetKind::Http, Origin::Api).await;
        let away = setup.listener(false).await;
        let (kept, free) = (setup.keep_one(DAY).await, setup.keep_one(DAY).await);
        for (message, target) in [(kept, active), (kept, away), (free, away)] {
            setup.deliver(message, target, NOW).await;
        }
        let cleaner = cleaner(Retention::Keep, &[], None);
        let retention = RetentionRule { yielding: YieldingTargets::Absent, ..RetentionRule::default() };
        let [report, _] = cleaner.drop_reports();
        let cleanup = setup.store.cleanup();
        let deleted = cleaner.delete_yielding(&cleanup, vec![kept, free], &retention, &report).await;
        assert_eq!(deleted, Ok(1));
        assert_eq!(report.unlogged(), BTreeMap::from([(away, 1)]));
    });
}

#[test]
fn edited_times_do_not_retain_deliveries_of_removed_target() {
    run(async {
        let setup = CleanupSetup::new();
        let target = setup.target(TargetKind::Http, Origin::Api).await;
        let message = setup.keep_one(10 * DAY).await;
        setup.deliver(message, target, NOW).await;
        let registry = setup.store.target_registry();
        registry.set_target_state(target, TargetState::Removed, None, NOW).await.unwrap();
        change(
            setup.store.path(),
            "UPDATE deliveries SET due_at = 'yesterday', created_at = 'yesterday';
             UPDATE targets SET state_since = 'yesterday'",
        );
        let mut cleaner = cleaner(Retention::For(DAY), &[], None);
        let outcome = cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        assert_eq!((outcome.discarded, outcome.messages), (1, 1));
    });
}
