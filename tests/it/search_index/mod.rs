//! The search index next to the database (`creel.db.search`): a cache whose loss, damage or age
//! never changes the results of a search.

mod crashes;
mod files;
mod restores;
mod status;

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{ADMIN_TOKEN, Builder, Connection, Request, TestApp, allow, eventually, sign};

/// Time for the index to include all messages of a test.
const INDEX_LIMIT: Duration = Duration::from_secs(30);

fn path_of_index(directory: &Path) -> PathBuf {
    directory.join("creel.db.search")
}

/// The files of the index that exist: the file itself, its WAL and its shared memory.
fn index_files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let is_index = |path: &PathBuf| {
        path.file_name().unwrap().to_str().is_some_and(|name| name.starts_with("creel.db.search"))
    };
    entries.filter(is_index).collect()
}

fn get(path: &str) -> Request {
    Request::get(&format!("/api/v1{path}")).header("Authorization", format!("Bearer {ADMIN_TOKEN}"))
}

#[track_caller]
fn json(connection: &mut Connection, path: &str) -> Value {
    let reply = connection.exchange(&get(path));
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

#[track_caller]
fn status(app: &TestApp) -> Value {
    json(&mut app.connect(), "/search/status")
}

/// Waits until every message is indexed, and returns the status.
#[track_caller]
fn wait_until_indexed(app: &TestApp) -> Value {
    let messages = app.database().count("messages");
    let newest = app.database().value::<Option<i64>>("SELECT max(id) FROM messages");
    let mut last = Value::Null;
    eventually("every message is indexed", allow(INDEX_LIMIT), || {
        last = status(app);
        let includes_newest = newest.is_none_or(|id| last["indexed_through"].as_i64() >= Some(id));
        last["state"] == "ready"
            && last["lag_messages"] == 0
            && last["messages"] == messages
            && includes_newest
    });
    last
}

/// The path of a page of at most 200 messages that match the query.
fn page_of(query: &str, cursor: Option<i64>) -> String {
    let mut parameters = form_urlencoded::Serializer::new(String::new());
    parameters.append_pair("q", query).append_pair("limit", "200");
    if let Some(cursor) = cursor {
        parameters.append_pair("cursor", &cursor.to_string());
    }
    format!("/messages?{}", parameters.finish())
}

/// All matching messages, from as many pages as the search needs.
#[track_caller]
fn search_on(connection: &mut Connection, query: &str) -> Vec<i64> {
    let mut ids = Vec::new();
    let mut cursor = None;
    loop {
        let page = json(connection, &page_of(query, cursor));
        ids.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()));
        cursor = page["next_cursor"].as_i64();
        if cursor.is_none() {
            break;
        }
    }
    assert!(ids.is_sorted_by(|a, b| a > b), "{query}: not newest first, or repeated: {ids:?}");
    ids
}

#[track_caller]
fn search(app: &TestApp, query: &str) -> Vec<i64> {
    search_on(&mut app.connect(), query)
}

/// Sends a push for each word, with the word in the body and in the delivery id, and returns the
/// message ids.
#[track_caller]
fn push_words(app: &TestApp, words: &[String]) -> Vec<i64> {
    let mut connection = app.connect();
    let mut ids = Vec::new();
    for word in words {
        let body = format!(r#"{{"commits":[{{"message":"Change {word}"}}],"forced":false}}"#);
        assert_eq!(connection.exchange(&sign::github(&format!("id-{word}"), body)).status, 200, "{word}");
        ids.push(app.database().newest_message().id);
    }
    ids
}

/// Words that no other message of a test has: `kiwi0`, `kiwi1`, …
fn words(stem: &str, count: usize) -> Vec<String> {
    (0..count).map(|number| format!("{stem}{number}")).collect()
}

/// Asserts that each word finds exactly its message, and that the word of all messages finds all of
/// them.
#[track_caller]
fn assert_found(app: &TestApp, expected: &[(String, i64)]) {
    let mut connection = app.connect();
    for (word, id) in expected {
        assert_eq!(search_on(&mut connection, word), [*id], "{word}");
    }
    let mut ids: Vec<i64> = expected.iter().map(|(_, id)| *id).collect();
    ids.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(search_on(&mut connection, "commits"), ids);
}

/// A service with `count` indexed messages, and the word of each message.
#[track_caller]
fn indexed(builder: &Builder, stem: &str, count: usize) -> (TestApp, Vec<(String, i64)>) {
    let app = builder.start();
    let words = words(stem, count);
    let ids = push_words(&app, &words);
    wait_until_indexed(&app);
    (app, words.into_iter().zip(ids).collect())
}
