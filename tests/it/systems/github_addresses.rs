//! GitHub's published address list, fetched from a real loopback server that plays the meta API.

use std::net::Ipv4Addr;
use std::time::Duration;

use crate::harness::meta_api::{self, MetaApi};
use crate::harness::{Builder, Connection, Reply, TestApp, eventually, sign};

const LISTED: Ipv4Addr = Ipv4Addr::new(127, 7, 0, 1);
const NOT_LISTED: Ipv4Addr = Ipv4Addr::new(127, 8, 0, 1);
const SOON: Duration = Duration::from_secs(20);

fn builder(api: &MetaApi) -> Builder {
    TestApp::github().set("CREEL_SOURCE_GITHUB_ALLOW_IPS", "github").set("CREEL_GITHUB_META_URL", api.url())
}

fn push_from(app: &TestApp, client: Ipv4Addr) -> Reply {
    Connection::open_from(client, app.address).exchange(&sign::github("1", "{}"))
}

/// A push through a proxy at 127.0.0.1.
fn push_through_proxy(app: &TestApp, forwarded_for: &str) -> Reply {
    app.send(&sign::github("1", "{}").header("X-Forwarded-For", forwarded_for))
}

#[track_caller]
fn wait_until_taken(app: &TestApp, client: Ipv4Addr) {
    eventually("the listed address is accepted", SOON, || push_from(app, client).status == 200);
}

#[test]
fn fetched_list_determines_allowed_senders() {
    let api = MetaApi::start(&["127.7.0.0/16", "2001:db8:7::/48"]);
    let app = builder(&api).start();
    wait_until_taken(&app, LISTED);
    let rejected = push_from(&app, NOT_LISTED);
    rejected.assert_is(403, "text/plain", "Permission denied.");
    let series = r#"creel_rejected_total{cause="address_not_allowed",source="github"}"#;
    assert!(app.metric(series) >= 1.0, "{}", app.metrics());
    let kept: Vec<String> = app.database().column("SELECT DISTINCT remote_ip FROM messages");
    assert_eq!(kept, ["127.7.0.1"]);
}

#[test]
fn signed_request_from_unlisted_address_keeps_its_body() {
    let api = MetaApi::start(&["127.7.0.0/16"]);
    let app = builder(&api).start();
    wait_until_taken(&app, LISTED);
    assert_eq!(push_from(&app, NOT_LISTED).status, 403);
    let unsigned = sign::github("2", "{}").without("X-Hub-Signature-256");
    assert_eq!(Connection::open_from(NOT_LISTED, app.address).exchange(&unsigned).status, 403);
    let sql =
        "SELECT count(*) FROM rejections WHERE cause = 'address_not_allowed' AND remote_ip = '127.8.0.1'";
    eventually("both are stored", SOON, || app.database().value::<i64>(sql) == 2);
    let bodies: Vec<Option<Vec<u8>>> =
        app.database().column("SELECT body FROM rejections ORDER BY candidate DESC");
    assert_eq!(bodies, [Some(b"{}".to_vec()), None]);
}

#[test]
fn trusted_proxy_uses_rightmost_untrusted_hop() {
    let api = MetaApi::start(&["192.0.2.0/24", "2001:db8:7::/48"]);
    let app = builder(&api).set("CREEL_TRUSTED_PROXIES", "127.0.0.1 198.51.100.7").start();
    eventually("the list is fetched", SOON, || push_through_proxy(&app, "192.0.2.9").status == 200);
    let rows = [
        ("2001:db8:7::1", 200),
        ("2001:db8:8::1", 403),
        ("192.0.2.9, 198.51.100.7", 200),
        ("203.0.113.5, 192.0.2.9", 200),
        ("192.0.2.9, 203.0.113.5", 403),
        ("192.0.2.9, nonsense", 403),
        ("203.0.113.5", 403),
    ];
    for (forwarded_for, status) in rows {
        assert_eq!(push_through_proxy(&app, forwarded_for).status, status, "{forwarded_for}");
    }
    assert_eq!(app.send(&sign::github("1", "{}")).status, 403, "the proxy's own address is not listed");
    assert_eq!(app.database().only_message().remote_ip, "192.0.2.9");
}

#[test]
fn x_forwarded_for_of_untrusted_peer_is_ignored() {
    let api = MetaApi::start(&["127.7.0.0/16"]);
    let app = builder(&api).set("CREEL_TRUSTED_PROXIES", "127.9.0.1").start();
    wait_until_taken(&app, LISTED);
    push_through_proxy(&app, "127.7.0.1").assert_is(403, "text/plain", "Permission denied.");
    let mut untrusted = Connection::open_from(LISTED, app.address);
    let reply = untrusted.exchange(&sign::github("1", "{}").header("X-Forwarded-For", "127.8.0.1"));
    assert_eq!(reply.status, 200, "the peer itself is listed");
}

#[test]
fn last_valid_list_survives_restart_while_api_fails() {
    let api = MetaApi::start(&["127.7.0.0/16"]);
    let app = builder(&api).start();
    wait_until_taken(&app, LISTED);
    let cached = "SELECT count(*) FROM settings WHERE value LIKE '%127.7.0.0/16%'";
    eventually("the list is cached in the database", SOON, || app.database().value::<i64>(cached) == 1);
    let mut builder = app.stop();
    let failures = [
        (500, "down".to_owned()),
        (200, "no JSON".to_owned()),
        (200, meta_api::answer(&[])),
        (200, meta_api::answer(&["nonsense"])),
    ];
    for (times, (status, body)) in failures.into_iter().enumerate() {
        api.answers(status, body.clone());
        let app = builder.start();
        assert_eq!(push_from(&app, LISTED).status, 200, "after {status} {body}");
        api.wait_for_queries(times + 2);
        assert_eq!(push_from(&app, LISTED).status, 200, "after {status} {body}");
        assert_eq!(push_from(&app, NOT_LISTED).status, 403, "after {status} {body}");
        builder = app.stop();
    }
}

#[test]
fn newer_list_replaces_the_older_one() {
    let api = MetaApi::start(&["127.7.0.0/16"]);
    let app = builder(&api).start();
    wait_until_taken(&app, LISTED);
    api.answers(200, meta_api::answer(&["127.8.0.0/16"]));
    let app = app.restart();
    wait_until_taken(&app, NOT_LISTED);
    assert_eq!(push_from(&app, LISTED).status, 403);
}

#[test]
fn builtin_list_applies_until_the_first_response() {
    let api = MetaApi::start(&[]);
    api.answers(503, "not now");
    let app = builder(&api).set("CREEL_TRUSTED_PROXIES", "127.0.0.1").start();
    // GitHub has published this network for years.
    assert_eq!(push_through_proxy(&app, "140.82.112.1").status, 200);
    assert_eq!(push_through_proxy(&app, "203.0.113.5").status, 403);
}
