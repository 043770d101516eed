//! Errors of texts that describe a scheme, and of keys.

use std::borrow::Cow;

use crate::json::PathError;

/// The problem with a text of a recipe or of a setting, and its remedy. Does not name the field,
/// and does not show the values of settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    #[error(transparent)]
    Path(#[from] PathError),
    #[error("{0}")]
    Text(Cow<'static, str>),
}

impl From<String> for SyntaxError {
    fn from(problem: String) -> Self {
        Self::Text(problem.into())
    }
}

impl From<&'static str> for SyntaxError {
    fn from(problem: &'static str) -> Self {
        Self::Text(problem.into())
    }
}

/// The problem with a key or secret, and its remedy. A fixed text, so that it cannot show a part of
/// the value; the parsers' own errors would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub &'static str);
