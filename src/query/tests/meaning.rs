//! The meaning of each form.

use std::net::IpAddr;

use super::*;

const PAYLOAD: &str = r#"{"order":{"id":"ORD-17","amount":1200.00,"note":"caf\u00e9\nM\u00fcller GmbH","price":"12.50"},
  "status":"failed","paid":true,"customer":null,"items":[{"sku":"a/b"},{"sku":"c"}],"city":"東京都"}"#;

fn message() -> SearchedMessage<'static> {
    SearchedMessage {
        facts: MessageFacts { remote_ip: "192.0.2.7".parse::<IpAddr>().ok(), ..MESSAGE.facts },
        text: MessageText {
            delivery_id: Some("evt_1"),
            query: Some("token=x&name=J%C3%BCrgen"),
            headers: &[("user-agent", "GitHub-Hookshot/044aadd"), ("x-shop", "North Sea")],
            body: None,
            payload: Some(PAYLOAD),
        },
    }
}

fn check(rows: &[(&str, bool)], message: &SearchedMessage<'_>) {
    for (query, expected) in rows {
        assert_eq!(matches(query, message), *expected, "{query}");
        assert_eq!(matches(&format!("-{query}"), message), !expected, "-{query}");
    }
}

#[test]
fn words_are_whole_and_case_is_ignored() {
    check(
        &[
            ("ord", true),
            ("ORD-17", true),
            ("17-ord", false),
            ("ord-17*", true),
            ("ord.note", false),
            ("ord-amount", false),
            ("müller/gmbh", true),
            ("京都市", false),
            ("東京都", true),
            ("or", false),
            ("fail*", true),
            ("failed*", true),
            ("müller", true),
            ("café", true),
            ("sku", true),
            ("jürgen", true),
            ("evt_1", true),
            ("hookshot", true),
            ("github.push", false),
            ("東京", true),
            ("東", true),
            ("都", true),
            ("京東", false),
        ],
        &message(),
    );
}

#[test]
fn quotes_are_exact_from_the_beginning_of_a_word() {
    check(
        &[
            (r#""ORD-17""#, true),
            (r#""ORD-1""#, true),
            (r#""RD-17""#, false),
            (r#""ord-17""#, false),
            (r#""\"paid\":true""#, true),
            (r#""Müller GmbH""#, true),
            (r#""North S""#, true),
            (r#""name=J%C3""#, true),
            (r#""京都""#, true),
            (r#""\"status\":\"failed\"""#, true),
        ],
        &message(),
    );
}

#[test]
fn alternatives_bind_closer_than_white_space() {
    let message = message();
    for (query, expected) in
        [("missing OR failed", true), ("missing OR failed absent", false), ("a OR b", true)]
    {
        assert_eq!(matches(query, &message), expected, "{query}");
    }
}

#[test]
fn paths_match_at_the_end_of_any_path() {
    check(
        &[
            (".status:failed", true),
            (".status:fail", false),
            (".status:fail*", true),
            (".order.id:ORD-17", true),
            (".id:ORD-17", true),
            (".order:ORD-17", false),
            (".order:*", true),
            (".customer:*", true),
            (".customer:null", true),
            (".missing:*", false),
            (".paid:true", true),
            (".paid:\"true\"", false),
            (".amount:1200", true),
            (".amount:1.2e3", true),
            (".amount:\"1200\"", false),
            (".amount:1201", false),
            (".amount:>1199.99", true),
            (".amount:>1200", false),
            (".amount:<=1200.0", true),
            (".price:12.50", true),
            (".price:12.5", false),
            (".price:<13", true),
            (".status:<13", false),
            (".items.sku:c", true),
            (".sku:a/b", true),
            (".note:\"café\"*", true),
        ],
        &message(),
    );
}

#[test]
fn leaf_with_escapes_equals_its_text() {
    let payload = r#"{"\u0073tatus":"fa\u0069led","path":"a\/b","n":"\\u0041"}"#;
    let text = MessageText { payload: Some(payload), ..MessageText::default() };
    let message = SearchedMessage { text, ..MESSAGE };
    check(
        &[(".status:failed", true), (".path:a/b", true), (r#".n:"\\u0041""#, true), (".n:A", false)],
        &message,
    );
}

#[test]
fn facts_are_compared_exactly() {
    check(
        &[
            ("source:github", true),
            ("source:stripe,github", true),
            ("source:GitHub", false),
            ("event:push", true),
            ("event:github.push", true),
            ("event:pu*", true),
            ("event:*.push", true),
            ("event:us", false),
            ("id:evt_1", true),
            ("id:evt_2", false),
            ("#42", true),
            ("#4", false),
            ("ip:192.0.2.7", true),
            ("ip:192.0.2.8", false),
            ("method:post,put", true),
            ("owner:c-17", false),
            ("larger:999", true),
            ("larger:1k", false),
            ("smaller:1k", false),
            ("smaller:1M", true),
            ("header.x-shop:sea", true),
            ("header.x-shop:north-sea", true),
            ("header.x-shop:sea-north", false),
            ("header.X-Shop:\"North Sea\"", true),
            ("header.x-shop:south", false),
            ("header.x-shop:*", true),
            ("header.x-other:*", false),
        ],
        &message(),
    );
}

#[test]
fn times_are_utc_and_ages_end_now() {
    check(
        &[
            ("after:30m", true),
            ("after:28m", false),
            ("before:28m", true),
            ("after:2026-11-22", true),
            ("after:2026-11-23", false),
            ("before:2026-11-22", false),
            ("at:2026-11-22", true),
            ("at:2026-11-21", false),
            ("at:2026-11-22T14:31", true),
            ("at:2026-11-22T14:30:59", false),
            ("after:2026-11-22T14:31", true),
            ("before:2026-11-22T14:31", false),
            ("before:2026-11-22T15:31+00:30", true),
        ],
        &message(),
    );
}

#[test]
fn states_refer_to_the_named_targets() {
    let deliveries = [
        SearchedDelivery { target: "billing", state: Some(MessageState::Dead) },
        SearchedDelivery { target: "deploy", state: Some(MessageState::Delivered) },
    ];
    let flags =
        MessageFlags { is_conflict: true, is_unverified: true, is_rejected: true, ..MessageFlags::default() };
    let message = SearchedMessage {
        facts: MessageFacts { deliveries: &deliveries, flags, ..MESSAGE.facts },
        ..MESSAGE
    };
    check(
        &[
            ("is:dead", true),
            ("is:delivered", true),
            ("is:pending", false),
            ("is:conflict", true),
            ("is:duplicate", false),
            ("is:unverified", true),
            ("is:rejected", true),
            ("is:awaiting", false),
            ("is:notjson", false),
            ("is:unsigned", false),
            ("to:deploy", true),
            ("to:deploy,other", true),
            ("to:other", false),
        ],
        &message,
    );
    for (query, expected) in
        [("to:deploy is:dead", false), ("to:billing is:dead", true), ("to:deploy -is:dead", true)]
    {
        assert_eq!(matches(query, &message), expected, "{query}");
    }
}

#[test]
fn binary_and_long_bodies_are_searched_for_exact_text() {
    let mut body = b"\xff\x00key=ORDER-17 \x01ab\x02".to_vec();
    let text = MessageText { body: Some(&body), ..MessageText::default() };
    let binary = SearchedMessage { text, ..MESSAGE };
    check(&[("order", true), ("ab", false), ("\"ab\"", true), ("\"RDER\"", false)], &binary);
    body = format!("{} last", "word ".repeat(300_000)).into_bytes();
    let text = MessageText { body: Some(&body), ..MessageText::default() };
    let long = SearchedMessage { text, ..MESSAGE };
    check(&[("word", true), ("last", false), ("\"last\"", true)], &long);
    assert!(message_words(&long).contains("=is=cut"));
}

#[test]
fn words_of_a_body_are_limited() {
    let payload = (0..40_000).map(|number| format!("\"w{number}\"")).collect::<Vec<_>>().join(",");
    let payload = format!("[{payload}]");
    let text = MessageText { payload: Some(&payload), ..MessageText::default() };
    let message = SearchedMessage { text, ..MESSAGE };
    check(&[("w0", true), ("w32767", true), ("w39999", false), ("\"w39999\"", true)], &message);
    let words = message_words(&message);
    assert!(words.contains("=is=cut") && words.iter().count() < 32_768 + 10);
}

#[test]
fn leaves_displace_no_word_of_a_body() {
    // 20,000 different words of letters, each also the text of a leaf.
    let letter = |number: u8| char::from(b'a' + number % 26);
    let word = |number: u16| {
        let [high, low] = number.to_be_bytes();
        [high / 26, high, low / 26, low].map(letter).iter().collect::<String>()
    };
    let members: Vec<String> = (0..20_000).map(|number| format!("\"{}\"", word(number))).collect();
    let payload = format!(r#"{{"k":[{}]}}"#, members.join(","));
    let text = MessageText { payload: Some(&payload), body: Some(b"last"), ..MessageText::default() };
    let message = SearchedMessage { text, ..MESSAGE };
    check(&[("last", true), (&word(19_999), true), (".k:aaaa", true)], &message);
    let words = message_words(&message);
    assert!(words.contains(".k=aaaa") && words.contains("last") && words.contains("=is=cut"));
}

#[test]
fn long_word_is_cut_in_message_and_query() {
    let word = "x".repeat(100);
    let body = format!("{word} end");
    let text = MessageText { body: Some(body.as_bytes()), ..MessageText::default() };
    let message = SearchedMessage { text, ..MESSAGE };
    let prefix = &word[..70];
    check(&[(&word, true), (prefix, true), (&word[..63], false), (&format!("{prefix}*"), true)], &message);
}

#[test]
fn beginning_of_a_word_matches_no_field_or_leaf() {
    let text = MessageText { payload: Some(r#"{"state":"open"}"#), ..MessageText::default() };
    let message = SearchedMessage { text, ..MESSAGE };
    let mut words: Vec<String> = message_words(&message).iter().map(str::to_owned).collect();
    words.sort();
    assert_eq!(
        words,
        [
            ".state=open",
            "=event=github.push",
            "=method=post",
            "=source=github",
            "=type=push",
            "open",
            "state"
        ]
    );
    check(&[("so*", false), ("sta*", true), ("event", false)], &message);
}

#[test]
fn terms_of_one_kind_are_tested_independently() {
    for (query, expected) in [
        ("ord-17 müller-gmbh north-sea", true),
        ("ord-17 17-ord", false),
        ("-17-ord ord-17 ord-17*", true),
        ("gmbh-müller OR ord-17", true),
        ("\"ORD\" \"café\" \"North Sea\" \"token=x\"", true),
        ("\"ORD\" \"cafe\"", false),
        ("-\"cafe\" \"ORD\" -\"RD\"", true),
        ("\"zzz\" OR \"Müller GmbH\"", true),
        (".amount:>1000 .status:failed .sku:c .sku:a* .customer:null", true),
        (".amount:>1000 .amount:>2000", false),
        ("-.amount:>2000 .amount:1200 -.sku:b", true),
        (".order:* .id:ORD-17 .id:ORD* -.id:\"ORD\"", true),
    ] {
        assert_eq!(matches(query, &message()), expected, "{query}");
    }
}
