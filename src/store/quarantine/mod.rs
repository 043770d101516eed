//! Quarantine: requests that failed authentication. Candidates carry what the scheme demands and may be genuine; they share
//! `CREEL_QUARANTINE_SIZE`, source by source and network by network. Noise gets a few rows. Written only between batches of
//! messages, and never at their expense.

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
