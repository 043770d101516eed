//! Dead letters: the deliveries that a replay settles, and the limit of one dead letter for each
//! message and target.

use std::sync::Arc;

use super::*;
use crate::store::id::{DeliveryId, TargetId};
use crate::store::timestamp::Timestamp;
use crate::store::{
    AttemptOutcome, AttemptRecord, DiscardRequest, Disposition, MessageFilter, NewReplay, ReplayStep, schema,
};

/// Stores a message with one target, and returns the target.
fn delivered_to_one() -> (World, TargetId) {
    let world = World::new();
    let target = world.create(settings("app", None, "*")).unwrap();
    assert_eq!(world.targets_of(message("github.push", None, "{}")), [target]);
    (world, target)
}

impl World {
    fn finish(&self, delivery: DeliveryId, next: Disposition) {
        self.finish_all([(delivery, next)]);
    }

    /// Stores the outcomes in one batch.
    fn finish_all<const N: usize>(&self, outcomes: [(DeliveryId, Disposition); N]) {
        let record = |(delivery, next)| AttemptRecord {
            delivery,
            number: 1,
            began_at: Timestamp::from(now()),
            took_ms: 1,
            outcome: AttemptOutcome::Failed,
            status: Some(500),
            error: None,
            excerpt: None,
            next,
        };
        self.wait(
            self.store.delivery_queue().record_attempts(Arc::new(outcomes.map(record).to_vec()), now()),
        )
        .unwrap();
    }

    fn again(&self, target: TargetId) -> DeliveryId {
        self.wait(self.store.delivery_queue().deliver_again(1.into(), vec![target], now())).unwrap().unwrap()
            [0]
    }

    /// Returns the states of all deliveries, oldest first.
    fn states(&self) -> Vec<String> {
        let connection = self.connection();
        let mut statement = connection.prepare("SELECT state FROM deliveries ORDER BY id").unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

#[test]
fn dead_delivery_is_settled_in_the_same_batch() {
    let (world, target) = delivered_to_one();
    let second = world.again(target);
    world.finish_all([(second, Disposition::Dead), (1.into(), Disposition::Delivered)]);
    assert_eq!(world.states(), ["delivered", "replayed"]);
}

#[test]
fn dead_delivery_is_settled_by_its_replay() {
    let (world, target) = delivered_to_one();
    world.finish(1.into(), Disposition::Dead);
    assert_eq!(world.query::<i64>("SELECT count(*) FROM dead_letters"), 1);
    let second = world.again(target);
    assert_eq!(world.states(), ["replayed", "pending"]);
    assert_eq!(world.wait(world.store.reads().target_numbers()).unwrap().dead_letters, 0);
    let first = world.wait(world.store.reads().delivery(1.into())).unwrap().unwrap();
    assert_eq!((first.state, first.replayed_by), (DeliveryState::Replayed, Some(second)));
    world.finish(second, Disposition::Dead);
    assert_eq!(world.states(), ["replayed", "dead"], "a failed replay leaves one dead letter");
    world.finish(world.again(target), Disposition::Delivered);
    assert_eq!(world.states(), ["replayed", "replayed", "delivered"]);
    assert_eq!(world.query::<i64>("SELECT count(*) FROM dead_letters"), 0);
}

#[test]
fn older_delivery_that_ends_after_its_replay_is_settled() {
    for (newer, older, expected) in [
        (None, Disposition::Dead, ["replayed", "pending"]),
        (Some(Disposition::Delivered), Disposition::Dead, ["replayed", "delivered"]),
        (Some(Disposition::Dead), Disposition::Dead, ["replayed", "dead"]),
        // The target has the message, so the failed replay no longer counts.
        (Some(Disposition::Dead), Disposition::Delivered, ["delivered", "replayed"]),
    ] {
        let (world, target) = delivered_to_one();
        let second = world.again(target);
        if let Some(next) = newer.clone() {
            world.finish(second, next);
        }
        world.finish(1.into(), older.clone());
        assert_eq!(world.states(), expected, "{newer:?} {older:?}");
    }
}

#[test]
fn discarded_delivery_with_a_newer_one_is_settled() {
    let (world, target) = delivered_to_one();
    world.again(target);
    let discard = DiscardRequest { deliveries: vec![1.into()], inactive_since: None, why: "test".to_owned() };
    world.wait(world.store.delivery_queue().discard_deliveries(discard, now())).unwrap();
    assert_eq!(world.states(), ["replayed", "pending"]);
}

#[test]
fn replay_of_dead_letters_adds_nothing_twice() {
    let (world, target) = delivered_to_one();
    let other = world.create(settings("other", None, "*")).unwrap();
    world.finish(1.into(), Disposition::Dead);
    let filter = MessageFilter { dead: true, ..MessageFilter::default() };
    for (made, states) in [(1, ["replayed", "pending"]), (0, ["replayed", "pending"])] {
        let replay = world.wait(async {
            let new = NewReplay { filter: filter.clone(), target: None, rate: 100, through: None };
            let replay = world.store.delivery_queue().create_replay(new, now()).await.unwrap();
            // The targets as read before another replay was committed. At `other`, the message
            // never became a dead letter.
            let messages = vec![(1.into(), vec![target, other])];
            let step = ReplayStep {
                replay,
                from: 0.into(),
                to: 1.into(),
                messages,
                only_dead_letters: true,
                is_last: true,
            };
            assert!(world.store.delivery_queue().step_replay(step, now()).await.unwrap());
            world.store.reads().replay(replay).await.unwrap().unwrap()
        });
        assert_eq!((replay.deliveries, world.states()), (made, states.map(str::to_owned).to_vec()));
    }
}

#[test]
fn upgrade_settles_deliveries_replayed_before_it() {
    let mut connection = Connection::open_in_memory().unwrap();
    for migration in [include_str!("../../migrations/0001.sql"), include_str!("../../migrations/0002.sql")] {
        connection.execute_batch(migration).unwrap();
    }
    connection
        .execute_batch(&format!(
            "INSERT INTO deliveries (message_id, target_id, state, created_at, due_at) VALUES
               (1, 1, 'dead', '', ''), (1, 1, 'delivered', '', ''), (1, 2, 'dead', '', ''), (2, 1, 'dead', '', '');
             PRAGMA application_id = {};
             PRAGMA user_version = 2;",
            schema::APPLICATION_ID
        ))
        .unwrap();
    schema::migrate(&mut connection).unwrap();
    let mut statement = connection.prepare("SELECT state FROM deliveries ORDER BY id").unwrap();
    let states: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    assert_eq!(states, ["replayed", "delivered", "dead", "dead"]);
}

#[test]
fn retry_with_edited_time_is_due() {
    let world = World::new();
    let ids = world.declare(&[settings("app", None, "*")]).unwrap();
    for at in ["yesterday", "9000-01-01T00:00:00.000000Z", "2026-11-22 14:31:00", "9000-01-01 00:00:00"] {
        let Ok(Receipt::New { id }) = world.keep(message("github.push", None, "1")) else {
            panic!("the message is new")
        };
        let edit = format!("UPDATE deliveries SET attempts = 1, due_at = '{at}' WHERE message_id = {id}");
        world.connection().execute_batch(&edit).unwrap();
    }
    assert_eq!(world.due(ids[0]), [3, 1]);
}
