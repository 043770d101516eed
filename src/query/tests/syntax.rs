//! Syntax: errors with their position, and queries in their written form.

use super::*;

#[test]
fn error_has_position_reason_and_nearest_key() {
    for (query, position, reason, nearest) in [
        ("srouce:github", 0, "srouce is not a key", Some("source:")),
        ("push since:2h", 5, "since is not a key", Some("after:")),
        ("push number:42", 5, "number is not a key", Some("#")),
        ("data.id:5", 0, "data.id is not a key", Some(".data.id:")),
        ("https://example.com", 0, "https is not a key (keys: after", None),
        ("heeder.x:y", 0, "heeder.x is not a key", Some(".heeder.x:")),
        ("header:x", 0, "the name of the header is missing", None),
        ("is:daed", 3, "is: needs one of dead, pending", Some("is:dead")),
        ("is:", 3, "the value is missing", None),
        ("source: github", 7, "the value is missing", None),
        ("source:a,,b", 9, "the value is missing", None),
        ("after:yesterday", 6, "the value must be an age", None),
        ("larger:many", 7, "the value must be a number of bytes", None),
        ("ip:localhost", 3, "the value must be an IP address", None),
        ("é \"open", 3, "the closing quotation mark is missing", None),
        ("\"\"", 0, "the quoted text is empty", None),
        ("a*b", 0, "a star can only be at the end of a word", None),
        ("a*", 0, "write at least 2 characters", None),
        ("é*", 0, "write at least 2 characters", None),
        ("*", 0, "a word needs a letter", None),
        ("- x", 1, "a word needs a letter", None),
        (".status", 0, "the value of the path is missing", None),
        ("..a:1", 1, "a key of the path is empty", None),
        (".a:b*c", 3, "a star can only be at the end", None),
        (".a:>x", 3, "> needs a number, such as >100", None),
        (".a:\"x\"y", 6, "write a space after the value", None),
        ("OR a", 0, "OR joins two words", None),
        ("a OR", 2, "missing after OR", None),
        ("a OR OR b", 5, "OR joins two words", None),
        ("a OR source:b", 2, "OR joins only words", None),
        ("source:a OR b", 9, "OR joins two words", None),
        ("a OR -b", 2, "OR joins only words", None),
    ] {
        let error = MessageQuery::parse(query).expect_err(query);
        assert_eq!((error.position, error.nearest.as_deref()), (position, nearest), "{query}: {error}");
        assert!(error.reason.contains(reason), "{query}: {error}");
        assert!(query.is_char_boundary(error.position));
    }
    let error = MessageQuery::parse("srouce:github").unwrap_err();
    assert_eq!(
        error.to_string(),
        "srouce is not a key; quote the text to search for it; did you mean source:? (at byte 0)"
    );
}

#[test]
fn length_and_number_of_terms_are_limited() {
    assert!(MessageQuery::parse(&"é".repeat(1_000)).is_ok());
    let error = MessageQuery::parse(&"é".repeat(1_001)).unwrap_err();
    assert_eq!((error.position, error.reason.as_str()), (2_000, "the query is longer than 1000 characters"));
    assert!(MessageQuery::parse(&"a ".repeat(64)).is_ok());
    let error = MessageQuery::parse(&"a ".repeat(65)).unwrap_err();
    assert_eq!((error.position, error.reason.as_str()), (128, "the query has more than 64 terms"));
    // Each value of a list counts.
    for key in ["source", "event", "to", "method"] {
        assert!(MessageQuery::parse(&format!("{key}:a{}", ",a".repeat(63))).is_ok(), "{key}");
        let error = MessageQuery::parse(&format!("{key}:a{}", ",a".repeat(64))).unwrap_err();
        let position = key.len() + 1 + 2 * 64;
        assert_eq!((error.position, error.reason.as_str()), (position, "the query has more than 64 terms"));
    }
    assert!(MessageQuery::parse(&format!("x event:a{}", ",a".repeat(63))).is_err());
    assert_eq!(parse("source:a,b x event:c,*").count_values(), 5);
}

#[test]
fn largest_query_with_a_text_is_stored_and_read() {
    let largest: Vec<String> = (0..64).map(|number| format!("w{number}")).collect();
    let query = parse(&largest.join(" ")).and_quote("order 17".to_owned());
    assert_eq!(query.clauses.len(), 65);
    assert_eq!(MessageQuery::parse_stored(&query.to_string()), Ok(query));
}

#[test]
fn equal_clauses_are_removed() {
    for (query, written) in [
        ("a b A \"a\" -a b", "a b \"a\" -a"),
        ("a OR b a OR b b OR a", "a OR b b OR a"),
        (".x:1 .x:1.0 .x:1 source:a source:a", ".x:1 .x:1.0 source:a"),
    ] {
        assert_eq!(parse(query).to_string(), written, "{query}");
    }
    let same = parse("at:2026-11-22 before:2026-11-23").resolve(NOW);
    assert_eq!(same.to_string(), "before:2026-11-23T00:00:00.000000Z");
    assert_eq!(MessageQuery::parse_stored(&same.to_string()), Ok(same));
    assert_eq!(parse("\"a\" b").and_quote("a".to_owned()), parse("\"a\" b"));
}

#[test]
fn control_characters_and_long_names_are_errors() {
    let longest = "é".repeat(200);
    for key in ["source", "event", "to", "owner"] {
        let at = key.len() + 1;
        assert!(MessageQuery::parse(&format!("{key}:{longest}")).is_ok(), "{key}");
        for (name, reason) in [
            (format!("{longest}é"), "the name is longer than 200 characters"),
            ("order.paid\0*".to_owned(), "the name must not contain control characters"),
            ("\"a\tb\"".to_owned(), "the name must not contain control characters"),
        ] {
            let error = MessageQuery::parse(&format!("{key}:{name}")).unwrap_err();
            assert_eq!((error.position, error.reason.as_str()), (at, reason), "{key}");
        }
    }
    let error = MessageQuery::parse("source:a,\"\0\"").unwrap_err();
    assert_eq!(error.position, 9);
}

#[test]
fn query_is_written_in_one_form() {
    for (query, written) in [
        ("", ""),
        ("  Order-17  !draft ", "order_17 -draft"),
        ("a OR \"b c\" d", "a OR \"b c\" d"),
        ("SOURCE:github,stripe -source:\"a b\"", "source:github,stripe -source:\"a b\""),
        (
            ".a.\"b c\".d:x .e:\"1\" .f:1.50 .g:ab* .h:* .i:>=-2e3",
            ".a.\"b c\".d:\"x\" .e:\"1\" .f:1.50 .g:\"ab\"* .h:* .i:>=-2e3",
        ),
        ("header.User-Agent:Hookshot*", "header.user-agent:hookshot*"),
        (
            "after:120m before:2026-11-22T14:30+01:00 at:2026-11-22",
            "after:2h before:2026-11-22T13:30Z at:2026-11-22",
        ),
        (
            "after:2026-11-22T14:30:15.5Z before:2026-11-22t14:30:15",
            "after:2026-11-22T14:30:15.500000Z before:2026-11-22T14:30:15Z",
        ),
        ("larger:1000k smaller:1500 #42 method:put ip:::1", "larger:1M smaller:1500 #42 method:PUT ip:::1"),
        (r#""a \"b\" \\ \n""#, r#""a \"b\" \\ \\n""#),
    ] {
        let parsed = parse(query);
        assert_eq!(parsed.to_string(), written, "{query}");
        assert_eq!(parse(written), parsed, "{query}");
    }
}

#[test]
fn description_is_plain_words() {
    for (query, description) in [
        ("", "all messages"),
        ("order", "messages with the word order"),
        (
            "source:github event:push after:2h order-17",
            "messages from github, with the event push, received at or after 2h ago and with the adjacent words order 17",
        ),
        (
            "-is:dead paid OR \"x y\"",
            "messages not with a dead letter and with the word paid or with the exact text “x y”",
        ),
        ("ord*", "messages with a word that begins with ord"),
        (".amount:>100", "messages with amount greater than 100"),
        ("before:2026-11-22T14:30", "messages received before 2026-11-22 14:30 UTC"),
    ] {
        assert_eq!(parse(query).description(), description, "{query}");
    }
}
