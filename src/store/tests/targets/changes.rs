//! Rejected changes of targets.

use super::*;

#[test]
fn taken_name_is_reported_without_any_change() {
    let world = World::new();
    let old = world.declare(&[settings("old", None, "*")]).unwrap();
    let made = world.create(settings("taken", None, "github.*")).unwrap();
    assert_eq!(
        world.declare(&[settings("new", None, "*"), settings("taken", None, "*")]),
        Err(TargetError::DeclaredNameTaken("taken".to_owned()))
    );
    assert_eq!(world.target(old[0]).state, TargetState::Active);
    assert_eq!(world.wait(world.store.reads().target_named("new")).unwrap(), None);
    assert_eq!(world.store.reads().targets_for("x.y", None, None), old);
    world.set_state(made, TargetState::Removed).unwrap();
    assert!(world.declare(&[settings("taken", None, "*")]).is_ok());
}

#[test]
fn name_declared_for_two_owners_changes_nothing() {
    let world = World::new();
    let old = world.declare(&[settings("old", None, "*")]).unwrap();
    let twice = [settings("twice", Some("ann"), "*"), settings("twice", Some("bob"), "*")];
    assert_eq!(world.declare(&twice), Err(TargetError::DeclaredNameTaken("twice".to_owned())));
    assert_eq!(world.target(old[0]).state, TargetState::Active);
    assert_eq!(world.query::<i64>("SELECT count(*) FROM targets"), 1);
    assert_eq!(world.store.reads().targets_for("x.y", Some("ann"), None), old);
}

#[test]
fn rejected_change_does_not_affect_others_of_its_batch() {
    let world = World::new();
    let registry = world.store.target_registry();
    let draft = |number: usize| TargetDraft {
        kind: TargetKind::Http,
        origin: Origin::Api,
        settings: settings(&format!("target-{}", number / 2), None, "*"),
        secrets: None,
    };
    let changes = (0..40).map(|number| registry.create_target(draft(number), now()));
    let made = world.wait(futures_util::future::join_all(changes));
    for pair in made.chunks(2) {
        assert!(matches!(pair, [Ok(_), Err(TargetError::NameTaken)]), "{pair:?}");
    }
    assert_eq!(world.store.reads().targets_for("x.y", None, None).len(), 20);
}
