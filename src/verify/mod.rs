//! The mechanics of proving a webhook genuine: signatures, tokens, timestamps, and reading what the body says.
//! Knows no provider by name and does no I/O: a request, keys and the time go in, a verdict comes out.

pub mod encoding;
pub mod form;
pub mod freshness;
pub mod json;
pub mod key;
pub mod layout;
pub mod request;
pub mod signature;
pub mod template;
pub mod token;
