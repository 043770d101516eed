//! kill -9 between a target's reply and the record of the outcome.

use std::collections::HashMap;
use std::time::Duration;

use super::{SOON, delivering_to, eventually_delivered, push};
use crate::faults::cycles;
use crate::harness::eventually;
use crate::harness::target::{Behaviour, Target};

const MESSAGES: usize = 60;
/// The default concurrency of a target, which limits its in-flight deliveries.
const MAX_IN_FLIGHT: usize = 8;

#[test]
fn kill_9_repeats_only_in_flight_deliveries() {
    let target = Target::start();
    let mut builder = delivering_to(&target);
    let mut sent = 0;
    let cycles = cycles(4, 100) as usize;
    for cycle in 0..cycles {
        let app = builder.start();
        // A delayed reply keeps some deliveries between reply and record.
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
        // Each delivery of a message has the same id.
        assert_eq!(ids.entry(received.text()).or_insert_with(|| id.clone()), &id);
        *times.entry(received.text()).or_default() += 1;
    }
    assert_eq!(times.len(), sent, "some were never delivered");
    let extra: usize = times.values().map(|count| count - 1).sum();
    assert!(extra <= cycles * MAX_IN_FLIGHT, "{extra} duplicates");
}

#[test]
fn unrecorded_delivery_is_repeated_with_the_same_id() {
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
fn retry_due_during_downtime_runs_at_start() {
    let target = Target::start();
    let app = delivering_to(&target).start();
    target.answers(500);
    push(&app, "first", "{}");
    let database = app.database();
    eventually("the failure is recorded", SOON, || {
        database.value::<i64>("SELECT count(*) FROM attempts") == 1
    });
    let builder = app.stop();
    target.answers(200);
    builder.database().change("UPDATE deliveries SET due_at = '2026-01-01T00:00:00.000000Z'");
    let app = builder.start();
    eventually_delivered(&app, 1);
    assert_eq!(target.received()[1].header("creel-attempt"), Some("2"));
}
