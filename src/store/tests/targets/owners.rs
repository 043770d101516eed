//! The rules on owners, each with attempts to bypass it: a target with an owner receives only
//! messages that were emitted for that owner.

use super::*;
use crate::store::id::{DeliveryId, TargetId};
use crate::store::{
    ConfirmationOutcome, ConfirmationRequest, MessageFilter, NewReplay, ReplayStep, Settlement,
};

const EMITTED: &str = "pay_info.paid";

/// Declares targets for all events: one without an owner, one of ann, and one of bob.
fn declare_for_owners(world: &World) -> [TargetId; 3] {
    let ids = world.declare(&[
        settings("ownerless", None, "*"),
        settings("ann", Some("ann"), "*"),
        settings("bob", Some("bob"), "*"),
    ]);
    ids.unwrap().try_into().unwrap()
}

#[test]
fn received_message_never_reaches_target_with_owner() {
    let world = World::new();
    let [ownerless, ..] = declare_for_owners(&world);
    for body in ["{}", r#"{"owner": "ann"}"#, "\"ann\""] {
        assert_eq!(world.targets_of(message("github.push", None, body)), [ownerless], "{body}");
    }
    // Received events that are named like an event of the app, or like an owner.
    for event in [EMITTED, "ann", "ann.paid"] {
        assert_eq!(world.targets_of(message(event, None, "{}")), [ownerless], "{event}");
    }
}

#[test]
fn owner_event_reaches_owner_and_ownerless_targets() {
    let world = World::new();
    let [ownerless, ann, bob] = declare_for_owners(&world);
    assert_eq!(world.targets_of(message(EMITTED, Some("ann"), "{}")), [ownerless, ann]);
    assert_eq!(world.targets_of(message(EMITTED, Some("bob"), "{}")), [ownerless, bob]);
}

#[test]
fn owner_comparison_is_exact() {
    let world = World::new();
    let [ownerless, ..] = declare_for_owners(&world);
    for owner in ["", "Ann", "ann ", "an", "anne", "*", "ann\0", "ａnn", "%"] {
        assert_eq!(world.targets_of(message(EMITTED, Some(owner), "{}")), [ownerless], "{owner:?}");
    }
}

#[test]
fn ownerless_event_reaches_no_target_with_owner() {
    let world = World::new();
    let [ownerless, ..] = declare_for_owners(&world);
    let empty = world.create(settings("empty", Some(""), "*")).unwrap();
    assert_eq!(world.targets_of(message(EMITTED, None, "{}")), [ownerless]);
    assert_eq!(world.targets_of(message(EMITTED, Some(""), "{}")), [ownerless, empty]);
}

#[test]
fn matching_filter_does_not_bypass_owner() {
    let world = World::new();
    let mut filtered = settings("ann", Some("ann"), "*");
    filtered.filter = Some(serde_json::from_str(r#"[{"pointer":"/owner","equals":"bob"}]"#).unwrap());
    let ids = world.declare(&[filtered]).unwrap();
    let body = r#"{"owner": "bob"}"#;
    assert_eq!(world.targets_of(message(EMITTED, Some("bob"), body)), NONE);
    assert_eq!(world.targets_of(message(EMITTED, None, body)), NONE);
    assert_eq!(world.targets_of(message(EMITTED, Some("ann"), body)), ids);
}

#[test]
fn pending_deliveries_never_reach_next_owner_of_target_name() {
    let world = World::new();
    let for_ann = world.declare(&[settings("hook", Some("ann"), "*")]).unwrap();
    world.keep(message(EMITTED, Some("ann"), "{}")).unwrap();
    let for_bob = world.declare(&[settings("hook", Some("bob"), "*")]).unwrap();
    assert_ne!(for_ann, for_bob);
    assert_eq!((world.due(for_ann[0]), world.due(for_bob[0])), (vec![1.into()], vec![]));
    assert_eq!(world.target(for_ann[0]).state, TargetState::Removed);
    let without_owner = world.declare(&[settings("hook", None, "*")]).unwrap();
    world.keep(message("github.push", None, "{}")).unwrap();
    assert_eq!(world.due(without_owner[0]), [2]);
    // A target of the environment that gets an owner must not receive the pending messages without
    // an owner.
    let again = world.declare(&[settings("hook", Some("ann"), "*")]).unwrap();
    assert_eq!((again[0], world.due(again[0])), (for_ann[0], vec![1.into()]));
}

#[test]
fn target_name_can_change_but_owner_cannot() {
    let world = World::new();
    let id = world.create(settings("hook", Some("ann"), "*")).unwrap();
    let open = world.create(settings("open", None, "*")).unwrap();
    world.keep(message(EMITTED, Some("ann"), "{}")).unwrap();
    for owner in [Some("bob"), None] {
        assert_eq!(
            world.update(id, settings("hook", owner, "*")),
            Err(TargetError::OwnerIsFixed),
            "{owner:?}"
        );
    }
    assert_eq!(world.update(open, settings("open", Some("ann"), "*")), Err(TargetError::OwnerIsFixed));
    assert_eq!(world.target(id).settings.owner.as_deref(), Some("ann"));
    world.update(id, settings("bob", Some("ann"), "*")).unwrap();
    assert_eq!(world.targets_of(message(EMITTED, Some("bob"), "{}")), [open]);
    assert_eq!(world.targets_of(message(EMITTED, Some("ann"), "{}")), [id, open]);
}

#[test]
fn new_target_with_removed_name_gets_no_pending_delivery() {
    let world = World::new();
    let old = world.create(settings("hook", Some("ann"), "*")).unwrap();
    world.keep(message(EMITTED, Some("ann"), "{}")).unwrap();
    world.set_state(old, TargetState::Removed).unwrap();
    let new = world.create(settings("hook", Some("bob"), "*")).unwrap();
    assert_eq!((world.due(old), world.due(new)), (vec![1.into()], vec![]));
}

#[test]
fn manual_redelivery_does_not_bypass_owner() {
    let world = World::new();
    let [ownerless, ann, bob] = declare_for_owners(&world);
    world.keep(message("github.push", None, "{}")).unwrap();
    world.keep(message(EMITTED, Some("ann"), "{}")).unwrap();
    let again = |message| {
        let all = vec![ownerless, ann, bob];
        let made =
            world.wait(world.store.delivery_queue().deliver_again(message, all, now())).unwrap().unwrap();
        let target = |id: &DeliveryId| world.wait(world.store.reads().delivery(*id)).unwrap().unwrap().target;
        made.iter().map(target).collect::<Vec<TargetId>>()
    };
    assert_eq!(again(1.into()), [ownerless]);
    assert_eq!(again(2.into()), [ownerless, ann]);
    assert_eq!(
        world.wait(world.store.delivery_queue().deliver_again(3.into(), vec![ownerless], now())).unwrap(),
        None
    );
    world.set_state(ownerless, TargetState::Paused).unwrap();
    assert_eq!(again(1.into()), [ownerless]);
    world.declare(&[]).unwrap();
    assert_eq!(again(1.into()), NONE);
}

#[test]
fn replay_does_not_bypass_owner_and_counts_its_deliveries() {
    let world = World::new();
    let [ownerless, ann, bob] = declare_for_owners(&world);
    world.keep(message("github.push", None, "{}")).unwrap();
    world.keep(message(EMITTED, Some("bob"), "{}")).unwrap();
    let replay = world.wait(async {
        let new = NewReplay { filter: MessageFilter::default(), target: Some(ann), rate: 100, through: None };
        let replay = world.store.delivery_queue().create_replay(new, now()).await.unwrap();
        let messages = vec![(1.into(), vec![ann, bob]), (2.into(), vec![ann, bob, ownerless])];
        let step = ReplayStep {
            replay,
            from: 0.into(),
            to: 2.into(),
            messages,
            only_dead_letters: false,
            is_last: true,
        };
        assert!(world.store.delivery_queue().step_replay(step, now()).await.unwrap());
        world.store.reads().replay(replay).await.unwrap().unwrap()
    });
    assert_eq!((replay.messages, replay.deliveries), (2, 2));
    assert!(world.due(ann).is_empty());
    assert_eq!(world.due(bob), [2, 2]);
    assert_eq!(world.due(ownerless), [1, 2, 2]);
}

#[test]
fn confirmed_message_does_not_bypass_owner() {
    let world = World::new();
    let confirmation_request = ConfirmationRequest { request: "sealed".to_owned(), max_awaiting: Some(10) };
    let awaiting =
        NewMessage { confirmation_request: Some(confirmation_request), ..message("shop.paid", None, "{}") };
    assert_eq!(world.keep(awaiting), Ok(Receipt::New { id: 1.into() }));
    let [ownerless, ..] = declare_for_owners(&world);
    assert_eq!(world.deliveries_of(1.into()), NONE);
    let outcome = ConfirmationOutcome {
        message: 1.into(),
        tries: 1,
        unknowns: 0,
        reason: "confirmed by the provider".to_owned(),
        settlement: Settlement::Confirmed,
    };
    world.wait(world.store.delivery_queue().settle_confirmation(outcome, now())).unwrap();
    assert_eq!(world.deliveries_of(1.into()), [ownerless]);
}

#[test]
fn stale_matching_does_not_leak_past_owner_change() {
    let world = World::new();
    let old = world.declare(&[settings("hook", None, "*")]).unwrap();
    // Simulates a request that was matched before the change, and whose message the writer stores
    // after it.
    let matched = world.store.reads().targets_for("github.push", None, None);
    let new = world.declare(&[settings("hook", Some("ann"), "*")]).unwrap();
    assert_eq!(matched, old);
    world.keep(message("github.push", None, "{}")).unwrap();
    world.wait(world.store.delivery_queue().deliver_again(1.into(), matched, now())).unwrap();
    assert_eq!((world.deliveries_of(1.into()), world.due(new[0])), (vec![], vec![]));
}
