//! A target that answers 410: disabled with a warning, shown everywhere, and resumed by a command.

use super::{SOON, delivering_to, eventually_delivered, push};
use crate::harness::eventually;
use crate::harness::target::Target;

#[test]
fn target_that_answers_410_is_disabled_until_resumed() {
    let target = Target::start();
    target.answers(410);
    let app = delivering_to(&target).start();
    push(&app, "first", "{}");
    let line = app.process.log.wait_for("is disabled", SOON).unwrap();
    assert!(line.contains(" WARN ") && line.contains("creel targets resume app"), "{line}");
    assert!(!app.log().contains("next attempt at"), "{}", app.log());
    let line = app.process.log.wait_for("stays pending", SOON).unwrap();
    assert!(line.contains("target=app message=1 delivery=1: answered 410 Gone"), "{line}");
    push(&app, "second", "{}");
    assert_eq!(app.metric("creel_targets{state=\"disabled\"}"), 1.0);
    assert_eq!(app.metric("creel_target_disabled{target=\"app\"}"), 1.0);
    let app = app.restart();
    app.process.log.wait_for("target=app: disabled since", SOON).unwrap();
    let here = delivering_to(&target).next_to(&app).set("CREEL_LISTEN", app.address.to_string());
    let report = here.run(&["check"]).succeeded();
    assert!(
        report.contains("warning: target app: disabled since") && report.contains("2 deliveries pending"),
        "{report}"
    );
    let listed = here.run(&["targets"]).succeeded();
    assert!(listed.starts_with("app  http  disabled since") && listed.contains("410 Gone"), "{listed}");
    assert_eq!(target.received().len(), 1, "no later request");
    target.answers(200);
    assert!(here.run(&["targets", "resume", "absent"]).failed().contains("target absent not found"));
    assert!(here.run(&["targets", "resume", "app"]).succeeded().contains("active since"));
    eventually_delivered(&app, 2);
    eventually("the metric follows", SOON, || app.metric("creel_targets{state=\"disabled\"}") == 0.0);
    assert_eq!(app.metric("creel_target_disabled{target=\"app\"}"), 0.0);
}

#[test]
fn gone_target_is_active_after_url_change() {
    let target = Target::start();
    target.answers(410);
    let app = delivering_to(&target).start();
    push(&app, "first", "{}");
    app.process.log.wait_for("is disabled", SOON).unwrap();
    let app = app.restart();
    app.process.log.wait_for("target=app: disabled since", SOON).unwrap();
    target.answers(200);
    let app = app.stop().set("CREEL_TARGET_APP_URL", target.url("/new-hooks")).start();
    let line = app.process.log.wait_for("target=app: active again", SOON).unwrap();
    assert!(line.contains("CREEL_TARGET_APP_URL has another URL"), "{line}");
    eventually_delivered(&app, 1);
    assert!(!app.log().contains("disabled since"), "{}", app.log());
}

#[test]
fn gone_target_is_active_after_change_to_command() {
    let target = Target::start();
    target.answers(410);
    let app = delivering_to(&target).start();
    push(&app, "first", "{}");
    app.process.log.wait_for("is disabled", SOON).unwrap();
    let app = app.stop().unset("CREEL_TARGET_APP_URL").set("CREEL_TARGET_APP_EXEC", "cat").start();
    eventually_delivered(&app, 1);
}
