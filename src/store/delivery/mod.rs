//! Deliveries of messages to targets, and their attempts.

pub mod counts;
pub mod dead;
pub mod due;
pub mod expire;
pub mod insert;
pub mod loaded;
pub mod outcome;
pub mod read;
pub mod signal;
pub mod state;
