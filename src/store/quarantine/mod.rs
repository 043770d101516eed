//! Quarantine: requests that failed authentication. Candidates carry the parts that the scheme
//! requires and may be genuine; they share `CREEL_QUARANTINE_SIZE` by source and network. Noise has
//! a few rows. Rows are only written between batches of messages, and never at their expense.

pub mod books;
pub mod drops;
pub mod intake;
pub mod network;
pub mod read;
pub mod rejection;
pub mod senders;
pub mod shares;
#[cfg(test)]
mod tests;
pub mod write;
