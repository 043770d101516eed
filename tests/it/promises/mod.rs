//! The promises of the store: duplicates are recognized, secrets stay secret, the quarantine is
//! bounded, and files are protected.

mod duplicates;
mod opening;
mod quarantine;
mod restore;
mod secrecy;
mod wrong_secret;
