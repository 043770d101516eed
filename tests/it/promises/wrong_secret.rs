//! Messages of genuine senders during a misconfiguration, which are recovered afterwards.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::sign::{self, OTHER_SECRET, SECRET};
use crate::harness::{ADMIN_TOKEN, Builder, Connection, Request, TestApp, eventually};

const SOON: Duration = Duration::from_secs(30);
const SENDER: &str = "192.30.252.7";
const SENDERS_NETWORK: &str = "192.30.252.0/24";

fn with_wrong_secret() -> Builder {
    TestApp::github()
        .set("CREEL_SOURCE_GITHUB_SECRET", OTHER_SECRET)
        .set("CREEL_TRUSTED_PROXIES", "127.0.0.1")
}

fn push(number: usize, padding_bytes: usize) -> Request {
    let body = format!(r#"{{"n":{number},"padding":"{}"}}"#, "x".repeat(padding_bytes));
    sign::github(&format!("push-{number}"), body)
}

fn rejected_from(connection: &mut Connection, request: &Request, client: &str) {
    let reply = connection.exchange(&request.clone().header("X-Forwarded-For", client));
    assert_eq!(reply.status, 403);
}

#[track_caller]
fn creel(app: &TestApp, arguments: &[&str]) -> String {
    let server = format!("http://{}", app.address);
    TestApp::builder().next_to(app).run(&[arguments, &["--server", &server]].concat()).succeeded()
}

fn rows_of(app: &TestApp, network: &str) -> i64 {
    app.database().value(&format!("SELECT count(*) FROM rejections WHERE network = '{network}'"))
}

/// The delivery ids of all messages, in the order of storage.
fn delivery_ids(app: &TestApp) -> Vec<String> {
    app.database().column("SELECT delivery_id FROM messages ORDER BY id")
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("push-{number}")).collect()
}

#[test]
fn messages_are_recovered_in_order_after_secret_correction() {
    const COUNT: usize = 300;
    let mut app = with_wrong_secret().start();
    let noise = push(0, 0).without("X-Hub-Signature-256");
    for half in 0..2 {
        let mut connection = app.connect();
        for number in half * COUNT / 2..(half + 1) * COUNT / 2 {
            rejected_from(&mut connection, &push(number, 0), SENDER);
            rejected_from(&mut connection, &noise, "198.51.100.1");
            // Forged but well-formed requests from many networks of one allocation.
            let forged = push(number, 0).replace("X-GitHub-Delivery", "forged").body("{}");
            rejected_from(&mut connection, &forged, &format!("2001:db8:{number:x}::1"));
        }
        app = if half == 0 { app.restart() } else { app };
    }
    eventually("all are stored", SOON, || rows_of(&app, SENDERS_NETWORK) == 300);
    assert!(rows_of(&app, "198.51.100.0/24") <= 20);

    let app = app.stop().set("CREEL_SOURCE_GITHUB_SECRET", SECRET).start();
    let until = ["recheck", "--source", "github", "--cause", "signature_mismatch"];
    let counted = creel(&app, &until);
    assert!(counted.contains("signature_mismatch: 600") && counted.contains("--yes"), "{counted}");
    assert_eq!(app.database().count("messages"), 0);
    let done = creel(&app, &[&until[..], &["--yes"]].concat());
    assert!(done.contains("released: 300\n"), "{done}");
    assert!(done.contains("still rejected: 300 (signature_mismatch: 300)"), "{done}");
    assert_eq!(delivery_ids(&app), numbered(COUNT));
    let in_order: i64 = app.database().value(
        "SELECT count(*) FROM messages AS a JOIN messages AS b ON b.id = a.id + 1 WHERE b.received_at < a.received_at",
    );
    assert_eq!((in_order, rows_of(&app, SENDERS_NETWORK)), (0, 0));
    // A second release changes nothing, and a redelivery is a duplicate.
    let again = creel(&app, &[&until[..], &["--yes"]].concat());
    assert!(again.contains("released: 0\nduplicates: 0\n"), "{again}");
    assert_eq!(app.send(&push(7, 0)).status, 200);
    assert_eq!(delivery_ids(&app), numbered(COUNT));
}

#[test]
fn large_bodies_are_quarantined_and_recovered() {
    let app = with_wrong_secret().start();
    std::thread::scope(|scope| {
        for number in 0..3 {
            let app = &app;
            // Clients share the budget for bodies in flight.
            let client = format!("192.{number}.252.7");
            scope.spawn(move || rejected_from(&mut app.connect(), &push(number, 7 << 20), &client));
        }
    });
    eventually("all are stored", SOON, || app.database().count("rejections") == 3);
    let app = app.stop().set("CREEL_SOURCE_GITHUB_SECRET", SECRET).start();
    let done = creel(&app, &["recheck", "--yes"]);
    assert!(done.contains("released: 3\n"), "{done}");
    let bytes: i64 = app.database().value("SELECT sum(length(payload)) FROM messages");
    assert!(bytes > 3 * (7 << 20), "{bytes}");
}

#[test]
fn quarantine_yields_to_messages_at_the_size_limit() {
    let app = with_wrong_secret()
        .set("CREEL_SOURCE_OTHER_PROVIDER", "github")
        .set("CREEL_SOURCE_OTHER_SECRET", SECRET)
        .set("CREEL_MAX_DATABASE_SIZE", "4MiB")
        .start();
    let mut connection = app.connect();
    for number in 0..120 {
        rejected_from(&mut connection, &push(number, 20_000), SENDER);
    }
    eventually("they are stored", SOON, || rows_of(&app, SENDERS_NETWORK) == 120);
    for number in 0..130 {
        let reply = connection.exchange(&push(number, 20_000).target("/webhooks/other"));
        assert_eq!(reply.status, 200);
    }
    let used = "SELECT (page_count - freelist_count) * page_size
                FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    let mut sent = 130;
    eventually("the quarantine has yielded", SOON, || {
        // The service checks the size after writes.
        let reply = connection.exchange(&push(sent, 0).target("/webhooks/other"));
        sent += usize::from(reply.status == 200);
        app.database().value::<i64>(used) <= 4 << 20
    });
    assert_eq!(app.database().count("messages"), i64::try_from(sent).unwrap());
    let left = rows_of(&app, SENDERS_NETWORK);
    assert!((10..120).contains(&left), "{left} rejections are left");
    eventually("the log reports it", SOON, || {
        ["quarantine dropped", "github signature_mismatch", "raise CREEL_MAX_DATABASE_SIZE"]
            .iter()
            .all(|part| app.log().contains(part))
    });
    assert!(app.metric(r#"creel_quarantine_dropped_total{kind="candidate"}"#) >= 1.0);
    let app = app.restart();
    let counted: i64 = app.database().value("SELECT candidates FROM rejection_counts");
    assert_eq!(counted + rows_of(&app, SENDERS_NETWORK), 120);
}

#[test]
fn quarantine_yields_to_a_low_disk() {
    let app = with_wrong_secret().start();
    for number in 0..3 {
        rejected_from(&mut app.connect(), &push(number, 0), SENDER);
    }
    eventually("they are stored", SOON, || rows_of(&app, SENDERS_NETWORK) == 3);
    let app = app.stop().set("CREEL_MIN_FREE", "1024TiB").start();
    eventually("they are dropped", SOON, || rows_of(&app, SENDERS_NETWORK) == 0);
    assert!(!app.is_ready());
}

#[test]
fn request_with_wrong_token_is_quarantined_with_its_body() {
    let builder = TestApp::builder()
        .set("CREEL_SOURCE_GITLAB_SECRET", "the token that GitLab has")
        .set("CREEL_SOURCE_GITLAB_ALLOW_IPS", "127.0.0.1");
    let request = |token: &str| {
        Request::post("/webhooks/gitlab")
            .header("X-Gitlab-Token", token)
            .header("X-Gitlab-Event", "Push Hook")
            .header("Content-Type", "application/json")
            .body(r#"{"object_kind":"push"}"#)
    };
    let app = builder.clone().set("CREEL_SOURCE_GITLAB_SECRET", "another token by mistake").start();
    assert!(app.send(&request("the token that GitLab has")).status >= 400);
    assert!(app.send(&request("").without("X-Gitlab-Token")).status >= 400);
    let kinds = || {
        app.database().column::<String>(
            "SELECT candidate || ' ' || coalesce(length(body), 'none') FROM rejections ORDER BY id",
        )
    };
    eventually("both are stored", SOON, || kinds() == ["1 22", "0 none"]);
    // A missing address in the allowlist is as likely a mistake as a wrong secret.
    let app = app.stop().set("CREEL_SOURCE_GITLAB_ALLOW_IPS", "192.0.2.1").start();
    assert!(app.send(&request("the token that GitLab has")).status >= 400);
    eventually("it is stored", SOON, || {
        let body =
            "SELECT count(*) FROM rejections WHERE cause = 'address_not_allowed' AND length(body) = 22";
        app.database().value::<i64>(body) == 1
    });
    drop(app.stop());
    let app = builder.start();
    let done = creel(&app, &["recheck", "--yes"]);
    assert!(done.contains("released: 2\n") && done.contains("skipped: 1 (body_not_kept: 1)"), "{done}");
}

#[test]
fn proof_in_the_body_survives_a_wrong_allowlist() {
    let builder = TestApp::builder().set("CREEL_SOURCE_MAILGUN_SECRET", SECRET);
    let app = builder.clone().set("CREEL_SOURCE_MAILGUN_ALLOW_IPS", "192.0.2.1").start();
    let signature =
        |at: i64| sign::hex(&sign::hmac_sha256(SECRET.as_bytes(), format!("{at}token").as_bytes()));
    let mail = |id: &str, padding: usize| {
        let at = sign::now();
        let proof = json!({"timestamp": at.to_string(), "token": "token", "signature": signature(at)});
        let data = json!({"event": "opened", "id": id, "padding": "x".repeat(padding)});
        Request::post("/webhooks/mailgun").body(json!({"signature": proof, "event-data": data}).to_string())
    };
    // The service parses the larger one on another thread.
    for request in [mail("small", 0), mail("large", 300_000)] {
        assert!(app.send(&request).status >= 400);
    }
    // Without a proof the body is not stored.
    assert!(app.send(&Request::post("/webhooks/mailgun").body(r#"{"event-data":{}}"#)).status >= 400);
    let kinds = || {
        app.database().column::<String>(
            "SELECT candidate || ' ' || (body IS NOT NULL) FROM rejections WHERE cause = 'address_not_allowed' ORDER BY 1",
        )
    };
    eventually("all are stored", SOON, || kinds() == ["0 0", "1 1", "1 1"]);
    drop(app.stop());
    let app = builder.start();
    let done = creel(&app, &["recheck", "--yes"]);
    assert!(done.contains("released: 2\n") && done.contains("skipped: 1 (body_not_kept: 1)"), "{done}");
    // The retention of released messages begins at their release.
    let released: i64 = app.database().value("SELECT count(*) FROM messages WHERE released_at > received_at");
    assert_eq!(released, 2);
}

#[test]
fn source_that_begins_to_fail_is_reported_once() {
    let app = TestApp::github().set("CREEL_TRUSTED_PROXIES", "127.0.0.1").start();
    assert_eq!(app.send(&push(0, 0)).status, 200);
    eventually("the state is stored", SOON, || {
        app.database().value::<i64>("SELECT count(*) FROM settings WHERE name = 'source_health:github'") == 1
    });
    let app = app.stop().set("CREEL_SOURCE_GITHUB_SECRET", OTHER_SECRET).start();
    for number in 1..=6 {
        rejected_from(&mut app.connect(), &push(number, 0), SENDER);
    }
    eventually("it is reported", SOON, || app.log().contains("source github used to verify and now fails"));
    assert_eq!(app.log().matches("now fails").count(), 1, "{}", app.log());
    eventually("all are stored", SOON, || rows_of(&app, SENDERS_NETWORK) == 6);
    let app = app.stop().set("CREEL_SOURCE_GITHUB_SECRET", SECRET).start();
    assert_eq!(app.send(&push(7, 0)).status, 200);
    eventually("the end is reported", SOON, || {
        app.log().contains("source github verifies again; 6 candidates")
    });
}

fn post(path: &str, body: &Value) -> Request {
    Request::post(&format!("/api/v1{path}"))
        .header("Authorization", format!("Bearer {ADMIN_TOKEN}"))
        .header("Content-Type", "application/json")
        .body(body.to_string())
}

fn answered(app: &TestApp, path: &str, body: &Value, status: u16) -> Value {
    let reply = app.send(&post(path, body));
    assert_eq!(reply.status, status, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

#[test]
fn bulk_release_takes_candidates_in_steps_and_in_order() {
    const COUNT: usize = 150;
    let app = with_wrong_secret().start();
    let mut connection = app.connect();
    for number in 0..COUNT {
        rejected_from(&mut connection, &push(number, 0), SENDER);
    }
    rejected_from(&mut connection, &push(0, 0).without("X-Hub-Signature-256"), SENDER);
    eventually("all are stored", SOON, || rows_of(&app, SENDERS_NETWORK) == 151);
    let filter = json!({"source": "github", "since": "1h"});
    let count = answered(&app, "/rejections/release", &json!({ "filter": filter }), 200);
    assert_eq!((&count["count"], &count["by_cause"]), (&json!(150), &json!({"signature_mismatch": 150})));
    let wrong = json!({"filter": filter, "confirm": 149});
    assert_eq!(answered(&app, "/rejections/release", &wrong, 409)["code"], "count_changed");
    let mut request = json!({"filter": count["filter"], "through": count["through"], "confirm": 150});
    let mut steps = Vec::new();
    loop {
        let step = answered(&app, "/rejections/release", &request, 200);
        steps.push(step["released"].as_u64().unwrap());
        if step["next_cursor"].is_null() {
            break;
        }
        request =
            json!({"filter": count["filter"], "through": count["through"], "cursor": step["next_cursor"]});
    }
    assert!(steps.len() >= 3 && steps.iter().sum::<u64>() == 150, "{steps:?}");
    assert_eq!(delivery_ids(&app), numbered(COUNT));
    assert_eq!(app.database().value::<i64>("SELECT sum(unverified) FROM messages"), 150);
    assert_eq!(app.database().count("rejections"), 1);
    // An invented cursor is rejected, so that no unconfirmed request is released.
    let (filter, through, cursor) = (&count["filter"], &count["through"], &request["cursor"]);
    for made in ["yesterday", ",1", "2020-01-01T00:00:00.000Z,1", "2020-01-01T00:00:00.000Z,1,AAAA"] {
        let bad = json!({"filter": filter, "through": through, "cursor": made});
        assert_eq!(answered(&app, "/rejections/release", &bad, 422)["code"], "invalid_value");
    }
    for bad in [
        json!({"filter": {}, "through": through, "cursor": cursor}),
        json!({"filter": filter, "through": 4711, "cursor": cursor}),
    ] {
        assert_eq!(answered(&app, "/rejections/release", &bad, 422)["code"], "invalid_value", "{bad}");
    }
    let other_action = json!({"filter": filter, "through": through, "cursor": cursor});
    assert_eq!(answered(&app, "/rejections/recheck", &other_action, 422)["code"], "invalid_value");
}

/// A provider with many workers, or one that was delayed.
#[test]
fn burst_with_wrong_secret_is_quarantined_completely() {
    for (count, padding_bytes) in [(550, 0), (250, 50_000)] {
        let app = with_wrong_secret().start();
        let mut connections: Vec<_> = (0..count).map(|_| app.connect()).collect();
        for (number, connection) in connections.iter_mut().enumerate() {
            let request = push(number, padding_bytes).header("X-Forwarded-For", SENDER);
            connection.write(&request.bytes()).unwrap();
        }
        for connection in &mut connections {
            assert_eq!(connection.read().status, 403);
        }
        eventually("all are stored", SOON, || rows_of(&app, SENDERS_NETWORK) == i64::from(count));
    }
}
