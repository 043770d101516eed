//! Verifies a request of a source and describes the message in it: keys that are fetched, secrets that are learned, bodies that are
//! decoded. It must not know the HTTP server.

pub mod examine;
pub mod fetches;
pub mod health;
pub mod learning;
pub mod lookups;
#[cfg(test)]
mod one_reading_tests;
pub mod reading;
pub mod redaction;
mod shown_url;
#[cfg(test)]
mod signed_content_tests;
pub mod source;
