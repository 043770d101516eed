//! The parser: one pass over the text, without recursion.

use std::borrow::Cow;
use std::net::IpAddr;

use super::ast::{HeaderTest, LeafTest, MessageQuery, NumberComparison, QueryClause, QueryTerm};
use super::error::QueryError;
use super::key::{is_key, nearest_word, unknown_key};
use super::message::MessageState;
use super::moment::QueryTime;
use super::values::{self, parse_words};
use crate::json;

/// Maximum length of a query from outside.
const MAX_CHARACTERS: usize = 1_000;
/// Maximum length of a stored query: written out, a query can be longer than its original.
const MAX_STORED_CHARACTERS: usize = 16_000;
/// Maximum number of terms of a query from outside. Each value of a list counts as a term.
const MAX_TERMS: usize = 64;
/// Maximum number of terms of a stored query, which can have the filter `text` as another term.
const MAX_STORED_TERMS: usize = MAX_TERMS + 1;

impl MessageQuery {
    /// Parses a query from outside.
    ///
    /// # Errors
    /// The first mistake, with its position.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        QueryParser::new(text, MAX_CHARACTERS, MAX_TERMS)?.query()
    }

    /// Parses a query that `Display` wrote.
    ///
    /// # Errors
    /// The first mistake, with its position.
    pub fn parse_stored(text: &str) -> Result<Self, QueryError> {
        QueryParser::new(text, MAX_STORED_CHARACTERS, MAX_STORED_TERMS)?.query()
    }
}

struct QueryParser<'a> {
    text: &'a str,
    at: usize,
    /// Number of terms so far.
    count: usize,
    max_terms: usize,
}

/// One value of a key.
struct KeyValue<'a> {
    at: usize,
    text: Cow<'a, str>,
}

impl<'a> QueryParser<'a> {
    fn new(text: &'a str, max_characters: usize, max_terms: usize) -> Result<Self, QueryError> {
        match text.char_indices().nth(max_characters) {
            Some((at, _)) => {
                Err(QueryError::new(at, format!("the query is longer than {max_characters} characters")))
            }
            None => Ok(Self { text, at: 0, count: 0, max_terms }),
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn fail<T>(&self, reason: impl Into<String>) -> Result<T, QueryError> {
        Err(QueryError::new(self.at, reason))
    }

    fn query(mut self) -> Result<MessageQuery, QueryError> {
        let mut clauses: Vec<QueryClause> = Vec::new();
        let mut or_at = None;
        loop {
            self.at = self.text.len() - self.rest().trim_start().len();
            if self.rest().is_empty() {
                break;
            }
            let start = self.at;
            if self.token() == "OR" {
                let can_join = clauses.last().is_some_and(can_be_joined);
                if or_at.is_some() || !can_join {
                    return self.fail("OR joins two words or quoted texts, such as paid OR refunded");
                }
                or_at = Some(start);
                self.at += "OR".len();
                continue;
            }
            let is_negated = self.rest().starts_with(['-', '!']);
            self.at += usize::from(is_negated);
            self.count_term(start)?;
            let term = self.term()?;
            let clause = QueryClause { is_negated, terms: vec![term] };
            match or_at.take() {
                None => clauses.push(clause),
                Some(_) if can_be_joined(&clause) => {
                    clauses
                        .last_mut()
                        .into_iter()
                        .for_each(|last| last.terms.extend_from_slice(&clause.terms));
                }
                Some(at) => {
                    let reason = "OR joins only words and quoted texts, without a minus sign";
                    return Err(QueryError::new(at, reason));
                }
            }
        }
        match or_at {
            None => Ok(MessageQuery::of(clauses)),
            Some(at) => Err(QueryError::new(at, "a word or a quoted text is missing after OR")),
        }
    }

    /// Counts the term or value at a position.
    fn count_term(&mut self, at: usize) -> Result<(), QueryError> {
        self.count += 1;
        if self.count > self.max_terms {
            return Err(QueryError::new(at, format!("the query has more than {} terms", self.max_terms)));
        }
        Ok(())
    }

    /// Returns the text up to the next white space or quotation mark.
    fn token(&self) -> &'a str {
        let rest = self.rest();
        &rest[..rest.find(|next: char| next.is_whitespace() || next == '"').unwrap_or(rest.len())]
    }

    fn take_token(&mut self) -> &'a str {
        let token = self.token();
        self.at += token.len();
        token
    }

    fn term(&mut self) -> Result<QueryTerm, QueryError> {
        if self.rest().starts_with('"') {
            let text = self.quoted()?;
            return Ok(QueryTerm::Quote(text));
        }
        let (start, token) = (self.at, self.token());
        if let Some(id) = token.strip_prefix('#').and_then(message_id) {
            self.at += token.len();
            return Ok(QueryTerm::MessageId(id));
        }
        if token.starts_with('.') {
            return self.path();
        }
        if let Some((key, _)) = token.split_once(':').filter(|(key, _)| is_key(key)) {
            self.at += key.len() + 1;
            return self.field(start, key);
        }
        self.at += token.len();
        let (text, is_prefix) = parse_words(start, token)?;
        Ok(QueryTerm::Words { text, is_prefix })
    }

    /// Parses a quoted text, in which `\"` and `\\` stand for a quotation mark and a backslash.
    fn quoted(&mut self) -> Result<String, QueryError> {
        let text = self.quoted_or_empty()?;
        if text.is_empty() {
            self.at -= 2;
            return self.fail("the quoted text is empty");
        }
        Ok(text)
    }

    fn quoted_or_empty(&mut self) -> Result<String, QueryError> {
        let mut text = String::new();
        let mut characters = self.rest().char_indices().skip(1).peekable();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' => {
                    self.at += at + 1;
                    return Ok(text);
                }
                '\\' => match characters.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                    Some((_, escaped)) => text.push(escaped),
                    None => text.push('\\'),
                },
                other => text.push(other),
            }
        }
        self.fail("the closing quotation mark is missing")
    }

    /// Parses a path and the test of its value, such as `.data.amount:>100`.
    fn path(&mut self) -> Result<QueryTerm, QueryError> {
        let start = self.at;
        let mut keys = Vec::new();
        while self.rest().starts_with('.') {
            self.at += 1;
            let key_at = self.at;
            let key = match self.rest().starts_with('"') {
                true => self.quoted_or_empty()?,
                false => {
                    let is_end = |next: char| next.is_whitespace() || ".:\"".contains(next);
                    let rest = self.rest();
                    let key = &rest[..rest.find(is_end).unwrap_or(rest.len())];
                    if key.is_empty() {
                        return Err(QueryError::new(key_at, "a key of the path is empty"));
                    }
                    self.at += key.len();
                    key.to_owned()
                }
            };
            keys.push(key);
        }
        if !self.rest().starts_with(':') {
            let reason = "the value of the path is missing: write .path:value, or .path:* for any value; \
                          quote the text to search for it";
            return Err(QueryError::new(start, reason));
        }
        self.at += 1;
        let test = self.leaf_test()?;
        Ok(QueryTerm::Path { keys, test })
    }

    fn leaf_test(&mut self) -> Result<LeafTest, QueryError> {
        let start = self.at;
        if self.rest().starts_with('"') {
            let text = self.quoted_or_empty()?;
            if self.rest().starts_with('*') {
                self.at += 1;
                return self.ended(LeafTest::Beginning(text));
            }
            return self.ended(LeafTest::Text(text));
        }
        let token = self.take_token();
        for comparison in [
            NumberComparison::LessOrEqual,
            NumberComparison::GreaterOrEqual,
            NumberComparison::Less,
            NumberComparison::Greater,
        ] {
            if let Some(number) = token.strip_prefix(comparison.sign()) {
                if !json::is_plain_number(number) {
                    let reason = format!("{} needs a number, such as {0}100", comparison.sign());
                    return Err(QueryError::new(start, reason));
                }
                return self.ended(LeafTest::Number(comparison, number.to_owned()));
            }
        }
        let test = match token.split_once('*') {
            None if token.is_empty() => return Err(missing_value(start)),
            None if matches!(token, "true" | "false" | "null") || json::is_plain_number(token) => {
                LeafTest::Scalar(token.to_owned())
            }
            None => LeafTest::Text(token.to_owned()),
            Some(("", "")) => LeafTest::Exists,
            Some((beginning, "")) => LeafTest::Beginning(beginning.to_owned()),
            Some(_) => {
                let reason = "a star can only be at the end; quote the value to search for a star";
                return Err(QueryError::new(start, reason));
            }
        };
        self.ended(test)
    }

    /// Requires white space after a value.
    fn ended<T>(&self, value: T) -> Result<T, QueryError> {
        match self.rest().chars().next() {
            Some(next) if !next.is_whitespace() => self.fail("write a space after the value"),
            _ => Ok(value),
        }
    }

    /// Parses the value of a key, which begins at the current position.
    fn field(&mut self, start: usize, key: &str) -> Result<QueryTerm, QueryError> {
        let name = key.to_ascii_lowercase();
        if let Some(header) = name.strip_prefix("header.").filter(|header| !header.is_empty()) {
            return self.header(header);
        }
        match name.as_str() {
            "source" => self.names().map(QueryTerm::Source),
            "event" => self.names().map(QueryTerm::Event),
            "to" => self.names().map(QueryTerm::To),
            "method" => {
                let methods = self.names()?;
                Ok(QueryTerm::Method(methods.iter().map(|method| method.to_ascii_uppercase()).collect()))
            }
            "id" => self.value().map(|id| QueryTerm::DeliveryId(id.text.into_owned())),
            "owner" => {
                let owner = self.value()?;
                values::check_name(owner.at, &owner.text)?;
                Ok(QueryTerm::Owner(owner.text.into_owned()))
            }
            "ip" => self.parsed("an IP address", |text| text.parse::<IpAddr>().ok()).map(QueryTerm::Ip),
            "after" => self.time().map(QueryTerm::After),
            "before" => self.time().map(QueryTerm::Before),
            "at" => self.time().map(QueryTerm::At),
            "larger" => self.size().map(QueryTerm::Larger),
            "smaller" => self.size().map(QueryTerm::Smaller),
            "is" => self.state().map(QueryTerm::Is),
            _ => Err(unknown_key(start, key, &name)),
        }
    }

    fn header(&mut self, name: &str) -> Result<QueryTerm, QueryError> {
        let name = name.to_owned();
        if self.rest().starts_with('"') {
            let text = self.quoted()?;
            return self.ended(QueryTerm::Header { name, test: HeaderTest::Quote(text) });
        }
        let (at, token) = (self.at, self.take_token());
        let test = match token {
            "" => return Err(missing_value(at)),
            "*" => HeaderTest::Exists,
            token => {
                let (text, is_prefix) = parse_words(at, token)?;
                HeaderTest::Words { text, is_prefix }
            }
        };
        self.ended(QueryTerm::Header { name, test })
    }

    /// Parses names that are separated by commas.
    fn names(&mut self) -> Result<Vec<String>, QueryError> {
        let mut names = Vec::new();
        loop {
            let (at, rest) = (self.at, self.rest());
            let name = match rest.starts_with('"') {
                true => self.quoted()?,
                false => {
                    let is_end = |next: char| next.is_whitespace() || ",\"".contains(next);
                    let text = &rest[..rest.find(is_end).unwrap_or(rest.len())];
                    if text.is_empty() {
                        return Err(missing_value(at));
                    }
                    self.at += text.len();
                    text.to_owned()
                }
            };
            values::check_name(at, &name)?;
            names.push(name);
            if !self.rest().starts_with(',') {
                return self.ended(names);
            }
            self.at += 1;
            self.count_term(self.at)?;
        }
    }

    fn value(&mut self) -> Result<KeyValue<'a>, QueryError> {
        let at = self.at;
        if self.rest().starts_with('"') {
            let text = self.quoted()?.into();
            return self.ended(KeyValue { at, text });
        }
        let text = self.take_token();
        if text.is_empty() {
            return Err(missing_value(at));
        }
        self.ended(KeyValue { at, text: text.into() })
    }

    fn parsed<T>(&mut self, what: &str, parse: impl Fn(&str) -> Option<T>) -> Result<T, QueryError> {
        let value = self.value()?;
        parse(&value.text).ok_or_else(|| QueryError::new(value.at, format!("the value must be {what}")))
    }

    fn time(&mut self) -> Result<QueryTime, QueryError> {
        let what = "an age such as 2h or 3d, a day such as 2026-11-22, or a time such as 2026-11-22T14:30";
        self.parsed(what, QueryTime::parse)
    }

    fn size(&mut self) -> Result<u64, QueryError> {
        self.parsed("a number of bytes, such as 500, 20k, 1M or 1G", values::size)
    }

    fn state(&mut self) -> Result<MessageState, QueryError> {
        let value = self.value()?;
        let written = value.text.to_ascii_lowercase();
        MessageState::from_name(&written).ok_or_else(|| {
            let names = MessageState::ALL.map(MessageState::name);
            let reason = format!("is: needs one of {}", names.join(", "));
            let nearest = nearest_word(&written, names.into_iter()).map(|name| format!("is:{name}"));
            QueryError::new(value.at, reason).with_nearest(nearest)
        })
    }
}

fn can_be_joined(clause: &QueryClause) -> bool {
    !clause.is_negated && clause.terms.iter().all(QueryTerm::is_word_or_quote)
}

fn message_id(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

fn missing_value(at: usize) -> QueryError {
    QueryError::new(at, "the value is missing; do not write a space after the colon")
}
