//! Seed system 7: outgoing webhooks like those of dj-webhooks. An owner registers a target for
//! declared events; the app emits for an owner; every target of that owner receives the event by
//! POST; each delivery and attempt can be read and replayed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::target::{Behaviour, Target};
use crate::harness::{ADMIN_TOKEN, Request, TestApp, eventually};

const EVENTS: &str = "pay_info.paid pay_info.cancelled pay_info.refunded pay_info.fulfilled";
const SOON: Duration = Duration::from_secs(30);

fn service() -> TestApp {
    TestApp::builder().set("CREEL_EVENTS", EVENTS).set("CREEL_TARGET_ALLOW_IPS", "127.0.0.1").start()
}

#[track_caller]
fn api(app: &TestApp, method: &str, path: &str, body: &Value, status: u16) -> Value {
    let request = Request::new(method, &format!("/api/v1{path}"))
        .header("Authorization", format!("Bearer {ADMIN_TOKEN}"))
        .header("Content-Type", "application/json");
    let request = if body.is_null() { request } else { request.body(body.to_string()) };
    let reply = app.send(&request);
    assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
    serde_json::from_slice(&reply.body).unwrap_or(Value::Null)
}

fn register(app: &TestApp, target: &Target, owner: &str, event: &str, content_type: &str) -> Value {
    let new = json!({
        "owner": owner, "events": [event], "content_type": content_type, "url": target.url(&format!("/{owner}")),
    });
    api(app, "POST", "/targets", &new, 201)
}

fn emit(app: &TestApp, owner: &str, event: &str, payload: &Value) -> i64 {
    let event = json!({"event": event, "owner": owner, "payload": payload});
    api(app, "POST", "/events", &event, 202)["id"].as_i64().unwrap()
}

#[test]
fn event_reaches_only_subscribed_targets_of_its_owner() {
    let (app, target) = (service(), Target::start());
    let ann = register(&app, &target, "ann", "pay_info.paid", "json");
    register(&app, &target, "ann", "pay_info.*", "form");
    register(&app, &target, "ann", "pay_info.refunded", "json");
    register(&app, &target, "bob", "pay_info.paid", "json");
    let payload = json!({"order": 17, "who": "Zoë"});
    let id = emit(&app, "ann", "pay_info.paid", &payload);
    let mut received = target.wait_for(2);
    eventually("both are delivered", SOON, || {
        app.database().value::<i64>("SELECT count(*) FROM deliveries WHERE state = 'delivered'") == 2
    });
    assert_eq!(target.received().len(), 2);
    received.sort_by_key(|one| one.header("content-type").unwrap().to_owned());
    assert!(received.iter().all(|one| one.method() == "POST" && one.target() == "/ann"));
    assert_eq!(received[0].header("content-type"), Some("application/json"));
    assert_eq!(serde_json::from_slice::<Value>(&received[0].body).unwrap(), payload);
    assert_eq!(received[1].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(received[1].text(), "order=17&who=Zo%C3%AB");
    let wh: Vec<&str> = received.iter().filter_map(|one| one.header("webhook-id")).collect();
    assert!(wh.len() == 2 && wh[0] == wh[1] && wh[0].ends_with(&format!("_{id}")), "{wh:?}");

    // The secret was shown once; the signature follows Standard Webhooks.
    let secret = ann["secret"].as_str().unwrap();
    let mut headers = http::HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, received[0].header(name).unwrap().parse().unwrap());
    }
    standardwebhooks::Webhook::new(secret).unwrap().verify(&received[0].body, &headers).unwrap();
}

#[test]
fn undeclared_event_can_be_neither_emitted_nor_subscribed() {
    let (app, target) = (service(), Target::start());
    let event = json!({"event": "pay_info.payed", "owner": "ann", "payload": {}});
    let rejected = api(&app, "POST", "/events", &event, 422).to_string();
    assert!(rejected.contains("pay_info.payed"), "{rejected}");
    let new = json!({"owner": "ann", "events": ["pay_info.payed"], "url": target.url("/")});
    let rejected = api(&app, "POST", "/targets", &new, 422).to_string();
    assert!(rejected.contains("pay_info.payed"), "{rejected}");
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn deliveries_and_attempts_can_be_read_and_replayed() {
    let (app, target) = (service(), Target::start());
    register(&app, &target, "ann", "*", "json");
    target.behave(Behaviour::status(422).body("no such order"));
    let id = emit(&app, "ann", "pay_info.cancelled", &json!({"order": 17}));
    target.wait_for(1);
    let path = format!("/deliveries?message={id}");
    let mut delivery = Value::Null;
    eventually("the attempt is recorded", SOON, || {
        delivery = api(&app, "GET", &path, &Value::Null, 200)["items"][0].clone();
        delivery["attempts"] == 1
    });
    let whole = api(&app, "GET", &format!("/deliveries/{}", delivery["id"]), &Value::Null, 200);
    let attempt = &whole["tries"][0];
    assert_eq!((&attempt["status"], &attempt["excerpt"]), (&json!(422), &json!("no such order")), "{whole}");

    target.answers(200);
    api(&app, "POST", &format!("/messages/{id}/replay"), &json!({}), 200);
    let received = target.wait_for(2);
    assert_eq!(received[1].body, received[0].body);
    assert_eq!(received[1].header("webhook-id"), received[0].header("webhook-id"));
    eventually("the replay is delivered", SOON, || {
        api(&app, "GET", &path, &Value::Null, 200)["items"][0]["state"] == "delivered"
    });
}

#[test]
fn bulk_replay_is_counted_first() {
    let (app, target) = (service(), Target::start());
    register(&app, &target, "ann", "*", "json");
    for order in 0..30 {
        emit(&app, "ann", "pay_info.fulfilled", &json!({"order": order}));
    }
    emit(&app, "ann", "pay_info.paid", &json!({}));
    target.wait_for(31);
    let wanted = json!({"filter": {"event": "pay_info.fulfilled"}, "rate": 1_000});
    let counted = api(&app, "POST", "/replays", &wanted, 200);
    assert_eq!(counted["count"], 30, "{counted}");
    let mut confirmed = wanted;
    confirmed["confirm"] = counted["count"].clone();
    let replay = api(&app, "POST", "/replays", &confirmed, 201);
    let received = target.wait_for(61);
    eventually("the replay has finished", SOON, || {
        let now = api(&app, "GET", &format!("/replays/{}", replay["id"]), &Value::Null, 200);
        now["state"] == "done" && now["messages"] == 30
    });
    let mut bodies: Vec<String> = received[31..].iter().map(crate::harness::target::Received::text).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 30);
}
