//! Abandoned listeners, which never make the service reject a webhook.

use std::time::Duration;

use rustix::process::Signal;

use super::{SOON, builder, listen, request, wait_until_connected};
use crate::harness::disk::SmallDisk;
use crate::harness::load::Load;
use crate::harness::{TestApp, eventually, needs, sign};

fn send_large(app: &TestApp, number: usize) -> u16 {
    let body = format!("[{number},\"{}\"]", "x".repeat(200 << 10));
    app.send(&sign::github(&format!("large-{number}"), body)).status
}

#[test]
fn forgotten_listener_yields_to_new_messages() {
    let app = builder().set("CREEL_MAX_DATABASE_SIZE", "4MiB").start();
    drop(listen(&app, "forgotten"));
    wait_until_connected(&app, "forgotten", false);
    for number in 0..60 {
        assert_eq!(send_large(&app, number), 200);
        if number % 20 == 19 {
            std::thread::sleep(Duration::from_millis(1_100));
        }
    }
    app.process.log.wait_for("listener:forgotten (not connected)", SOON).unwrap();
    eventually("the database is within its limit", SOON, || {
        app.database().value::<i64>("SELECT sum(length(payload)) FROM messages") < 4 << 20
    });
    assert!(!app.log().contains(" 503 "), "{}", app.log());
}

/// The log summarizes drops once a minute: a stop within that minute must not lose the rest.
#[test]
fn dropped_deliveries_are_logged_at_the_stop() {
    let mut app = builder().set("CREEL_MAX_DATABASE_SIZE", "4MiB").start();
    drop(listen(&app, "forgotten"));
    wait_until_connected(&app, "forgotten", false);
    for number in 0..90 {
        assert_eq!(send_large(&app, number), 200);
        if number % 30 == 29 {
            std::thread::sleep(Duration::from_millis(1_100));
        }
    }
    app.process.log.wait_for("pending deliveries", SOON).unwrap();
    app.process.signal(Signal::TERM);
    assert!(app.process.wait(SOON).success(), "{}", app.log());
    let log = app.log();
    let counts = log.split("dropped ").skip(1).filter_map(|rest| rest.split_once(" pending"));
    let logged: i64 = counts.map(|(count, _)| count.parse::<i64>().unwrap()).sum();
    assert_eq!(logged, 90 - app.database().count("messages"), "{log}");
}

#[test]
fn disconnected_listeners_never_cause_rejections() {
    let app = builder().set("CREEL_MAX_DATABASE_SIZE", "4MiB").start();
    for number in 0..20 {
        drop(listen(&app, &format!("forgotten-{number}")));
    }
    wait_until_connected(&app, "forgotten-19", false);
    let load = Load::with_padding(app.address, 2, 5_000);
    app.process.log.wait_for("pending deliveries", SOON).unwrap();
    // Time for several runs of the cleanup, each with messages that arrive while it deletes.
    std::thread::sleep(Duration::from_secs(4));
    let sent = load.finish();
    let rejected = sent.iter().filter(|sent| sent.status != Some(200)).count();
    assert_eq!(rejected, 0, "of {}: {}", sent.len(), app.log());
    assert_eq!(app.log().matches("dropped").count(), 1, "{}", app.log());
}

#[test]
fn forgotten_listener_yields_on_full_disk() {
    if !needs("root") {
        return;
    }
    let disk = SmallDisk::mount(128);
    let app = builder()
        .within(disk.path())
        .set("CREEL_MIN_FREE", "4MiB")
        .set("CREEL_RETENTION", "15s")
        .set("CREEL_CLEANUP_INTERVAL", "1s")
        .start();
    drop(listen(&app, "forgotten"));
    wait_until_connected(&app, "forgotten", false);
    for number in 0..100 {
        assert_eq!(send_large(&app, number), 200);
    }
    disk.fill(0);
    assert_eq!(send_large(&app, 100), 503);
    let count = || app.database().count("messages");
    assert_eq!(count(), 100, "nothing is past its retention yet");
    eventually("old messages yield", Duration::from_secs(60), || count() == 0);
    eventually("messages are accepted again", SOON, || app.is_ready());
    assert_eq!(send_large(&app, 101), 200);
}

#[test]
fn removed_listener_frees_its_messages_immediately() {
    let app = builder().start();
    drop(listen(&app, "forgotten"));
    for number in 0..3 {
        assert_eq!(send_large(&app, number), 200);
    }
    let pending = || app.database().value::<i64>("SELECT count(*) FROM deliveries WHERE state = 'pending'");
    assert_eq!(pending(), 3);
    assert_eq!(app.send(&request("DELETE", "/listeners/forgotten")).status, 204);
    eventually("nothing is pending for it", SOON, || pending() == 0);
    assert_eq!(app.database().value::<i64>("SELECT count(*) FROM dead_letters"), 0);
}

#[test]
fn log_names_targets_that_use_the_space() {
    let app = builder()
        .set("CREEL_MAX_DATABASE_SIZE", "2MiB")
        .set("CREEL_TARGET_BILLING_URL", "http://127.0.0.1:9/")
        .start();
    let rejected = (0..200).any(|number| {
        std::thread::sleep(Duration::from_millis(50));
        send_large(&app, number) == 503
    });
    assert!(rejected, "{}", app.log());
    let line = app.process.log.wait_for("New messages get 503", SOON).unwrap();
    assert!(line.contains(" for billing (active)"), "{line}");
}
