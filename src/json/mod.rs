//! Reads the JSON of requests and API answers: defines a valid document and its limits, and gives
//! access to its values. This module must never round a number, reject a document because of one
//! odd string, or recurse deeper than its limit.
//!
//! A document is UTF-8 with or without a byte order mark (RFC 8259, 8.1), in serde_json's syntax,
//! at most 127 levels deep. Unlike a `serde_json::Value`, a document can have numbers that no `f64`
//! holds and strings with lone surrogates: both are legal syntax. Numbers keep their digits. A
//! string with a lone surrogate is valid, but equals no text. The last of duplicate keys wins.

mod document;
pub mod lookup;
mod number;
mod object;
mod path_error;
mod path_value;
mod paths;
mod pointers;
mod strings;
mod tokens;
mod tree;
mod value;
mod written;

pub use document::{
    JsonProblem, OFFLOAD_BYTES_MIN, accepts, document, is_json_of_any_depth, problem, without_mark,
};
pub use number::{Decimal, is_plain_number, plain_number};
pub use object::Object;
pub use path_error::PathError;
pub use path_value::{PathValue, PathValues, Slot};
pub use paths::{Paths, unlike_batch};
pub use pointers::{PointedValues, Pointers, is_pointer};
pub use strings::{replace_lone_surrogates, text_lossy, text_of};
pub use tokens::{JsonToken, JsonTokens};
pub use tree::{TreeContent, TreeNode, TreeProblem, tree};
pub use value::{Literal, is_among, is_number, same};
pub use written::{compact, pretty, pretty_up_to};

#[cfg(test)]
mod tests;
