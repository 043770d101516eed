//! Properties of all queries and messages.

use proptest::prelude::*;

use super::*;

/// Texts that share words with the queries.
const WORDS: &str = "(ord|order|a|17|日本|é|İx|-|_| |\\\\|\"|\\*|:|\u{e48}){0,5}";

fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        (0..30_i64).prop_map(Into::into),
        (0..30_i32).prop_map(|number| (f64::from(number) / 4.0).into()),
        WORDS.prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Into::into),
            prop::collection::hash_map("(id|a|order|é)", inner, 0..3)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Queries in the syntax of the language, with many that match.
fn query() -> impl Strategy<Value = String> {
    let text = WORDS.prop_map(|text| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")));
    let term = prop_oneof![
        "(ord|order|a|17|日|日本|é|İx|or)[*]?",
        text.clone(),
        text.prop_map(|text| format!(".id:{text}*")),
        "[.](id|a|order|é)([.](id|a))?:(ord|17|[*]|true|null|1[.]5|3|3[.]0|>4|<=2[.]25|a[*])",
        "header[.]x:(ord|\"order\"|[*])",
        "(source|event|to|method):[a-z.*]{1,4}(,github)?",
        "is:(dead|unsigned|notjson)",
        "(after|before|at):(2h|2026-11-22|2026-11-22T14:31|2026-11-22T14:31:00.000001Z)",
        "(larger|smaller):[0-9]{1,4}[kM]?",
        "#4[0-9]",
    ];
    let clause =
        (prop::sample::select(vec!["", "", "", "-"]), term).prop_map(|(sign, term)| sign.to_owned() + &term);
    (prop::collection::vec(clause, 0..4), prop::sample::select(vec![" ", " ", " OR "]))
        .prop_map(|(clauses, between)| clauses.join(between))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn parser_returns_for_any_text(text in ".{0,60}") {
        if let Err(error) = MessageQuery::parse(&text) {
            prop_assert!(text.is_char_boundary(error.position), "{error}");
        }
    }

    #[test]
    fn parser_returns_for_text_like_queries(text in "([.]|-|\"|:|[*]|,|#|OR| |a|é|1|>|source|header|\\\\){0,14}") {
        if let Ok(query) = MessageQuery::parse(&text) {
            prop_assert_eq!(MessageQuery::parse_stored(&query.to_string()), Ok(query));
        }
    }

    #[test]
    fn written_query_parses_to_the_same(text in query()) {
        if let Ok(query) = MessageQuery::parse(&text) {
            prop_assert_eq!(MessageQuery::parse_stored(&query.to_string()), Ok(query.clone()));
            let resolved = query.resolve(NOW);
            prop_assert_eq!(MessageQuery::parse_stored(&resolved.to_string()), Ok(resolved));
        }
    }

    #[test]
    fn any_word_is_written_and_parsed(word in "\\PC{1,20}") {
        if let Ok(query) = MessageQuery::parse(&word) {
            prop_assert_eq!(MessageQuery::parse_stored(&query.to_string()), Ok(query));
        }
    }

    #[test]
    fn match_has_the_required_words(text in query(), payload in json(), header in WORDS, query in WORDS, is_ascii in any::<bool>()) {
        let Ok(parsed) = MessageQuery::parse(&text) else { return Ok(()) };
        let payload = payload.to_string();
        // The same document with escapes.
        let escaped: String = payload.chars().map(|next| match next.is_ascii() {
            false if is_ascii => next.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
            _ => next.to_string(),
        }).collect();
        let headers = [("x", header.as_str())];
        let text = MessageText { query: Some(&query), headers: &headers, payload: Some(&escaped), ..MessageText::default() };
        let message = SearchedMessage { text, ..MESSAGE };
        if parsed.matches(&message, NOW) {
            let words = message_words(&message);
            prop_assert!(parsed.required_words().are_in(&words), "{parsed} {escaped} {words:?}");
        }
        let text = MessageText { body: Some(payload.as_bytes()), payload: None, ..text };
        let message = SearchedMessage { text, ..MESSAGE };
        if parsed.matches(&message, NOW) {
            prop_assert!(parsed.required_words().are_in(&message_words(&message)), "{parsed} {payload}");
        }
    }

    #[test]
    fn every_word_of_a_text_finds_it(body in "\\PC{0,40}") {
        let text = MessageText { body: Some(body.as_bytes()), ..MessageText::default() };
        let message = SearchedMessage { text, ..MESSAGE };
        for word in body.split_whitespace().filter(|word| !word.contains(['"', '*', ':'])) {
            let word = word.trim_start_matches(['-', '!', '.', '#']);
            if let Ok(query) = MessageQuery::parse(word) {
                prop_assert!(query.matches(&message, NOW), "{query}");
            }
        }
    }
}
