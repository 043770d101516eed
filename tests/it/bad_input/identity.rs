//! Duplicates, conflicts, and delivery ids of every shape.

use super::{SHOP_TOKEN, Storage, assert_rows, push, row, service};
use crate::harness::{Request, sign};

fn shop(body: &str) -> Request {
    Request::post("/webhooks/shop").header("Shop-Token", SHOP_TOKEN).body(body)
}

#[test]
fn exact_replay_is_counted_and_stored_once() {
    let app = service();
    let request = push(r#"{"n":1}"#);
    for _ in 0..4 {
        assert_eq!(app.send(&request).status, 200);
    }
    assert_eq!(app.database().only_message().duplicates, 3);
    let last: Option<String> = app.database().value("SELECT last_duplicate_at FROM messages");
    assert!(last.is_some_and(|at| at.ends_with('Z')));
    assert_eq!(app.metric(r#"creel_duplicates_total{source="github"}"#), 3.0);
}

#[test]
fn same_body_without_ids_is_two_messages() {
    let app = service();
    let rows = [
        row("first", shop(r#"{"same":1}"#), 200, Storage::AsJson),
        row("second", shop(r#"{"same":1}"#), 200, Storage::AsJson),
    ];
    assert_rows(&app, &rows);
    assert_eq!(app.database().count("messages"), 2);
}

#[test]
fn same_id_with_other_body_is_a_stored_conflict() {
    let app = service();
    for body in [r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":2}"#, r#"{"n":1}"#] {
        assert_eq!(app.send(&sign::github("one id", body)).status, 200);
    }
    let kept = app.database().messages();
    let seen: Vec<_> = kept.iter().map(|kept| (kept.id, kept.conflict_of, kept.duplicates)).collect();
    assert_eq!(seen, [(1, None, 1), (2, Some(1), 1)]);
}

#[test]
fn same_id_at_two_sources_is_two_messages() {
    let app = service();
    let request = sign::github("one id", "{}");
    let signature = sign::github_signature(sign::OTHER_SECRET, b"{}");
    let other = request.clone().target("/webhooks/other").replace("X-Hub-Signature-256", signature);
    assert_eq!((app.send(&request).status, app.send(&other).status), (200, 200));
    let kept: Vec<i64> = app.database().column("SELECT duplicates FROM messages WHERE conflict_of IS NULL");
    assert_eq!(kept, [0, 0]);
}

#[test]
fn ten_kilobyte_delivery_id_is_hashed_and_still_recognized() {
    let app = service();
    let id = "i".repeat(10 * 1024);
    for _ in 0..2 {
        assert_eq!(app.send(&sign::github(&id, "{}")).status, 200);
    }
    let kept = app.database().only_message();
    assert_eq!(kept.duplicates, 1);
    assert_eq!(kept.delivery_id, Some(sign::hex(&sign::sha256(id.as_bytes()))));
}

#[test]
fn only_text_or_number_is_a_delivery_id() {
    let app = service();
    let now = sign::now().to_string();
    let rows = [
        (r#"{"id":"evt_1","type":"a"}"#, Some("evt_1")),
        (r#"{"id":17,"type":"a"}"#, Some("17")),
        (r#"{"id":{"a":1},"type":"a"}"#, None),
        (r#"{"id":null,"type":"a"}"#, None),
        (r#"{"id":[1],"type":"a"}"#, None),
        (r#"{"id":true,"type":"a"}"#, None),
        (r#"{"type":"a"}"#, None),
        ("[]", None),
        ("7", None),
    ];
    for (body, id) in rows {
        assert_eq!(app.send(&sign::stripe(&now, body)).status, 200, "{body}");
        let kept = app.database().newest_message();
        assert_eq!((kept.body.as_slice(), kept.delivery_id.as_deref()), (body.as_bytes(), id), "{body}");
    }
    assert_eq!(app.database().count("messages"), i64::try_from(rows.len()).unwrap());
}

#[test]
fn messages_without_id_are_never_dropped() {
    let app = service();
    let now = sign::now().to_string();
    for _ in 0..2 {
        assert_eq!(app.send(&sign::stripe(&now, r#"{"id":null}"#)).status, 200);
        assert_eq!(app.send(&sign::github("", "{}")).status, 200);
        assert_eq!(app.send(&push("{}").without("X-GitHub-Delivery")).status, 200);
    }
    assert_eq!(app.database().count("messages"), 6);
}
