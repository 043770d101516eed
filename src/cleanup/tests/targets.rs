//! Inactive and unused targets and their deliveries.

use super::*;
use crate::store::{
    DeliveryId, DeliveryState, Disposition, MessageFilter, NewReplay, Origin, ReplayStep, TargetId,
    TargetKind, TargetState,
};

impl CleanupSetup {
    async fn set_state(
        &self,
        target: TargetId,
        state: TargetState,
        reason: Option<&str>,
        at: OffsetDateTime,
    ) {
        let reason = reason.map(str::to_owned);
        self.store.target_registry().set_target_state(target, state, reason, at).await.unwrap();
    }

    async fn outcome_of(&self, delivery: DeliveryId) -> (DeliveryState, Option<String>) {
        let delivery = self.store.reads().delivery(delivery).await.unwrap().unwrap();
        (delivery.state, delivery.outcome)
    }
}

async fn run_at(cleaner: &mut Cleaner, setup: &CleanupSetup, later: Duration) -> CleanupOutcome {
    cleaner.run_once(&setup.store.cleanup(), NOW + later, later).await.unwrap()
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn deliveries_to_inactive_target_become_dead_after_a_week() {
    run(async {
        let rows = [
            (TargetState::Paused, None, "the target has been paused since 2026-11-22T12:00:00Z"),
            (
                TargetState::Disabled,
                Some("it answered 410"),
                "the target has been disabled since 2026-11-22T12:00:00Z: it answered 410",
            ),
            (TargetState::Removed, None, "the target was removed at 2026-11-22T12:00:00Z"),
        ];
        for (state, reason, outcome) in rows {
            let setup = CleanupSetup::new();
            // The removal of a target created through the API would also drop its deliveries.
            let target = setup.target(TargetKind::Http, Origin::Environment).await;
            let (first, second) =
                (setup.keep_one(Duration::ZERO).await, setup.keep_one(Duration::ZERO).await);
            let early = setup.deliver(first, target, NOW - 20 * DAY).await;
            let late = setup.deliver(second, target, NOW + DAY).await;
            setup.set_state(target, state, reason, NOW).await;
            let mut cleaner = cleaner(Retention::Keep, &[], None);
            assert_eq!(run_at(&mut cleaner, &setup, 7 * DAY).await.discarded, 0);
            assert_eq!(run_at(&mut cleaner, &setup, 7 * DAY + MINUTE).await.discarded, 1);
            assert_eq!(setup.outcome_of(early).await, (DeliveryState::Dead, Some(outcome.to_owned())));
            assert_eq!(setup.outcome_of(late).await.0, DeliveryState::Pending);
            assert_eq!(run_at(&mut cleaner, &setup, 8 * DAY + MINUTE).await.discarded, 1);
        }
    });
}

#[test]
fn old_deliveries_to_active_target_stay_pending() {
    run(async {
        let setup = CleanupSetup::new();
        let target = setup.target(TargetKind::Http, Origin::Api).await;
        let message = setup.keep_one(Duration::ZERO).await;
        let delivery = setup.deliver(message, target, NOW - 20 * DAY).await;
        setup.set_state(target, TargetState::Paused, None, NOW).await;
        setup.set_state(target, TargetState::Active, None, NOW + 6 * DAY).await;
        let mut cleaner = cleaner(Retention::Keep, &[], None);
        assert_eq!(run_at(&mut cleaner, &setup, 20 * DAY).await.discarded, 0);
        assert_eq!(setup.state(delivery).await, Some(DeliveryState::Pending));
    });
}

#[test]
fn many_pending_deliveries_are_discarded_in_one_run() {
    run(async {
        let setup = CleanupSetup::new();
        let target = setup.target(TargetKind::Http, Origin::Api).await;
        let message = setup.keep_one(Duration::ZERO).await;
        setup.store.delivery_queue().deliver_again(message, vec![target; 5_000], NOW).await.unwrap().unwrap();
        setup.set_state(target, TargetState::Paused, None, NOW).await;
        let mut cleaner = cleaner(Retention::Keep, &[], None);
        assert_eq!(run_at(&mut cleaner, &setup, 8 * DAY).await.discarded, 5_000);
    });
}

#[test]
fn removed_target_is_deleted_after_its_last_delivery() {
    run(async {
        let setup = CleanupSetup::new();
        let used = setup.target(TargetKind::Http, Origin::Api).await;
        let unused = setup.target(TargetKind::Http, Origin::Api).await;
        let message = setup.keep_one(Duration::ZERO).await;
        let delivery = setup.deliver(message, used, NOW).await;
        setup.attempt(delivery, Disposition::Delivered, NOW + 3 * DAY).await;
        for target in [used, unused] {
            setup.set_state(target, TargetState::Removed, None, NOW).await;
        }
        let mut cleaner = cleaner(Retention::Keep, &[], None);
        let mut left = Vec::new();
        for days in [6, 8, 11, 12] {
            run_at(&mut cleaner, &setup, days * DAY).await;
            let is_stored = async |target| setup.store.reads().target(target).await.unwrap().is_some();
            left.push((is_stored(used).await, is_stored(unused).await));
        }
        assert_eq!(left, [(true, true), (true, false), (false, false), (false, false)]);
    });
}

#[test]
fn replay_target_is_removed_after_an_idle_day() {
    run(async {
        let setup = CleanupSetup::new();
        let target = setup.target(TargetKind::Http, Origin::Replay).await;
        let message = setup.keep_one(Duration::ZERO).await;
        let state = async || setup.store.reads().target(target).await.unwrap().unwrap().state;
        let replay =
            NewReplay { filter: MessageFilter::default(), target: Some(target), rate: 1, through: None };
        let replay = setup.store.delivery_queue().create_replay(replay, NOW).await.unwrap();
        let mut cleaner = cleaner(Retention::Keep, &[], None);
        for days in [0, 2] {
            run_at(&mut cleaner, &setup, days * DAY).await;
        }
        assert_eq!(state().await, TargetState::Active, "the replay is running");
        let step = ReplayStep {
            replay,
            from: 0.into(),
            to: message,
            messages: vec![(message, vec![target])],
            only_dead_letters: false,
            is_last: true,
        };
        assert_eq!(setup.store.delivery_queue().step_replay(step, NOW + 2 * DAY).await, Ok(true));
        for days in [3, 5] {
            run_at(&mut cleaner, &setup, days * DAY).await;
        }
        assert_eq!(state().await, TargetState::Active, "its delivery is pending");
        let delivery = setup.store.reads().deliveries(Default::default(), None, 10).await.unwrap().0[0].id;
        setup.attempt(delivery, Disposition::Delivered, NOW + 5 * DAY).await;
        run_at(&mut cleaner, &setup, 5 * DAY + MINUTE).await;
        run_at(&mut cleaner, &setup, 6 * DAY).await;
        assert_eq!(state().await, TargetState::Active);
        run_at(&mut cleaner, &setup, 6 * DAY + MINUTE).await;
        assert_eq!(state().await, TargetState::Removed);
    });
}

#[test]
fn abandoned_listener_retains_nothing_and_is_removed_after_a_month() {
    run(async {
        let setup = CleanupSetup::new();
        let opened = setup
            .store
            .listener_registry()
            .open_listener("laptop".to_owned(), Vec::new(), None, NOW)
            .await
            .unwrap();
        let message = setup.keep_one(Duration::ZERO).await;
        let delivery = setup.deliver(message, opened.target, NOW).await;
        setup.store.listener_registry().set_listener_connected(opened.target, false, NOW).await.unwrap();
        let mut cleaner = cleaner(Retention::For(DAY), &[], None);
        assert_eq!(run_at(&mut cleaner, &setup, 7 * DAY).await.messages, 0);
        let outcome = run_at(&mut cleaner, &setup, 7 * DAY + MINUTE).await;
        assert_eq!((outcome.discarded, outcome.messages), (1, 1), "{:?}", setup.state(delivery).await);
        assert_eq!(setup.store.reads().listeners().await.unwrap().len(), 1);
        run_at(&mut cleaner, &setup, 30 * DAY + MINUTE).await;
        assert_eq!(setup.store.reads().listeners().await.unwrap().len(), 0);
    });
}

#[test]
fn finished_replays_are_deleted_after_a_month() {
    run(async {
        let setup = CleanupSetup::new();
        for _ in 0..2 {
            let replay = NewReplay { filter: MessageFilter::default(), target: None, rate: 1, through: None };
            setup.store.delivery_queue().create_replay(replay, NOW).await.unwrap();
        }
        assert_eq!(setup.store.delivery_queue().cancel_replay(1.into(), NOW).await, Ok(true));
        let mut cleaner = cleaner(Retention::Keep, &[], None);
        let mut left = Vec::new();
        for days in [29, 31] {
            run_at(&mut cleaner, &setup, days * DAY).await;
            let replays = setup.store.reads().replays(None, 10).await.unwrap();
            left.push(replays.iter().map(|replay| replay.id).collect::<Vec<_>>());
        }
        assert_eq!(left, [vec![2, 1], vec![2]]);
    });
}
