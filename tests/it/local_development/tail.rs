//! The stream of all messages.

use super::{QUIET_TIME, as_admin, builder, get, open, push};
use crate::harness::events::EventStream;
use crate::harness::sign;

#[test]
fn watcher_receives_each_message_live() {
    let app = builder().start();
    push(&app, "0");
    let mut stream = open(&app, "/messages/stream");
    assert_eq!(stream.next().kind, "watching");
    let id = push(&app, "{\"secret\":1}");
    let event = stream.next();
    assert_eq!((event.kind.as_str(), event.id), ("message", Some(id)));
    assert_eq!(event.data["event"], "github.push");
    assert!(event.data["confirmation"].is_null());
    assert!(!event.data.to_string().contains("secret"), "no content");
    let issue = sign::github("issue", r#"{"action":"opened"}"#).replace("X-GitHub-Event", "issues");
    let mut only_issues = open(&app, "/messages/stream?events=*.issues.*");
    only_issues.next();
    push(&app, "2");
    assert!(app.send(&issue).status < 300);
    assert_eq!(only_issues.next().data["event"], "github.issues.opened");
    assert!(only_issues.next_within(QUIET_TIME).is_err());
}

#[test]
fn stream_begins_at_requested_message_and_resumes() {
    let app = builder().start();
    let ids: Vec<i64> = (0..250).map(|number| push(&app, &number.to_string())).collect();
    let mut stream = open(&app, &format!("/messages/stream?from={}", ids[9]));
    stream.next();
    let found: Vec<i64> = (10..250).map(|_| stream.next().id.unwrap()).collect();
    assert_eq!(found, ids[10..]);
    let again = get("/messages/stream?from=now").header("Last-Event-ID", ids[247].to_string());
    let mut again = EventStream::open(app.address, &again);
    again.next();
    let new = push(&app, "new");
    assert_eq!([0, 1, 2].map(|_| again.next().id.unwrap()), [ids[248], ids[249], new]);
}

#[test]
fn long_search_without_a_match_sends_comments() {
    let app = builder().set("CREEL_SEARCH", "off").start();
    push(&app, "{}");
    app.database().copy_message(4_500);
    let search = as_admin(get("/messages/stream?from=0&q=missing"));
    let mut stream = EventStream::open(app.address, &search);
    assert_eq!(stream.next().kind, "watching");
    let id = push(&app, r#"{"missing":1}"#);
    assert_eq!(stream.next().id, Some(id));
    // One for each page of 2,000 messages that is not the last.
    assert!(stream.comments >= 2, "{}", stream.comments);
}
