//! Deliveries of messages to targets, and their attempts.

pub mod dead;
pub mod due;
pub mod expire;
pub mod read;
pub mod signal;
