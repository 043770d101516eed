//! The catalogue of providers: vectors at the provider interface and through the running server.
//!
//! `cargo test vectors` runs the vectors in `tests/vectors`; `TEST_VECTORS` names another file or
//! directory.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test and reports its location")]

mod confirmations;
mod vector;
mod vectors_at_the_interface;
mod vectors_through_the_server;
