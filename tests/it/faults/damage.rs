//! Flipped bits in the closed database file: only the damaged rows are lost, and the service
//! continues.

use std::os::unix::fs::FileExt as _;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::database::Database;
use crate::harness::target::Target;
use crate::harness::{ADMIN_TOKEN, Builder, Reply, Request, TestApp, eventually, sign};

const PAGE_BYTES: u64 = 4_096;
const MESSAGES: i64 = 60;

fn pages(database: &Database, name: &str, kind: &str) -> Vec<i64> {
    database.column(&format!(
        "SELECT pageno FROM dbstat WHERE name = '{name}' AND pagetype = '{kind}' ORDER BY path"
    ))
}

/// Flips all bits of the first bytes of a page.
fn flip(database: &Database, page: i64) {
    let file = std::fs::OpenOptions::new().read(true).write(true).open(database.path()).unwrap();
    let place = (page as u64 - 1) * PAGE_BYTES;
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, place).unwrap();
    file.write_all_at(&bytes.map(|byte| !byte), place).unwrap();
}

fn body(number: i64) -> String {
    format!("\"{number} {}\"", "x".repeat(1_000))
}

fn fetch(app: &TestApp, path: &str) -> Reply {
    app.send(&Request::get(path).header("Authorization", format!("Bearer {ADMIN_TOKEN}")))
}

fn json(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{reply:?}"))
}

/// A stopped service with pending deliveries.
fn with_pending(target: &Target, order: &str) -> Builder {
    target.answers(500);
    let builder =
        TestApp::github().set("CREEL_TARGET_APP_URL", target.url("/")).set("CREEL_TARGET_APP_ORDER", order);
    let app = builder.start();
    for number in 1..=MESSAGES {
        assert_eq!(app.send(&sign::github(&number.to_string(), body(number))).status, 200);
    }
    app.stop()
}

fn lost(database: &Database) -> Vec<i64> {
    database.column("SELECT message_id FROM deliveries WHERE state = 'dead' ORDER BY message_id")
}

fn assert_damaged_rows_are_skipped(order: &str) {
    let target = Target::start();
    let builder = with_pending(&target, order);
    let database = builder.database();
    flip(&database, pages(&database, "messages", "leaf")[2]);
    database.change("UPDATE deliveries SET due_at = created_at, not_before = NULL, attempts = 0");
    target.answers(200);
    let app = builder.start();
    eventually("no delivery is pending", Duration::from_secs(30), || {
        database.value::<i64>("SELECT count(*) FROM deliveries WHERE state = 'pending'") == 0
    });
    let lost = lost(&database);
    assert!((1..=10).contains(&lost.len()), "{lost:?}");
    let outcome: String = database.value("SELECT DISTINCT outcome FROM deliveries WHERE state = 'dead'");
    assert!(outcome.contains("creel verify"), "{outcome}");

    let log = app.log();
    assert_eq!(log.matches("the database is damaged").count(), 1, "{log}");
    assert!(log.contains("creel verify"), "{log}");
    let ready = app.get("/readyz");
    assert_eq!((ready.status, ready.text().as_str()), (200, "ready, but damaged"));
    assert_eq!(app.metric("creel_database_damaged"), 1.0);

    let problem = fetch(&app, &format!("/api/v1/messages/{}", lost[0]));
    assert_eq!((problem.status, json(&problem)["code"].clone()), (500, json!("damaged")));
    let listed = json(&fetch(&app, "/api/v1/messages?limit=200"));
    assert_eq!(listed["items"].as_array().unwrap().len() as i64, MESSAGES - lost.len() as i64);
    // A redelivery of the provider is stored again.
    assert_eq!(app.send(&sign::github(&lost[0].to_string(), body(lost[0]))).status, 200);
    assert_eq!(app.send(&sign::github("new", "{}")).status, 200);
    assert_eq!(database.value::<i64>("SELECT max(id) FROM deliveries"), MESSAGES + 2);
    let builder = app.stop();
    assert!(builder.run(&["verify"]).failed().contains("integrity check"));
}

#[test]
fn damaged_messages_become_dead_and_others_are_delivered() {
    assert_damaged_rows_are_skipped("any");
}

#[test]
fn damaged_message_does_not_block_strict_target() {
    assert_damaged_rows_are_skipped("strict");
}

#[test]
fn damaged_deliveries_do_not_block_others() {
    let target = Target::start();
    let builder = with_pending(&target, "any");
    let database = builder.database();
    database.change("UPDATE deliveries SET due_at = created_at, not_before = NULL, attempts = 0");
    let leaves = pages(&database, "deliveries", "leaf");
    assert!(leaves.len() > 1, "{leaves:?}");
    let unreadable: i64 = database
        .value(&format!("SELECT ncell FROM dbstat WHERE name = 'deliveries' AND pageno = {}", leaves[0]));
    flip(&database, leaves[0]);
    target.answers(200);
    let before = target.received().len();
    let app = builder.start();
    eventually("readable messages are delivered", Duration::from_secs(30), || {
        (target.received().len() - before) as i64 >= MESSAGES - unreadable
    });
    app.process.log.wait_for("the database is damaged", Duration::from_secs(10)).unwrap();
    assert_eq!(app.send(&sign::github("new", "{}")).status, 200);
    app.stop();
}

#[test]
fn cleanup_skips_damaged_messages() {
    let builder = TestApp::github().set("CREEL_CLEANUP_INTERVAL", "1s");
    let app = builder.start();
    for number in 1..=MESSAGES {
        assert_eq!(app.send(&sign::github(&number.to_string(), body(number))).status, 200);
    }
    let builder = app.stop();
    let database = builder.database();
    database.change("UPDATE messages SET received_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-8 days')");
    flip(&database, pages(&database, "messages", "leaf")[2]);
    let app = builder.start();
    let left = || database.value::<i64>("SELECT count(*) FROM messages INDEXED BY messages_received_at");
    // A row next to a damaged page may stay as well, because deleting it would have to balance the
    // two.
    eventually("only damaged messages are left", Duration::from_secs(30), || (1..=20).contains(&left()));
    assert_eq!(app.log().matches("the database is damaged").count(), 1, "{}", app.log());
    assert_eq!(app.send(&sign::github("new", "{}")).status, 200);
    app.stop();
}
