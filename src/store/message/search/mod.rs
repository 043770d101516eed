//! Searches messages: chooses the rows that are examined for one page of results. A time range is
//! found in the index on time, regardless of the number of messages outside it. Lists are
//! nevertheless ordered by id.
//!
//! Times follow the ids only approximately: clocks are set back, and a released rejection keeps the
//! time of its arrival. So no range of ids is derived from a time without an index.
//!
//! With the index of words (`store/index`), only messages with the required words are examined.

pub mod condition;
mod indexed;
mod rows;
mod run;
mod scan;
#[expect(clippy::module_inception, reason = "the type of this name")]
mod search;
#[cfg(test)]
mod tests;
pub mod text;

pub use search::{Search, bind_if_used};
