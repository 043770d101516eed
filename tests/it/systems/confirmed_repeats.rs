//! Delivery of a message that the API confirms after an earlier rejection, or after a forged
//! message with the same id.

use std::time::Duration;

use crate::harness::target::{Behaviour, Target};
use crate::harness::{ADMIN_TOKEN, Builder, Request, TestApp, eventually};

const SOON: Duration = Duration::from_secs(30);

/// Answers both the login and the query.
fn answer(verdict: &str) -> Behaviour {
    let body = format!(r#"{{"access_token":"t","expires_in":31668,"verification_status":"{verdict}"}}"#);
    Behaviour::status(200).body(body)
}

fn shop(paypal: &Target, app: &Target) -> Builder {
    TestApp::builder()
        .set("CREEL_SOURCE_SHOP_PROVIDER", "paypal-postback")
        .set("CREEL_SOURCE_SHOP_WEBHOOK_ID", "WH-OF-THE-SETTINGS")
        .set("CREEL_SOURCE_SHOP_CLIENT_ID", "client")
        .set("CREEL_SOURCE_SHOP_CLIENT_SECRET", "secret")
        .set("CREEL_SOURCE_SHOP_API_URL", paypal.url(""))
        .set("CREEL_TARGET_APP_URL", app.url("/paid"))
}

fn event(amount: &str) -> Request {
    Request::new("POST", "/webhooks/shop")
        .header("PAYPAL-AUTH-ALGO", "SHA256withRSA")
        .header("PAYPAL-CERT-URL", "https://api.paypal.com/v1/notifications/certs/CERT-1")
        .header("PAYPAL-TRANSMISSION-ID", "69cd13f0-d67a-11e5-baa3-778b53f4ae55")
        .header("PAYPAL-TRANSMISSION-SIG", "c2lnbmF0dXJl")
        .header("PAYPAL-TRANSMISSION-TIME", "2026-11-25T08:53:20Z")
        .header("Content-Type", "application/json")
        .body(format!(r#"{{"id":"WH-1","event_type":"PAYMENT.CAPTURE.COMPLETED","amount":"{amount}"}}"#))
}

fn confirmation(inbox: &TestApp, id: i64) -> String {
    inbox.database().value(&format!("SELECT confirmation FROM messages WHERE id = {id}"))
}

/// Makes all pending confirmations due and restarts the service.
fn let_time_pass(inbox: TestApp) -> TestApp {
    let builder = inbox.stop();
    builder
        .database()
        .change("UPDATE confirmations SET due_at = '2026-01-01T00:00:00.000000Z' WHERE state = 'awaiting'");
    builder.start()
}

/// The first message of the service, which PayPal rejects.
fn rejected(paypal: &Target, app: &Target, amount: &str) -> TestApp {
    paypal.behave(answer("FAILURE"));
    let mut inbox = shop(paypal, app).start();
    assert_eq!(inbox.send(&event(amount)).status, 200);
    for times in 1..=3 {
        let tries = || inbox.database().value::<i64>("SELECT tries FROM confirmations");
        eventually("PayPal is queried", SOON, || tries() >= times);
        if times < 3 {
            inbox = let_time_pass(inbox);
        }
    }
    assert_eq!(confirmation(&inbox, 1), "refused");
    inbox
}

#[test]
fn rejected_message_is_delivered_after_resend_and_confirmation() {
    let (paypal, app) = (Target::start(), Target::start());
    let inbox = rejected(&paypal, &app, "1.00");
    paypal.behave(answer("SUCCESS"));
    assert_eq!(inbox.send(&event("1.00")).status, 200);
    assert_eq!(confirmation(&inbox, 1), "awaiting");
    // The pause after a rejection.
    let inbox = let_time_pass(inbox);
    assert_eq!(app.wait_for(1)[0].text(), String::from_utf8_lossy(event("1.00").content()));
    assert_eq!(confirmation(&inbox, 1), "confirmed");
    assert_eq!(inbox.database().count("messages"), 1);
    assert_eq!(inbox.database().value::<i64>("SELECT duplicates FROM messages"), 1);
}

/// PayPal does not resend acknowledged messages automatically.
#[test]
fn rejected_message_is_confirmed_by_request() {
    let (paypal, app) = (Target::start(), Target::start());
    let inbox = rejected(&paypal, &app, "1.00");
    let post = |action: &str| {
        let request = Request::new("POST", &format!("/api/v1/messages/1/{action}"));
        inbox.send(&request.header("Authorization", format!("Bearer {ADMIN_TOKEN}")))
    };
    let advice = post("replay");
    assert_eq!(advice.status, 409);
    assert!(advice.text().contains("/api/v1/messages/1/confirm"), "{}", advice.text());
    paypal.behave(answer("SUCCESS"));
    let reply = post("confirm");
    assert!(
        reply.status == 200 && reply.text().contains(r#""state":"awaiting","tries":0"#),
        "{}",
        reply.text()
    );
    app.wait_for(1);
    assert_eq!(confirmation(&inbox, 1), "confirmed");
    let again = post("confirm");
    assert!(
        again.status == 409 && again.text().contains("is `confirmed`, not `refused`"),
        "{}",
        again.text()
    );
}

#[test]
fn forged_message_does_not_block_the_confirmed_one() {
    let (paypal, app) = (Target::start(), Target::start());
    let inbox = rejected(&paypal, &app, "forged");
    paypal.behave(answer("SUCCESS"));
    assert_eq!(inbox.send(&event("1.00")).status, 200);
    app.wait_for(1);
    assert_eq!(confirmation(&inbox, 2), "confirmed");
    let conflicts = "SELECT count(*) FROM messages WHERE conflict_of IS NOT NULL";
    assert_eq!(inbox.database().value::<i64>(conflicts), 0);

    // A second confirmed body with the same id is stored but not delivered.
    assert_eq!(inbox.send(&event("forged")).status, 200);
    let inbox = let_time_pass(inbox);
    eventually("it is confirmed", SOON, || confirmation(&inbox, 1) == "confirmed");
    assert_eq!(inbox.database().value::<i64>("SELECT conflict_of FROM messages WHERE id = 1"), 2);
    assert_eq!(inbox.database().count("deliveries"), 1);
}
