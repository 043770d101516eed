//! Deliveries and the messages that they retain.

use std::sync::Arc;

use super::*;
use crate::store::{
    AttemptOutcome, AttemptRecord, ConfirmationOutcome, DeliveryFilter, DeliveryId, DeliveryOrdering,
    DeliveryState, Disposition, MessageId, Origin, RetentionRule, Settlement, StoredSecret, TargetDraft,
    TargetId, TargetKind, TargetSecrets, TargetSettings,
};

pub fn new_target(name: &str, kind: TargetKind, origin: Origin) -> TargetDraft {
    let settings = TargetSettings {
        name: name.to_owned(),
        owner: None,
        // Without subscriptions, because each test chooses the targets of a message.
        events: Vec::new(),
        filter: None,
        url: None,
        content_type: None,
        concurrency: 1,
        ordering: DeliveryOrdering::Any,
        rate: None,
        timeout: Duration::from_secs(30),
    };
    // Targets from the API have a secret.
    let secret = StoredSecret { secret: "it-is-a-secret-to-everybody".to_owned(), until: None };
    let secrets = TargetSecrets { secrets: vec![secret], headers: Vec::new() };
    TargetDraft { kind, origin, settings, secrets: (origin == Origin::Api).then_some(secrets) }
}

impl CleanupSetup {
    pub async fn target(&self, kind: TargetKind, origin: Origin) -> TargetId {
        self.number.set(self.number.get() + 1);
        let name = format!("target-{}", self.number.get());
        self.store.target_registry().create_target(new_target(&name, kind, origin), NOW).await.unwrap()
    }

    /// Creates a pending delivery and returns its id.
    pub async fn deliver(&self, message: MessageId, target: TargetId, at: OffsetDateTime) -> DeliveryId {
        self.store.delivery_queue().deliver_again(message, vec![target], at).await.unwrap().unwrap()[0]
    }

    pub async fn attempt(&self, delivery: DeliveryId, next: Disposition, at: OffsetDateTime) {
        let record = AttemptRecord {
            delivery,
            number: 1,
            began_at: Timestamp::from(at),
            took_ms: 5,
            outcome: if next == Disposition::Delivered {
                AttemptOutcome::Delivered
            } else {
                AttemptOutcome::Failed
            },
            status: Some(500),
            error: None,
            excerpt: None,
            next,
        };
        self.store.delivery_queue().record_attempts(Arc::new(vec![record]), at).await.unwrap();
    }

    pub async fn state(&self, delivery: DeliveryId) -> Option<DeliveryState> {
        self.store.reads().delivery(delivery).await.unwrap().map(|delivery| delivery.state)
    }

    pub async fn attempts(&self, delivery: DeliveryId) -> usize {
        self.store.reads().attempts(delivery).await.unwrap().len()
    }

    async fn http(&self) -> TargetId {
        self.target(TargetKind::Http, Origin::Api).await
    }
}

/// Runs the cleaner at `later` after `NOW`.
async fn run_at(cleaner: &mut Cleaner, setup: &CleanupSetup, later: Duration) -> CleanupOutcome {
    cleaner.run_once(&setup.store.cleanup(), NOW + later, later).await.unwrap()
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn message_stays_until_its_delivery_is_delivered() {
    run(async {
        let setup = CleanupSetup::new();
        let target = setup.http().await;
        let message = setup.keep_one(300 * DAY).await;
        let deliveries =
            [setup.deliver(message, target, NOW).await, setup.deliver(message, target, NOW).await];
        let mut cleaner = cleaner(Retention::For(DAY), &[], None);
        assert_eq!(run_at(&mut cleaner, &setup, Duration::ZERO).await, CleanupOutcome::default());
        setup.attempt(deliveries[0], Disposition::Delivered, NOW + MINUTE).await;
        assert_eq!(run_at(&mut cleaner, &setup, 2 * MINUTE).await, CleanupOutcome::default());
        setup.attempt(deliveries[1], Disposition::Delivered, NOW + 3 * MINUTE).await;
        assert_eq!(run_at(&mut cleaner, &setup, 4 * MINUTE).await.messages, 1);
        assert_eq!(setup.left().await, 0);
        for delivery in deliveries {
            assert_eq!((setup.state(delivery).await, setup.attempts(delivery).await), (None, 0));
        }
    });
}

#[test]
fn retained_message_is_checked_again_after_restart() {
    run(async {
        let setup = CleanupSetup::new();
        let target = setup.http().await;
        let message = setup.keep_one(300 * DAY).await;
        let delivery = setup.deliver(message, target, NOW).await;
        run_at(&mut cleaner(Retention::For(DAY), &[], None), &setup, Duration::ZERO).await;
        setup.attempt(delivery, Disposition::Delivered, NOW + MINUTE).await;
        let restarted = &mut cleaner(Retention::For(DAY), &[], None);
        assert_eq!(run_at(restarted, &setup, 2 * MINUTE).await.messages, 1);
    });
}

#[test]
fn message_expires_by_retention_of_its_source() {
    run(async {
        let setup = CleanupSetup::new();
        let target = setup.http().await;
        let mut cleaner = cleaner(
            Retention::For(DAY),
            &[("kept", Retention::Keep), ("long", Retention::For(9 * DAY))],
            None,
        );
        let mut deliveries = Vec::new();
        for source in ["kept", "long", "other"] {
            let Receipt::New { id } = setup.keep(source, 2 * DAY, "1").await else { panic!("{source}") };
            deliveries.push(setup.deliver(id, target, NOW).await);
        }
        run_at(&mut cleaner, &setup, Duration::ZERO).await;
        for delivery in deliveries {
            setup.attempt(delivery, Disposition::Delivered, NOW + MINUTE).await;
        }
        assert_eq!(run_at(&mut cleaner, &setup, 2 * MINUTE).await.messages, 1);
        assert_eq!(setup.ids_left().await, [1, 2]);
    });
}

#[test]
fn dead_delivery_retains_its_message_for_a_replay() {
    run(async {
        let setup = CleanupSetup::new();
        let target = setup.http().await;
        let message = setup.keep_one(3 * DAY).await;
        let delivery = setup.deliver(message, target, NOW).await;
        setup.attempt(delivery, Disposition::Dead, NOW).await;
        let mut cleaner = cleaner(Retention::For(DAY), &[], None);
        let mut attempts_left = Vec::new();
        for days in [0, 6, 8, 30] {
            assert_eq!(run_at(&mut cleaner, &setup, days * DAY).await.messages, 0, "after {days} days");
            attempts_left.push(setup.attempts(delivery).await);
        }
        assert_eq!(attempts_left, [1, 1, 0, 0]);
        assert_eq!(setup.state(delivery).await, Some(DeliveryState::Dead));
        let outcome = run_at(&mut cleaner, &setup, 30 * DAY + MINUTE).await;
        assert_eq!((outcome.messages, outcome.deliveries), (1, 1));
        assert_eq!((setup.left().await, setup.state(delivery).await), (0, None));
    });
}

#[test]
fn dead_letters_of_young_messages_expire_unless_off() {
    run(async {
        for (dead, is_stored) in [(Retention::For(30 * DAY), false), (Retention::Keep, true)] {
            let setup = CleanupSetup::new();
            let target = setup.http().await;
            let message = setup.keep_one(3 * DAY).await;
            let delivery = setup.deliver(message, target, NOW).await;
            setup.attempt(delivery, Disposition::Dead, NOW).await;
            let policy = Policy { dead, ..policy(Retention::For(100 * DAY)) };
            let mut cleaner = Cleaner::new(policy, CleanupPace::Alone, NOW, Duration::ZERO);
            run_at(&mut cleaner, &setup, 31 * DAY).await;
            assert_eq!((setup.left().await, setup.state(delivery).await.is_some()), (1, is_stored));
            run_at(&mut cleaner, &setup, 300 * DAY).await;
            assert_eq!(setup.left().await, usize::from(is_stored));
        }
    });
}

#[test]
fn delivered_ones_are_deleted_with_attempts_before_message() {
    run(async {
        let setup = CleanupSetup::new();
        let target = setup.http().await;
        let message = setup.keep_one(DAY).await;
        let (delivered, pending) =
            (setup.deliver(message, target, NOW).await, setup.deliver(message, target, NOW).await);
        setup.attempt(delivered, Disposition::Delivered, NOW).await;
        let again = Disposition::Again { at: Timestamp::from(NOW), ordering: DeliveryOrdering::Any };
        setup.attempt(pending, again, NOW).await;
        let mut cleaner = cleaner(Retention::Keep, &[], None);
        assert_eq!(run_at(&mut cleaner, &setup, 7 * DAY).await.deliveries, 0);
        assert_eq!(run_at(&mut cleaner, &setup, 7 * DAY + MINUTE).await.deliveries, 1);
        assert_eq!((setup.state(delivered).await, setup.attempts(delivered).await), (None, 0));
        let still = (setup.state(pending).await, setup.attempts(pending).await);
        assert_eq!(still, (Some(DeliveryState::Pending), 1));
        assert_eq!(setup.left().await, 1);
    });
}

#[test]
fn replay_during_deletion_retains_the_message() {
    run(async {
        let setup = CleanupSetup::new();
        let target = setup.http().await;
        let message = setup.keep_one(3 * DAY).await;
        while !setup.store.cleanup().merge_keys(message).await.unwrap() {}
        let found =
            setup.store.cleanup().oldest_messages(0.into(), 10, RetentionRule::default()).await.unwrap();
        assert_eq!(found.ids, [message]);
        let delivery = setup.deliver(message, target, NOW).await;
        let step = setup.store.cleanup().delete_messages(found.ids, RetentionRule::default()).await.unwrap();
        assert_eq!((step.taken, step.changed), (1, 0));
        assert_eq!((setup.left().await, setup.state(delivery).await), (1, Some(DeliveryState::Pending)));
    });
}

#[test]
fn message_with_many_deliveries_is_deleted_in_short_steps() {
    run(async {
        let setup = CleanupSetup::new();
        let target = setup.http().await;
        let message = setup.keep_one(3 * DAY).await;
        let deliveries = setup
            .store
            .delivery_queue()
            .deliver_again(message, vec![target; 3_000], NOW)
            .await
            .unwrap()
            .unwrap();
        for chunk in deliveries.chunks(500) {
            let records = chunk.iter().flat_map(|delivery| {
                (1..=3).map(|number| AttemptRecord {
                    delivery: *delivery,
                    number,
                    began_at: Timestamp::from(NOW),
                    took_ms: 1,
                    outcome: AttemptOutcome::Delivered,
                    status: None,
                    error: None,
                    excerpt: None,
                    next: Disposition::Delivered,
                })
            });
            setup.store.delivery_queue().record_attempts(Arc::new(records.collect()), NOW).await.unwrap();
        }
        while !setup.store.cleanup().merge_keys(message).await.unwrap() {}
        let mut steps = 0;
        while setup.left().await > 0 {
            setup.store.cleanup().delete_messages(vec![message], RetentionRule::default()).await.unwrap();
            steps += 1;
        }
        assert!(steps > 1, "{steps}");
        let left = setup.store.reads().deliveries(DeliveryFilter::default(), None, 10).await.unwrap();
        assert!(left.0.is_empty(), "{left:?}");
        assert_eq!(setup.attempts(deliveries[2_999]).await, 0);
    });
}

fn awaiting_message(age: Duration, id: &str) -> NewMessage {
    let confirmation_request =
        ConfirmationRequest { request: "is it true?".to_owned(), max_awaiting: Some(100) };
    NewMessage { confirmation_request: Some(confirmation_request), ..message("mollie", age, "1", id) }
}

pub async fn settle(setup: &CleanupSetup, message: MessageId, settlement: Settlement, at: OffsetDateTime) {
    let outcome = ConfirmationOutcome {
        message,
        tries: 1,
        unknowns: 1,
        reason: "no such payment".to_owned(),
        settlement,
    };
    setup.store.delivery_queue().settle_confirmation(outcome, at).await.unwrap();
}

#[test]
fn message_awaiting_confirmation_stays_until_it_is_settled() {
    run(async {
        let setup = CleanupSetup::new();
        setup.keep_message(awaiting_message(9 * DAY, "one")).await;
        let mut cleaner = cleaner(Retention::For(DAY), &[], None);
        run_at(&mut cleaner, &setup, Duration::ZERO).await;
        assert_eq!(setup.left().await, 1);
        settle(&setup, 1.into(), Settlement::Confirmed, NOW).await;
        // The message has no delivery whose end could trigger the check.
        run_at(&mut cleaner, &setup, MINUTE).await;
        assert_eq!(setup.left().await, 0);
        assert_eq!(setup.store.reads().confirmation(1.into()).await, Ok(None));
    });
}

#[test]
fn unconfirmed_messages_are_deleted_after_a_day() {
    run(async {
        let setup = CleanupSetup::new();
        for id in ["refused", "awaiting", "confirmed"] {
            setup.keep_message(awaiting_message(Duration::ZERO, id)).await;
        }
        settle(&setup, 1.into(), Settlement::Refused, NOW).await;
        settle(&setup, 3.into(), Settlement::Confirmed, NOW).await;
        let mut cleaner = cleaner(Retention::Keep, &[], None);
        assert_eq!(run_at(&mut cleaner, &setup, DAY).await.messages, 0);
        assert_eq!(run_at(&mut cleaner, &setup, DAY + MINUTE).await.messages, 1);
        assert_eq!(setup.ids_left().await, [2, 3]);
        assert_eq!(setup.store.reads().confirmation(1.into()).await, Ok(None));
    });
}

#[test]
fn clock_jump_also_pauses_deletion_of_deliveries() {
    run(async {
        let setup = CleanupSetup::new();
        let target = setup.http().await;
        let message = setup.keep_one(DAY).await;
        let delivery = setup.deliver(message, target, NOW).await;
        setup.attempt(delivery, Disposition::Dead, NOW).await;
        let mut cleaner = cleaner(Retention::For(DAY), &[], None);
        let outcome = cleaner.run_once(&setup.store.cleanup(), NOW + 3_650 * DAY, MINUTE).await.unwrap();
        assert!(outcome.paused.is_some());
        assert_eq!((setup.left().await, setup.attempts(delivery).await), (1, 1));
    });
}
