//! Requests that failed authentication are kept for a short time, within bounds.

use std::time::Duration;

use crate::harness::{Connection, Request, TestApp, eventually, sign};

const SOON: Duration = Duration::from_secs(10);

fn forged(number: usize) -> Request {
    sign::github(&format!("forged-{number}"), format!(r#"{{"n":{number}}}"#))
        .replace("X-Hub-Signature-256", format!("sha256={}", "0".repeat(64)))
}

fn behind_proxy() -> TestApp {
    TestApp::github().set("CREEL_TRUSTED_PROXIES", "127.0.0.1").start()
}

/// Sends a forged request for each client, over one connection, and lets the quarantine keep up.
fn flood(app: &TestApp, clients: impl Iterator<Item = String>) {
    let mut connection: Connection = app.connect();
    for (number, client) in clients.enumerate() {
        let reply = connection.exchange(&forged(number).header("X-Forwarded-For", client));
        assert_eq!(reply.status, 403);
    }
}

#[test]
fn a_rejection_is_kept_with_its_cause_and_body() {
    let app = TestApp::github().start();
    assert_eq!(app.send(&forged(1)).status, 403);
    assert_eq!(app.send(&forged(2).without("X-Hub-Signature-256")).status, 403);
    eventually("both are kept", SOON, || app.database().count("rejections") == 2);
    let causes: Vec<String> = app.database().column("SELECT cause FROM rejections ORDER BY id");
    assert_eq!(causes, ["signature_mismatch", "missing_header"]);
    let body: Vec<u8> = app.database().value("SELECT body FROM rejections ORDER BY id LIMIT 1");
    assert_eq!(body, br#"{"n":1}"#);
    let rest: String = app.database().value(
        "SELECT source || ' ' || remote_ip || ' ' || network || ' ' || method FROM rejections LIMIT 1",
    );
    assert_eq!(rest, "github 127.0.0.1 127.0.0.0/24 POST");
    assert_eq!(app.metric(r#"creel_rejected_total{source="github",cause="signature_mismatch"}"#), 1.0);
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn one_network_fills_at_most_twenty_rows_for_each_cause() {
    let app = behind_proxy();
    flood(&app, (1..=60).map(|number| format!("203.0.113.{number}")));
    flood(&app, (1..=60).map(|number| format!("2001:db8:1:1::{number:x}")));
    flood(&app, ["198.51.100.1".to_owned()].into_iter());
    // The last one comes after all others, so what is there then stays.
    eventually("the last one is kept", SOON, || {
        app.database().value::<i64>("SELECT count(*) FROM rejections WHERE network = '198.51.100.0/24'") == 1
    });
    let fullest: i64 = app
        .database()
        .value("SELECT max(n) FROM (SELECT count(*) n FROM rejections GROUP BY network, cause)");
    assert_eq!(fullest, 20);
    let networks: i64 = app.database().value("SELECT count(DISTINCT network) FROM rejections");
    assert_eq!(networks, 3);
    assert_eq!(app.metric(r#"creel_rejected_total{source="github",cause="signature_mismatch"}"#), 121.0);
}

#[test]
fn one_source_fills_at_most_a_thousand_rows() {
    let app = behind_proxy();
    flood(&app, (0..1300).map(|number| format!("10.{}.{}.9", number / 250, number % 250)));
    eventually("the quarantine is full", SOON, || app.database().count("rejections") >= 900);
    flood(&app, (0..100).map(|number| format!("10.99.{number}.9")));
    let count = app.database().count("rejections");
    assert!((900..=1000).contains(&count), "{count} rows");
    let app = app.restart();
    flood(&app, (0..100).map(|number| format!("10.98.{number}.9")));
    let full = app.database().count("rejections");
    assert!(full <= 1000, "{full} rows after a restart");
    assert_eq!(app.metric(r#"creel_rejected_total{source="github",cause="signature_mismatch"}"#), 100.0);
}

#[test]
fn one_source_fills_at_most_sixteen_mebibytes() {
    let app = behind_proxy();
    let mut connection = app.connect();
    let large = forged(0).body(vec![b'x'; 1 << 20]);
    for number in 0..40 {
        let reply = connection.exchange(&large.clone().header("X-Forwarded-For", format!("10.1.{number}.9")));
        assert_eq!(reply.status, 403);
    }
    eventually("rejections are kept", SOON, || app.database().count("rejections") >= 10);
    assert_eq!(app.send(&forged(1)).status, 403);
    let bytes: i64 =
        app.database().value("SELECT sum(coalesce(length(body), 0) + length(headers)) FROM rejections");
    assert!(bytes <= 16 << 20, "{bytes} bytes");
}

#[test]
fn rejections_are_cleaned_up_after_a_day() {
    let app = TestApp::github().start();
    assert_eq!(app.send(&forged(1)).status, 403);
    assert_eq!(app.send(&forged(2)).status, 403);
    eventually("both are kept", SOON, || app.database().count("rejections") == 2);
    let builder = app.stop();
    let old = "UPDATE rejections SET received_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-25 hours') WHERE id = 1";
    assert_eq!(builder.database().change(old), 1);
    let left = |sql: &str| builder.database().column::<i64>(sql);
    builder.run(&["cleanup"]).succeeded();
    assert_eq!(left("SELECT id FROM rejections"), [2]);
}

#[test]
fn a_flood_of_forged_requests_keeps_no_verified_one_waiting() {
    let app = TestApp::github().start();
    let flooding = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut connection = app.connect();
            let mut number = 0;
            while flooding.load(std::sync::atomic::Ordering::Relaxed) {
                assert_eq!(connection.exchange(&forged(number)).status, 403);
                number += 1;
            }
        });
        for number in 0..100 {
            assert_eq!(app.send(&sign::github(&format!("good-{number}"), "{}")).status, 200);
        }
        flooding.store(false, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(app.database().count("messages"), 100);
    assert!(app.database().count("rejections") <= 20);
}
