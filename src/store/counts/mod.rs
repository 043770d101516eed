//! Counts of messages and rejections by time, source and event. They outlive the messages: hours
//! are kept for 400 days, minutes for three days.
//!
//! The writer counts committed messages in memory and adds the counts to the tables between
//! batches. The transaction that adds them also stores the newest counted message, so that after a
//! crash exactly the messages above it are counted again.

pub mod backlog;
pub mod expire;
pub mod pending;
pub mod period;
pub mod read;
pub mod tally;
#[cfg(test)]
mod tests;
pub mod traffic;
pub mod write;

/// Event of rejections: it is unknown, because their content is not trusted.
pub const UNKNOWN_EVENT: &str = "";
/// Event of the counts beyond a limit on the number of events.
pub const OTHER_EVENT: &str = "…other";
/// Limit on events of a source and hour that are counted by name.
pub const MAX_EVENTS: usize = if cfg!(test) { 10 } else { 1_000 };

/// Whether the event is not the name of one event.
pub fn is_collective(event: &str) -> bool {
    event == UNKNOWN_EVENT || event == OTHER_EVENT
}
