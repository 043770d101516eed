//! JSON pointers.

use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn read<'a>(pointers: &[&str], body: &'a str) -> Result<Vec<Option<&'a str>>, JsonProblem> {
    let mut wanted = Pointers::default();
    let slots: Vec<Slot> = pointers.iter().map(|pointer| wanted.add(pointer)).collect();
    let values = wanted.read(body.as_bytes())?;
    Ok(slots.into_iter().map(|slot| values.get(slot)).collect())
}

#[test]
fn pointers_of_rfc_6901_lead_to_their_values() {
    // The document and the pointers of RFC 6901, section 5.
    let document =
        r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#;
    let rows = [
        ("", document),
        ("/foo", r#"["bar","baz"]"#),
        ("/foo/0", r#""bar""#),
        ("/", "0"),
        ("/a~1b", "1"),
        ("/c%d", "2"),
        ("/e^f", "3"),
        ("/g|h", "4"),
        ("/i\\j", "5"),
        ("/k\"l", "6"),
        ("/ ", "7"),
        ("/m~0n", "8"),
    ];
    let pointers: Vec<&str> = rows.iter().map(|(pointer, _)| *pointer).collect();
    let values: Vec<_> = rows.iter().map(|(_, value)| Some(*value)).collect();
    assert_eq!(read(&pointers, document), Ok(values));
    for nowhere in
        ["/foo/2", "/foo/01", "/foo/-", "/foo/+1", "/foo/18446744073709551616", "/x", "foo", "/foo/0/a"]
    {
        assert_eq!(read(&[nowhere], document), Ok(vec![None]), "{nowhere}");
    }
}

#[test]
fn pointer_with_invalid_escape_never_matches() {
    let body = r#"{"a~2":1,"~":2,"a":{"~b":3},"":4}"#;
    for pointer in ["/a~2", "/~", "/a/~b", "~0", "~"] {
        assert_eq!(read(&[pointer], body), Ok(vec![None]), "{pointer}");
    }
}

#[test]
fn odd_members_do_not_hide_other_values() {
    for odd in [r#""o":"\ud83d","#, r#""\ud83d":1,"#, r#""o":1e400,"#, r#""o":-1e-99999999999999999999,"#] {
        let body = format!("{{{odd}\"draft\":true,\"n\":[1.10,{{\"x\":2}}]}}");
        let expected = Ok(vec![Some("true"), Some("1.10"), Some("2"), None]);
        assert_eq!(read(&["/draft", "/n/0", "/n/1/x", "/n/2"], &body), expected, "{body}");
        assert_eq!(read(&["/draft"], &format!("\u{feff} {body} ")), Ok(vec![Some("true")]));
    }
    assert_eq!(read(&["/o"], r#"{"o":"\ud83d"}"#), Ok(vec![Some(r#""\ud83d""#)]));
}

#[test]
fn last_duplicate_key_wins_with_its_content() {
    let body = r#"{"a":{"b":1,"c":[1,2]},"\u0061":{"c":[3]},"d":1,"d":{"e":2}}"#;
    assert_eq!(
        read(&["/a/b", "/a/c/0", "/a/c/1", "/d", "/d/e"], body),
        Ok(vec![None, Some("3"), None, Some(r#"{"e":2}"#), Some("2")])
    );
}

#[test]
fn invalid_document_has_reason() {
    for body in ["", "{", "{\"a\":1}x", "[1,]", "nul", "\u{feff}\u{feff}1", "{\"a\":[1,}", "a=1"] {
        for pointer in ["", "/a", "/0"] {
            assert_eq!(read(&[pointer], body), Err(JsonProblem::NotJson), "{body} {pointer}");
        }
    }
    let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
    assert_eq!(read(&["/0/0"], &deep), Err(JsonProblem::TooDeep));
    assert_eq!(read(&["/0/0"], &deep[..200]), Err(JsonProblem::NotJson));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Into::into),
        "[a\"\\\\]{0,2}".prop_map(Into::into)
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::hash_map("[ab0~/]{0,1}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn pointers_agree_with_serde_json(
        value in any_json(), pointers in prop::collection::vec("(/([ab01]|~0|~1|00|-)?){0,4}", 1..5),
    ) {
        let text = value.to_string();
        let pointers: Vec<&str> = pointers.iter().map(String::as_str).collect();
        let found = read(&pointers, &text).unwrap();
        for (pointer, found) in pointers.iter().zip(found) {
            let found = found.map(|raw| serde_json::from_str::<Value>(raw).unwrap());
            prop_assert_eq!(found.as_ref(), value.pointer(pointer), "{} in {}", pointer, text);
        }
    }
}
