//! Rejections: their causes, re-verification after a corrected secret, and forced release.

use serde_json::{Value, json};

use super::{SHOP_PATH, SHOP_TOKEN, answered, assert_rows, builder, get, post, reject_some, row, service};
use crate::harness::sign::{self, OTHER_SECRET, SECRET};
use crate::harness::{Request, TestApp, eventually};

fn recheck(app: &TestApp, id: i64) -> Value {
    answered(app, &post(&format!("/rejections/{id}/recheck"), &Value::Null).body(""), 200)
}

fn release(id: i64) -> Request {
    post(&format!("/rejections/{id}/release"), &Value::Null).body("")
}

/// Sends a request that fails verification, and returns the id of its rejection.
#[track_caller]
fn rejected(app: &TestApp, request: &Request) -> i64 {
    let before = app.database().count("rejections");
    assert!(app.send(request).status >= 400);
    eventually("the rejection is written", std::time::Duration::from_secs(10), || {
        app.database().count("rejections") > before
    });
    app.database().value("SELECT max(id) FROM rejections")
}

#[test]
fn rejections_are_listed_with_cause_without_credentials() {
    let app = service();
    reject_some(&app);
    let list = answered(&app, &get("/rejections"), 200);
    assert_eq!(list["items"].as_array().unwrap().len(), 2, "{list}");
    let secrets = ["wrong-token-of-a-stranger", SHOP_TOKEN, SHOP_PATH];
    let count = |query: &str| {
        answered(&app, &get(&format!("/rejections{query}")), 200)["items"].as_array().unwrap().len()
    };
    assert_eq!(
        [
            count("?source=github"),
            count("?cause=signature_mismatch"),
            count("?source=shop&cause=token_mismatch"),
            count("?source=shop&cause=signature_mismatch"),
            count("?source=git%25"),
            count("?limit=1&cursor=2"),
        ],
        [1, 1, 1, 0, 0, 1]
    );
    assert_rows(
        &app,
        &[
            row(
                get("/rejections/1"),
                200,
                &["signature_mismatch", "check that the secret", r#"\"forged\":true"#, "x-hub-signature-256"],
                &secrets,
            ),
            row(
                get("/rejections/2"),
                200,
                &["token_mismatch", "[redacted]", "\"body_bytes\":2", "\"candidate\":true"],
                &secrets,
            ),
            row(get("/rejections/3"), 404, &["not_found"], &[]),
            row(get("/rejections?since=1h&source=github"), 200, &["signature_mismatch"], &["token_mismatch"]),
            row(get("/rejections?until=1h"), 200, &["\"items\":[]"], &[]),
            row(get("/rejections?since=soon"), 422, &["since"], &[]),
            row(get("/rejections/recheck"), 405, &["method_not_allowed"], &[]),
            row(get("/rejections?cause=%00"), 422, &["cause"], &[]),
        ],
    );
    let body = app.send(&get("/rejections/1/body"));
    assert_eq!(body.header("content-disposition"), Some("attachment; filename=\"rejection-1\""));
    assert_eq!(body.text(), r#"{"forged":true}"#);
}

#[test]
fn rejection_is_released_after_secret_is_corrected() {
    let app = builder().set("CREEL_SOURCE_GITHUB_SECRET", OTHER_SECRET).start();
    let id = rejected(&app, &sign::github("late", r#"{"ref":"main"}"#));
    let still = recheck(&app, id);
    assert_eq!((&still["verdict"], &still["cause"]), (&json!("refused"), &json!("signature_mismatch")));
    assert_eq!((app.database().count("rejections"), app.database().count("messages")), (1, 0));
    let received_at: String = app.database().value("SELECT received_at FROM rejections");
    let app = app.stop().set("CREEL_SOURCE_GITHUB_SECRET", SECRET).start();
    let now = recheck(&app, id);
    assert_eq!(
        (&now["verdict"], &now["message_id"], &now["duplicate"]),
        (&json!("accepted"), &json!(1), &json!(false))
    );
    let message = app.database().only_message();
    assert_eq!((message.received_at, message.delivery_id.as_deref()), (received_at, Some("late")));
    assert_eq!((message.event.as_str(), message.body.as_slice()), ("github.push", &br#"{"ref":"main"}"#[..]));
    let unverified: i64 = app.database().value("SELECT unverified FROM messages");
    assert_eq!((unverified, app.database().count("rejections")), (0, 0));
    assert_rows(&app, &[row(release(id), 404, &["not_found"], &[])]);
    // A redelivery by the provider is a duplicate.
    assert_eq!(app.send(&sign::github("late", r#"{"ref":"main"}"#)).status, 200);
    assert_eq!(app.database().only_message().duplicates, 1);
}

#[test]
fn released_duplicate_is_only_counted() {
    let app = builder().set("CREEL_SOURCE_GITHUB_SECRET", OTHER_SECRET).start();
    let request = sign::github("twice", "{}");
    let id = rejected(&app, &request);
    let app = app.stop().set("CREEL_SOURCE_GITHUB_SECRET", SECRET).start();
    assert_eq!(app.send(&request).status, 200);
    let now = recheck(&app, id);
    assert_eq!((&now["message_id"], &now["duplicate"]), (&json!(1), &json!(true)));
    assert_eq!((app.database().only_message().duplicates, app.database().count("rejections")), (1, 0));
}

#[test]
fn signed_timestamp_is_verified_at_reception_time() {
    let app = builder().set("CREEL_SOURCE_STRIPE_SECRET", SECRET).start();
    let an_hour_ago = sign::now() - 3_600;
    let id = rejected(&app, &sign::stripe(&an_hour_ago.to_string(), "{}"));
    assert_eq!(recheck(&app, id)["cause"], "stale_timestamp");
    // Moves the reception back one hour: another check rejected the request while it was fresh.
    app.database()
        .change("UPDATE rejections SET received_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-1 hour')");
    assert_eq!(recheck(&app, id)["verdict"], "accepted");
    assert_eq!(app.database().count("messages"), 1);
}

#[test]
fn rejection_without_body_never_becomes_a_message() {
    let app = service();
    let request = Request::post(&format!("/webhooks/shop/{SHOP_PATH}")).body("{}");
    let id = rejected(&app, &request);
    let one = answered(&app, &get(&format!("/rejections/{id}")), 200);
    assert_eq!((&one["candidate"], &one["body_bytes"]), (&json!(false), &Value::Null));
    assert_eq!(recheck(&app, id)["cause"], "missing_header");
    assert_rows(
        &app,
        &[
            row(release(id), 409, &["not_releasable", "not stored"], &[]),
            row(get(&format!("/rejections/{id}/body")), 409, &["not_releasable"], &[]),
        ],
    );
    assert_eq!((app.database().count("rejections"), app.database().count("messages")), (1, 0));
}

#[test]
fn token_rejection_becomes_a_message_after_token_is_corrected() {
    let app = builder().set("CREEL_SOURCE_SHOP_SECRET", "another token of the shop").start();
    let request =
        Request::post(&format!("/webhooks/shop/{SHOP_PATH}")).header("Shop-Token", SHOP_TOKEN).body("{}");
    let id = rejected(&app, &request);
    assert_eq!(recheck(&app, id)["cause"], "token_mismatch");
    let app = app.stop().set("CREEL_SOURCE_SHOP_SECRET", SHOP_TOKEN).start();
    let now = recheck(&app, id);
    assert_eq!((&now["verdict"], &now["message_id"]), (&json!("accepted"), &json!(1)));
    assert_eq!((app.database().count("rejections"), app.database().count("messages")), (0, 1));
}

#[test]
fn forced_release_is_flagged_unverified() {
    let app = service();
    let target = json!({"name": "all", "events": ["github.*"], "url": "http://127.0.0.1:9/"});
    answered(&app, &post("/targets", &target), 201);
    reject_some(&app);
    let released = answered(&app, &release(1), 200);
    assert_eq!(released, json!({"message_id": 1, "duplicate": false}));
    let one = answered(&app, &get("/messages/1"), 200);
    assert_eq!((&one["unverified"], &one["event"]), (&json!(true), &json!("github.push")));
    assert_eq!(one["content"]["payload"], json!({"forged": true}));
    assert_eq!(one["deliveries"][0]["target"], "all");
    assert_eq!(app.database().count("rejections"), 1);
}

#[test]
fn twenty_concurrent_releases_store_one_message() {
    let app = service();
    reject_some(&app);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..20).map(|_| scope.spawn(|| app.send(&release(1)).status)).collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 404].contains(status)), "{statuses:?}");
    assert_eq!((app.database().count("messages"), app.database().count("rejections")), (1, 1));
}

#[test]
fn removed_source_cannot_verify_rejections() {
    let app = service();
    reject_some(&app);
    let app = app.stop().unset("CREEL_SOURCE_GITHUB_SECRET").start();
    let again = |what: &str| post(&format!("/rejections/1/{what}"), &Value::Null).body("");
    assert_rows(
        &app,
        &[
            row(again("recheck"), 409, &["not_releasable", "github", "no longer configured"], &[]),
            row(again("release"), 409, &["not_releasable"], &[]),
        ],
    );
}

#[test]
fn sources_show_their_url_and_counts() {
    let app = builder().set("CREEL_PUBLIC_URL", "https://hooks.example.com").start();
    super::push(&app, "one", "{}");
    reject_some(&app);
    let list = answered(&app, &get("/sources"), 200);
    let named = |name: &str| {
        list["items"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone()
    };
    let github = named("github");
    assert_eq!(github["endpoint"], "https://hooks.example.com/webhooks/github");
    assert_eq!((&github["recent_messages"], &github["rejections"]), (&json!(1), &json!(1)));
    assert_eq!((&github["covers_body"], &github["methods"]), (&json!(true), &json!(["POST"])));
    assert!(github["last_message_at"].is_string(), "{github}");
    let shop = named("shop");
    assert_eq!(shop["endpoint"], format!("https://hooks.example.com/webhooks/shop/{SHOP_PATH}"));
    assert_eq!((&shop["provider"], &shop["covers_body"]), (&json!("token"), &json!(false)));
    assert_eq!(shop["last_message_at"], Value::Null);
    let for_readers = super::with_token(Request::get("/api/v1/sources"), super::READ_TOKEN);
    assert_rows(&app, &[row(for_readers, 200, &["/webhooks/shop/…"], &[SHOP_PATH])]);
}

#[test]
fn query_selects_rejections_and_counts_them_in_messages() {
    let app = service();
    reject_some(&app);
    let found = |path: &str| answered(&app, &get(path), 200);
    let ids = |query: &str| -> Vec<i64> {
        let page = found(&format!("/rejections?q={query}"));
        assert_eq!((&page["complete"], &page["looked_back_to"]), (&json!(true), &Value::Null), "{page}");
        page["items"].as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()).collect()
    };
    for (query, expected) in [
        ("", vec![2, 1]),
        ("is:rejected", vec![2, 1]),
        (".forged:true", vec![1]),
        ("forged+-source:shop", vec![1]),
        ("source:shop+after:1h", vec![2]),
        ("before:1h", vec![]),
        ("event:github.*", vec![]),
        // Credentials are not searched.
        ("stranger", vec![]),
        ("header.authorization:*", vec![]),
    ] {
        assert_eq!(ids(query), expected, "{query}");
    }
    let count = |query: &str| found(&format!("/messages?{query}"))["matching_rejections"].clone();
    let counted = |count: u32| json!({ "count": count, "complete": true });
    for (query, expected) in [
        ("q=is:rejected", counted(2)),
        ("q=forged", counted(1)),
        ("q=forged&source=shop", counted(0)),
        ("text=true", counted(1)),
        ("source=shop&since=1h", counted(1)),
        ("until=1h", counted(0)),
        ("q=is:rejected&event=*", counted(0)),
        ("q=is:rejected&owner=ann", counted(0)),
        ("dead=true", counted(0)),
        ("", Value::Null),
        ("limit=5", Value::Null),
        ("q=is:rejected&cursor=9", Value::Null),
    ] {
        assert_eq!(count(query), expected, "{query}");
    }
    let refused = |path: &str, status, text: &'static str| row(get(path), status, &[text], &[]);
    assert_rows(
        &app,
        &[
            refused("/rejections?q=srouce:shop", 422, "did you mean source:? (at byte 0)"),
            refused("/rejections?q=source:shpo", 404, "shop"),
            refused("/rejections?q=to:nowhere", 404, "unknown_name"),
            refused("/messages?source=former", 404, "unknown_name"),
        ],
    );
    // A source that only rejections have is known.
    app.database().change("UPDATE rejections SET source = 'former' WHERE id = 2");
    assert_eq!(count("source=former"), counted(1));
    assert_eq!(ids("source:former"), [2]);
}

#[test]
fn command_line_searches_rejections() {
    let app = service();
    reject_some(&app);
    let server = format!("http://{}", app.address);
    let run = |arguments: &[&str]| {
        TestApp::builder().next_to(&app).run(&[arguments, &["--server", &server]].concat())
    };
    let found = run(&["rejections", "forged", "source:github"]).succeeded();
    assert!(found.starts_with("#1  ") && found.lines().count() == 1, "{found}");
    assert_eq!(run(&["rejections", "event:github.*"]).succeeded(), "");
    let messages = run(&["messages", "is:rejected", "!.forged:false", "--since", "1h"]);
    assert_eq!((messages.code, messages.stdout.as_str()), (Some(0), ""));
    let command = format!("creel rejections --server {server} --since 1h 'is:rejected !.forged:false'");
    let note = format!(
        "creel: 2 rejected requests in quarantine match: {command}
"
    );
    assert_eq!(messages.stderr, note);
    assert_eq!(run(&["messages"]).stderr, "");
    assert_eq!(run(&["messages", "missing"]).stderr, "");
}
