//! The catalogue of providers from outside: handshakes, learned secrets, custom senders, the
//! commands about providers, and reports on unsigned parts of a message.

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
mod samples;
mod signed_url;
