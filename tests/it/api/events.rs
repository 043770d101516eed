//! Events of the user's own app: only declared names, durable, and one message for each idempotency
//! key.

use serde_json::{Value, json};

use super::{answered, assert_rows, get, json as json_of, post, row, service};
use crate::harness::{Request, TestApp, sign};

fn emit(body: &Value) -> Request {
    post("/events", body)
}

fn keyed(key: &str, body: &Value) -> Request {
    emit(body).header("Idempotency-Key", key)
}

#[test]
fn emitted_event_is_stored_with_exact_payload() {
    let app = service();
    let payload = r#"{ "amount": 1.00, "big": 12345678901234567890123, "note": "Zoë\u0000" }"#;
    let body = format!(r#"{{"event":"pay_info.paid","owner":"customer 17","payload": {payload} }}"#);
    let reply = app.send(&emit(&Value::Null).body(body));
    assert_eq!((reply.status, json_of(&reply)), (202, json!({"id": 1})));
    assert_eq!(reply.header("location"), Some("/api/v1/messages/1"));
    let message = app.database().only_message();
    assert_eq!((message.source.as_str(), message.event.as_str()), ("emitted", "pay_info.paid"));
    assert_eq!(
        (message.payload.as_deref(), message.body_sha256),
        (Some(payload), sign::sha256(payload.as_bytes()))
    );
    let owner: String = app.database().value("SELECT owner FROM messages");
    assert_eq!((owner.as_str(), message.delivery_id), ("customer 17", None));
}

/// Some clients write a byte order mark by default.
#[test]
fn event_accepts_byte_order_mark_but_only_utf8() {
    let app = service();
    let body = r#"{"event":"pay_info.paid","payload":{"a":1}}"#;
    let marked = emit(&Value::Null).body(format!("\u{feff}{body}"));
    assert_rows(&app, &[row(marked, 202, &[], &[])]);
    assert_eq!(app.database().only_message().payload.as_deref(), Some(r#"{"a":1}"#));
    let utf16: Vec<u8> = body.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let owner = r#"{"event":"pay_info.paid","owner":"\ud83d","payload":1}"#;
    assert_rows(
        &app,
        &[
            row(emit(&Value::Null).body(utf16), 415, &["UTF-16", "Send JSON in UTF-8"], &[]),
            row(
                emit(&Value::Null).header("Content-Encoding", "gzip").body(&b"\x1f\x8b\x08"[..]),
                415,
                &["content coding"],
                &[],
            ),
            row(emit(&Value::Null).body(owner), 400, &["cut in the middle of a character"], &[]),
        ],
    );
}

#[test]
fn undeclared_event_is_rejected_by_name() {
    let app = service();
    let long = "x".repeat(201);
    assert_rows(
        &app,
        &[
            row(
                emit(&json!({"event": "pay_info.payed", "payload": 1})),
                422,
                &["undeclared_event", "pay_info.payed", "CREEL_EVENTS", "order.shipped"],
                &[],
            ),
            row(emit(&json!({"event": "pay_info.*", "payload": 1})), 422, &["undeclared_event"], &[]),
            row(emit(&json!({"event": "", "payload": 1})), 422, &["event"], &[]),
            row(emit(&json!({"event": "a\u{0}", "payload": 1})), 422, &["event", "control"], &[]),
            row(emit(&json!({"event": "pay_info.paid", "payload": 1, "owner": ""})), 422, &["owner"], &[]),
            row(emit(&json!({"event": "pay_info.paid", "payload": 1, "owner": long})), 422, &["owner"], &[]),
        ],
    );
    let nested = format!(r#"{{"event":"pay_info.paid","payload":{}{}}}"#, "[".repeat(128), "]".repeat(128));
    assert_rows(&app, &[row(emit(&Value::Null).body(nested), 422, &["payload", "127"], &[])]);
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn same_key_stores_event_once() {
    let app = service();
    let body = json!({"event": "pay_info.paid", "owner": "ann", "payload": {"n": 1}});
    let first = answered(&app, &keyed("order-17", &body), 202);
    for key in ["order-17", "\"order-17\""] {
        let reply = app.send(&keyed(key, &body));
        assert_eq!((reply.status, reply.header("idempotent-replayed")), (200, Some("true")), "{key}");
        assert_eq!(json_of(&reply), first);
    }
    // Keys belong to an owner, so the same key of another owner is a different one.
    let other = json!({"event": "pay_info.paid", "owner": "bob", "payload": {"n": 1}});
    assert_ne!(answered(&app, &keyed("order-17", &other), 202), first);
    let ownerless = json!({"event": "pay_info.paid", "payload": {"n": 1}});
    assert_ne!(answered(&app, &keyed("order-17", &ownerless), 202), first);
    assert_ne!(answered(&app, &emit(&body), 202), first);
    assert_eq!(app.database().count("messages"), 4);
    let app = app.restart();
    assert_eq!(answered(&app, &keyed("order-17", &body), 200), first);
}

#[test]
fn same_key_with_other_content_is_rejected() {
    let app = service();
    answered(&app, &keyed("k", &json!({"event": "pay_info.paid", "payload": 1})), 202);
    assert_rows(
        &app,
        &[
            row(
                keyed("k", &json!({"event": "pay_info.paid", "payload": 2})),
                422,
                &["idempotency_key_reused", "Message 1"],
                &[],
            ),
            row(
                keyed("k", &json!({"event": "order.shipped", "payload": 1})),
                422,
                &["idempotency_key_reused"],
                &[],
            ),
            row(keyed("", &json!({"event": "pay_info.paid", "payload": 1})), 400, &["invalid_header"], &[]),
            row(
                keyed("a b", &json!({"event": "pay_info.paid", "payload": 1})),
                400,
                &["Idempotency-Key"],
                &[],
            ),
            row(
                keyed(&"k".repeat(201), &json!({"event": "pay_info.paid", "payload": 1})),
                400,
                &["Idempotency-Key"],
                &[],
            ),
        ],
    );
    assert_eq!(app.database().count("messages"), 1);
}

#[test]
fn twenty_concurrent_emits_with_one_key_store_one_message() {
    let app = service();
    let body = json!({"event": "pay_info.paid", "payload": {"n": 1}});
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let send = || app.send(&keyed("once", &body)).status;
        let senders: Vec<_> = (0..20).map(|_| scope.spawn(send)).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 202).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 19, "{statuses:?}");
    assert_eq!(app.database().count("messages"), 1);
}

#[test]
fn event_survives_kill_9() {
    let app = service();
    let id = answered(&app, &emit(&json!({"event": "order.shipped", "payload": "kept"})), 202)["id"].clone();
    let app: TestApp = app.kill().start();
    let one = answered(&app, &get(&format!("/messages/{id}")), 200);
    assert_eq!(one["content"]["payload"], "kept");
}
