//! Health, readiness and metrics.

use crate::harness::app::address_in;
use crate::harness::{ADMIN_TOKEN, Connection, Request, TestApp, sign};

const READ_TOKEN: &str = "read-token-of-the-tests-0123456789";

fn metrics_with(token: &str) -> Request {
    Request::get("/metrics").header("Authorization", format!("Bearer {token}"))
}

#[test]
fn health_and_readiness_are_public_without_detail() {
    let app = TestApp::github().start();
    for target in ["/healthz", "/readyz"] {
        let reply = app.get(target);
        assert_eq!(reply.status, 200, "{target}: {reply:?}");
        assert!(reply.text().len() < 20, "{target}: {reply:?}");
    }
}

#[test]
fn metrics_need_a_token() {
    let app = TestApp::github().set("CREEL_READ_TOKEN", READ_TOKEN).start();
    assert_eq!(app.get("/metrics").status, 401);
    for wrong in ["", "wrong", &ADMIN_TOKEN[1..], &format!("{ADMIN_TOKEN}x")] {
        assert_eq!(app.send(&metrics_with(wrong)).status, 401, "{wrong:?}");
    }
    assert_eq!(app.send(&metrics_with(ADMIN_TOKEN)).status, 200);
    assert_eq!(app.send(&metrics_with(READ_TOKEN)).status, 200);
}

#[test]
fn metrics_count_requests_and_messages() {
    let app = TestApp::github().start();
    let request = sign::github("1", "{}");
    assert_eq!([app.send(&request).status, app.send(&request).status], [200, 200]);
    assert_eq!(app.send(&request.body("[]")).status, 403);
    let metrics = app.metrics();
    for name in [
        "creel_messages_received_total",
        "creel_duplicates_total",
        "creel_rejected_total",
        "creel_ack_seconds_bucket",
        "creel_batch_size_bucket",
        "creel_wal_bytes",
        "creel_database_bytes",
        "creel_free_disk_bytes",
        "creel_queue_depth",
    ] {
        let is_present = metrics.lines().any(|line| line.starts_with(name));
        assert!(is_present, "{name} is missing:\n{metrics}");
    }
    assert!(app.metric(r#"creel_messages_received_total{source="github"}"#) >= 1.0);
    assert_eq!(app.metric(r#"creel_duplicates_total{source="github"}"#), 1.0);
    assert_eq!(app.metric(r#"creel_rejected_total{source="github",cause="signature_mismatch"}"#), 1.0);
    assert!(app.metric("creel_ack_seconds_count") >= 2.0, "{metrics}");
    assert!(app.metric("creel_batch_size_count") >= 2.0, "{metrics}");
    assert!(app.metric("creel_database_bytes") >= 4096.0);
    assert!(app.metric("creel_free_disk_bytes") > 0.0);
}

#[test]
fn invented_sources_create_no_new_series() {
    let app = TestApp::github().start();
    for number in 0..20 {
        assert_eq!(app.send(&Request::post(&format!("/webhooks/made-up-{number}")).body("{}")).status, 404);
    }
    assert!(!app.metrics().contains("made-up"));
}

#[test]
fn admin_address_removes_metrics_from_the_public_address() {
    let app = TestApp::github().set("CREEL_ADMIN_LISTEN", "127.0.0.1:0").start();
    let line = app.process.log.wait_for("admin on http://", std::time::Duration::from_secs(10)).unwrap();
    let admin = address_in(&line, "admin on http://");
    assert_ne!(admin, app.address);
    let status_of = |address, request: &Request| Connection::open(address).exchange(request).status;
    let metrics = |host: &str| Request::get("/metrics").header("Host", host);
    for host in ["127.0.0.1", &admin.to_string(), "localhost:9090", "creel:9090"] {
        assert_eq!(status_of(admin, &metrics(host)), 200, "{host}");
    }
    assert_eq!(status_of(admin, &metrics("rebound.example.com")), 421);
    assert_eq!(status_of(admin, &metrics_with(ADMIN_TOKEN).header("Host", "rebound.example.com")), 200);
    assert_eq!(status_of(app.address, &metrics_with(ADMIN_TOKEN)), 404);
    assert_eq!(status_of(admin, &sign::github("1", "{}")), 404);
    assert_eq!(status_of(app.address, &sign::github("1", "{}")), 200);
    for address in [admin, app.address] {
        assert_eq!(status_of(address, &Request::get("/healthz")), 200);
        assert_eq!(status_of(address, &Request::get("/readyz")), 200);
    }
}

#[test]
fn connection_is_kept_alive_between_requests() {
    let app = TestApp::github().start();
    let mut connection = app.connect();
    for number in 0..20 {
        let reply = connection.exchange(&sign::github(&number.to_string(), "{}"));
        assert_eq!((reply.status, reply.header("connection") == Some("close")), (200, false));
    }
    assert_eq!(app.database().count("messages"), 20);
}
