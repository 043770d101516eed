//! The query language for messages and rejected requests: its syntax, its meaning, and the words of
//! messages.
//!
//! [`MessageQuery::matches`] defines which messages and rejected requests a query selects.
//!
//! [`MessageQuery::required_words`] and [`message_words`] are for the index of words: every message
//! that matches a query has the required words.
//!
//! Neither parsing nor matching recurses, fails on any input, or needs memory beyond a multiple of
//! its input.

mod ast;
mod description;
mod error;
mod key;
mod leaves;
mod matcher;
mod message;
mod moment;
mod parser;
mod pattern;
mod required;
mod sequence;
mod split;
mod values;
mod words;

pub use ast::{HeaderTest, LeafTest, MessageQuery, NumberComparison, QueryClause, QueryTerm};
pub use error::QueryError;
pub use key::nearest_name;
pub use message::{MessageFacts, MessageFlags, MessageState, MessageText, SearchedDelivery, SearchedMessage};
pub use moment::QueryTime;
pub use pattern::matches_pattern;
pub use required::RequiredWords;
pub use words::{
    MAX_BODY_BYTES, MessageWords, SearchWord, add_message_words, add_run_words, message_words, search_words,
};

#[cfg(test)]
mod tests;
