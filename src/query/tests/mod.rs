//! The language as a whole: syntax, meaning, words and the examples of `docs/search.md`.

mod examples;
mod meaning;
mod properties;
mod syntax;

use time::OffsetDateTime;
use time::macros::datetime;

use super::*;

/// The current time of the tests.
pub const NOW: OffsetDateTime = datetime!(2026-11-22 15:00 UTC);

/// A message that the tests vary.
pub const MESSAGE: SearchedMessage<'static> = SearchedMessage {
    facts: MessageFacts {
        id: Some(42),
        received_at: datetime!(2026-11-22 14:31 UTC),
        source: "github",
        event: Some("github.push"),
        owner: None,
        method: "POST",
        remote_ip: None,
        body_bytes: 1_000,
        flags: MessageFlags {
            is_conflict: false,
            is_duplicate: false,
            is_not_json: false,
            is_unsigned: false,
            is_unverified: false,
            is_awaiting: false,
            is_rejected: false,
            is_emitted: false,
        },
        deliveries: &[],
    },
    text: MessageText { delivery_id: None, query: None, headers: &[], body: None, payload: None },
};

pub fn parse(text: &str) -> MessageQuery {
    MessageQuery::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Whether a query matches; also checks the words that it requires.
pub fn matches(query: &str, message: &SearchedMessage<'_>) -> bool {
    let query = parse(query);
    let is_match = query.matches(message, NOW);
    assert_eq!(query.clone().resolve(NOW).matches(message, NOW), is_match, "{query} with moments");
    let words = message_words(message);
    assert!(!is_match || query.required_words().are_in(&words), "{query}: {:?}", query.required_words());
    is_match
}
