//! Queries for messages: the first line is a query, the rest the body of a message. A parsed query
//! is written and parsed again, and every match has the required words.
#![no_main]

use creel::testing::json;
use creel::testing::query::{
    MessageFacts, MessageFlags, MessageQuery, MessageText, SearchedMessage, message_words,
};
use creel_fuzz::line;
use time::OffsetDateTime;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let (text, body) = line(data);
    let query = match MessageQuery::parse(&text) {
        Ok(query) => query,
        Err(error) => {
            assert!(text.is_char_boundary(error.position), "{error}");
            return;
        }
    };
    assert_eq!(MessageQuery::parse_stored(&query.to_string()).as_ref(), Ok(&query), "{query}");
    assert!(!query.description().is_empty());
    let now = OffsetDateTime::UNIX_EPOCH;
    let resolved = query.clone().resolve(now);
    assert_eq!(MessageQuery::parse_stored(&resolved.to_string()).as_ref(), Ok(&resolved), "{resolved}");
    for text in texts(body) {
        let message = SearchedMessage { facts: facts(body.len()), text };
        let is_match = query.matches(&message, now);
        assert_eq!(resolved.matches(&message, now), is_match, "{query} with moments");
        let words = message_words(&message);
        assert!(!is_match || query.required_words().are_in(&words), "{query} requires {:?}", query.required_words());
    }
});

/// The body as a message stores it, and next to another payload.
fn texts(body: &[u8]) -> Vec<MessageText<'_>> {
    let payload = std::str::from_utf8(body).ok().filter(|_| json::accepts(body));
    let stored = MessageText {
        delivery_id: Some("evt_1"),
        query: Some("a=b%20c"),
        headers: &[("user-agent", "fuzz/1.0")],
        body: Some(body).filter(|_| payload.is_none()),
        payload,
    };
    vec![stored, MessageText { body: Some(body), payload: Some(r#"{"a":[{"b":"c\n"}]}"#), ..stored }]
}

fn facts(bytes: usize) -> MessageFacts<'static> {
    MessageFacts {
        id: Some(42),
        received_at: OffsetDateTime::UNIX_EPOCH,
        source: "github",
        event: Some("github.push"),
        owner: Some("c-17"),
        method: "POST",
        remote_ip: None,
        body_bytes: bytes as u64,
        flags: MessageFlags::default(),
        deliveries: &[],
    }
}
