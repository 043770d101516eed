//! Whose pending deliveries yield to new messages above the size limit, and whose do not.

use super::*;
use crate::store::{DeliveryState, Origin, TargetKind, TargetState};

const LIMIT: u64 = 4_000_000;
const HOUR: Duration = Duration::from_secs(3_600);

impl Setup {
    async fn listener(&self, is_connected: bool) -> i64 {
        let opened =
            self.store.open_listener("laptop".to_owned(), Vec::new(), None, NOW).await.unwrap().unwrap();
        self.store.set_listener_connected(opened.target, is_connected, NOW).await.unwrap();
        opened.target
    }

    async fn in_state(&self, state: TargetState, origin: Origin, since: OffsetDateTime) -> i64 {
        let target = self.target(TargetKind::Http, origin).await;
        self.store.set_target_state(target, state, None, since).await.unwrap().unwrap();
        target
    }

    /// More than fits, all pending for these targets; whether a message is refused then.
    async fn is_full_with(&self, targets: &[i64]) -> bool {
        let mut cleaner = cleaner(Retention::Keep, &[], Some(LIMIT));
        cleaner.run_once(&self.store, NOW, Duration::ZERO).await.unwrap();
        let body = format!("\"{}\"", "x".repeat(20_000));
        for _ in 0..250 {
            let Kept::New { id } = self.keep("acme", Duration::ZERO, &body).await else {
                panic!("it is new")
            };
            self.store.deliver_again(id, targets.to_vec(), NOW).await.unwrap().unwrap();
        }
        cleaner.make_room(&self.store, NOW).await.unwrap();
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
            let setup = Setup::new();
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
            if what == "undeclared" {
                // Its pending deliveries were made before.
                let mut cleaner = cleaner(Retention::Keep, &[], Some(LIMIT));
                assert!(setup.is_full_with(&[target]).await);
                setup.store.set_target_state(target, undeclared, None, NOW).await.unwrap().unwrap();
                cleaner.run_once(&setup.store, NOW, Duration::ZERO).await.unwrap();
                assert_eq!(setup.store.ready(), Ok(()));
            } else {
                assert_eq!(setup.is_full_with(&[target]).await, !yields, "{what}");
            }
            let left = setup.ids_left().await;
            let (used, _) = setup.store.used_and_free_bytes().await.unwrap();
            assert!(left.contains(&250), "{what}: the newest stays");
            assert_eq!((left.contains(&1), used <= LIMIT), (!yields, yields), "{what}");
            // No more than it takes: what is left nearly fills it.
            assert!(!yields || used > LIMIT * 9 / 10 - 200_000, "{what}: {used}");
        }
    });
}

#[test]
fn absent_listener_yields_before_other_expendable_targets() {
    run(async {
        let setup = Setup::new();
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
        let setup = Setup::new();
        let active = setup.target(TargetKind::Http, Origin::Api).await;
        let listener = setup.listener(false).await;
        assert!(setup.is_full_with(&[active, listener]).await);
        assert_eq!(setup.left().await, 250);
        let holders = setup.store.room_holders().await.unwrap();
        assert_eq!(holders.iter().map(|one| one.pending).collect::<Vec<_>>(), [250, 250]);
    });
}

#[test]
fn removed_target_drops_what_is_pending_for_it() {
    run(async {
        let setup = Setup::new();
        let target = setup.target(TargetKind::Http, Origin::Api).await;
        let message = setup.keep_one(10 * DAY).await;
        let delivery = setup.deliver(message, target, NOW).await;
        setup.store.set_target_state(target, TargetState::Removed, None, NOW).await.unwrap().unwrap();
        // As after a kill -9 between the removal and the drop.
        let mut cleaner = cleaner(Retention::For(DAY), &[], None);
        let outcome = cleaner.run_once(&setup.store, NOW, Duration::ZERO).await.unwrap();
        assert_eq!((outcome.buried, outcome.messages), (1, 1));
        assert_eq!(setup.state(delivery).await, None, "it goes with its message, which nothing keeps");
    });
}
