//! Decides whether a message matches a query. This is the definition of the language.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::cmp::Ordering;
use std::ops::ControlFlow;

use memchr::memchr;
use memchr::memmem::Finder;
use time::OffsetDateTime;

use super::ast::{HeaderTest, LeafTest, MessageQuery, NumberComparison, QueryTerm};
use super::leaves::{self, LeafValue};
use super::message::{MessageFacts, MessageState, MessageText, SearchedMessage};
use super::pattern::{event_type, matches_pattern};
use super::sequence::{WordSequence, separated, visit_texts};
use super::split::is_boundary;
use super::words::{MessageWords, decoded, search_words, text_words};
use crate::json::{self, Decimal, JsonToken, JsonTokens};

impl MessageQuery {
    /// Whether a message matches. Relative times are relative to `now`.
    pub fn matches(&self, message: &SearchedMessage<'_>, now: OffsetDateTime) -> bool {
        let targets = self.targets();
        let text = TextMatcher::new(self, &message.text);
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
        let text = TextMatcher::new(self, text);
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
            let Some(event) = facts.event else { return false };
            let kind = event_type(facts.source, event);
            let is_match =
                |pattern: &String| matches_pattern(pattern, event) || matches_pattern(pattern, kind);
            patterns.iter().any(is_match)
        }
        QueryTerm::DeliveryId(id) => delivery_id == Some(id),
        QueryTerm::MessageId(id) => facts.id == Some(*id),
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

/// Terms that are tested together in one pass over a message, so that its text is decoded once for
/// all of them.
struct PendingTerms<'q, T> {
    missing: Vec<(&'q QueryTerm, T)>,
    found: Vec<&'q QueryTerm>,
}

impl<'q, T> PendingTerms<'q, T> {
    /// The terms of a query for which `test_of` returns a test.
    fn new(query: &'q MessageQuery, test_of: impl Fn(&'q QueryTerm) -> Option<T>) -> Self {
        let missing = query.terms().filter_map(|(_, term)| Some((term, test_of(term)?))).collect();
        Self { missing, found: Vec::new() }
    }

    /// Tests a part of the message for the terms that were not found yet.
    fn test(&mut self, is_in: impl Fn(&T) -> bool) {
        let found = &mut self.found;
        self.missing.retain(|(term, test)| {
            let is_found = is_in(test);
            found.extend(is_found.then_some(*term));
            !is_found
        });
    }
}

/// The text of a message, with results that several terms of a query need.
struct TextMatcher<'m, 'a> {
    query: &'m MessageQuery,
    text: &'m MessageText<'a>,
    words: OnceCell<MessageWords>,
    /// The terms of adjacent words that hold.
    sequences: OnceCell<Vec<&'m QueryTerm>>,
    /// The quotes that hold.
    quotes: OnceCell<Vec<&'m QueryTerm>>,
    /// The paths that hold.
    paths: OnceCell<Vec<&'m QueryTerm>>,
}

impl<'m, 'a> TextMatcher<'m, 'a> {
    fn new(query: &'m MessageQuery, text: &'m MessageText<'a>) -> Self {
        Self {
            query,
            text,
            words: OnceCell::new(),
            sequences: OnceCell::new(),
            quotes: OnceCell::new(),
            paths: OnceCell::new(),
        }
    }

    /// Whether the message meets a term of the query.
    fn meets(&self, term: &QueryTerm) -> bool {
        match term {
            QueryTerm::Words { text, is_prefix } => {
                let wanted = search_words(text, *is_prefix);
                let words = self.words.get_or_init(|| text_words(self.text));
                wanted.iter().all(|word| word.is_in(words))
                    && (wanted.len() == 1
                        || self.sequences.get_or_init(|| self.find_sequences()).contains(&term))
            }
            QueryTerm::Quote(_) => self.quotes.get_or_init(|| self.find_quotes()).contains(&term),
            QueryTerm::Path { .. } => self.paths.get_or_init(|| self.find_paths()).contains(&term),
            QueryTerm::Header { name, test } => {
                let named = |(other, _): &&(&str, &str)| other.eq_ignore_ascii_case(name);
                self.text.headers.iter().filter(named).any(|(_, value)| meets_header(test, value))
            }
            _ => false,
        }
    }

    /// Finds the terms whose words are next to each other in a text of the message.
    fn find_sequences(&self) -> Vec<&'m QueryTerm> {
        let mut sequences = PendingTerms::new(self.query, |term| match term {
            QueryTerm::Words { text, is_prefix } if search_words(text, *is_prefix).len() != 1 => {
                Some(WordSequence::new(text, *is_prefix))
            }
            _ => None,
        });
        visit_texts(self.text, |text| {
            if !sequences.missing.is_empty() {
                let text = separated(text);
                sequences.test(|sequence| sequence.is_in(&text));
            }
        });
        sequences.found
    }

    /// Finds the quotes in the body, the values of headers and the query.
    fn find_quotes(&self) -> Vec<&'m QueryTerm> {
        let mut quotes = PendingTerms::new(self.query, |term| match term {
            QueryTerm::Quote(text) => Some(Quote::new(text)),
            _ => None,
        });
        let MessageText { query, headers, body, payload, .. } = *self.text;
        // A compressed body is searched only in its decoded form.
        let body = body.filter(|body| payload.is_none() || std::str::from_utf8(body).is_ok());
        let values = headers.iter().map(|(_, value)| value.as_bytes());
        let texts = values.chain(query.map(str::as_bytes)).chain(payload.map(str::as_bytes)).chain(body);
        texts.for_each(|text| quotes.test(|quote| quote.is_in(text)));
        let payload = payload.unwrap_or_default();
        if memchr(b'\\', payload.as_bytes()).is_none() {
            return quotes.found;
        }
        for token in JsonTokens::new(payload) {
            if quotes.missing.is_empty() {
                break;
            }
            if let JsonToken::Key(raw) | JsonToken::Value(raw) = token
                && let Some(text) = decoded(raw)
            {
                quotes.test(|quote| quote.is_in(text.as_bytes()));
            }
        }
        quotes.found
    }

    /// Finds the paths with a value that meets their test.
    fn find_paths(&self) -> Vec<&'m QueryTerm> {
        let mut paths = PendingTerms::new(self.query, |term| match term {
            QueryTerm::Path { keys, test } => Some((keys, test)),
            _ => None,
        });
        leaves::walk(self.text.payload.unwrap_or_default(), |path, value| {
            // A value can be as long as a body, so it is decoded once for all tests.
            let (text, number) = (OnceCell::new(), OnceCell::new());
            paths.test(|(keys, test)| {
                ends_with(path, keys)
                    && match value {
                        LeafValue::Container => **test == LeafTest::Exists,
                        LeafValue::Leaf(raw) => {
                            let text = || text.get_or_init(|| json::text_of(raw)).as_deref();
                            let plain = || text().or(Some(raw)).filter(|text| json::is_plain_number(text));
                            let number = || number.get_or_init(|| plain().map(Decimal::of)).as_ref();
                            meets_leaf(test, raw, text, number)
                        }
                    }
            });
            match paths.missing.is_empty() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        paths.found
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
            let words = text_words(&MessageText { headers: &[("", value)], ..MessageText::default() });
            let wanted = search_words(text, *is_prefix);
            wanted.iter().all(|word| word.is_in(&words))
                && (wanted.len() == 1 || WordSequence::new(text, *is_prefix).is_in(&separated(value)))
        }
        HeaderTest::Quote(text) => Quote::new(text).is_in(value.as_bytes()),
    }
}

fn ends_with(path: &[Cow<'_, str>], keys: &[String]) -> bool {
    let start = path.len().checked_sub(keys.len());
    start.is_some_and(|start| path[start..].iter().zip(keys).all(|(one, other)| one == other))
}

/// Whether a value meets a test. `text` returns its text if it is a string, `number` its number if
/// it is one or has the text of one.
fn meets_leaf<'t>(
    test: &LeafTest,
    raw: &str,
    text: impl Fn() -> Option<&'t str>,
    number: impl Fn() -> Option<&'t Decimal<'t>>,
) -> bool {
    match test {
        LeafTest::Exists => true,
        LeafTest::Text(wanted) => text().is_some_and(|text| text == wanted.as_str()),
        LeafTest::Beginning(start) => text().is_some_and(|text| text.starts_with(start)),
        LeafTest::Scalar(wanted) => match text() {
            Some(text) => text == wanted.as_str(),
            None => json::same(raw, wanted),
        },
        LeafTest::Number(comparison, wanted) => number()
            .and_then(|number| number.compare(&Decimal::of(wanted)))
            .is_some_and(|order| comparison.holds(order)),
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
