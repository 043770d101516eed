//! Messages that a scan skipped are checked again after their last reference has ended.

use super::deliveries::settle;
use super::*;
use crate::store::{Disposition, MessageId, Origin, Settlement, TargetKind, test_support};

const LIMIT: u64 = 4_000_000;
const BODY_BYTES: usize = 20_000;
const MINUTE: Duration = Duration::from_secs(60);

fn body() -> String {
    format!("\"{}\"", "x".repeat(BODY_BYTES))
}

impl CleanupSetup {
    async fn keep_awaiting(&self, count: usize) -> Vec<MessageId> {
        let mut ids = Vec::new();
        for _ in 0..count {
            self.number.set(self.number.get() + 1);
            let confirmation_request =
                ConfirmationRequest { request: "paid?".to_owned(), max_awaiting: Some(1_000) };
            let message = NewMessage {
                confirmation_request: Some(confirmation_request),
                ..message("mollie", Duration::ZERO, &body(), &format!("id {}", self.number.get()))
            };
            match self.keep_message(message).await {
                Receipt::New { id } => ids.push(id),
                other => panic!("{other:?}"),
            }
        }
        ids
    }
}

fn limited() -> Cleaner {
    cleaner(Retention::Keep, &[], Some(LIMIT))
}

async fn make_room(cleaner: &mut Cleaner, setup: &CleanupSetup, later: Duration) -> usize {
    cleaner.make_room(&setup.store.cleanup(), NOW + later, later).await.unwrap().messages
}

#[test]
fn settled_messages_make_room_before_newer_ones() {
    for settlement in [Settlement::Confirmed, Settlement::Refused] {
        run(async {
            let (setup, mut cleaner) = (CleanupSetup::new(), limited());
            cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
            let awaiting = setup.keep_awaiting(250).await;
            assert_eq!(make_room(&mut cleaner, &setup, Duration::ZERO).await, 0);
            assert_eq!(setup.store.ready(), Err(Unavailable::DatabaseFull));
            // The first confirmation stays pending. The other messages have no deliveries that
            // could end.
            for id in &awaiting[1..] {
                settle(&setup, *id, settlement.clone(), NOW).await;
            }
            assert!(make_room(&mut cleaner, &setup, MINUTE).await > 40);
            assert_eq!(setup.store.ready(), Ok(()));
            let new = setup.keep_large(50).await;
            assert!(make_room(&mut cleaner, &setup, 2 * MINUTE).await > 20);
            let left = setup.ids_left().await;
            assert!(left.contains(&awaiting[0]) && left.ends_with(&new), "{settlement:?}: {left:?}");
        });
    }
}

#[test]
fn message_queried_again_stays() {
    run(async {
        let (setup, mut cleaner) = (CleanupSetup::new(), limited());
        cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        let awaiting = setup.keep_awaiting(250).await;
        make_room(&mut cleaner, &setup, Duration::ZERO).await;
        settle(&setup, awaiting[0], Settlement::Again { at: Timestamp::from(NOW + MINUTE) }, NOW).await;
        assert_eq!(setup.store.cleanup().take_settlements().messages, [0_i64; 0]);
        settle(&setup, awaiting[0], Settlement::Confirmed, NOW + MINUTE).await;
        assert_eq!(make_room(&mut cleaner, &setup, 2 * MINUTE).await, 1);
    });
}

#[test]
fn settled_message_makes_room_after_restart() {
    run(async {
        let setup = CleanupSetup::new();
        let awaiting = setup.keep_awaiting(250).await;
        limited().run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        for id in &awaiting {
            settle(&setup, *id, Settlement::Confirmed, NOW).await;
        }
        // Simulates a restart, which loses the list in memory.
        setup.store.cleanup().take_settlements();
        let outcome = limited().run_once(&setup.store.cleanup(), NOW + MINUTE, MINUTE).await.unwrap();
        assert!(outcome.messages > 40 && setup.store.ready().is_ok(), "{outcome:?}");
    });
}

#[test]
fn delivery_ending_after_clock_rollback_releases_its_message() {
    let set_back = 5 * MINUTE;
    for (retention, limit) in [(Retention::For(DAY), None), (Retention::Keep, Some(LIMIT))] {
        run(async {
            let setup = CleanupSetup::new();
            let target = setup.target(TargetKind::Http, Origin::Api).await;
            let mut cleaner = cleaner(retention, &[], limit);
            let old = NewMessage { received_at: NOW - 300 * DAY, ..message("acme", DAY, &body(), "old") };
            assert_eq!(setup.keep_message(old).await, Receipt::New { id: 1.into() });
            let mut deliveries = vec![setup.deliver(1.into(), target, NOW).await];
            for id in setup.keep_large(250).await {
                deliveries.push(setup.deliver(id, target, NOW).await);
            }
            cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
            // Wall time at uptime `u` is `NOW + u - set_back` from here on.
            setup.attempt(deliveries[0], Disposition::Delivered, NOW + MINUTE - set_back).await;
            let now = NOW + 10 * MINUTE - set_back;
            let outcome = cleaner.run_once(&setup.store.cleanup(), now, 10 * MINUTE).await.unwrap();
            assert_eq!(outcome.messages, 1, "{limit:?}");
            assert_eq!(setup.ids_left().await.first(), Some(&2.into()));
        });
    }
}

#[test]
fn failed_deletion_is_retried_in_the_next_run() {
    run(async {
        let (setup, mut cleaner) = (CleanupSetup::new(), limited());
        cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        let ids = setup.keep_large(250).await;
        test_support::change(
            setup.store.path(),
            "CREATE TRIGGER full BEFORE DELETE ON messages BEGIN SELECT RAISE(ABORT, 'full'); END",
        );
        cleaner.make_room(&setup.store.cleanup(), NOW, MINUTE).await.unwrap_err();
        test_support::change(setup.store.path(), "DROP TRIGGER full");
        let deleted = make_room(&mut cleaner, &setup, 2 * MINUTE).await;
        assert!(deleted > 40, "{deleted}");
        assert_eq!(setup.ids_left().await, ids[deleted..], "the oldest are deleted first");
    });
}

#[test]
fn rejected_message_wakes_the_cleanup() {
    run(async {
        let (setup, mut cleaner) = (CleanupSetup::new(), limited());
        cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        setup.keep_awaiting(250).await;
        make_room(&mut cleaner, &setup, Duration::ZERO).await;
        // The writer does not have the limit here, so only the rejection can wake the cleanup.
        let cleanup = setup.store.cleanup();
        let wakes = || tokio::time::timeout(Duration::from_millis(20), cleanup.beyond_size_limit());
        assert!(wakes().await.is_err());
        let until = Instant::now() + Duration::from_secs(20);
        let rejected =
            setup.store.ingest().keep(message("acme", Duration::ZERO, "1", "refused"), until).await;
        assert_eq!(rejected, Err(Unavailable::DatabaseFull.into()));
        assert!(wakes().await.is_ok());
    });
}
