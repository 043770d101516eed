//! Valid and invalid JSON, and the values read from it.

use proptest::prelude::*;

use super::*;
use paths::*;

fn extract(paths: &[&str], body: &str) -> Option<Vec<PathValue>> {
    let mut wanted = Paths::default();
    let slots: Vec<Slot> = paths.iter().map(|path| wanted.add(path).unwrap()).collect();
    let extracted = wanted.read(body.as_bytes())?;
    Some(slots.into_iter().map(|slot| extracted.get(slot).clone()).collect())
}

fn text(value: &str) -> PathValue {
    PathValue::Text(value.to_owned())
}

fn number(value: &str) -> PathValue {
    PathValue::Number(value.to_owned())
}

#[test]
fn values_are_read_at_their_paths() {
    let rows = [
        (r#"{"id":"a","data":{"type":"x"}}"#, text("a"), text("x")),
        (
            r#" { "id" : 12345678901234567890123 , "data":{"x":1}}"#,
            number("12345678901234567890123"),
            PathValue::Absent,
        ),
        (r#"{"id":-1e400}"#, number("-1e400"), PathValue::Absent),
        (r#"{"id":null,"data":{"type":[1]}}"#, PathValue::Other, PathValue::Other),
        (r#"{"id":"\ud800","data":1e400}"#, PathValue::Other, PathValue::Absent),
        (r#"{"\ud800":1,"i\u0064":"\u0000"}"#, text("\0"), PathValue::Absent),
        (r#"{"id":"a","id":"b","data":{"type":"x"},"data":{}}"#, text("b"), PathValue::Absent),
        (r#"[{"id":"a","data":{"type":"x"}},{"id":"b"}]"#, text("a"), text("x")),
        (r#"[[{"id":"a"}]]"#, PathValue::Absent, PathValue::Absent),
        ("[]", PathValue::Absent, PathValue::Absent),
        ("1e400", PathValue::Absent, PathValue::Absent),
        (r#""\ud800""#, PathValue::Absent, PathValue::Absent),
    ];
    for (body, id, kind) in rows {
        assert_eq!(extract(&["id", "data.type"], body), Some(vec![id, kind]), "{body}");
    }
}

#[test]
fn invalid_json_has_no_values() {
    for body in [
        "",
        " ",
        "\u{feff}",
        "\u{feff}\u{feff}{}",
        " \u{feff}{}",
        "{",
        "{}x",
        "[1,]",
        r#"{"id":"a"} {}"#,
        r#"{"id":01}"#,
        "{\"id\":\"\n\"}",
        "{\"\n\":1,\"id\":\"a\"}",
        r#"[{"id":1},]"#,
    ] {
        assert_eq!(extract(&["id"], body), None, "{body}");
        assert!(!accepts(body.as_bytes()), "{body}");
    }
    assert!(!accepts(b"\"\xff\""));
}

#[test]
fn contradictory_paths_are_rejected_and_equal_paths_share_slot() {
    let mut paths = Paths::default();
    let slot = paths.add("data.type").unwrap();
    assert_eq!(paths.add("data.type"), Ok(slot));
    assert!(paths.add("data").is_err());
    assert!(paths.add("data.type.name").is_err());
    assert!(paths.add("").is_err());
    assert!(paths.add("a..b").is_err());
}

#[test]
fn nesting_is_limited_to_127_levels_outside_strings() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    assert!(accepts(nested(127).as_bytes()));
    assert!(!accepts(nested(128).as_bytes()));
    assert!(!accepts(nested(100_000).as_bytes()));
    assert!(!accepts("[".repeat(1 << 20).as_bytes()));
    assert!(accepts(format!("[\"\\\"{}\"]", "[{".repeat(1_000)).as_bytes()));
    assert!(accepts(format!("[{}0]", "[],{},".repeat(1_000)).as_bytes()));
    assert!(!accepts(format!("{}1{}", r#"{"a":"#.repeat(128), "}".repeat(128)).as_bytes()));
}

#[test]
fn large_input_is_read() {
    let keys: Vec<String> = (0..200_000).map(|key| format!("\"k{key}\":1")).collect();
    let body = format!("{{{},\"id\":\"last\"}}", keys.join(","));
    assert_eq!(extract(&["id"], &body), Some(vec![text("last")]));
    let digits = "9".repeat(100_000);
    assert_eq!(extract(&["id"], &format!("{{\"id\":{digits}}}")), Some(vec![PathValue::Number(digits)]));
}

/// The intended differences from `serde_json::Value`; see the documentation of the module.
fn is_documented_difference(error: &serde_json::Error) -> bool {
    let message = error.to_string();
    ["number out of range", "lone leading surrogate", "unexpected end of hex escape"]
        .iter()
        .any(|known| message.contains(known))
}

fn agrees_with_serde_json(body: &[u8]) {
    let accepted = accepts(body);
    let read = {
        let mut paths = Paths::default();
        paths.add("a").unwrap();
        paths.add("b.a").unwrap();
        paths.read(body).is_some()
    };
    assert_eq!(accepted, read, "both ways of reading must agree");
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(_) => assert!(accepted),
        // Any text may follow a documented difference, so the rest cannot be compared.
        Err(error) => assert!(!accepted || is_documented_difference(&error), "{error}"),
    }
}

proptest! {
    #[test]
    fn any_bytes_are_validated_like_serde_json(body in proptest::collection::vec(any::<u8>(), 0..64)) {
        agrees_with_serde_json(&body);
    }

    #[test]
    fn nearly_json_is_validated_like_serde_json(body in r#"([\[\]{},:" \n]|"a"|"b"|\\u(d8|dc|00)00|"\\ud800"|"a":|"b":\{|true|null|-?[0-9]{1,3}|1e400|0\.5e-2|\\n){0,24}"#) {
        agrees_with_serde_json(body.as_bytes());
    }

    #[test]
    fn complete_json_is_accepted_and_truncated_json_rejected(keys in proptest::collection::vec("[a-c]{1,2}", 1..8), number in any::<f64>()) {
        let object: serde_json::Map<String, serde_json::Value> = keys.into_iter().map(|key| (key, serde_json::json!([number, {"a": null}]))).collect();
        let body = serde_json::to_vec(&object).unwrap();
        agrees_with_serde_json(&body);
        prop_assert!(accepts(&body));
        prop_assert!(!accepts(&body[..body.len() - 1]));
    }
}

#[test]
fn batch_has_values_of_all_items() {
    let mut paths = Paths::default();
    let first = paths.add("id").unwrap();
    let (id, nested) = (paths.add_every("id").unwrap(), paths.add_every("events[].id").unwrap());
    let read = |body: &str| {
        let found = paths.read(body.as_bytes()).unwrap();
        (found.get(first).clone(), found.get(id).clone(), found.get(nested).clone())
    };
    assert_eq!(read(r#"{"id":"a"}"#), (text("a"), text("a"), PathValue::Absent));
    assert_eq!(read(r#"[{"id":"a"}]"#), (text("a"), text("a"), PathValue::Absent));
    assert_eq!(read(r#"[{"id":7}]"#).1, number("7"));
    assert_eq!(read(r#" [{"id":"a"},{"id":2}]"#), (text("a"), text("a,2"), PathValue::Absent));
    assert_eq!(read(r#"[{"id":"a,b"},{"id":"c%"}]"#).1, text("a%2Cb,c%25"));
    assert_eq!(read(r#"{"events":[{"id":"a"},{"id":"b"}]}"#).2, text("a,b"));
    for body in ["[]", r#"[{"id":"a"},{}]"#, r#"[{"id":"a"},{"id":""}]"#, r#"[{"id":"a"},{"id":null}]"#] {
        assert_eq!(read(body).1, PathValue::Absent, "{body}");
    }
    for body in [r#"{"events":[]}"#, r#"{"events":[{"id":"a"},{"x":1}]}"#, r#"{"events":{"id":"a"}}"#] {
        assert_eq!(read(body).2, PathValue::Absent, "{body}");
    }
}
