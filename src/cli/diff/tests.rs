//! Reports of replies.

use serde_json::{Value, json};

use super::*;

fn head(id: i64) -> Value {
    json!({
        "id": id, "received_at": "2026-11-22T14:31:00.123456Z", "source": "github", "event": "github.push",
        "owner": null, "delivery_id": "d", "method": "POST", "query": null, "remote_ip": "192.0.2.7",
        "body_sha256": "ab", "body_bytes": id, "not_json": false, "body_unsigned": false, "unverified": false,
        "conflict_of": null, "duplicates": 0, "last_duplicate_at": null, "confirmation": null,
    })
}

/// Returns the report without the lines of the two messages.
fn shown_diff(more: &Value, style: Style) -> String {
    let mut diff = json!({
        "left": head(42), "right": head(41), "different": true, "hidden": 0, "fields": [], "headers": [],
        "body": {"same_bytes": false, "method": "json", "limitation": null, "changes": [], "lines": [], "left_out": 0},
    });
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Object(body) => diff[name].as_object_mut().unwrap().extend(body.clone()),
            other => diff[name] = other.clone(),
        }
    }
    let report = report(&serde_json::from_str(&diff.to_string()).unwrap(), style);
    let rest = report.strip_prefix(
        "left   #42  2026-11-22T14:31:00Z  github.push  42 B\nright  #41  2026-11-22T14:31:00Z  github.push  41 B\n",
    );
    rest.unwrap().to_owned()
}

const PLAIN: Style = Style { is_coloured: false };

fn change(kind: &str, more: &Value) -> Value {
    let mut change = json!({"kind": kind, "path": "/a/0", "right_path": null, "words": [], "noise": false});
    change.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"body": {"changes": [change]}})
}

#[test]
fn each_difference_is_a_line() {
    let words = json!([
        {"side": "both", "text": "a long beginning of both texts "}, {"side": "left", "text": "x"},
        {"side": "right", "text": "y"}, {"side": "both", "text": " and a very long part in the middle of both "},
        {"side": "right", "text": "z"},
    ]);
    for (more, expected) in [
        (
            json!({"fields": [{"name": "event", "left": "a.b", "right": "a.c", "noise": false}]}),
            "event  a.b | a.c\n",
        ),
        (
            json!({"fields": [{"name": "query", "left": null, "right": "a=1", "noise": false}]}),
            "query  > a=1\n",
        ),
        (
            json!({"headers": [{"name": "x-a", "left": ["1", "\u{1a}gr\u{fc}n"], "right": [], "noise": false}]}),
            "header x-a  1, gr\u{fc}n <\n",
        ),
        (change("changed", &json!({"left": 1, "right": 2})), "/a/0  1 | 2\n"),
        (change("changed", &json!({"left": null, "right": "\u{1b}\n"})), "/a/0  null | \"\\u001b\\n\"\n"),
        (change("changed", &json!({"path": "", "left": 1, "right": []})), "(body)  1 | []\n"),
        (change("changed", &json!({"right_path": "/a/1", "left": 1, "right": 2})), "/a/0 -> /a/1  1 | 2\n"),
        (change("only_left", &json!({"left": {"b": 1}})), "/a/0  {\"b\":1} <\n"),
        (change("only_right", &json!({"right": null})), "/a/0  > null\n"),
        (change("moved", &json!({"right_path": "/a/2"})), "/a/0  moved to /a/2\n"),
        (
            change("changed", &json!({"left": "", "right": "", "words": words})),
            "/a/0  …nning of both texts [-x-]{+y+} and a very long par… the middle of both {+z+}\n",
        ),
        (change("a_later_kind", &json!({"left": 1, "right": 2})), "/a/0  1 | 2\n"),
        (change("changed", &json!({"path": "/\n\u{202e}", "left": 1, "right": 2})), "/\\n\\u{202e}  1 | 2\n"),
    ] {
        let shown = shown_diff(&more, PLAIN);
        let expected = match more.get("body") {
            Some(_) => expected.to_owned(),
            None => format!("{expected}body: other bytes, same JSON\n"),
        };
        assert_eq!(shown, expected);
    }
}

#[test]
fn remarks_explain_method_and_counts() {
    let lines =
        json!([{"left_line": 3, "left": ["a\n", "b\n"], "right_line": 4, "right": ["c"], "noise": false}]);
    let by_lines = json!({"body": {"method": "lines", "limitation": "not_json", "lines": lines}});
    assert_eq!(
        shown_diff(&by_lines, PLAIN),
        "line 3  a | c\nline 4  b <\nbody: compared by lines (not JSON)\n"
    );
    let breaks = json!([{"left_line": 1, "left": ["a\n"], "right_line": 1, "right": ["a"], "noise": false}]);
    let by_breaks = json!({"body": {"method": "lines", "limitation": "not_json", "lines": breaks}});
    assert_eq!(shown_diff(&by_breaks, PLAIN), "line 1  a\\n | a\nbody: compared by lines (not JSON)\n");
    let by_bytes = json!({"body": {"method": "bytes", "limitation": "binary"}});
    assert_eq!(
        shown_diff(&by_bytes, PLAIN),
        "body  42 bytes, SHA-256 ab | 41 bytes, SHA-256 ab\nbody: compared by bytes (not text)\n"
    );
    let hidden = json!({"hidden": 2, "different": false});
    assert_eq!(shown_diff(&hidden, PLAIN), "hidden: 2 differences of ids and times\nno differences\n");
    let same = json!({"different": false, "body": {"same_bytes": true, "method": "bytes"}});
    assert_eq!(shown_diff(&same, PLAIN), "no differences\n");
    let one = json!({"body": {"left_out": 1}});
    assert_eq!(shown_diff(&one, PLAIN), "not listed: 1 difference of the body\n");
}

#[test]
fn long_values_are_cut_and_sides_have_colours() {
    let long = change("only_left", &json!({"left": "a".repeat(200)}));
    assert_eq!(shown_diff(&long, PLAIN), format!("/a/0  \"{}… <\n", "a".repeat(MAX_SHOWN_CHARACTERS - 1)));
    let change = change("changed", &json!({"left": 1, "right": 2}));
    let expected = "\u{1b}[1m/a/0\u{1b}[0m  \u{1b}[31m1\u{1b}[0m | \u{1b}[32m2\u{1b}[0m\n";
    assert_eq!(shown_diff(&change, Style { is_coloured: true }), expected);
}
