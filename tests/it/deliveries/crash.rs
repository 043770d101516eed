//! kill -9 between a target's answer and our record of it.

use std::collections::HashMap;
use std::time::Duration;

use super::{SOON, delivering_to, eventually_delivered, push};
use crate::faults::cycles;
use crate::harness::eventually;
use crate::harness::target::{Behaviour, Target};

const MESSAGES: usize = 60;
/// The default of a target: so many are under way at most.
const UNDER_WAY: usize = 8;

#[test]
fn everything_is_delivered_in_spite_of_kill_9_and_no_more_comes_twice_than_was_under_way() {
    let target = Target::start();
    let mut builder = delivering_to(&target);
    let mut sent = 0;
    let cycles = cycles(4, 100) as usize;
    for cycle in 0..cycles {
        let app = builder.start();
        // Each answer takes a moment, so that some are always between answer and record.
        target.behave(Behaviour::status(200).after(Duration::from_millis(2)));
        for _ in 0..MESSAGES {
            push(&app, &format!("delivery-{sent}"), &format!("{{\"n\":{sent}}}"));
            sent += 1;
        }
        target.wait_for(sent - MESSAGES + cycle % MESSAGES / 2);
        builder = app.kill();
        builder.database().assert_sound();
    }
    let app = builder.start();
    eventually_delivered(&app, i64::try_from(sent).unwrap());
    let mut times: HashMap<String, usize> = HashMap::new();
    let mut ids: HashMap<String, String> = HashMap::new();
    for received in target.received() {
        let id = received.header("webhook-id").unwrap().to_owned();
        // The same message has the same id whenever it comes.
        assert_eq!(ids.entry(received.text()).or_insert_with(|| id.clone()), &id);
        *times.entry(received.text()).or_default() += 1;
    }
    assert_eq!(times.len(), sent, "some never came");
    let extra: usize = times.values().map(|count| count - 1).sum();
    assert!(extra <= cycles * UNDER_WAY, "{extra} came twice");
}

#[test]
fn what_was_answered_but_not_written_down_comes_again_with_the_same_id() {
    let target = Target::start();
    let app = delivering_to(&target).start();
    target.behave(Behaviour::Hang);
    push(&app, "first", "{}");
    let first = target.wait_for(1);
    let builder = app.kill();
    target.answers(200);
    let app = builder.start();
    eventually_delivered(&app, 1);
    let again = target.wait_for(2);
    assert_eq!(first[0].header("webhook-id"), again[1].header("webhook-id"));
    assert_eq!(again[1].header("creel-attempt"), Some("1"));
}

#[test]
fn a_retry_that_fell_due_while_the_service_was_down_is_made_at_its_start() {
    let target = Target::start();
    let app = delivering_to(&target).start();
    target.answers(500);
    push(&app, "first", "{}");
    let database = app.database();
    eventually("the failure is written down", SOON, || {
        database.value::<i64>("SELECT count(*) FROM attempts") == 1
    });
    let builder = app.stop();
    target.answers(200);
    builder.database().change("UPDATE deliveries SET due_at = '2026-01-01T00:00:00.000000Z'");
    let app = builder.start();
    eventually_delivered(&app, 1);
    assert_eq!(target.received()[1].header("creel-attempt"), Some("2"));
}
