//! The words that every match of a query has, for the index of words.

use super::ast::{HeaderTest, LeafTest, MessageQuery, QueryClause, QueryTerm};
use super::message::MessageState;
use super::words::{
    CUT, MAX_INDEXED_CHARACTERS, MessageWords, SearchWord, cut_word, field, leaf_of_text, search_words,
};
use crate::json;

/// A condition on the words of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequiredWords {
    /// Without a condition: the query requires no word.
    Nothing,
    Word(SearchWord),
    All(Vec<RequiredWords>),
    Any(Vec<RequiredWords>),
}

impl RequiredWords {
    /// Whether the words of a message meet the condition.
    pub fn are_in(&self, words: &MessageWords) -> bool {
        match self {
            Self::Nothing => true,
            Self::Word(word) => word.is_in(words),
            Self::All(all) => all.iter().all(|one| one.are_in(words)),
            Self::Any(any) => any.iter().any(|one| one.are_in(words)),
        }
    }

    fn whole(word: String) -> Self {
        Self::Word(SearchWord::Whole(word))
    }

    fn beginning(word: String) -> Self {
        Self::Word(SearchWord::Beginning(word))
    }

    fn of_text(text: &str, is_beginning: bool) -> Self {
        Self::all(search_words(text, is_beginning).into_iter().map(indexed).map(Self::Word))
    }

    fn all(conditions: impl IntoIterator<Item = Self>) -> Self {
        let mut all: Vec<Self> = conditions.into_iter().filter(|one| *one != Self::Nothing).collect();
        all.dedup();
        match all.len() {
            0 => Self::Nothing,
            1 => all.remove(0),
            _ => Self::All(all),
        }
    }

    fn any(conditions: impl IntoIterator<Item = Self>) -> Self {
        let mut any: Vec<Self> = conditions.into_iter().collect();
        any.dedup();
        match any.len() {
            _ if any.contains(&Self::Nothing) => Self::Nothing,
            1 => any.remove(0),
            _ => Self::Any(any),
        }
    }

    /// The condition for text that can be after the words that were read.
    fn or_cut(self) -> Self {
        Self::any([self, Self::whole(CUT.to_owned())])
    }
}

/// Returns the word that an index has for a word of a text.
fn indexed(word: SearchWord) -> SearchWord {
    let (SearchWord::Whole(text) | SearchWord::Beginning(text)) = &word;
    match text.chars().count() >= MAX_INDEXED_CHARACTERS {
        true => SearchWord::Whole(cut_word(text).to_owned()),
        false => word,
    }
}

impl MessageQuery {
    /// Returns a word of ASCII letters and digits that the text of every match has, in any case,
    /// unless it is written with escapes or with other characters of the same letter. It is the
    /// longest one.
    pub fn required_literal(&self) -> Option<String> {
        let texts = self.required_terms().flat_map(literal_texts);
        let words = texts.flat_map(|text| search_words(text, true));
        let is_ascii = |word: &String| word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        words
            .map(|(SearchWord::Whole(word) | SearchWord::Beginning(word))| word)
            .filter(is_ascii)
            .max_by_key(String::len)
    }

    /// Returns a condition that the words of every matching message meet. Messages that meet it do
    /// not always match.
    pub fn required_words(&self) -> RequiredWords {
        RequiredWords::all(self.clauses.iter().map(of_clause))
    }
}

/// Returns texts whose words every match of a term has.
fn literal_texts(term: &QueryTerm) -> Vec<&str> {
    match term {
        QueryTerm::Words { text, .. }
        | QueryTerm::Quote(text)
        | QueryTerm::Header { test: HeaderTest::Words { text, .. } | HeaderTest::Quote(text), .. } => {
            vec![text]
        }
        QueryTerm::Path { keys, .. } => keys.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

fn of_clause(clause: &QueryClause) -> RequiredWords {
    match clause.is_negated {
        true => RequiredWords::Nothing,
        false => RequiredWords::any(clause.terms.iter().map(of_term)),
    }
}

fn of_term(term: &QueryTerm) -> RequiredWords {
    let fields = |name: &str, values: &[String]| {
        RequiredWords::any(values.iter().map(|value| RequiredWords::whole(field(name, value))))
    };
    match term {
        QueryTerm::Words { text, is_prefix } => RequiredWords::of_text(text, *is_prefix),
        QueryTerm::Quote(text) => RequiredWords::of_text(text, true).or_cut(),
        QueryTerm::Source(names) => fields("source", names),
        QueryTerm::Event(patterns) => RequiredWords::any(patterns.iter().map(|pattern| of_event(pattern))),
        QueryTerm::Path { keys, test } => {
            let key = keys.last().map_or("", String::as_str);
            RequiredWords::all([RequiredWords::of_text(key, false), of_leaf(key, test)]).or_cut()
        }
        QueryTerm::Header { test, .. } => match test {
            HeaderTest::Exists => RequiredWords::Nothing,
            HeaderTest::Words { text, is_prefix } => RequiredWords::of_text(text, *is_prefix),
            HeaderTest::Quote(text) => RequiredWords::of_text(text, true),
        },
        QueryTerm::DeliveryId(id) => RequiredWords::of_text(id, false),
        QueryTerm::Ip(address) => RequiredWords::whole(field("ip", &address.to_string())),
        QueryTerm::Method(methods) => fields("method", methods),
        QueryTerm::Owner(owner) => RequiredWords::whole(field("owner", owner)),
        QueryTerm::Is(MessageState::NotJson | MessageState::Unsigned | MessageState::Unverified) => {
            let QueryTerm::Is(state) = term else { return RequiredWords::Nothing };
            RequiredWords::whole(field("is", state.name()))
        }
        // Times and sizes have no words, and the other states change.
        QueryTerm::MessageId(_)
        | QueryTerm::After(_)
        | QueryTerm::Before(_)
        | QueryTerm::At(_)
        | QueryTerm::Is(_)
        | QueryTerm::To(_)
        | QueryTerm::Larger(_)
        | QueryTerm::Smaller(_) => RequiredWords::Nothing,
    }
}

fn of_event(pattern: &str) -> RequiredWords {
    match pattern.split_once('*') {
        None => RequiredWords::any(["event", "type"].map(|name| RequiredWords::whole(field(name, pattern)))),
        Some(("", _)) => RequiredWords::Nothing,
        Some((head, _)) => {
            RequiredWords::any(["event", "type"].map(|name| RequiredWords::beginning(field(name, head))))
        }
    }
}

fn of_leaf(key: &str, test: &LeafTest) -> RequiredWords {
    let leaf_of = |text: &str| leaf_of_text(key, text).map_or(RequiredWords::Nothing, RequiredWords::whole);
    match test {
        LeafTest::Exists | LeafTest::Number(..) => RequiredWords::Nothing,
        LeafTest::Beginning(start) => RequiredWords::of_text(start, true),
        LeafTest::Scalar(scalar) if json::is_plain_number(scalar) => {
            let as_number = json::plain_number(scalar)
                .map_or(RequiredWords::Nothing, |plain| RequiredWords::of_text(&plain, false));
            RequiredWords::any([as_number, RequiredWords::of_text(scalar, false)])
        }
        LeafTest::Text(text) | LeafTest::Scalar(text) => {
            RequiredWords::all([RequiredWords::of_text(text, false), leaf_of(text)])
        }
    }
}
