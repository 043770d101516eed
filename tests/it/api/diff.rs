//! The difference of two messages, through the API and on the command line.

use serde_json::{Value, json};

use super::{READ_TOKEN, answered, assert_rows, get, post, push, row, service, with_token};
use crate::harness::command::Outcome;
use crate::harness::{ADMIN_TOKEN, Builder, Request, TestApp, sign};

const OLD: &str = r#"{"ref":"main","n":1.0,"at":1790000000,"commits":[{"id":"a","ok":true},{"id":"b"}]}"#;
const NEW: &str =
    r#"{"n":1,"ref":"main","at":1790000001,"commits":[{"id":"b"},{"id":"a","ok":false}],"new":null}"#;

/// Runs `creel diff` on a machine with this token.
#[track_caller]
fn diff(app: &TestApp, token: &str, arguments: &[&str]) -> Outcome {
    let server = format!("http://{}", app.address);
    let arguments: Vec<&str> = ["diff"].iter().chain(arguments).copied().collect();
    let builder = Builder::bare().unset("CREEL_LISTEN").unset("CREEL_DATABASE");
    builder.set("CREEL_ADMIN_TOKEN", token).run(&[&arguments[..], &["--server", &server]].concat())
}

#[test]
fn changes_have_pointers_and_values_as_written() {
    let app = service();
    let (old, new) = (push(&app, "one", OLD), push(&app, "two", NEW));
    let reply = app.send(&get(&format!("/messages/{new}/diff/{old}")));
    assert_eq!((reply.status, reply.content_type()), (200, "application/json"), "{}", reply.text());
    for part in [
        r#"{"kind":"changed","path":"/n","right_path":null,"left":1,"right":1.0,"words":[],"noise":false}"#,
        r#""path":"/at","right_path":null,"left":1790000001,"right":1790000000,"words":[],"noise":true"#,
        r#"{"kind":"only_left","path":"/new","right_path":null,"left":null,"words":[],"noise":false}"#,
        r#""kind":"moved","path":"/commits/0","right_path":"/commits/1""#,
        r#""path":"/commits/1/ok","right_path":"/commits/0/ok","left":false,"right":true"#,
    ] {
        assert!(reply.text().contains(part), "{part} is not in\n{}", reply.text());
    }
    let all: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((&all["left"]["id"], &all["right"]["id"]), (&json!(new), &json!(old)));
    assert_eq!((&all["different"], &all["body"]["method"]), (&json!(true), &json!("json")));
    let headers: Vec<&Value> = all["headers"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert!(headers.contains(&&json!("x-github-delivery")), "{headers:?}");
    let hidden = answered(&app, &get(&format!("/messages/{new}/diff/{old}?hide_noise=true")), 200);
    assert_eq!(hidden["body"]["changes"].as_array().unwrap().len(), 4);
    assert!(hidden["hidden"].as_u64() >= Some(1));
    let itself = answered(&app, &get(&format!("/messages/{new}/diff/{new}")), 200);
    assert_eq!((&itself["different"], &itself["body"]["same_bytes"]), (&json!(false), &json!(true)));
}

#[test]
fn previous_is_newest_earlier_message_of_same_event() {
    let app = service();
    let emit = |event: &str, n: u32| {
        answered(&app, &post("/events", &json!({"event": event, "payload": {"n": n}})), 202);
    };
    emit("pay_info.paid", 1);
    emit("order.shipped", 2);
    push(&app, "one", "{}");
    emit("pay_info.paid", 3);
    let previous = answered(&app, &get("/messages/4/diff/previous"), 200);
    assert_eq!((&previous["right"]["id"], &previous["fields"]), (&json!(1), &json!([])));
    let change = &previous["body"]["changes"][0];
    assert_eq!((&change["path"], &change["left"], &change["right"]), (&json!("/n"), &json!(3), &json!(1)));
    let other = answered(&app, &get("/messages/4/diff/2"), 200);
    assert_eq!(
        other["fields"],
        json!([{"name": "event", "left": "pay_info.paid", "right": "order.shipped", "noise": false}])
    );
    assert_rows(
        &app,
        &[
            row(
                get("/messages/3/diff/previous"),
                404,
                &["no_previous_message", "Message 3 has no earlier"],
                &[],
            ),
            row(get("/messages/9/diff/previous"), 404, &["\"not_found\"", "Message 9 not found"], &[]),
            row(get("/messages/9/diff/1"), 404, &["Message 9 not found"], &[]),
            row(get("/messages/1/diff/9"), 404, &["Message 9 not found"], &[]),
            row(get("/messages/1/diff/0"), 404, &["not_found"], &[]),
            row(get("/messages/1/diff/next"), 404, &["not_found"], &[]),
            row(get("/messages/1/diff/2?hide_noise=1"), 400, &["hide_noise"], &[]),
            row(
                with_token(Request::get("/api/v1/messages/1/diff/2"), READ_TOKEN),
                403,
                &["forbidden"],
                &["left"],
            ),
        ],
    );
}

#[test]
fn bodies_that_are_not_json_are_compared_by_lines_or_bytes() {
    let app = service();
    let send = |id: &str, body: &[u8]| {
        let request = sign::github(id, body).replace("Content-Type", "text/plain");
        assert_eq!(app.send(&request).status, 200);
    };
    send("one", b"a\nb\n");
    send("two", b"a\nc\n");
    send("three", b"\xff\x00");
    let lines = answered(&app, &get("/messages/1/diff/2"), 200);
    let body = &lines["body"];
    assert_eq!((&body["method"], &body["limitation"]), (&json!("lines"), &json!("not_json")));
    assert_eq!(
        body["lines"],
        json!([{"left_line": 2, "left": ["b\n"], "right_line": 2, "right": ["c\n"], "noise": false}])
    );
    let bytes = answered(&app, &get("/messages/1/diff/3"), 200);
    let body = &bytes["body"];
    assert_eq!((&body["method"], &body["limitation"]), (&json!("bytes"), &json!("binary")));
    assert_eq!((&bytes["different"], &bytes["right"]["body_bytes"]), (&json!(true), &json!(2)));
    let shown = diff(&app, ADMIN_TOKEN, &["1", "3"]);
    assert!(
        shown.stdout.contains("body  4 bytes, SHA-256 ") && shown.stdout.contains(" | 2 bytes, SHA-256 ")
    );
}

#[test]
fn command_prints_a_line_for_each_difference() {
    let app = service();
    push(&app, "one", OLD);
    push(&app, "two", NEW);
    let outcome = diff(&app, ADMIN_TOKEN, &["2", "--previous"]);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(1), ""), "{}", outcome.stdout);
    for line in [
        "/n  1 | 1.0",
        "/at  1790000001 | 1790000000",
        "/new  null <",
        "/commits/0  moved to /commits/1",
        "/commits/1/ok -> /commits/0/ok  false | true",
        "header x-github-delivery  two | one",
    ] {
        assert!(outcome.stdout.lines().any(|found| found == line), "{line} is not in\n{}", outcome.stdout);
    }
    assert!(outcome.stdout.starts_with("left   #2  20") && !outcome.stdout.contains('\u{1b}'));
    let hidden = diff(&app, ADMIN_TOKEN, &["2", "1", "--hide-noise"]).stdout;
    assert!(
        !hidden.contains("/at") && hidden.contains("\nhidden: 2 differences of ids and times\n"),
        "{hidden}"
    );
    let json = diff(&app, ADMIN_TOKEN, &["2", "1", "--json"]);
    let parsed: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((json.code, &parsed["right"]["id"]), (Some(1), &json!(1)));
}

#[test]
fn exit_code_is_that_of_diff() {
    let app = service();
    push(&app, "one", OLD);
    let same = diff(&app, ADMIN_TOKEN, &["1", "1"]);
    assert_eq!(same.code, Some(0), "{}", same.stderr);
    assert!(same.stdout.ends_with("no differences\n"), "{}", same.stdout);
    for (token, arguments, problem) in [
        (ADMIN_TOKEN, &["1", "2"][..], "Message 2 not found"),
        (ADMIN_TOKEN, &["1", "--previous"], "Message 1 has no earlier message"),
        (READ_TOKEN, &["1", "1"], "admin token"),
        (ADMIN_TOKEN, &["1"], "Usage: creel diff"),
    ] {
        let outcome = diff(&app, token, arguments);
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(outcome.stderr.contains(problem), "{}", outcome.stderr);
    }
}
