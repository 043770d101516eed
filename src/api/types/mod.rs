//! What the API sends and receives as JSON, in both directions, so that the command line reads what
//! the server writes. A module for each noun. It must not depend on the HTTP server. Requests with
//! unknown fields are errors; in replies they are ignored.

pub mod bulk;
pub mod delivery;
pub mod event;
pub mod listener;
pub mod message;
pub mod page;
pub mod problem;
pub mod rejection;
pub mod replay;
pub mod schemas;
pub mod source;
pub mod target;
pub mod target_change;
pub mod words;

#[cfg(test)]
mod tests;
