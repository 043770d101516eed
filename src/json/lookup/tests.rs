//! Paths and pointers into documents.

use super::*;

fn find(path: &str, document: &str) -> PathValue {
    JsonPath::parse(path).unwrap().find(document.as_bytes())
}

#[test]
fn path_traverses_objects_and_first_items() {
    let document = r#"{"a":{"b":[{"c":"x"},{"c":"y"}]},"n":1.50,"a2":"z","a2":"last"}"#;
    assert_eq!(find("a.b[].c", document), PathValue::Text("x".into()));
    assert_eq!(find("n", document), PathValue::Number("1.50".into()));
    assert_eq!(find("a2", document), PathValue::Text("last".into()));
    assert_eq!(find("a.b.c", document), PathValue::Absent);
    assert_eq!(find("a[].b", document), PathValue::Absent);
    assert_eq!(find("c", r#" [{"c":"x"}]"#), PathValue::Text("x".into()));
    assert_eq!(find("c", "\u{feff}{\"c\":1,\"o\":\"\\ud83d\",\"f\":1e400}"), PathValue::Number("1".into()));
    assert_eq!(
        find("/c/10001", &format!("{{\"c\":[{}1]}}", "0,".repeat(10_001))),
        PathValue::Number("1".into())
    );
    for broken in [
        "",
        "{",
        "[",
        "[]",
        "{\"c\"",
        "\"c\"",
        "nul",
        "{\"c\":1} x",
        "\u{c}{\"c\":1}",
        "[{\"c\":1}",
        "[{\"c\":1}] x",
        "{\"\n\":0,\"c\":1}",
    ] {
        assert_eq!(find("c", broken), PathValue::Absent, "{broken}");
    }
    assert!(JsonPath::parse("a..b").is_err() && JsonPath::parse("").is_err());
}

#[test]
fn pointer_traverses_objects_and_arrays() {
    let document = r#"{"a":{"b":[{"c":"x"},{"c":7}]},"":{"":"empty"},"m/n":"slash","o~p":"tilde","0":"key"}"#;
    assert_eq!(find("/a/b/1/c", document), PathValue::Number("7".into()));
    assert_eq!(find("/a/b/0/c", document), PathValue::Text("x".into()));
    assert_eq!(find("//", document), PathValue::Text("empty".into()));
    assert_eq!(find("/m~1n", document), PathValue::Text("slash".into()));
    assert_eq!(find("/o~0p", document), PathValue::Text("tilde".into()));
    assert_eq!(find("/0", document), PathValue::Text("key".into()));
    for nowhere in ["/a/b/2", "/a/b/01", "/a/b/-", "/a/b/+1", "/a/b/18446744073709551616", "/a.b", "/a/b[]/c"]
    {
        assert_eq!(find(nowhere, document), PathValue::Absent, "{nowhere}");
    }
    assert_eq!(find("/1", "[1,2]"), PathValue::Number("2".into()));
    assert_eq!(find("/a", r#"[{"a":1}]"#), PathValue::Absent);
    assert!(JsonPath::parse("/a~b").is_err() && JsonPath::parse("/a~").is_err());
    for text in ["/a/b/1/c", "/m~1n/o~0p", "/"] {
        assert_eq!(JsonPath::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn every_item_must_have_the_value() {
    let path = JsonPath::parse("value[].state").unwrap();
    let every = |document: &str| path.every(document.as_bytes()).map(|found| found.len());
    assert_eq!(every(r#"{"value":[{"state":"a"},{"state":"b"}]}"#), Some(2));
    assert_eq!(every(r#"{"value":[{"state":"a"},{}]}"#), None);
    assert_eq!(every(r#"{"value":[]}"#), None);
    let many = format!(r#"{{"value":[{}{{}}]}}"#, r#"{"state":"a"},"#.repeat(MAX_ITEMS));
    assert_eq!(every(&many), None);
    assert_eq!(find("value[].state", &many), PathValue::Text("a".into()));
    assert_eq!(every("{}"), None);
}

#[test]
fn first_key_without_exception_is_the_name() {
    let except = ["update_id".to_owned()];
    assert_eq!(first_key_except(r#"{"message":{}} x"#, &except), None);
    assert_eq!(
        first_key_except(r#"{"update_id":1,"message":{},"x":2}"#, &except).as_deref(),
        Some("message")
    );
    assert_eq!(first_key_except(r#"{"update_id":1}"#, &except), None);
    assert_eq!(first_key_except("[]", &except), None);
}
