//! Errors in paths into a JSON document.

/// A path that cannot be parsed, or that does not fit the other paths.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("is empty")]
    Empty,
    #[error("`{0}` has an empty key")]
    EmptyKey(String),
    #[error("`{0}` has a `~` that is neither `~0` nor `~1`")]
    Escape(String),
    #[error("`{0}` is a JSON pointer; separate keys with dots")]
    Pointer(String),
    #[error("`{0}` ends in an array; name a key of its items")]
    EndsInArray(String),
    #[error("`{0}` is used both as a value and as an object or array")]
    Conflict(String),
}
