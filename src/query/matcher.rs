//! Decides whether a message matches a query. This is the definition of the language.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::cmp::Ordering;

use memchr::memchr;
use memchr::memmem::Finder;
use time::OffsetDateTime;

use super::ast::{HeaderTest, LeafTest, MessageQuery, NumberComparison, QueryTerm};
use super::leaves::{self, LeafValue};
use super::message::{MessageFacts, MessageState, MessageText, SearchedMessage};
use super::pattern::{event_type, matches_pattern};
use super::sequence::{WordSequence, visit_texts};
use super::words::{MessageWords, decoded, is_boundary, search_words, text_words};
use crate::json::{self, JsonToken, JsonTokens};

impl MessageQuery {
    /// Whether a message matches. Relative times are relative to `now`.
    pub fn matches(&self, message: &SearchedMessage<'_>, now: OffsetDateTime) -> bool {
        let targets = self.targets();
        let text = TextMatcher::new(&message.text);
        self.clauses.iter().all(|clause| {
            let holds = |term: &QueryTerm| match term.needs_text() {
                true => text.meets(term),
                false => meets_facts(term, &message.facts, message.text.delivery_id, &targets, now),
            };
            clause.terms.iter().any(holds) != clause.is_negated
        })
    }

    /// Whether a message meets the clauses that need its text. The other clauses are ignored.
    pub fn matches_text(&self, text: &MessageText<'_>) -> bool {
        let text = TextMatcher::new(text);
        self.clauses
            .iter()
            .filter(|clause| clause.needs_text())
            .all(|clause| clause.terms.iter().any(|term| text.meets(term)) != clause.is_negated)
    }
}

fn meets_facts(
    term: &QueryTerm,
    facts: &MessageFacts<'_>,
    delivery_id: Option<&str>,
    targets: &[&str],
    now: OffsetDateTime,
) -> bool {
    let is_one_of = |names: &[String], name: &str| names.iter().any(|other| other == name);
    match term {
        QueryTerm::Source(names) => is_one_of(names, facts.source),
        QueryTerm::Event(patterns) => {
            let kind = event_type(facts.source, facts.event);
            let is_match =
                |pattern: &String| matches_pattern(pattern, facts.event) || matches_pattern(pattern, kind);
            patterns.iter().any(is_match)
        }
        QueryTerm::DeliveryId(id) => delivery_id == Some(id),
        QueryTerm::Number(number) => facts.number == *number,
        QueryTerm::Ip(address) => facts.remote_ip == Some(*address),
        QueryTerm::Method(methods) => is_one_of(methods, facts.method),
        QueryTerm::Owner(owner) => facts.owner == Some(owner),
        QueryTerm::After(time) => facts.received_at >= time.start(now),
        QueryTerm::Before(time) => facts.received_at < time.start(now),
        QueryTerm::At(time) => facts.received_at < time.end(now),
        QueryTerm::Is(state) => is_in(*state, facts, targets),
        QueryTerm::To(names) => facts.deliveries.iter().any(|delivery| is_one_of(names, delivery.target)),
        QueryTerm::Larger(bytes) => facts.body_bytes > *bytes,
        QueryTerm::Smaller(bytes) => facts.body_bytes < *bytes,
        QueryTerm::Words { .. } | QueryTerm::Quote(_) | QueryTerm::Path { .. } | QueryTerm::Header { .. } => {
            false
        }
    }
}

fn is_in(state: MessageState, facts: &MessageFacts<'_>, targets: &[&str]) -> bool {
    let flags = &facts.flags;
    match state {
        MessageState::Dead | MessageState::Pending | MessageState::Delivered => {
            facts.deliveries.iter().any(|delivery| {
                delivery.state == Some(state) && (targets.is_empty() || targets.contains(&delivery.target))
            })
        }
        MessageState::Conflict => flags.is_conflict,
        MessageState::Duplicate => flags.is_duplicate,
        MessageState::NotJson => flags.is_not_json,
        MessageState::Unsigned => flags.is_unsigned,
        MessageState::Unverified => flags.is_unverified,
        MessageState::Awaiting => flags.is_awaiting,
        MessageState::Rejected => flags.is_rejected,
    }
}

/// The text of a message, and its words, which are read on demand.
struct TextMatcher<'m, 'a> {
    text: &'m MessageText<'a>,
    words: OnceCell<MessageWords>,
}

impl<'m, 'a> TextMatcher<'m, 'a> {
    fn new(text: &'m MessageText<'a>) -> Self {
        Self { text, words: OnceCell::new() }
    }

    fn meets(&self, term: &QueryTerm) -> bool {
        match term {
            QueryTerm::Words { text, is_prefix } => self.has_words(text, *is_prefix),
            QueryTerm::Quote(text) => self.contains(text),
            QueryTerm::Path { keys, test } => has_leaf(self.text.payload.unwrap_or_default(), keys, test),
            QueryTerm::Header { name, test } => {
                let named = |(other, _): &&(&str, &str)| other.eq_ignore_ascii_case(name);
                self.text.headers.iter().filter(named).any(|(_, value)| meets_header(test, value))
            }
            _ => false,
        }
    }

    /// Whether the words are in the message; if there are several, next to each other.
    fn has_words(&self, text: &str, is_beginning: bool) -> bool {
        let wanted = search_words(text, is_beginning);
        let words = self.words.get_or_init(|| text_words(self.text));
        if !wanted.iter().all(|word| word.is_in(words)) {
            return false;
        }
        let mut is_found = wanted.len() == 1;
        if !is_found {
            let sequence = WordSequence::new(text, is_beginning);
            visit_texts(self.text, |text| is_found = is_found || sequence.is_in(text));
        }
        is_found
    }

    /// Whether the body, a header's value or the query contains a text.
    fn contains(&self, text: &str) -> bool {
        let quote = Quote::new(text);
        let is_in_headers = || self.text.headers.iter().any(|(_, value)| quote.is_in(value.as_bytes()));
        let is_in_payload = || {
            self.text
                .payload
                .is_some_and(|payload| quote.is_in(payload.as_bytes()) || quote.is_in_strings_of(payload))
        };
        let is_in_body = || {
            // A compressed body is searched only in its decoded form.
            let body = self
                .text
                .body
                .filter(|body| self.text.payload.is_none() || std::str::from_utf8(body).is_ok());
            body.is_some_and(|body| quote.is_in(body))
        };
        is_in_headers()
            || self.text.query.is_some_and(|query| quote.is_in(query.as_bytes()))
            || is_in_payload()
            || is_in_body()
    }
}

/// An exact text that starts at the beginning of a word.
struct Quote<'q> {
    finder: Finder<'q>,
    first: Option<char>,
}

impl<'q> Quote<'q> {
    fn new(text: &'q str) -> Self {
        Self { finder: Finder::new(text), first: text.chars().next() }
    }

    fn is_in(&self, haystack: &[u8]) -> bool {
        let Some(first) = self.first else { return false };
        let mut from = 0;
        while let Some(at) = self.finder.find(&haystack[from..]).map(|at| from + at) {
            let before = last_character(&haystack[..at]);
            if before.is_none_or(|before| is_boundary(before, first)) {
                return true;
            }
            // Inside a word; a text that begins like this one cannot begin before the end of the
            // word.
            from = at + word_bytes(&haystack[at..], first);
        }
        false
    }

    /// Whether a string of a document contains the text after its escapes are resolved.
    fn is_in_strings_of(&self, payload: &str) -> bool {
        memchr(b'\\', payload.as_bytes()).is_some()
            && JsonTokens::new(payload).any(|token| match token {
                JsonToken::Key(raw) | JsonToken::Value(raw) => {
                    decoded(raw).is_some_and(|text| self.is_in(text.as_bytes()))
                }
                _ => false,
            })
    }
}

/// Returns the last character of a text; `None` if it does not end with UTF-8.
fn last_character(text: &[u8]) -> Option<char> {
    let start = text.len().saturating_sub(4);
    (start..text.len()).find_map(|at| std::str::from_utf8(&text[at..]).ok())?.chars().next_back()
}

/// Returns the length of the word at the start of a text, at least that of its first character.
fn word_bytes(text: &[u8], first: char) -> usize {
    let mut bytes = first.len_utf8().min(text.len());
    let mut before = first;
    while let Some(next) = first_character(&text[bytes..]).filter(|next| !is_boundary(before, *next)) {
        bytes += next.len_utf8();
        before = next;
    }
    bytes
}

fn first_character(text: &[u8]) -> Option<char> {
    let text = &text[..text.len().min(4)];
    match std::str::from_utf8(text) {
        Ok(text) => text.chars().next(),
        Err(error) => std::str::from_utf8(&text[..error.valid_up_to()]).ok()?.chars().next(),
    }
}

fn meets_header(test: &HeaderTest, value: &str) -> bool {
    match test {
        HeaderTest::Exists => true,
        HeaderTest::Words { text, is_prefix } => {
            let value = MessageText { headers: &[("", value)], ..MessageText::default() };
            TextMatcher::new(&value).has_words(text, *is_prefix)
        }
        HeaderTest::Quote(text) => Quote::new(text).is_in(value.as_bytes()),
    }
}

fn has_leaf(payload: &str, keys: &[String], test: &LeafTest) -> bool {
    let mut is_found = false;
    leaves::walk(payload, |path, value| {
        if is_found || !ends_with(path, keys) {
            return;
        }
        is_found = match value {
            LeafValue::Container => *test == LeafTest::Exists,
            LeafValue::Leaf(raw) => meets_leaf(test, raw),
        };
    });
    is_found
}

fn ends_with(path: &[Cow<'_, str>], keys: &[String]) -> bool {
    let start = path.len().checked_sub(keys.len());
    start.is_some_and(|start| path[start..].iter().zip(keys).all(|(one, other)| one == other))
}

fn meets_leaf(test: &LeafTest, raw: &str) -> bool {
    let text = || json::text_of(raw);
    match test {
        LeafTest::Exists => true,
        LeafTest::Text(wanted) => text().is_some_and(|text| text == wanted.as_str()),
        LeafTest::Beginning(start) => text().is_some_and(|text| text.starts_with(start)),
        LeafTest::Scalar(wanted) => match text() {
            Some(text) => text == wanted.as_str(),
            None => json::same(raw, wanted),
        },
        LeafTest::Number(comparison, wanted) => {
            let number = text().unwrap_or(Cow::Borrowed(raw));
            json::is_plain_number(&number)
                && json::compare_numbers(&number, wanted).is_some_and(|order| comparison.holds(order))
        }
    }
}

impl NumberComparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
        }
    }
}
