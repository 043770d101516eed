//! The status of the index, its metrics, and its life from the first message to the last.

use serde_json::{Value, json};

use super::{
    get, index_files, indexed, page_of, path_of_index, push_words, search, status, wait_until_indexed, words,
};
use crate::harness::load::Load;
use crate::harness::{ADMIN_TOKEN, Request, TestApp, allow, eventually, sign};

const READ_TOKEN: &str = "read-token-of-the-tests-0123456789";
/// More than the messages that a page examines without an index.
const MANY_MESSAGES: usize = 20_500;
const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);

#[test]
fn words_of_all_parts_are_found_after_indexing() {
    let app = TestApp::github().start();
    let request = sign::github("deliveryword", r#"{"order":{"note":"body M\u00fcller word"}}"#)
        .target("/webhooks/github?part=queryword")
        .header("X-Part", "headerword");
    assert_eq!(app.send(&request).status, 200);
    let id = app.database().only_message().id;
    let status = wait_until_indexed(&app);
    for query in ["deliveryword", "müller", "queryword", "headerword", "order note", "mül*", "event:push"] {
        assert_eq!(search(&app, query), [id], "{query}");
    }
    assert!(search(&app, "elivery").is_empty() && search(&app, "-note").is_empty());
    assert_eq!((&status["indexed_through"], &status["newest"]), (&json!(id), &json!(id)));
    assert!(status["bytes"].as_u64() > Some(0) && status["generations"].as_u64() >= Some(1), "{status}");
    assert_eq!(status["reason"], Value::Null);
    assert!(path_of_index(app.path()).exists());
}

/// A complete page shows that the index was used: without it, a page stops at a limit.
#[test]
fn absent_word_needs_one_page_of_many_messages() {
    let app = TestApp::github().start();
    let load = Load::with_padding(app.address, 16, 8);
    load.wait_for_more(MANY_MESSAGES, allow(MINUTE));
    load.finish();
    wait_until_indexed(&app);
    for query in ["absentword", "absentword push", "before:1d marker"] {
        let reply = app.send(&get(&page_of(query, None)));
        let page: Value = serde_json::from_slice(&reply.body).unwrap();
        assert_eq!((&page["items"], &page["complete"]), (&json!([]), &json!(true)), "{query}");
        assert_eq!((&page["next_cursor"], &page["looked_back_to"]), (&Value::Null, &Value::Null), "{query}");
    }
}

#[test]
fn status_needs_a_token_and_accepts_the_read_token() {
    let app = TestApp::github().set("CREEL_READ_TOKEN", READ_TOKEN).start();
    let request = Request::get("/api/v1/search/status");
    assert_eq!(app.send(&request).status, 401);
    for token in [READ_TOKEN, ADMIN_TOKEN] {
        let reply = app.send(&request.clone().header("Authorization", format!("Bearer {token}")));
        assert_eq!(reply.status, 200, "{}", reply.text());
        let status: Value = serde_json::from_slice(&reply.body).unwrap();
        let states = ["ready", "indexing"];
        assert!(status["state"].as_str().is_some_and(|state| states.contains(&state)), "{status}");
    }
}

#[test]
fn metrics_describe_the_index() {
    let (app, expected) = indexed(&TestApp::github(), "kiwi", 5);
    let metrics = app.metrics();
    for name in ["creel_search_lag_messages", "creel_search_bytes", "creel_search_indexed_total"] {
        assert!(metrics.contains(&format!("# TYPE {name} ")), "{name} is missing:\n{metrics}");
    }
    assert!(app.metric("creel_search_lag_messages").abs() < 0.5, "{metrics}");
    assert!(app.metric("creel_search_bytes") > 0.0, "{metrics}");
    assert!(app.metric("creel_search_indexed_total") >= expected.len() as f64, "{metrics}");
}

#[test]
fn search_without_index_removes_its_files_and_still_finds() {
    let (app, mut expected) = indexed(&TestApp::github(), "kiwi", 20);
    assert!(!index_files(app.path()).is_empty());
    let app = app.stop().set("CREEL_SEARCH", "off").start();
    assert_eq!(status(&app), json!({"state": "off"}));
    eventually("the files are removed", allow(MINUTE / 6), || index_files(app.path()).is_empty());
    let more = words("plum", 5);
    expected.extend(more.iter().cloned().zip(push_words(&app, &more)));
    super::assert_found(&app, &expected);
    assert!(index_files(app.path()).is_empty(), "{:?}", index_files(app.path()));
    // The index is built again from all messages.
    let app = app.stop().set("CREEL_SEARCH", "on").start();
    assert_eq!(wait_until_indexed(&app)["messages"], expected.len());
    super::assert_found(&app, &expected);
}

#[test]
fn index_is_empty_after_retention_removed_all_messages() {
    let app = TestApp::github().start();
    let mut connection = app.connect();
    // Different words in each message, so that the index has a size to lose.
    for number in 0..1_500 {
        let text: String = (0..40).map(|word| format!("w{}x{word} ", number * 7_919 % 100_003)).collect();
        let body = format!(r#"{{"text":"{text}"}}"#);
        assert_eq!(connection.exchange(&sign::github(&format!("id-{number}"), body)).status, 200);
    }
    let full = wait_until_indexed(&app)["bytes"].as_u64().unwrap();
    assert!(full > 300_000, "{full}");
    let builder = app.stop();
    let expired = "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-8 days')";
    builder.database().change(&format!("UPDATE messages SET received_at = {expired}"));
    let app = builder.set("CREEL_CLEANUP_INTERVAL", "1s").start();
    eventually("all messages are deleted", allow(MINUTE / 2), || app.database().count("messages") == 0);
    eventually("the generations are dropped", allow(MINUTE / 2), || {
        let status = status(&app);
        status["generations"] == 0 && status["messages"] == 0 && status["bytes"].as_u64() < Some(full / 4)
    });
    assert!(search(&app, "w7919x3").is_empty() && search(&app, "text").is_empty());
    let ids = push_words(&app, &words("kiwi", 1));
    wait_until_indexed(&app);
    assert_eq!(search(&app, "kiwi0"), ids);
}
