//! Explanations of rejections, through the API and the command line.

use std::time::Duration;

use serde_json::{Value, json};

use super::{READ_TOKEN, SHOP_PATH, SHOP_TOKEN, answered, assert_rows, builder, get, post, row, with_token};
use crate::harness::sign::{self, OTHER_SECRET, SECRET};
use crate::harness::{Request, TestApp, eventually};

/// Sends a request that fails verification, and returns the explanation of its rejection.
#[track_caller]
fn explained(app: &TestApp, request: &Request) -> Value {
    let before = app.database().count("rejections");
    assert!(app.send(request).status >= 400);
    eventually("the rejection is written", Duration::from_secs(10), || {
        app.database().count("rejections") > before
    });
    let id: i64 = app.database().value("SELECT max(id) FROM rejections");
    let explained = answered(app, &get(&format!("/rejections/{id}/explanation")), 200);
    for secret in [SECRET, OTHER_SECRET, SHOP_TOKEN, SHOP_PATH] {
        assert!(!explained.to_string().contains(secret), "{explained}");
    }
    explained
}

fn fitting(explained: &Value) -> Vec<&str> {
    let trials = explained["trials"].as_array().unwrap().iter();
    trials.filter(|trial| trial["result"] == "fits").map(|trial| trial["name"].as_str().unwrap()).collect()
}

#[track_caller]
fn creel(app: &TestApp, arguments: &[&str]) -> String {
    let server = format!("http://{}", app.address);
    TestApp::builder().next_to(app).run(&[arguments, &["--server", &server]].concat()).succeeded()
}

#[test]
fn wrong_secret_is_explained_corrected_and_verified_again() {
    let app = builder()
        .set("CREEL_SOURCE_GITHUB_SECRET", OTHER_SECRET)
        .set("CREEL_SOURCE_STAGING_PROVIDER", "github")
        .set("CREEL_SOURCE_STAGING_SECRET", SECRET)
        .start();
    let found = explained(&app, &sign::github("late", r#"{"ref": "main"}"#));
    assert!(fitting(&found).contains(&"other_secret"), "{found}");
    assert_eq!((&found["cause"], &found["verifies"]), (&json!("signature_mismatch"), &json!(false)));
    assert_eq!(found["signed_text"], json!({ "bytes": 15, "first": "{\"ref\":·\"main\"}", "last": null }));
    let prefix = |name: &str| found[name].as_str().unwrap().to_owned();
    let (received, computed) = (prefix("received_signature"), prefix("computed_signature"));
    let signature =
        |secret: &str| sign::github_signature(secret, br#"{"ref": "main"}"#)["sha256=".len()..].to_owned();
    assert_eq!(
        (received.as_str(), computed.as_str()),
        (&signature(SECRET)[..8], &signature(OTHER_SECRET)[..8])
    );
    let id = found["id"].to_string();
    let shown = creel(&app, &["rejections", "show", &id]);
    for part in [
        "HMAC-SHA256 over `{body}`",
        "{\"ref\":·\"main\"}",
        &received,
        &computed,
        "source `staging`",
        "CREEL_SOURCE_GITHUB_SECRET",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains(SECRET) && !shown.contains(&signature(OTHER_SECRET)[..9]), "{shown}");
    let as_json: Value = serde_json::from_str(&creel(&app, &["rejections", "show", &id, "--json"])).unwrap();
    assert_eq!(as_json, found);

    let app = app.stop().set("CREEL_SOURCE_GITHUB_SECRET", SECRET).start();
    let now = answered(&app, &get(&format!("/rejections/{id}/explanation")), 200);
    assert_eq!((&now["verifies"], fitting(&now).len()), (&json!(true), 0));
    assert!(creel(&app, &["rejections", "show", &id]).contains("creel recheck"));
    let recheck = answered(&app, &post(&format!("/rejections/{id}/recheck"), &Value::Null).body(""), 200);
    assert_eq!(recheck["verdict"], "accepted");
    assert_rows(&app, &[row(get(&format!("/rejections/{id}/explanation")), 404, &["not_found"], &[])]);
}

#[test]
fn added_line_feed_and_wrong_token_are_explained() {
    let app = builder().start();
    let genuine = sign::github("line-feed", "{}");
    let found = explained(&app, &genuine.body("{}\n"));
    assert_eq!(fitting(&found), ["body_without_line_end"]);
    let shop = Request::post(&format!("/webhooks/shop/{SHOP_PATH}"));
    let found =
        explained(&app, &shop.clone().header("Shop-Token", format!("Bearer {SHOP_TOKEN}")).body("{}"));
    assert_eq!((fitting(&found), &found["cause"]), (vec!["token_form"], &json!("token_mismatch")));
    let found = explained(&app, &shop.header("Shop-Token", "unlike").body("{}"));
    assert!(found["advice"].to_string().contains("has 6 bytes"), "{found}");
    assert!(!found.to_string().contains("unlike"), "{found}");
}

#[test]
fn forbidden_address_is_explained_with_its_hops() {
    let app = builder()
        .set("CREEL_TRUSTED_PROXIES", "127.0.0.1 10.0.0.0/8")
        .set("CREEL_SOURCE_GITHUB_ALLOW_IPS", "198.51.100.0/24")
        .start();
    let request = sign::github("far", "{}").header("X-Forwarded-For", "198.51.100.7, 192.0.2.7, 10.1.2.3");
    let found = explained(&app, &request);
    let address = &found["address"];
    assert_eq!((&address["client"], &address["is_allowed"]), (&json!("192.0.2.7"), &json!(false)));
    let roles: Vec<&Value> = address["hops"].as_array().unwrap().iter().map(|hop| &hop["role"]).collect();
    assert_eq!(roles, ["unverified", "client", "trusted_proxy"]);
    assert!(found["advice"][0].as_str().unwrap().contains("CREEL_SOURCE_GITHUB_ALLOW_IPS"), "{found}");
}

#[test]
fn explanation_needs_the_admin_token_and_a_known_source() {
    let app = builder().set("CREEL_SOURCE_GITHUB_SECRET", OTHER_SECRET).start();
    explained(&app, &sign::github("late", "{}"));
    let path = "/api/v1/rejections/1/explanation";
    assert_rows(
        &app,
        &[
            row(with_token(Request::get(path), READ_TOKEN), 403, &["forbidden"], &["signature"]),
            row(Request::get(path), 401, &["unauthorized"], &[]),
            row(get("/rejections/2/explanation"), 404, &["not_found"], &[]),
            row(get("/rejections/1/explanation?body=x"), 400, &[], &[]),
        ],
    );
    app.database().change("UPDATE rejections SET source = 'former'");
    assert_rows(&app, &[row(get("/rejections/1/explanation"), 409, &["no longer configured"], &[])]);
}
