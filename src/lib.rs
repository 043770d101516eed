//! Creel: a webhook inbox in one binary and one SQLite file.
#![forbid(unsafe_code)]

pub mod app;
pub mod cleanup;
pub mod cli;
pub mod config;
pub mod content;
pub mod deliver;
pub mod http;
pub mod json;
pub mod outbound;
pub mod providers;
pub mod scheme;
pub mod store;
