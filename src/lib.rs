//! Creel: a webhook inbox in one binary and one SQLite file.
#![forbid(unsafe_code)]

mod api;
pub mod app;
pub mod cleanup;
pub mod cli;
pub mod config;
pub mod deliver;
mod http;
mod ingest;
pub mod json;
pub mod outbound;
pub mod providers;
pub mod store;
mod verification;
pub mod verify;
