//! Replays of one message, of a delivery, and of many messages: counted first, and never sent to a
//! target of another owner.

use std::time::Duration;

use serde_json::{Value, json};

use super::{answered, assert_rows, get, post, push, row, service};
use crate::harness::{TestApp, eventually};

const URL: &str = "http://127.0.0.1:9/hooks";

fn target(app: &TestApp, name: &str, events: &[&str], owner: Option<&str>) -> i64 {
    let mut new = json!({"name": name, "events": events, "url": URL});
    if let Some(owner) = owner {
        new["owner"] = owner.into();
    }
    answered(app, &post("/targets", &new), 201)["id"].as_i64().unwrap()
}

fn emit(app: &TestApp, owner: &str) -> i64 {
    let event = json!({"event": "pay_info.paid", "owner": owner, "payload": 1});
    answered(app, &post("/events", &event), 202)["id"].as_i64().unwrap()
}

fn deliveries(app: &TestApp, query: &str) -> Vec<(i64, String)> {
    let list = answered(app, &get(&format!("/deliveries{query}")), 200);
    let of = |one: &Value| (one["message_id"].as_i64().unwrap(), one["target"].as_str().unwrap().to_owned());
    list["items"].as_array().unwrap().iter().map(of).collect()
}

fn one(id: i64, body: &Value) -> crate::harness::Request {
    post(&format!("/messages/{id}/replay"), body)
}

#[test]
fn message_is_replayed_to_matching_or_named_target() {
    let app = service();
    let message = push(&app, "one", "{}");
    assert_eq!(
        answered(&app, &one(message, &json!({})), 200),
        json!({"message_id": message, "delivery_ids": []})
    );
    target(&app, "all", &["*"], None);
    let other = target(&app, "other", &["order.shipped"], None);
    assert_eq!(
        answered(&app, &one(message, &Value::Null).body(""), 200)["delivery_ids"].as_array().unwrap().len(),
        1
    );
    assert_eq!(
        answered(&app, &one(message, &json!({"target": "other"})), 200)["delivery_ids"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    answered(&app, &one(message, &json!({"target": other})), 200);
    let names: Vec<String> = deliveries(&app, "").into_iter().map(|(_, name)| name).collect();
    assert_eq!(names, ["other", "other", "all"]);
    assert_rows(
        &app,
        &[
            row(one(message + 1, &json!({})), 404, &["not_found"], &[]),
            row(one(message, &json!({"target": "nobody"})), 404, &["nobody"], &[]),
            row(one(message, &json!({"target": 99})), 404, &["99"], &[]),
            row(one(message, &json!({"target": "all", "url": URL})), 422, &["url", "either"], &[]),
            row(one(message, &json!({"url": "http://10.1.2.3/"})), 422, &["url_refused"], &[]),
            row(one(message, &json!({"to": "all"})), 400, &["`to`"], &[]),
            row(one(message, &json!({"url": URL})), 200, &["delivery_ids"], &[]),
        ],
    );
    let made = answered(&app, &get("/targets?limit=1"), 200)["items"][0].clone();
    assert!(made["name"].as_str().unwrap().starts_with("replay-"), "{made}");
    assert_eq!((&made["origin"], &made["events"]), (&json!("replay"), &json!([])));
    assert_eq!(deliveries(&app, "?limit=1")[0].1, made["name"].as_str().unwrap());
    // The target does not receive later messages.
    let later = push(&app, "later", "{}");
    assert_eq!(deliveries(&app, &format!("?message={later}")), [(later, "all".to_owned())]);
}

#[test]
fn retried_delivery_is_a_new_delivery() {
    let app = service();
    let id = target(&app, "all", &["*"], None);
    // Pauses the target, so that only requested deliveries happen.
    answered(&app, &post(&format!("/targets/{id}/pause"), &Value::Null).body(""), 200);
    let message = push(&app, "one", "{}");
    app.database().change(
        "UPDATE deliveries SET state = 'dead', outcome = '503', finished_at = created_at, attempts = 12",
    );
    app.database().change(
        "INSERT INTO attempts (delivery_id, number, began_at, took_ms, outcome, status, excerpt)
         VALUES (1, 12, '2026-11-22T14:31:00.000000Z', 17, 'failed', 503, 'excerpt of the answer')",
    );
    let dead = answered(&app, &get("/dead-letters"), 200);
    assert_eq!(dead["items"][0]["id"], 1);
    let first = answered(&app, &get("/deliveries/1"), 200);
    assert_eq!(
        (&first["state"], &first["due_at"], &first["tries"][0]["excerpt"]),
        (&json!("dead"), &Value::Null, &json!("excerpt of the answer"))
    );
    let again = answered(&app, &post("/deliveries/1/retry", &Value::Null).body(""), 201);
    assert_eq!(
        (&again["id"], &again["state"], &again["message_id"]),
        (&json!(2), &json!("pending"), &json!(message))
    );
    assert_eq!(again["target"], "all");
    assert_eq!(answered(&app, &get("/messages?dead=true"), 200)["items"], json!([]));
    for (query, count) in [
        ("?state=dead", 0),
        ("?state=replayed", 1),
        ("?state=pending&target=all", 1),
        ("?state=delivered", 0),
        ("?target=1&message=1", 2),
        ("?replay=1", 0),
    ] {
        assert_eq!(deliveries(&app, query).len(), count, "{query}");
    }
    let as_reader =
        super::with_token(crate::harness::Request::get("/api/v1/deliveries/1"), super::READ_TOKEN);
    assert_rows(&app, &[row(as_reader, 200, &["\"status\":503"], &["excerpt of the answer"])]);
    app.database().change("UPDATE targets SET state = 'removed'");
    let retry = |id: i64| post(&format!("/deliveries/{id}/retry"), &Value::Null).body("");
    assert_rows(
        &app,
        &[
            row(retry(1), 409, &["not_changeable", "all", "removed"], &[]),
            row(retry(77), 404, &["not_found"], &[]),
        ],
    );
}

#[test]
fn bulk_replay_runs_only_if_count_is_unchanged() {
    let app = service();
    for number in 0..5 {
        push(&app, &format!("p{number}"), &format!(r#"{{"n":{number}}}"#));
    }
    emit(&app, "ann");
    let request = |body: Value| post("/replays", &body);
    let count = |filter: Value| answered(&app, &request(json!({"filter": filter})), 200);
    assert_eq!(count(json!({}))["count"], 6);
    assert_eq!(count(json!({"source": "github"}))["confirm"], 5);
    assert_eq!(count(json!({"event": "pay_*"}))["count"], 1);
    assert_eq!(count(json!({"text": "\"n\":3"}))["count"], 1);
    assert_eq!(count(json!({"until": "1h"}))["count"], 0);
    assert_eq!(count(json!({"dead": true}))["count"], 0);
    let counted = count(json!({"source": "github", "since": "1h"}));
    assert!(counted["filter"]["since"].as_str().unwrap().ends_with('Z'), "{counted}");
    assert_eq!(app.database().count("replays"), 0);
    // A later message is not among those that were counted.
    push(&app, "late", "{}");
    let confirm = |through: &Value| {
        request(json!({"filter": {"source": "github"}, "confirm": 5, "through": through, "rate": 7}))
    };
    assert_rows(
        &app,
        &[row(
            request(json!({"filter": {"source": "github"}, "confirm": 5})),
            409,
            &["count_changed", "You confirmed 5", "6 match now"],
            &[],
        )],
    );
    let reply = app.send(&confirm(&counted["through"]));
    assert_eq!(
        (reply.status, reply.header("location")),
        (201, Some("/api/v1/replays/1")),
        "{}",
        reply.text()
    );
    let replay = answered(&app, &get("/replays/1"), 200);
    assert_eq!((&replay["rate"], &replay["through"]), (&json!(7), &counted["through"]));
    assert_eq!((&replay["target_id"], &replay["filter"]["source"]), (&Value::Null, &json!("github")));
    assert_eq!(answered(&app, &get("/replays"), 200)["items"].as_array().unwrap().len(), 1);
}

#[test]
fn invalid_replay_returns_reason() {
    let app = service();
    push(&app, "one", "{}");
    let request = |body: Value| post("/replays", &body);
    assert_rows(
        &app,
        &[
            row(request(json!({})), 422, &["filter", "ids"], &[]),
            row(request(json!({"filter": {}, "ids": [1]})), 422, &["filter", "either"], &[]),
            row(request(json!({"ids": []})), 422, &["ids"], &[]),
            row(request(json!({"ids": [0]})), 422, &["ids"], &[]),
            row(request(json!({"ids": vec![1; 1001]})), 422, &["ids"], &[]),
            row(request(json!({"filter": {"sauce": "x"}})), 400, &["`sauce`"], &[]),
            row(request(json!({"filter": {"since": "soon"}})), 422, &["since"], &[]),
            row(request(json!({"filter": {}, "rate": 0})), 422, &["rate"], &[]),
            row(request(json!({"filter": {}, "target": "nobody"})), 404, &["nobody"], &[]),
            row(request(json!({"filter": {}, "target": 1.5})), 400, &["invalid_body"], &[]),
            row(
                request(json!({"filter": {}, "url": "http://10.0.0.1/", "confirm": 1})),
                422,
                &["url_refused"],
                &[],
            ),
            row(request(json!({"filter": {}, "confirm": 2})), 409, &["count_changed"], &[]),
            row(request(json!({"ids": [1, 77], "confirm": 1})), 201, &["\"ids\":[1,77]"], &[]),
            row(request(json!({"filter": {}, "url": URL, "confirm": 1})), 201, &["target_id"], &[]),
            row(get("/replays/99"), 404, &["not_found"], &[]),
        ],
    );
    assert_eq!(app.database().count("targets"), 1, "only the replay that began has its target");
}

#[test]
fn replay_is_cancelled_once() {
    let app = service();
    for number in 0..30 {
        push(&app, &format!("p{number}"), "{}");
    }
    answered(&app, &post("/replays", &json!({"filter": {}, "confirm": 30, "rate": 1})), 201);
    let cancel = || post("/replays/1/cancel", &Value::Null).body("");
    assert_eq!(answered(&app, &cancel(), 200)["state"], "cancelled");
    assert_rows(&app, &[row(cancel(), 409, &["not_running", "already cancelled"], &[])]);
}

#[test]
fn replay_never_crosses_owners() {
    let app = service();
    let received = push(&app, "received", "{}");
    let (anns, bobs) = (emit(&app, "ann"), emit(&app, "bob"));
    let ann = target(&app, "anns-target", &["*"], Some("ann"));
    let rejected =
        |id: i64, target: Value| row(one(id, &json!({"target": target})), 422, &["other_owner"], &[]);
    assert_rows(
        &app,
        &[
            rejected(received, json!("anns-target")),
            rejected(bobs, json!(ann)),
            row(one(anns, &json!({"target": "anns-target"})), 200, &[], &[]),
            row(one(received, &json!({})), 200, &["\"delivery_ids\":[]"], &[]),
            row(one(bobs, &json!({})), 200, &["\"delivery_ids\":[]"], &[]),
        ],
    );
    let count = |target: &str| {
        let body = json!({"filter": {}, "target": target});
        answered(&app, &post("/replays", &body), 200)["count"].as_u64().unwrap()
    };
    assert_eq!(count("anns-target"), 1);
    // The owner of an environment target can change; its earlier deliveries must not be retried for
    // the new owner.
    app.database().change("UPDATE targets SET owner = 'bob'");
    let retry = post("/deliveries/1/retry", &Value::Null).body("");
    assert_rows(&app, &[row(retry, 422, &["other_owner"], &[])]);
    assert_eq!(deliveries(&app, ""), [(anns, "anns-target".to_owned())]);
}

#[test]
fn bulk_replay_to_a_named_target_applies_its_filter() {
    let app = service();
    let ids = [push(&app, "p1", r#"{"draft":true}"#), push(&app, "p2", "{}"), push(&app, "p3", "cut {")];
    let filtered = r#"{"name":"ready","url":"http://127.0.0.1:9/hooks","events":["github.ping"],
        "filter":[{"pointer":"/draft","exists":false}]}"#;
    let made = app.send(&post("/targets", &Value::Null).body(filtered));
    assert_eq!(made.status, 201, "{}", made.text());
    let body = json!({"filter": {}, "target": "ready", "confirm": 3});
    answered(&app, &post("/replays", &body), 201);
    eventually("the replay has finished", Duration::from_secs(30), || {
        app.database().value::<String>("SELECT state FROM replays") == "done"
    });
    assert_eq!(deliveries(&app, ""), [(ids[1], "ready".to_owned())]);
    // A replay of one message ignores the filter.
    assert_rows(&app, &[row(one(ids[0], &json!({"target": "ready"})), 200, &[], &[])]);
    assert_eq!(deliveries(&app, "").len(), 2);
}

#[test]
fn unconfirmed_message_is_never_replayed() {
    let app = service();
    target(&app, "all", &["*"], None);
    let ids: Vec<i64> = (0..3).map(|number| push(&app, &format!("p{number}"), "{}")).collect();
    for (id, state) in ids.iter().zip(["awaiting", "refused", "confirmed"]) {
        app.database().change(&format!("UPDATE messages SET confirmation = '{state}' WHERE id = {id}"));
    }
    let retry = |id: i64| post(&format!("/deliveries/{id}/retry"), &Value::Null).body("");
    assert_rows(
        &app,
        &[
            row(one(ids[0], &json!({})), 409, &["not_confirmed", "awaiting"], &[]),
            row(one(ids[1], &json!({"target": "all"})), 409, &["not_confirmed", "refused"], &[]),
            row(one(ids[2], &json!({})), 200, &[], &[]),
            row(retry(1), 409, &["not_confirmed"], &[]),
            row(retry(3), 201, &[], &[]),
            row(post("/replays", &json!({"filter": {}})), 200, &["\"count\":1"], &[]),
            row(post("/replays", &json!({"ids": ids})), 200, &["\"count\":1"], &[]),
        ],
    );
}
