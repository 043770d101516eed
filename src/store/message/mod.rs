//! Messages: the row that the writer makes of one, how it is read and searched, and when it goes.

pub mod content;
mod event_forms;
pub mod expire;
pub mod filter;
pub mod insert;
pub mod new;
pub mod original;
pub mod read;
mod repeat;
pub mod search;
