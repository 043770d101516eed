//! Parsed queries. `Display` writes a query that parses to the same clauses.

use std::fmt::{self, Display, Formatter, Write as _};
use std::net::IpAddr;

use time::OffsetDateTime;
use time::macros::datetime;

use super::message::MessageState;
use super::moment::QueryTime;
use super::values;

/// A query: all its clauses must hold. Without clauses it selects every message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageQuery {
    pub clauses: Vec<QueryClause>,
}

/// Terms of which at least one must hold, or, if negated, none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryClause {
    pub is_negated: bool,
    /// At least one; several only if all are words or quotes.
    pub terms: Vec<QueryTerm>,
}

/// One condition on a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryTerm {
    /// Words in lower case, separated by underscores, which are next to each other in the message;
    /// with `is_prefix`, the last one is the beginning of a word.
    Words {
        text: String,
        is_prefix: bool,
    },
    /// Exact text that starts at the beginning of a word.
    Quote(String),
    /// One of these sources.
    Source(Vec<String>),
    /// One of these patterns of an event, with or without the name of its source.
    Event(Vec<String>),
    /// A value in the payload, at a path that ends with these keys.
    Path {
        keys: Vec<String>,
        test: LeafTest,
    },
    /// A header, in any case.
    Header {
        name: String,
        test: HeaderTest,
    },
    DeliveryId(String),
    /// The id of a message.
    MessageId(i64),
    Ip(IpAddr),
    /// One of these methods, in upper case.
    Method(Vec<String>),
    Owner(String),
    /// Received at this time or later.
    After(QueryTime),
    /// Received before this time.
    Before(QueryTime),
    /// Received before the end of this time.
    At(QueryTime),
    Is(MessageState),
    /// With a delivery in any state, even `replayed`, to one of these targets.
    To(Vec<String>),
    /// The body has more bytes.
    Larger(u64),
    /// The body has fewer bytes.
    Smaller(u64),
}

/// Condition on a value in the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeafTest {
    /// The value is present.
    Exists,
    /// A string with exactly this text.
    Text(String),
    /// A string that begins with this text.
    Beginning(String),
    /// A number of this value, `true`, `false` or `null`, or a string with this text.
    Scalar(String),
    /// A number, or a string with the text of a number.
    Number(NumberComparison, String),
}

/// Comparison of a value with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberComparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Condition on the value of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderTest {
    /// The header is present.
    Exists,
    /// As `QueryTerm::Words`.
    Words { text: String, is_prefix: bool },
    /// As `QueryTerm::Quote`.
    Quote(String),
}

impl MessageQuery {
    /// A query of these clauses. Leaves out repetitions, which would only cost time.
    pub(super) fn of(clauses: Vec<QueryClause>) -> Self {
        let mut unique = Vec::with_capacity(clauses.len());
        for clause in clauses {
            if !unique.contains(&clause) {
                unique.push(clause);
            }
        }
        Self { clauses: unique }
    }

    /// A query that matches no message.
    pub fn of_nothing() -> Self {
        let start_of_time = QueryTime::Moment(datetime!(0000-01-01 00:00 UTC));
        Self { clauses: vec![QueryClause::of(QueryTerm::Before(start_of_time))] }
    }

    /// Adds an exact text as a condition.
    pub fn and_quote(mut self, text: String) -> Self {
        self.clauses.push(QueryClause::of(QueryTerm::Quote(text)));
        Self::of(self.clauses)
    }

    /// Replaces ages and other relative times with moments.
    pub fn resolve(mut self, now: OffsetDateTime) -> Self {
        for term in self.clauses.iter_mut().flat_map(|clause| &mut clause.terms) {
            match term {
                QueryTerm::After(time) | QueryTerm::Before(time) => {
                    *time = QueryTime::Moment(time.start(now))
                }
                QueryTerm::At(time) => *term = QueryTerm::Before(QueryTime::Moment(time.end(now))),
                _ => {}
            }
        }
        // Different times can be the same moment.
        Self::of(self.clauses)
    }

    /// Whether all times are moments, as after `resolve`.
    pub fn is_resolved(&self) -> bool {
        self.terms().all(|(_, term)| match term {
            QueryTerm::After(time) | QueryTerm::Before(time) => matches!(time, QueryTime::Moment(_)),
            QueryTerm::At(_) => false,
            _ => true,
        })
    }

    /// The terms that every match meets: those of clauses with one term that are not negated.
    pub fn required_terms(&self) -> impl Iterator<Item = &QueryTerm> {
        let is_required = |clause: &&QueryClause| !clause.is_negated && clause.terms.len() == 1;
        self.clauses.iter().filter(is_required).flat_map(|clause| &clause.terms)
    }

    /// All terms, with whether they are negated.
    pub fn terms(&self) -> impl Iterator<Item = (bool, &QueryTerm)> {
        self.clauses.iter().flat_map(|clause| clause.terms.iter().map(|term| (clause.is_negated, term)))
    }

    /// The targets to which the states of deliveries refer; empty for all targets.
    pub fn targets(&self) -> Vec<&str> {
        let names = self.required_terms().filter_map(|term| match term {
            QueryTerm::To(names) => Some(names),
            _ => None,
        });
        names.flatten().map(String::as_str).collect()
    }

    /// Counts the terms, and each value of a list as a term.
    pub fn count_values(&self) -> usize {
        self.terms().map(|(_, term)| term.count_values()).sum()
    }

    /// Whether the query tests only sources, events, times and states, which reveal no content.
    pub fn is_public(&self) -> bool {
        self.terms().all(|(_, term)| term.is_public())
    }

    /// Whether the query needs the text of messages: headers, query, body.
    pub fn needs_text(&self) -> bool {
        self.clauses.iter().any(QueryClause::needs_text)
    }
}

impl QueryClause {
    /// A clause of one term.
    pub fn of(term: QueryTerm) -> Self {
        Self { is_negated: false, terms: vec![term] }
    }

    /// Whether the clause needs the text of a message. All terms of a clause are of the same kind.
    pub fn needs_text(&self) -> bool {
        self.terms.iter().any(QueryTerm::needs_text)
    }
}

impl QueryTerm {
    /// Whether the term needs the text of a message.
    pub fn needs_text(&self) -> bool {
        matches!(self, Self::Words { .. } | Self::Quote(_) | Self::Path { .. } | Self::Header { .. })
    }

    fn count_values(&self) -> usize {
        match self {
            Self::Source(values) | Self::Event(values) | Self::Method(values) | Self::To(values) => {
                values.len()
            }
            _ => 1,
        }
    }

    fn is_public(&self) -> bool {
        match self {
            Self::Source(_)
            | Self::Event(_)
            | Self::After(_)
            | Self::Before(_)
            | Self::At(_)
            | Self::Is(_)
            | Self::To(_) => true,
            Self::Words { .. }
            | Self::Quote(_)
            | Self::Path { .. }
            | Self::Header { .. }
            | Self::DeliveryId(_)
            | Self::MessageId(_)
            | Self::Ip(_)
            | Self::Method(_)
            | Self::Owner(_)
            | Self::Larger(_)
            | Self::Smaller(_) => false,
        }
    }

    /// Whether the term may be joined with `OR`.
    pub fn is_word_or_quote(&self) -> bool {
        matches!(self, Self::Words { .. } | Self::Quote(_))
    }
}

impl Display for MessageQuery {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (place, clause) in self.clauses.iter().enumerate() {
            f.write_str(if place == 0 { "" } else { " " })?;
            clause.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for QueryClause {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_negated { "-" } else { "" })?;
        for (place, term) in self.terms.iter().enumerate() {
            f.write_str(if place == 0 { "" } else { " OR " })?;
            term.fmt(f)?;
        }
        Ok(())
    }
}

impl Display for QueryTerm {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Words { text, is_prefix } => write_words(f, text, *is_prefix),
            Self::Quote(text) => write_quoted(f, text),
            Self::Source(names) => write_list(f, "source:", names),
            Self::Event(patterns) => write_list(f, "event:", patterns),
            Self::Path { keys, test } => {
                for key in keys {
                    f.write_char('.')?;
                    write_value(f, key, |next| next.is_alphanumeric() || "_-$@".contains(next))?;
                }
                f.write_char(':')?;
                test.fmt(f)
            }
            Self::Header { name, test } => {
                write!(f, "header.{name}:")?;
                match test {
                    HeaderTest::Exists => f.write_char('*'),
                    HeaderTest::Words { text, is_prefix } => write_words(f, text, *is_prefix),
                    HeaderTest::Quote(text) => write_quoted(f, text),
                }
            }
            Self::DeliveryId(id) => write_list(f, "id:", std::slice::from_ref(id)),
            Self::MessageId(id) => write!(f, "#{id}"),
            Self::Ip(address) => write!(f, "ip:{address}"),
            Self::Method(methods) => write_list(f, "method:", methods),
            Self::Owner(owner) => write_list(f, "owner:", std::slice::from_ref(owner)),
            Self::After(time) => write!(f, "after:{time}"),
            Self::Before(time) => write!(f, "before:{time}"),
            Self::At(time) => write!(f, "at:{time}"),
            Self::Is(state) => write!(f, "is:{}", state.name()),
            Self::To(names) => write_list(f, "to:", names),
            Self::Larger(bytes) => write!(f, "larger:{}", values::size_text(*bytes)),
            Self::Smaller(bytes) => write!(f, "smaller:{}", values::size_text(*bytes)),
        }
    }
}

impl Display for LeafTest {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists => f.write_char('*'),
            Self::Text(text) => write_quoted(f, text),
            Self::Beginning(text) => {
                write_quoted(f, text)?;
                f.write_char('*')
            }
            Self::Scalar(text) => f.write_str(text),
            Self::Number(comparison, number) => write!(f, "{}{number}", comparison.sign()),
        }
    }
}

impl NumberComparison {
    /// The sign in a query.
    pub fn sign(self) -> &'static str {
        match self {
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

fn write_words(f: &mut Formatter<'_>, text: &str, is_prefix: bool) -> fmt::Result {
    write!(f, "{text}{}", if is_prefix { "*" } else { "" })
}

fn write_list(f: &mut Formatter<'_>, key: &str, values: &[String]) -> fmt::Result {
    f.write_str(key)?;
    for (place, value) in values.iter().enumerate() {
        f.write_str(if place == 0 { "" } else { "," })?;
        write_value(f, value, |next| next.is_alphanumeric() || "_-.*@/+:".contains(next))?;
    }
    Ok(())
}

/// Writes a value, in quotes unless all its characters are plain.
fn write_value(f: &mut Formatter<'_>, value: &str, is_plain: impl Fn(char) -> bool) -> fmt::Result {
    match !value.is_empty() && value.chars().all(is_plain) {
        true => f.write_str(value),
        false => write_quoted(f, value),
    }
}

fn write_quoted(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(character)?;
    }
    f.write_char('"')
}
