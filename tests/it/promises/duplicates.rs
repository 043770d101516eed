//! Duplicates: immediate ones, in the same batch, after a restart, and after kill -9.

use std::sync::Barrier;

use crate::harness::database::Message;
use crate::harness::{Builder, Connection, Request, TestApp, sign};

/// Ids, conflicts and counters, oldest first.
fn seen(kept: &[Message]) -> Vec<(i64, Option<i64>, i64)> {
    kept.iter().map(|kept| (kept.id, kept.conflict_of, kept.duplicates)).collect()
}

#[track_caller]
fn assert_accepted(app: &TestApp, request: &Request) {
    let status = app.send(request).status;
    assert!((200..300).contains(&status), "{status}");
}

#[test]
fn both_copies_in_one_batch_are_one_message() {
    let app = TestApp::github().start();
    // While another process holds the write lock, all copies wait and then share a batch.
    let lock = app.database().writer();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let clients = 16;
    let mut connections: Vec<Connection> = (0..clients).map(|_| app.connect()).collect();
    for (number, connection) in connections.iter_mut().enumerate() {
        let body = if number % 4 == 3 { r#"{"other":1}"# } else { "{}" };
        connection.write(&sign::github("same", body).bytes()).unwrap();
    }
    lock.execute_batch("COMMIT").unwrap();
    for connection in &mut connections {
        assert_eq!(connection.read().status, 200);
    }
    let kept = app.database().messages();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert_eq!(kept.iter().map(|kept| kept.duplicates).sum::<i64>(), clients - 2);
    assert_eq!((kept[0].conflict_of, kept[1].conflict_of), (None, Some(kept[0].id)));
}

#[test]
fn concurrent_copies_are_one_message() {
    let app = TestApp::github().start();
    let (rounds, clients) = (30, 4);
    let barrier = Barrier::new(clients);
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut connection = app.connect();
                for round in 0..rounds {
                    let request = sign::github(&format!("round-{round}"), "{}");
                    barrier.wait();
                    assert_eq!(connection.exchange(&request).status, 200);
                }
            });
        }
    });
    let duplicates: Vec<i64> = app.database().column("SELECT duplicates FROM messages");
    assert_eq!(duplicates, vec![3; rounds]);
}

#[test]
fn pipelined_copy_is_a_duplicate() {
    let app = TestApp::github().start();
    let mut connection = app.connect();
    let bytes = sign::github("same", "{}").bytes().repeat(3);
    connection.write(&bytes).unwrap();
    assert_eq!([(); 3].map(|()| connection.read().status), [200; 3]);
    assert_eq!(app.database().only_message().duplicates, 2);
}

#[test]
fn request_after_connection_close_is_not_stored() {
    let app = TestApp::github().start();
    let mut connection = app.connect();
    let last = sign::github("last", "{}").header("Connection", "close");
    connection.write(&[last.bytes(), sign::github("beyond", "{}").bytes()].concat()).unwrap();
    assert_eq!(connection.read().status, 200);
    assert_eq!(app.database().only_message().delivery_id.as_deref(), Some("last"));
}

fn send_again_after(interrupt: fn(TestApp) -> Builder) {
    let app = TestApp::github().start();
    for number in 0..50 {
        assert_accepted(&app, &sign::github(&format!("id-{number}"), "{}"));
    }
    let mut app = interrupt(app).start();
    for round in 1..=2 {
        assert_accepted(&app, &sign::github("id-0", "{}"));
        assert_accepted(&app, &sign::github("id-49", "{}"));
        assert_eq!(app.database().count("messages"), 50);
        let counted: Vec<i64> =
            app.database().column("SELECT duplicates FROM messages WHERE delivery_id IN ('id-0', 'id-49')");
        assert_eq!(counted, [round, round]);
        app = interrupt(app).start();
    }
    assert_accepted(&app, &sign::github("id-7", r#"{"other":1}"#));
    let conflict = app.database().newest_message();
    assert_eq!((conflict.id, conflict.conflict_of), (51, Some(8)));
}

#[test]
fn copy_is_recognized_after_a_restart() {
    send_again_after(TestApp::stop);
}

#[test]
fn copy_is_recognized_after_kill_9() {
    send_again_after(TestApp::kill);
}

#[test]
fn copy_is_recognized_after_message_cleanup() {
    let app = TestApp::github().start();
    assert_accepted(&app, &sign::github("old", "{}"));
    assert_accepted(&app, &sign::github("young", "{}"));
    let builder = app.stop();
    let old =
        "UPDATE messages SET received_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-8 days') WHERE id = 1";
    assert_eq!(builder.database().change(old), 1);
    builder.run(&["cleanup"]).succeeded();
    let app = builder.start();
    assert_accepted(&app, &sign::github("old", "{}"));
    assert_eq!(app.database().count("messages"), 1, "keys outlive their messages");
}

#[test]
fn window_without_id_drops_repeated_method_query_and_body() {
    let app = TestApp::builder()
        .set("CREEL_SOURCE_SHOP_PROVIDER", "token")
        .set("CREEL_SOURCE_SHOP_SECRET", "shop-token")
        .set("CREEL_SOURCE_SHOP_HEADER", "Shop-Token")
        .set("CREEL_SOURCE_SHOP_METHODS", "GET POST")
        .set("CREEL_SOURCE_SHOP_DEDUPE", "2s")
        .start();
    let post = |target: &str, body: &str| Request::post(target).header("Shop-Token", "shop-token").body(body);
    for (target, body) in [("/webhooks/shop", "{}"), ("/webhooks/shop?a=1", "{}"), ("/webhooks/shop", "[]")] {
        assert_accepted(&app, &post(target, body));
        assert_accepted(&app, &post(target, body));
    }
    assert_accepted(&app, &post("/webhooks/shop", "").method("GET"));
    assert_eq!(seen(&app.database().messages()), [(1, None, 1), (2, None, 1), (3, None, 1), (4, None, 0)]);
    let app = app.restart();
    // The window depends on the clock: a message that arrives after it is new.
    crate::harness::eventually("the window has ended", std::time::Duration::from_secs(20), || {
        std::thread::sleep(std::time::Duration::from_millis(2_100));
        assert_accepted(&app, &post("/webhooks/shop", "{}"));
        app.database().count("messages") == 5
    });
}
