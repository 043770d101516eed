//! The settings of a source that its provider's recipe accepts.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::time::Duration;

use crate::content::request::Secret;

/// The settings of one source that its provider's recipe names. Keys are in lower case; a setting
/// that rotates, such as `secret`, can have several values (`_SECRET`, `_SECRET_2` …).
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub values: BTreeMap<String, Vec<Secret>>,
    pub tolerance: Option<Duration>,
    pub reply_status: Option<u16>,
    pub reply_body: Option<String>,
}

impl Settings {
    /// Returns all values of a key.
    pub(super) fn all(&self, key: &str) -> &[Secret] {
        self.values.get(key).map_or(&[], Vec::as_slice)
    }

    /// Returns the text of a key that is not a secret.
    pub(super) fn text(&self, key: &str) -> Result<Option<&str>, SettingError> {
        match self.all(key) {
            [] => Ok(None),
            [value] => std::str::from_utf8(value.expose())
                .map(Some)
                .map_err(|_| SettingError::new(key, "is not UTF-8 text")),
            _ => Err(SettingError::new(key, "accepts only one value")),
        }
    }

    /// Returns a `yes` or `no` setting; defaults to `no`.
    pub(super) fn switch(&self, key: &str) -> Result<bool, SettingError> {
        match self.text(key)? {
            Some("yes") => Ok(true),
            Some("no") | None => Ok(false),
            Some(_) => Err(SettingError::new(key, "must be `yes` or `no`")),
        }
    }
}

/// A problem with one setting; the caller adds the variable's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingError {
    pub key: String,
    /// The index of the value in its setting: 1 is that of `_SECRET_2` if `_SECRET` is set.
    pub value: usize,
    pub problem: String,
}

impl SettingError {
    pub(super) fn new(key: &str, problem: impl Display) -> Self {
        Self::of_value(key, 0, problem)
    }

    pub(super) fn of_value(key: &str, value: usize, problem: impl Display) -> Self {
        Self { key: key.to_owned(), value, problem: problem.to_string() }
    }

    /// Converts each value of a setting; returns the first error with its index.
    pub(super) fn collect<T, P: Display>(
        key: &str,
        values: &[Secret],
        convert: impl Fn(&Secret) -> Result<T, P>,
    ) -> Result<Vec<T>, Self> {
        let numbered = values.iter().enumerate();
        numbered
            .map(|(number, value)| convert(value).map_err(|problem| Self::of_value(key, number, problem)))
            .collect()
    }
}

/// A setting that a recipe accepts in addition to those of every source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingSpec {
    pub name: String,
    pub required: bool,
    pub secret: bool,
    pub kind: SettingKind,
    pub default: Option<String>,
    /// The prefixes of the provider's values; empty if unknown.
    pub begins_with: Vec<String>,
    /// Whether several values may be given, for rotation.
    pub rotates: bool,
    pub doc: String,
}

/// The type of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    Secret,
    Text,
    /// `yes` or `no`.
    Switch,
    /// Words separated by white space.
    List,
}
