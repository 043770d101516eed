//! Quarantine: requests that failed authentication. Candidates carry the parts that the scheme
//! requires and may be genuine; sources and networks share `CREEL_QUARANTINE_SIZE` for them. All
//! other rejections are noise, of which only a few rows are stored. Messages have priority:
//! rejections are only written between batches of messages, and never take space that messages
//! need.

pub mod books;
pub mod drops;
pub mod intake;
pub mod network;
pub mod read;
pub mod rejection;
pub mod search;
pub mod senders;
pub mod shares;
#[cfg(test)]
mod tests;
pub mod write;
