//! Messages: the row that the writer makes of one, how it is read and searched, and when it goes.

pub mod content;
pub mod expire;
pub mod filter;
pub mod insert;
pub mod new;
pub mod read;
pub mod search;
