//! Listeners that were opened and forgotten: they never make the service refuse a webhook.

use super::{SOON, builder, listen, request, wait_until_connected};
use crate::harness::{TestApp, eventually, sign};

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
            std::thread::sleep(std::time::Duration::from_millis(1_100));
        }
    }
    app.process.log.wait_for("listener:forgotten (not connected)", SOON).unwrap();
    eventually("the database is within its limit", SOON, || {
        app.database().value::<i64>("SELECT sum(length(payload)) FROM messages") < 4 << 20
    });
    assert!(!app.log().contains(" 503 "), "{}", app.log());
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
fn log_names_the_targets_that_hold_the_room() {
    let app = builder()
        .set("CREEL_MAX_DATABASE_SIZE", "2MiB")
        .set("CREEL_TARGET_BILLING_URL", "http://127.0.0.1:9/")
        .start();
    let refused = (0..200).any(|number| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        send_large(&app, number) == 503
    });
    assert!(refused, "{}", app.log());
    let line = app.process.log.wait_for("New messages get 503", SOON).unwrap();
    assert!(line.contains(" for billing (active)"), "{line}");
}
