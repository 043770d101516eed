//! The words that a query requires, as an expression of FTS5.

use crate::query::{MessageQuery, QueryClause, QueryTerm, RequiredWords, SearchWord};
use crate::store::message::filter::MessageFilter;
use crate::store::target::subscription::Pattern;

/// An expression for `MATCH`: every message that a filter selects matches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchExpression(String);

impl MatchExpression {
    /// Returns `None` if the filter requires no word.
    pub fn new(filter: &MessageFilter) -> Option<Self> {
        let mut query = filter.q.clone().unwrap_or_default();
        let mut require = |term: QueryTerm| query.clauses.push(QueryClause::of(term));
        filter.source.iter().for_each(|source| require(QueryTerm::Source(vec![source.clone()])));
        filter.owner.iter().for_each(|owner| require(QueryTerm::Owner(owner.clone())));
        filter
            .event
            .iter()
            .for_each(|event| require(QueryTerm::Event(vec![Pattern::new(event).as_str().to_owned()])));
        Self::of_query(&query)
    }

    fn of_query(query: &MessageQuery) -> Option<Self> {
        let required = query.required_words();
        let mut text = String::new();
        write(&mut text, &required);
        (required != RequiredWords::Nothing).then_some(Self(text))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Words of messages contain no quotes, so a word in quotes is one token.
fn write(text: &mut String, required: &RequiredWords) {
    let mut join = |all: &[RequiredWords], operator: &str| {
        text.push('(');
        for (place, one) in all.iter().enumerate() {
            text.push_str(if place == 0 { "" } else { operator });
            write(text, one);
        }
        text.push(')');
    };
    match required {
        RequiredWords::Nothing => {}
        RequiredWords::All(all) => join(all, " AND "),
        RequiredWords::Any(any) => join(any, " OR "),
        RequiredWords::Word(SearchWord::Whole(word)) => text.extend(["\"", word, "\""]),
        RequiredWords::Word(SearchWord::Beginning(start)) => text.extend(["\"", start, "\" *"]),
    }
}
