//! SIGTERM with deliveries in flight.

use std::time::{Duration, Instant};

use super::{delivering_to, eventually_delivered, push};
use crate::harness::allow;
use crate::harness::target::{Behaviour, Target};

#[test]
fn deliveries_in_flight_at_sigterm_finish_and_are_recorded() {
    let target = Target::start();
    let app = delivering_to(&target).start();
    target.behave(Behaviour::status(200).after(Duration::from_millis(500)));
    push(&app, "first", "{}");
    target.wait_for(1);
    let builder = app.stop();
    assert_eq!(builder.database().column::<String>("SELECT state FROM deliveries"), ["delivered"]);
    assert_eq!(target.received().len(), 1);
}

#[test]
fn hanging_target_does_not_delay_the_stop() {
    let target = Target::start();
    let app = delivering_to(&target).start();
    target.behave(Behaviour::Hang);
    push(&app, "first", "{}");
    target.wait_for(1);
    let began = Instant::now();
    let builder = app.stop();
    assert!(
        began.elapsed() < allow(Duration::from_secs(8)).min(Duration::from_secs(15)),
        "{:?}",
        began.elapsed()
    );
    assert_eq!(builder.database().column::<String>("SELECT state FROM deliveries"), ["pending"]);
    assert_eq!(builder.database().value::<i64>("SELECT count(*) FROM attempts"), 0);
    target.answers(200);
    let app = builder.start();
    eventually_delivered(&app, 1);
}
