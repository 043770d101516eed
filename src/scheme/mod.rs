//! The parts of signature schemes: the place of a signature, its coverage, key and age. No code
//! here depends on the name of a provider or does I/O: a request, keys and the time result in a
//! verdict.

pub mod auth_scheme;
pub mod canonical;
mod carried;
pub mod certificate;
pub mod condition;
pub mod confirm_url;
pub mod encoding;
pub mod error;
pub mod expectation;
pub mod freshness;
pub mod jwt;
pub mod key;
pub mod key_store;
pub mod layout;
pub mod place;
pub mod public_key;
pub mod shape;
pub mod signature;
pub mod template;
pub mod tink;
pub mod token;
pub mod trace;
