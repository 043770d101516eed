//! Signals under load that suspend or terminate the process.

use std::time::Duration;

use rustix::process::Signal;

use super::{cycles, form};
use crate::harness::TestApp;
use crate::harness::load::{Load, assert_nothing_lost};

#[test]
fn suspended_process_continues_and_loses_nothing() {
    let app = TestApp::github().start();
    let load = Load::start(app.address, 4);
    for _ in 0..cycles(1, 5) {
        load.wait_for_more(50, Duration::from_secs(30));
        app.process.signal(Signal::STOP);
        std::thread::sleep(form(Duration::from_secs(3), Duration::from_secs(30)));
        app.process.signal(Signal::CONT);
        load.wait_for_more(50, Duration::from_secs(30));
    }
    let sent = load.finish();
    assert!(sent.iter().all(|sent| sent.status.is_some()), "every request is answered");
    let builder = app.stop();
    assert_nothing_lost(&builder.database(), &sent);
    builder.database().assert_sound();
}

#[test]
fn sigterm_under_load_ends_in_time_and_loses_nothing() {
    let mut builder = TestApp::github();
    let mut sent = Vec::new();
    for _ in 0..cycles(3, 50) {
        let mut app = builder.start();
        let load = Load::start(app.address, 8);
        load.wait_for_more(50, Duration::from_secs(30));
        app.process.signal(Signal::TERM);
        let status = app.process.wait(Duration::from_secs(8));
        assert_eq!(status.code(), Some(0), "{}", app.log());
        sent.extend(load.finish());
        builder = app.ended();
        assert_nothing_lost(&builder.database(), &sent);
    }
    builder.database().assert_sound();
}
