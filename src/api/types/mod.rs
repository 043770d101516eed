//! JSON types of requests and replies, with a module for each resource. The server and the command
//! line both read and write them, so they must not depend on the HTTP server. Requests with unknown
//! fields are errors; readers of replies ignore unknown fields.

pub mod bulk;
pub mod delivery;
pub mod diff;
pub mod event;
pub mod explanation;
pub mod listener;
pub mod message;
pub mod page;
pub mod problem;
pub mod rejection;
pub mod replay;
#[cfg(test)]
pub mod schemas;
pub mod search;
pub mod source;
pub mod stats;
pub mod target;
pub mod target_change;
pub mod words;

#[cfg(test)]
mod tests;
