//! Requests that failed authentication, which are stored for a short time and within limits.

use std::time::Duration;

use crate::harness::{Connection, Request, TestApp, eventually, sign};

const SOON: Duration = Duration::from_secs(10);

fn forged(number: usize) -> Request {
    sign::github(&format!("forged-{number}"), format!(r#"{{"n":{number}}}"#))
        .replace("X-Hub-Signature-256", format!("sha256={}", "0".repeat(64)))
}

/// A request that has no part that the scheme requires.
fn noise(number: usize) -> Request {
    forged(number).without("X-Hub-Signature-256")
}

fn behind_proxy() -> TestApp {
    TestApp::github().set("CREEL_TRUSTED_PROXIES", "127.0.0.1").start()
}

/// Sends one request per client over one connection.
fn flood_with(app: &TestApp, make: fn(usize) -> Request, clients: impl Iterator<Item = String>) {
    let mut connection: Connection = app.connect();
    for (number, client) in clients.enumerate() {
        let reply = connection.exchange(&make(number).header("X-Forwarded-For", client));
        assert_eq!(reply.status, 403);
    }
}

#[test]
fn rejection_is_stored_with_cause_and_body() {
    let app = TestApp::github().start();
    assert_eq!(app.send(&forged(1)).status, 403);
    assert_eq!(app.send(&forged(2).without("X-Hub-Signature-256")).status, 403);
    eventually("both are stored", SOON, || app.database().count("rejections") == 2);
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
fn noise_of_one_network_fills_twenty_rows_per_cause() {
    let app = behind_proxy();
    flood_with(&app, noise, (1..=60).map(|number| format!("203.0.113.{number}")));
    flood_with(&app, noise, (1..=60).map(|number| format!("2001:db8:1:1::{number:x}")));
    flood_with(&app, noise, ["198.51.100.1".to_owned()].into_iter());
    // Rejections are stored in order: after the last one, the rows are final.
    eventually("the last one is stored", SOON, || {
        app.database().value::<i64>("SELECT count(*) FROM rejections WHERE network = '198.51.100.0/24'") == 1
    });
    let fullest: i64 = app
        .database()
        .value("SELECT max(n) FROM (SELECT count(*) n FROM rejections GROUP BY network, cause)");
    assert_eq!(fullest, 20);
    let networks: i64 = app.database().value("SELECT count(DISTINCT network) FROM rejections");
    assert_eq!(networks, 3);
    assert_eq!(app.metric(r#"creel_rejected_total{source="github",cause="missing_header"}"#), 121.0);
}

#[test]
fn noise_expires_after_a_day_and_candidates_after_a_week() {
    let app = TestApp::github().start();
    for number in 1..=3 {
        assert_eq!(app.send(&forged(number)).status, 403);
        assert_eq!(app.send(&noise(number)).status, 403);
    }
    eventually("all are stored", SOON, || app.database().count("rejections") == 6);
    let builder = app.stop();
    let age = |rows: &str, age: &str| {
        let sql = format!(
            "UPDATE rejections SET received_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-{age}') WHERE {rows}"
        );
        assert!(builder.database().change(&sql) > 0);
    };
    age("id IN (SELECT min(id) FROM rejections GROUP BY candidate)", "25 hours");
    age("id = (SELECT max(id) FROM rejections WHERE candidate = 1)", "8 days");
    builder.run(&["cleanup"]).succeeded();
    let left = |candidate| {
        let sql = format!("SELECT count(*) FROM rejections WHERE candidate = {candidate}");
        builder.database().value::<i64>(&sql)
    };
    assert_eq!((left(0), left(1)), (2, 2));
}

#[test]
fn counts_of_dropped_requests_survive_a_restart() {
    let app = behind_proxy();
    flood_with(&app, noise, (1..=60).map(|number| format!("203.0.113.{number}")));
    let app = app.restart();
    let counted: i64 = app.database().value("SELECT sum(counted) FROM rejection_counts");
    assert_eq!((counted, app.database().count("rejections")), (40, 20));
}

#[test]
fn flood_of_forged_requests_does_not_delay_verified_ones() {
    let app = TestApp::github().start();
    let flooding = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut connection = app.connect();
            let mut number = 0;
            while flooding.load(std::sync::atomic::Ordering::Relaxed) {
                let request = if number % 2 == 0 { forged(number) } else { noise(number) };
                assert_eq!(connection.exchange(&request).status, 403);
                number += 1;
            }
        });
        for number in 0..100 {
            assert_eq!(app.send(&sign::github(&format!("good-{number}"), "{}")).status, 200);
        }
        flooding.store(false, std::sync::atomic::Ordering::Relaxed);
    });
    assert_eq!(app.database().count("messages"), 100);
    let kept: i64 = app.database().value("SELECT count(*) FROM rejections WHERE candidate = 0");
    assert!(kept <= 20, "{kept}");
}
