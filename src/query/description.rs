//! Queries in plain words.

use super::ast::{HeaderTest, LeafTest, MessageQuery, NumberComparison, QueryClause, QueryTerm};
use super::message::MessageState;
use super::moment::QueryTime;

impl MessageQuery {
    /// Describes the selected messages, such as `messages from github, with the event push and with
    /// the word order`.
    pub fn description(&self) -> String {
        let clauses: Vec<String> = self.clauses.iter().map(of_clause).collect();
        match clauses.as_slice() {
            [] => "all messages".to_owned(),
            [one] => format!("messages {one}"),
            [first @ .., last] => format!("messages {} and {last}", first.join(", ")),
        }
    }
}

fn of_clause(clause: &QueryClause) -> String {
    let terms: Vec<String> = clause.terms.iter().map(of_term).collect();
    let terms = terms.join(" or ");
    if clause.is_negated { format!("not {terms}") } else { terms }
}

fn of_term(term: &QueryTerm) -> String {
    match term {
        QueryTerm::Words { text, is_prefix } => format!("with {}", of_words(text, *is_prefix)),
        QueryTerm::Quote(text) => format!("with the exact text “{text}”"),
        QueryTerm::Source(names) => format!("from {}", names.join(" or ")),
        QueryTerm::Event(patterns) => format!("with the event {}", patterns.join(" or ")),
        QueryTerm::Path { keys, test } => format!("with {} {}", keys.join("."), of_leaf(test)),
        QueryTerm::Header { name, test } => match test {
            HeaderTest::Exists => format!("with a header {name}"),
            HeaderTest::Words { text, is_prefix } => {
                format!("with {} in the header {name}", of_words(text, *is_prefix))
            }
            HeaderTest::Quote(text) => format!("with the exact text “{text}” in the header {name}"),
        },
        QueryTerm::DeliveryId(id) => format!("with the delivery id {id}"),
        QueryTerm::MessageId(id) => format!("with the message id {id}"),
        QueryTerm::Ip(address) => format!("from the address {address}"),
        QueryTerm::Method(methods) => format!("sent with {}", methods.join(" or ")),
        QueryTerm::Owner(owner) => format!("of the owner {owner}"),
        QueryTerm::After(time) => format!("received at or after {}", of_time(*time)),
        QueryTerm::Before(time) => format!("received before {}", of_time(*time)),
        QueryTerm::At(time) => format!("received at or before {}", of_time(*time)),
        QueryTerm::Is(state) => of_state(*state).to_owned(),
        QueryTerm::To(names) => format!("with a delivery to {}", names.join(" or ")),
        QueryTerm::Larger(bytes) => format!("with more than {bytes} bytes"),
        QueryTerm::Smaller(bytes) => format!("with fewer than {bytes} bytes"),
    }
}

fn of_words(text: &str, is_beginning: bool) -> String {
    let words = text.replace('_', " ");
    match (is_beginning, words.contains(' ')) {
        (true, true) => format!("the adjacent words {words}…"),
        (true, false) => format!("a word that begins with {words}"),
        (false, true) => format!("the adjacent words {words}"),
        (false, false) => format!("the word {words}"),
    }
}

fn of_leaf(test: &LeafTest) -> String {
    match test {
        LeafTest::Exists => "present".to_owned(),
        LeafTest::Text(text) => format!("equal to “{text}”"),
        LeafTest::Beginning(text) => format!("beginning with “{text}”"),
        LeafTest::Scalar(text) => format!("equal to {text}"),
        LeafTest::Number(comparison, number) => {
            let comparison = match comparison {
                NumberComparison::Less => "less than",
                NumberComparison::LessOrEqual => "at most",
                NumberComparison::Greater => "greater than",
                NumberComparison::GreaterOrEqual => "at least",
            };
            format!("{comparison} {number}")
        }
    }
}

fn of_time(time: QueryTime) -> String {
    match time {
        QueryTime::Ago(_) => format!("{time} ago"),
        QueryTime::Day(_) => format!("{time} (UTC)"),
        QueryTime::Minute(_) | QueryTime::Second(_) | QueryTime::Moment(_) => {
            time.to_string().replace('T', " ").replace('Z', " UTC")
        }
    }
}

fn of_state(state: MessageState) -> &'static str {
    match state {
        MessageState::Dead => "with a dead letter",
        MessageState::Pending => "with a pending delivery",
        MessageState::Delivered => "with a successful delivery",
        MessageState::Conflict => "in conflict with another message",
        MessageState::Duplicate => "received more than once",
        MessageState::NotJson => "with an unreadable body",
        MessageState::Unsigned => "with an unsigned body",
        MessageState::Unverified => "released without verification",
        MessageState::Awaiting => "awaiting confirmation",
        MessageState::Rejected => "that failed to verify",
    }
}
