//! What the store promises: repeats are recognised, secrets stay secret, quarantine is bounded, files are guarded.

mod duplicates;
mod opening;
mod quarantine;
mod restore;
mod secrecy;
mod wrong_secret;
