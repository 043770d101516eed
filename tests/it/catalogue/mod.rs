//! The catalogue of providers as it is used from outside: handshakes, learned secrets, senders of one's own, the commands
//! about providers, and what is told about how far a message is proven.

mod captured;
mod changed_rules;
mod cloud_events;
mod commands;
mod custom;
mod fetched_keys;
mod handshakes;
mod learning;
mod payloads;
mod probes;
mod proofs;
mod recipes;
mod redelivery;
mod signed_url;
