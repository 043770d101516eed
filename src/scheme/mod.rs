//! The mechanics of proving a webhook genuine: signatures, tokens, timestamps, certificates, and reading what the body says.
//! Knows no provider by name and does no I/O: a request, keys and the time go in, a verdict comes out.

pub mod asked_url;
pub mod auth_scheme;
pub mod body;
pub mod canonical;
mod carried;
pub mod certificate;
pub mod charset;
pub mod coding;
pub mod condition;
pub mod document;
pub mod encoding;
pub mod expectation;
pub mod form;
pub mod freshness;
pub mod jwt;
pub mod key;
pub mod layout;
pub mod outside;
pub mod place;
pub mod public_key;
pub mod request;
pub mod short_fields;
pub mod signature;
pub mod template;
pub mod tink;
pub mod token;
pub mod view;

pub use crate::json::{self, lookup};
