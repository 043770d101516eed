//! Replies round-trip. Readers ignore unknown fields of a newer service, preserve its unknown
//! words, and need only the fields that they use.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::bulk::{BulkCount, BulkReply, BulkStep};
use super::delivery::DeliveryWithAttempts;
use super::diff::{BodyDiff, MessageDiff};
use super::listener::{AcknowledgementResult, ListenerDelivery};
use super::message::Message;
use super::page::Page;
use super::problem::ProblemDetails;
use super::rejection::{Recheck, RejectionHead};
use super::replay::{DeadLetters, Replay, ReplayedMessage};
use super::target::Target;
use super::target_change::NewTarget;

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

fn target() -> Value {
    json!({
        "id": 3, "name": "billing", "kind": "http", "origin": "api", "state": "active",
        "state_since": "s", "state_reason": null, "owner": null, "events": ["*"],
        "filter": [{"pointer": "/ref", "equals": null}], "url": "https://a.example/", "content_type": "form",
        "concurrency": 8, "order": "strict", "rate": "50/s", "timeout_seconds": 30,
        "created_at": "c", "updated_at": "u",
    })
}

fn delivery() -> Value {
    json!({
        "id": 7, "message_id": 42, "event": "github.push", "target_id": 3, "target": "billing", "state": "dead",
        "attempts": 1, "created_at": "c", "due_at": null, "finished_at": "f", "outcome": "500",
        "replay_id": null, "replayed_by": null,
    })
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
    check::<Page<Target>>(&json!({"items": [target()], "next_cursor": 3}));
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
    let change = json!({
        "kind": "changed", "path": "/a", "right_path": null, "left": 1.50, "right": {"b": []},
        "words": [{"side": "both", "text": "t"}], "noise": false,
    });
    let lines = json!({"left_line": 1, "left": ["a\n"], "right_line": 1, "right": [], "noise": true});
    let value = json!({"name": "event", "left": null, "right": "r", "noise": false});
    let values = json!({"name": "accept", "left": ["l"], "right": [], "noise": false});
    let body = json!({
        "same_bytes": false, "method": "json", "limitation": null, "changes": [change], "lines": [lines], "left_out": 0,
    });
    check::<MessageDiff>(&json!({
        "left": head(), "right": head(), "different": true, "hidden": 0, "fields": [value], "headers": [values],
        "body": body,
    }));
    check::<ProblemDetails>(&json!({
        "type": "about:blank", "title": "Not Found", "status": 404, "detail": "d", "code": "not_found",
    }));
}

#[test]
fn words_of_a_newer_service_are_kept() {
    let words = json!({
        "kind": "queue", "origin": "import", "state": "asleep", "order": "fifo", "content_type": "xml",
    });
    check::<Target>(&with(target(), &words));
    let attempt = json!({
        "number": 1, "began_at": "b", "took_ms": 3, "outcome": "skipped", "status": null, "error": null,
        "excerpt": null,
    });
    let expired = with(delivery(), &json!({"state": "expired"}));
    check::<DeliveryWithAttempts>(&with(expired.clone(), &json!({"tries": [attempt]})));
    let confirmation =
        json!({"state": "postponed", "tries": 1, "due_at": null, "settled_at": null, "reason": null});
    check::<Message>(&with(
        head(),
        &json!({"confirmation_details": confirmation, "deliveries": [expired], "content": null}),
    ));
    check::<Recheck>(&json!({
        "verdict": "deferred", "cause": null, "explanation": "e", "message_id": 7, "duplicate": false,
    }));
    let change = json!({"kind": "renamed", "path": "/a", "right_path": "/b", "words": [], "noise": false});
    check::<BodyDiff>(&json!({
        "same_bytes": false, "method": "characters", "limitation": "too_slow", "changes": [change], "lines": [],
        "left_out": 0,
    }));
    check::<DeadLetters>(&json!({
        "target_id": 3, "target": "billing", "target_state": "asleep", "deliveries": 1, "replayable": true,
    }));
    let filter = json!({
        "ids": [], "since": null, "until": null, "source": null, "event": null, "owner": null, "q": null,
        "dead": false,
    });
    check::<Replay>(&json!({
        "id": 5, "created_at": "c", "filter": filter, "target_id": null, "rate": 50, "state": "held",
        "position": 0, "through": 9, "messages": 0, "deliveries": 0, "updated_at": "u",
    }));
}

#[test]
fn condition_of_a_newer_service_does_not_hide_its_target() {
    let newer = with(target(), &json!({"filter": [{"pointer": "/ref", "starts_with": "v"}]}));
    let read: Target = serde_json::from_str(&newer.to_string()).unwrap();
    assert_eq!((read.name.as_str(), read.filter.is_none()), ("billing", true));
}

#[test]
fn requests_accept_only_known_words() {
    let request = |order: &str| {
        let request = json!({"events": ["*"], "url": "https://a.example/", "order": order});
        serde_json::from_value::<NewTarget>(request)
    };
    assert!(request("strict").is_ok());
    let problem = request("fifo").err().unwrap().to_string();
    assert!(problem.starts_with("unknown variant `fifo`, expected"), "{problem}");
}

#[test]
fn unused_fields_may_be_missing() {
    fn read<T: DeserializeOwned>(reply: Value) {
        if let Err(error) = serde_json::from_value::<T>(reply.clone()) {
            panic!("{error}: {reply}");
        }
    }
    read::<ProblemDetails>(json!({"detail": "d"}));
    read::<AcknowledgementResult>(json!({}));
    read::<ReplayedMessage>(json!({"delivery_ids": [7]}));
    read::<RejectionHead>(json!({
        "id": 17, "received_at": "r", "source": "github", "cause": "signature_mismatch", "candidate": true,
        "remote_ip": "192.0.2.7", "method": "POST",
    }));
    read::<Target>(json!({
        "id": 3, "name": "billing", "kind": "http", "state": "active", "state_since": "s", "events": ["*"],
    }));
    read::<DeliveryWithAttempts>(json!({
        "id": 7, "target": "billing", "state": "pending", "attempts": 0, "tries": [],
    }));
    read::<BulkCount>(json!({"count": 1, "by_cause": {}, "through": 9, "filter": {}}));
    read::<BulkStep>(json!({"released": 1, "duplicates": 0, "still_rejected": {}, "skipped": {}, "gone": 0}));
}
