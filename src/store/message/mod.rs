//! Messages: their rows, how they are read and searched, and their expiry.

pub mod content;
mod event_forms;
pub mod expire;
pub mod filter;
pub mod insert;
pub mod names;
pub mod new;
pub mod original;
pub mod read;
mod repeat;
pub mod search;
