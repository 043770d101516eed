//! Deliveries from outside: declared targets, real commands, a real git repository, kill -9 and
//! SIGTERM.

mod commands;
mod crash;
mod deploy;
mod filters;
mod gone;
mod isolation;
mod requests;
mod stopping;
mod unruly_targets;

use std::time::Duration;

use crate::harness::target::Target;
use crate::harness::{Builder, TestApp, eventually, sign};

const SOON: Duration = Duration::from_secs(30);

/// A service with GitHub as its source and one declared target.
fn delivering_to(target: &Target) -> Builder {
    TestApp::github().set("CREEL_TARGET_APP_URL", target.url("/hooks"))
}

fn push(app: &TestApp, id: &str, body: &str) {
    assert_eq!(app.send(&sign::github(id, body)).status, 200);
}

#[track_caller]
fn eventually_delivered(app: &TestApp, count: i64) {
    eventually(&format!("{count} are delivered"), SOON, || {
        app.database().value::<i64>("SELECT count(*) FROM deliveries WHERE state = 'delivered'") == count
    });
}
