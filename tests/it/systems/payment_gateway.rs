//! Payment gateway: messages are confirmed through its API, because any client can send an id.

use std::time::Duration;

use crate::harness::target::{Behaviour, Target};
use crate::harness::{Builder, Reply, Request, TestApp, eventually, files_with};

const TOKEN: &str = "token-of-the-gateways-api";
const SOON: Duration = Duration::from_secs(30);

/// The gateway's API and the app that receives the messages.
struct Shop {
    gateway: Target,
    app: Target,
}

impl Shop {
    fn open() -> Self {
        Self { gateway: Target::start(), app: Target::start() }
    }

    fn inbox(&self) -> Builder {
        self.inbox_without_target()
            .set("CREEL_TARGET_APP_URL", self.app.url("/paid"))
            .set("CREEL_TARGET_APP_EVENTS", "pay.*")
    }

    fn inbox_without_target(&self) -> Builder {
        TestApp::builder()
            .set("CREEL_SOURCE_PAY_PROVIDER", "none")
            .set("CREEL_SOURCE_PAY_METHODS", "GET POST")
            .set("CREEL_SOURCE_PAY_CONFIRM_URL", self.gateway.url("/v1/payments/{query:id}"))
            .set("CREEL_SOURCE_PAY_CONFIRM_EXPECT", "200 /status=paid")
            .set("CREEL_SOURCE_PAY_CONFIRM_TOKEN", TOKEN)
    }

    fn set_status(&self, status: &str) {
        self.gateway.behave(Behaviour::status(200).body(format!(r#"{{"id":"abc","status":"{status}"}}"#)));
    }

    fn assert_nothing_was_processed(&self, inbox: &TestApp) {
        assert_eq!(inbox.database().count("deliveries"), 0);
        assert!(self.app.received().is_empty());
    }
}

fn notice(method: &str, query: &str) -> Request {
    Request::new(method, &format!("/webhooks/pay{query}"))
}

#[track_caller]
fn assert_acknowledged(reply: &Reply) {
    assert_eq!((reply.status, reply.text().as_str()), (200, ""));
}

#[track_caller]
fn sent(inbox: &TestApp, query: &str) {
    assert_acknowledged(&inbox.send(&notice("POST", query)));
}

fn confirmation(inbox: &TestApp) -> String {
    inbox.database().value("SELECT confirmation FROM messages")
}

fn reason(inbox: &TestApp) -> String {
    inbox.database().value("SELECT coalesce(reason, '') FROM confirmations")
}

fn tries(inbox: &TestApp) -> i64 {
    inbox.database().value("SELECT tries FROM confirmations")
}

#[track_caller]
fn wait_until_tried(inbox: &TestApp, times: i64) {
    eventually("the gateway is queried", SOON, || tries(inbox) >= times);
}

/// Makes all pending confirmations due and restarts the service.
fn let_time_pass(inbox: TestApp) -> TestApp {
    let builder = inbox.stop();
    builder
        .database()
        .change("UPDATE confirmations SET due_at = '2026-01-01T00:00:00.000000Z' WHERE state = 'awaiting'");
    builder.start()
}

#[test]
fn message_is_processed_only_after_confirmation() {
    for method in ["GET", "POST"] {
        let shop = Shop::open();
        shop.gateway.behave(Behaviour::Hang);
        let inbox = shop.inbox().start();
        assert_acknowledged(&inbox.send(&notice(method, "?id=abc")));
        let queries = shop.gateway.wait_for(1);
        assert_eq!((queries[0].method(), queries[0].target()), ("GET", "/v1/payments/abc"));
        assert_eq!(queries[0].header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
        let kept = inbox.database().only_message();
        assert_eq!((kept.method.as_str(), kept.query.as_deref()), (method, Some("id=abc")));
        assert!(kept.body_unsigned);
        assert_eq!(confirmation(&inbox), "awaiting");
        shop.assert_nothing_was_processed(&inbox);

        shop.set_status("paid");
        shop.app.wait_for(1);
        assert_eq!(confirmation(&inbox), "confirmed");
        assert_eq!(inbox.database().count("deliveries"), 1);
        assert!(files_with(inbox.path(), TOKEN).is_empty() && !inbox.log().contains(TOKEN));
    }
}

#[test]
fn unpaid_message_is_not_processed_and_follows_retry_schedule() {
    let shop = Shop::open();
    shop.set_status("open");
    let inbox = shop.inbox().start();
    sent(&inbox, "?id=abc");
    wait_until_tried(&inbox, 1);
    assert_eq!(reason(&inbox), r#"answered 200, but /status is "open", not paid"#);
    assert_eq!(confirmation(&inbox), "awaiting");
    let pause: f64 = inbox.database().value(
        "SELECT (julianday(due_at) - julianday('now')) * 86400 FROM confirmations WHERE state = 'awaiting'",
    );
    assert!((0.0..6.0).contains(&pause), "{pause}");
    shop.assert_nothing_was_processed(&inbox);
    shop.set_status("paid");
    // The schedule's first pause is five seconds.
    shop.app.wait_for(1);
    assert_eq!((confirmation(&inbox).as_str(), tries(&inbox)), ("confirmed", 2));
}

#[test]
fn unknown_id_is_rejected_with_reason() {
    let shop = Shop::open();
    shop.gateway.answers(404);
    let mut inbox = shop.inbox().start();
    sent(&inbox, "?id=forged");
    for times in 1..=3 {
        wait_until_tried(&inbox, times);
        if times < 3 {
            inbox = let_time_pass(inbox);
        }
    }
    assert_eq!(
        (confirmation(&inbox).as_str(), reason(&inbox).as_str()),
        ("refused", "answered 404, 3 times")
    );
    let is_settled: bool = inbox.database().value("SELECT settled_at IS NOT NULL FROM confirmations");
    assert!(is_settled);
    // The log is written asynchronously.
    let is_reported = || inbox.log().contains("not confirmed, rejected: answered 404, 3 times");
    eventually("the log reports the rejection", SOON, is_reported);
    shop.assert_nothing_was_processed(&inbox);
}

#[test]
fn unreachable_gateway_is_retried_until_rejection() {
    let shop = Shop::open();
    shop.gateway.stop_listening();
    let inbox = shop.inbox().start();
    sent(&inbox, "?id=abc");
    wait_until_tried(&inbox, 1);
    assert!(reason(&inbox).starts_with("cannot connect"), "{}", reason(&inbox));
    assert_eq!(confirmation(&inbox), "awaiting");
    let builder = inbox.stop();
    builder.database().change("UPDATE confirmations SET tries = 11, due_at = '2026-01-01T00:00:00.000000Z'");
    let inbox = builder.start();
    wait_until_tried(&inbox, 12);
    assert_eq!(confirmation(&inbox), "refused");
    assert!(reason(&inbox).ends_with(", after 12 attempts"), "{}", reason(&inbox));
    shop.assert_nothing_was_processed(&inbox);
}

#[test]
fn unusable_id_is_rejected_without_query() {
    for (query, expected) in [
        ("", "query field id is missing"),
        ("?id=", "query field id is missing"),
        ("?id=a&id=b", "query field id occurs more than once"),
        ("?id=..%2F..%2Fadmin", "query field id would change the path"),
        ("?id=%2E%2E", "query field id would change the path"),
    ] {
        let shop = Shop::open();
        shop.set_status("paid");
        let inbox = shop.inbox().start();
        sent(&inbox, query);
        eventually("it is rejected", SOON, || confirmation(&inbox) == "refused");
        assert_eq!((reason(&inbox).as_str(), tries(&inbox)), (expected, 0), "{query}");
        assert!(shop.gateway.received().is_empty(), "{query}");
        shop.assert_nothing_was_processed(&inbox);
    }
}

#[test]
fn only_the_stored_id_is_queried() {
    let shop = Shop::open();
    shop.set_status("paid");
    let inbox =
        shop.inbox().set("CREEL_SOURCE_PAY_CONFIRM_URL", shop.gateway.url("/v1/payments/{form:id}")).start();
    let form = notice("POST", "").header("Content-Type", "application/x-www-form-urlencoded");
    assert_acknowledged(&inbox.send(&form.clone().body(r#"{"x":"&id=abc&","id":"def"}"#)));
    eventually("it is rejected", SOON, || confirmation(&inbox) == "refused");
    assert_acknowledged(&inbox.send(&form.clone().header("Content-Encoding", "br").body("id=abc")));
    let rejected =
        || inbox.database().value::<i64>("SELECT count(*) FROM messages WHERE confirmation = 'refused'");
    eventually("it is rejected", SOON, || rejected() == 2);
    assert!(shop.gateway.received().is_empty(), "no query was sent");
    shop.assert_nothing_was_processed(&inbox);
    assert_acknowledged(&inbox.send(&form.body("id=abc")));
    let request = shop.app.wait_for(1).remove(0);
    assert_eq!(request.text(), "id=abc");
}

#[test]
fn id_stays_one_path_segment_for_any_content() {
    let shop = Shop::open();
    shop.set_status("paid");
    let inbox = shop.inbox().start();
    sent(&inbox, "?id=a%2Fb%3Fstatus%3Dpaid%23%26");
    shop.app.wait_for(1);
    assert_eq!(shop.gateway.received()[0].target(), "/v1/payments/a%2Fb%3Fstatus%3Dpaid%23%26");
}

#[test]
fn confirmation_interrupted_by_kill_9_is_repeated() {
    let shop = Shop::open();
    shop.gateway.behave(Behaviour::Hang);
    let inbox = shop.inbox().start();
    sent(&inbox, "?id=abc");
    shop.gateway.wait_for(1);
    let builder = inbox.kill();
    shop.set_status("paid");
    let inbox = builder.start();
    shop.app.wait_for(1);
    assert_eq!(confirmation(&inbox), "confirmed");
}

#[test]
fn unconfirmed_messages_are_limited_by_rate_and_count() {
    let shop = Shop::open();
    shop.gateway.behave(Behaviour::Hang);
    let inbox = shop.inbox().start();
    let replies: Vec<u16> =
        (0..20).map(|number| inbox.send(&notice("POST", &format!("?id={number}"))).status).collect();
    assert_eq!(replies[..5], [200; 5]);
    assert!(replies.contains(&429), "{replies:?}");

    let builder = inbox.stop();
    builder.database().change(
        "WITH RECURSIVE numbers (number) AS (SELECT 1001 UNION ALL SELECT number + 1 FROM numbers WHERE number < 2000)
         INSERT INTO confirmations (message_id, source, state, due_at)
         SELECT number, 'pay', 'awaiting', '2999-01-01T00:00:00.000000Z' FROM numbers",
    );
    let inbox = builder.start();
    let before = inbox.database().count("messages");
    let reply = inbox.send(&notice("POST", "?id=more"));
    assert_eq!(reply.status, 503);
    assert!(reply.header("retry-after").is_some());
    assert_eq!(inbox.database().count("messages"), before);
    let rejected = inbox.metric(r#"creel_unavailable_total{reason="too_many_awaiting"}"#);
    assert_eq!(rejected, 1.0, "{}", inbox.metrics());
}

#[test]
fn unusual_values_in_reply_keep_it_readable() {
    for odd in [
        r#""note":"cut \ud83d","#,
        r#""\udc00":1,"#,
        r#""fee":1e400,"#,
        r#""wei":123456789012345678901234567890,"#,
    ] {
        let shop = Shop::open();
        let answer = format!("\u{feff}{{{odd}\"status\":\"paid\"}}");
        shop.gateway.behave(Behaviour::status(200).body(answer));
        let inbox = shop.inbox().start();
        sent(&inbox, "?id=abc");
        shop.app.wait_for(1);
        assert_eq!((confirmation(&inbox).as_str(), tries(&inbox)), ("confirmed", 1), "{odd}");
    }
}

#[test]
fn check_shows_the_confirmation_url() {
    let shop = Shop::open();
    let report = shop.inbox().run(&["check"]).succeeded();
    let origin = format!("confirmation by http://{} before any delivery", shop.gateway.address());
    assert!(report.contains(&origin) && !report.contains(TOKEN), "{report}");
    let mollie = TestApp::builder().set("CREEL_SOURCE_MOLLIE_CLASSIC_CONFIRM_EXPECT", "200 /status=paid");
    let report = mollie.run(&["check"]).succeeded();
    assert!(
        report.contains("warning: source mollie-classic: CREEL_SOURCE_MOLLIE_CLASSIC_API_KEY is not set"),
        "{report}"
    );
}

#[test]
fn confirmed_messages_are_cleaned_up_before_newer_ones() {
    let shop = Shop::open();
    shop.gateway.behave(Behaviour::Hang);
    let inbox = shop
        .inbox_without_target()
        .set("CREEL_SOURCE_PAY_RATE", "100000/s")
        .set("CREEL_MAX_DATABASE_SIZE", "4MiB")
        .start();
    let mut number = 0;
    let mut send = || {
        number += 1;
        inbox.send(&notice("POST", &format!("?id={number}")).body("x".repeat(100_000))).status
    };
    eventually("the size limit is reached", SOON, || send() == 503);
    assert_eq!(inbox.database().value::<i64>("SELECT min(id) FROM messages"), 1);
    shop.set_status("paid");
    eventually("there is room again", SOON, || send() == 200);
    for _ in 0..10 {
        assert_eq!(send(), 200);
    }
    let used = "SELECT (page_count - freelist_count) * page_size
                FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
    eventually("the database fits", SOON, || {
        let fits = inbox.database().value::<i64>(used) <= 4 << 20;
        // The service checks the size after writes.
        fits || send() == 0
    });
    let gaps: i64 = inbox.database().value("SELECT max(id) - min(id) + 1 - count(*) FROM messages");
    let oldest: i64 = inbox.database().value("SELECT min(id) FROM messages");
    assert!(gaps == 0 && oldest > 1, "{gaps} newer ones were deleted, the oldest is {oldest}");
}
