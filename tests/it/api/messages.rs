//! Messages: filters, a single message with its content, and its exact bytes.

use serde_json::{Value, json};

use super::{answered, assert_rows, builder, get, post, push, row, service};
use crate::harness::events::EventStream;
use crate::harness::target::Target;
use crate::harness::{ADMIN_TOKEN, Builder, Request, TestApp, eventually};

fn ids(list: &Value) -> Vec<i64> {
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect()
}

fn emit(app: &TestApp, event: &str, owner: Option<&str>, payload: Value) -> i64 {
    let mut body = json!({"event": event, "payload": payload});
    if let Some(owner) = owner {
        body["owner"] = owner.into();
    }
    answered(app, &post("/events", &body), 202)["id"].as_i64().unwrap()
}

#[test]
fn messages_are_filtered_by_source_event_time_owner_text() {
    let app = service();
    let push_id = push(&app, "one", r#"{"ref":"refs/heads/main","say":"100% [sure]? *yes* 'it''s' \\"}"#);
    let paid = emit(&app, "pay_info.paid", Some("ann"), json!({"n": 1}));
    let shipped = emit(&app, "order.shipped", None, json!({"n": 2}));
    let all = [shipped, paid, push_id];
    let rows: [(&str, &[i64]); 21] = [
        ("", &all),
        ("?source=github", &[push_id]),
        ("?source=emitted", &[shipped, paid]),
        ("?event=github.push", &[push_id]),
        ("?event=github.*", &[push_id]),
        ("?event=*.paid", &[paid]),
        ("?event=*", &all),
        ("?event=%5Ba-z%5D*", &[]),
        ("?owner=ann", &[paid]),
        ("?owner=Ann", &[]),
        ("?owner=*", &[]),
        ("?since=1h", &all),
        ("?until=1h", &[]),
        ("?since=2026-01-01T00:00:00Z&until=2999-01-01T00:00:00%2B01:00", &all),
        ("?since=2999-01-01T00:00:00Z", &[]),
        ("?text=refs/heads/main", &[push_id]),
        ("?text=100%25%20%5Bsure%5D%3F%20*yes*%20%27it%27%27s%27", &[push_id]),
        ("?text=100_", &[]),
        ("?text=%00", &[]),
        ("?dead=true", &[]),
        ("?dead=false&source=github&event=github.push&since=1h", &[push_id]),
    ];
    for (query, expected) in rows {
        let list = answered(&app, &get(&format!("/messages{query}")), 200);
        assert_eq!(ids(&list), expected, "{query}");
        assert_eq!(list["next_cursor"], Value::Null, "{query}");
    }
}

#[test]
fn messages_are_filtered_by_a_query() {
    let app = service();
    let first = push(&app, "one", r#"{"ref":"refs/heads/main","order":{"id":17,"amount":1200.0}}"#);
    let paid =
        emit(&app, "pay_info.paid", Some("ann"), json!({"order": "17", "text": "order 17 \u{6771}\u{4eac}"}));
    let rows: [(&str, &[i64]); 16] = [
        ("", &[paid, first]),
        ("order 17", &[paid, first]),
        ("\"order 17\"", &[paid]),
        ("rder", &[]),
        ("ord*", &[paid, first]),
        ("refs OR nothing", &[first]),
        ("-refs", &[paid]),
        ("source:github event:push", &[first]),
        ("event:pay_info.paid owner:ann", &[paid]),
        (".amount:1200", &[first]),
        (".order.amount:>1200", &[]),
        ("id:one", &[first]),
        ("header.x-github-event:push", &[first]),
        ("after:1h -is:dead smaller:1M", &[paid, first]),
        ("before:1h", &[]),
        ("\u{6771}\u{4eac}", &[paid]),
    ];
    for (query, expected) in rows {
        let path: String = form_urlencoded::Serializer::new(String::new()).append_pair("q", query).finish();
        let list = answered(&app, &get(&format!("/messages?{path}")), 200);
        assert_eq!(ids(&list), expected, "{query}");
        assert_eq!((&list["complete"], &list["looked_back_to"]), (&json!(true), &Value::Null), "{query}");
    }
    let both = answered(&app, &get("/messages?q=order&text=refs&source=github"), 200);
    assert_eq!(ids(&both), [first]);
    let count = |filter: Value| answered(&app, &post("/replays", &json!({"filter": filter})), 200);
    let counted = count(json!({"q": "order -refs after:2h", "text": "17"}));
    assert_eq!(counted["count"], 1);
    let shown = counted["filter"]["q"].as_str().unwrap();
    assert!(shown.starts_with("order -refs after:20") && shown.ends_with("Z \"17\""), "{shown}");
}

#[test]
fn search_that_stops_at_a_limit_reports_it() {
    let app = builder().set("CREEL_SEARCH", "off").start();
    push(&app, "one", "{}");
    app.database().copy_message(2_500);
    let first = answered(&app, &get("/messages?q=missing"), 200);
    let received_at = app.database().newest_message().received_at;
    assert_eq!((&first["items"], &first["complete"]), (&json!([]), &json!(false)));
    assert_eq!(first["looked_back_to"], json!(received_at));
    assert!(first["next_cursor"].is_number(), "{first}");
    let last = answered(&app, &get("/messages?q=missing&cursor=100"), 200);
    assert_eq!(
        (&last["next_cursor"], &last["complete"], &last["looked_back_to"]),
        (&Value::Null, &json!(true), &Value::Null)
    );
    let server = format!("http://{}", app.address);
    let laptop = Builder::bare().unset("CREEL_LISTEN").unset("CREEL_DATABASE");
    let laptop = laptop.set("CREEL_ADMIN_TOKEN", ADMIN_TOKEN);
    let outcome = laptop.run(&["messages", "missing", "--server", &server]);
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""), "{}", outcome.stderr);
    let second = received_at.split('.').next().unwrap();
    let report = format!("searched back to {second}");
    assert!(
        outcome.stderr.contains(&report) && outcome.stderr.contains("continuing with older items"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn listed_message_has_the_number_of_its_deliveries() {
    let target = Target::start();
    let app = builder().set("CREEL_TARGET_WELL_URL", target.url("/")).start();
    push(&app, "one", "{}");
    target.wait_for(1);
    let counts = || answered(&app, &get("/messages"), 200)["items"][0]["delivery_counts"].clone();
    eventually("the delivery is counted", std::time::Duration::from_secs(10), || counts()["delivered"] == 1);
    assert_eq!((&counts()["pending"], &counts()["dead"]), (&json!(0), &json!(0)));
}

#[test]
fn mistake_in_a_query_has_its_position_and_the_nearest_name() {
    let app = service();
    push(&app, "one", "{}");
    emit(&app, "order.shipped", None, json!({}));
    assert_rows(
        &app,
        &[
            row(
                get("/messages?q=push%20srouce:github"),
                422,
                &["invalid_search", "srouce is not a key", "did you mean source:?", "\"position\":5"],
                &[],
            ),
            row(get("/messages?q=%22open"), 422, &["the closing quotation mark is missing"], &[]),
            row(
                get("/messages?source=githbu"),
                404,
                &["unknown_name", "the nearest is \\\"github\\\""],
                &["position"],
            ),
            row(get("/messages?q=source:shpo"), 404, &["the nearest is \\\"shop\\\""], &[]),
            row(get("/messages?q=source:shpo%20order"), 404, &["unknown_name"], &[]),
            row(get("/messages?source=git*"), 404, &["source", "is not known"], &[]),
            row(get("/messages?source=%27%20OR%201=1--"), 404, &["is not known"], &[]),
            row(
                get("/messages?event=github.pussh"),
                404,
                &["the nearest is \\\"github.push\\\"", "a pattern with"],
                &[],
            ),
            row(get("/messages?event=github%25"), 404, &["github.push"], &[]),
            row(get("/messages?event=pay%3Finfo.paid"), 404, &["pay_info.paid"], &[]),
            row(get("/messages?q=event:order.shiped"), 404, &["nearest is \\\"order.shipped\\\""], &[]),
            row(get("/messages?q=to:nowhere"), 404, &["to: ", "is not known"], &[]),
            row(get("/messages?q=-to:nowhere"), 404, &["unknown_name"], &[]),
            // Known without a message, because it is configured, declared or listed.
            row(get("/messages?source=shop"), 200, &[], &[]),
            row(get("/messages?event=pay_info.paid"), 200, &[], &[]),
            row(get("/messages?event=github.pull_request"), 200, &[], &[]),
            row(get("/messages?q=event:release"), 200, &[], &[]),
            row(get("/messages?event=githbu.*"), 200, &[], &[]),
            row(post("/replays", &json!({"filter": {"source": "githbu"}})), 404, &["unknown_name"], &[]),
            // Only the first page is checked, and sources and events only if it is empty.
            row(get("/messages?source=githbu&cursor=2"), 200, &[], &[]),
            row(get("/messages?q=-source:shpo"), 200, &[], &[]),
            row(post("/replays", &json!({"filter": {"q": "is:daed"}})), 422, &["did you mean is:dead?"], &[]),
            row(get("/messages/stream?q=%22open"), 422, &["invalid_search"], &[]),
        ],
    );
    // Later messages can have any name.
    let tail = get("/messages/stream?q=source:githbu");
    EventStream::open(app.address, &tail).until("watching");
}

#[test]
fn message_shows_headers_and_payload_as_json() {
    let app = service();
    let body = r#"{ "n": 1e999, "s": "\ud800 \u0000", "n": 2 }"#;
    let id = push(&app, "one", body);
    let reply = app.send(&get(&format!("/messages/{id}")));
    assert!(reply.text().contains(&format!("\"payload\":{body}")), "{}", reply.text());
    assert!(reply.text().contains(r#""x-github-delivery":"one""#), "{}", reply.text());
    let emitted = emit(&app, "pay_info.paid", Some("ann"), json!([1, {"a": null}]));
    let one = answered(&app, &get(&format!("/messages/{emitted}")), 200);
    assert_eq!(one["content"]["payload"], json!([1, {"a": null}]));
    assert_eq!(one["content"]["headers"], json!({"content-type": "application/json"}));
    assert_eq!((&one["owner"], &one["event"]), (&json!("ann"), &json!("pay_info.paid")));
    assert_eq!((&one["deliveries"], &one["confirmation_details"]), (&json!([]), &Value::Null));
}

#[test]
fn long_payload_is_only_in_the_body() {
    let app = service();
    let body = format!("[\"{}\"]", "x".repeat(1 << 20));
    let id = push(&app, "long", &body);
    let one = answered(&app, &get(&format!("/messages/{id}")), 200);
    assert_eq!(
        (&one["content"]["payload"], &one["content"]["payload_left_out"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(app.send(&get(&format!("/messages/{id}/body"))).body, body.as_bytes());
}

#[test]
fn body_is_a_download_that_browsers_do_not_run() {
    let app = service();
    let body = "<script>alert(1)</script>\0";
    let request =
        crate::harness::sign::github("html", body).replace("Content-Type", "text/html; charset=utf-8");
    assert_eq!(app.send(&request).status, 200);
    let reply = app.send(&get("/messages/1/body"));
    assert_eq!((reply.status, reply.body.as_slice()), (200, body.as_bytes()));
    for (name, value) in [
        ("content-type", "application/octet-stream"),
        ("content-disposition", "attachment; filename=\"message-1\""),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("cache-control", "no-store"),
        ("x-creel-content-type", "text/html; charset=utf-8"),
    ] {
        assert_eq!(reply.header(name), Some(value), "{name}");
    }
    assert_rows(&app, &[row(get("/messages/2/body"), 404, &["not_found"], &[])]);
    let head = app.send(&get("/messages/1/body").method("HEAD"));
    assert_eq!((head.status, head.header("content-length")), (200, Some("26")));
}

#[test]
fn message_without_body_has_empty_body() {
    let app = TestApp::builder()
        .set("CREEL_SOURCE_OPEN_PROVIDER", "none")
        .set("CREEL_SOURCE_OPEN_PATH", super::SHOP_PATH)
        .start();
    let request = Request::post(&format!("/webhooks/open/{}", super::SHOP_PATH));
    assert!(app.send(&request).status < 300);
    let one = answered(&app, &get("/messages/1"), 200);
    assert_eq!((&one["body_bytes"], &one["content"]["payload"]), (&json!(0), &Value::Null));
    let reply = app.send(&get("/messages/1/body"));
    assert_eq!((reply.status, reply.body.len()), (200, 0));
}
