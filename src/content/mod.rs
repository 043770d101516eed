//! A request and its body: content codings, charsets, forms and the JSON document in it. This
//! module never decides whether a request is genuine, and does no I/O.

pub mod body;
pub mod charset;
pub mod coding;
pub mod document;
pub mod form;
pub mod request;
pub mod short_fields;
pub mod view;
