//! Replies round-trip, and readers ignore fields that this version does not have.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::bulk::BulkReply;
use super::listener::ListenerDelivery;
use super::message::Message;
use super::page::Page;
use super::problem::ProblemDetails;
use super::rejection::Recheck;
use super::target::Target;

fn head() -> Value {
    json!({
        "id": 42, "received_at": "2026-11-22T14:31:00.000000Z", "source": "github", "event": "github.push",
        "owner": null, "delivery_id": "d", "method": "POST", "query": null, "remote_ip": "192.0.2.7",
        "body_sha256": null, "body_bytes": 2, "not_json": false, "unreadable": null, "body_unsigned": false,
        "unverified": false, "released_at": null, "conflict_of": null, "duplicates": 0,
        "last_duplicate_at": null, "confirmation": null,
    })
}

fn with(mut object: Value, more: &Value) -> Value {
    let fields = more.as_object().unwrap().clone();
    object.as_object_mut().unwrap().extend(fields);
    object
}

fn check<T: Serialize + DeserializeOwned + Debug>(written: &Value) {
    let newer = with(written.clone(), &json!({"a_later_field": [1]}));
    let read: T = serde_json::from_str(&newer.to_string()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), *written);
}

#[test]
fn replies_round_trip_and_ignore_unknown_fields() {
    // Raw JSON next to flattened fields is a case in which serde can fail.
    let content = json!({"headers": {"x": ["1", "2"]}, "payload": {"a": 1.50}, "payload_left_out": false});
    let whole = json!({"confirmation_details": null, "deliveries": [], "content": content});
    check::<Message>(&with(head(), &whole));
    let message = with(head(), &json!({"headers": {"x": "1"}}));
    check::<ListenerDelivery>(
        &json!({"delivery": 7, "replay": null, "message": message, "body_base64": "e30=", "body_url": null}),
    );
    let target = json!({
        "id": 3, "name": "billing", "kind": "http", "origin": "api", "state": "active",
        "state_since": "s", "state_reason": null, "owner": null, "events": ["*"],
        "filter": [{"pointer": "/ref", "equals": null}], "url": "https://a.example/", "content_type": "form",
        "concurrency": 8, "order": "strict", "rate": "50/s", "timeout_seconds": 30,
        "created_at": "c", "updated_at": "u",
    });
    check::<Page<Target>>(&json!({"items": [target], "next_cursor": 3}));
    let filter = json!({"source": "github", "cause": null, "since": null, "until": null});
    check::<BulkReply>(&json!({
        "count": 1, "confirm": 1, "by_cause": {"stale_timestamp": 1}, "through": 9, "filter": filter,
    }));
    check::<BulkReply>(&json!({
        "released": 1, "duplicates": 0, "still_rejected": {"stale_timestamp": 1}, "skipped": {}, "gone": 0,
        "next_cursor": null, "through": 9, "filter": filter,
    }));
    check::<Recheck>(&json!({
        "verdict": "refused", "cause": "stale_timestamp", "explanation": "e", "message_id": null,
        "duplicate": false,
    }));
    check::<ProblemDetails>(&json!({
        "type": "about:blank", "title": "Not Found", "status": 404, "detail": "d", "code": "not_found",
    }));
}
