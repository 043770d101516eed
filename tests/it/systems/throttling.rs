//! Limits on the request rate of one client to a source.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::harness::{Builder, Connection, Request, TestApp, eventually, sign};

fn limited(rate: &str) -> Builder {
    TestApp::github().set("CREEL_SOURCE_GITHUB_RATE", rate)
}

#[test]
fn request_over_the_rate_gets_retry_after() {
    let app = limited("5/h").start();
    let statuses: Vec<u16> = (0..8).map(|n| app.send(&sign::github(&n.to_string(), "{}")).status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 429, 429, 429]);
    let reply = app.send(&sign::github("again", "{}"));
    reply.assert_is(429, "text/plain", "Too many requests.");
    let seconds = reply.retry_after_seconds().expect("Retry-After");
    assert!((1..=720).contains(&seconds), "5/h allows one more every 720 s, not in {seconds} s");
    assert_eq!(app.database().count("messages"), 5);
    assert_eq!(
        app.metric(r#"creel_rejected_total{cause="rate_limited",source="github"}"#),
        4.0,
        "{}",
        app.metrics()
    );
    assert_eq!(app.database().count("rejections"), 0, "requests over the rate are only counted");
}

#[test]
fn rate_recovers_with_time() {
    let app = limited("2/s").start();
    let over = (0..50).any(|n| app.send(&sign::github(&n.to_string(), "{}")).status == 429);
    assert!(over, "50 in a row exceed 2/s");
    eventually("a request is accepted again", Duration::from_secs(10), || {
        app.send(&sign::github("later", "{}")).status == 200
    });
}

#[test]
fn each_client_and_source_has_its_own_rate() {
    let app = limited("1/h")
        .set("CREEL_SOURCE_OTHER_PROVIDER", "github")
        .set("CREEL_SOURCE_OTHER_SECRET", sign::SECRET)
        .set("CREEL_SOURCE_OTHER_RATE", "1/h")
        .start();
    let from = |client: u8, request: &Request| {
        Connection::open_from(Ipv4Addr::new(127, 0, 1, client), app.address).exchange(request).status
    };
    let request = sign::github("1", "{}");
    assert_eq!((from(1, &request), from(1, &request), from(2, &request)), (200, 429, 200));
    let other = request.target("/webhooks/other");
    assert_eq!((from(1, &other), from(1, &other)), (200, 429));
}

#[test]
fn ipv6_64_network_is_one_client() {
    let app = limited("1/h").set("CREEL_TRUSTED_PROXIES", "127.0.0.1").start();
    let from = |client: &str| app.send(&sign::github("1", "{}").header("X-Forwarded-For", client)).status;
    assert_eq!(from("2001:db8:1:1::1"), 200);
    assert_eq!(from("2001:db8:1:1:ffff::2"), 429);
    assert_eq!(from("2001:db8:1:2::1"), 200);
}

#[test]
fn forged_requests_count_against_the_rate() {
    let app = limited("2/h").start();
    let forged = sign::github("1", "{}").body(r#"{"other":1}"#);
    assert_eq!((app.send(&forged).status, app.send(&forged).status), (403, 403));
    assert_eq!(app.send(&sign::github("1", "{}")).status, 429);
}
