//! Black-box tests: the real binary, real sockets on loopback, the real database file.
//!
//! `harness` starts and watches the binary; every other module is a group of promises. Nothing here uses the
//! crate's own code, so that a mistake in it cannot hide itself.

#![expect(clippy::unwrap_used, reason = "what cannot be had fails the test, and says where")]

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
mod systems;
