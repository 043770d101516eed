//! Black-box tests: the real binary, real sockets on loopback, and the real database file.
//!
//! `harness` starts and monitors the binary; every other module tests a group of promises. The
//! tests use none of the crate's own code, so that its mistakes cannot hide themselves.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test and reports its location")]

mod api;
mod architecture;
mod bad_input;
mod catalogue;
mod deliveries;
mod faults;
mod harness;
mod local_development;
mod operations;
mod promises;
mod search_index;
mod systems;
