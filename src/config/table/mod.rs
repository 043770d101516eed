//! The table of environment variables: name, default, unit and meaning, for
//! `docs/configuration.md`, `.env.example`, the parser's defaults and the suggestions for misspelt
//! names. Keys of a source that depend on its provider (`_SECRET`, `_HEADER` …) are described by
//! the provider's recipe instead.

mod service;
mod targets;
mod variable;

use super::noun::Noun;
pub use variable::{AbsentValue, Variable};

/// Prefix of all variables of creel.
pub const PREFIX: &str = "CREEL_";
/// Suffix of the variables that name a file with the value.
pub const FILE_SUFFIX: &str = "_FILE";

/// Returns all rows, in the order of the documentation.
pub fn variables() -> impl Iterator<Item = &'static Variable> {
    service::VARIABLES.iter().chain(targets::VARIABLES)
}

/// Returns the keys that every source or target has, such as `PATH`, with their rows.
pub fn keys(noun: Noun) -> impl Iterator<Item = (&'static str, &'static Variable)> {
    variables()
        .filter_map(move |variable| variable.name.strip_prefix(noun.pattern()).map(|key| (key, variable)))
}

/// Returns the row of a variable, which must exist.
pub fn variable(name: &str) -> &'static Variable {
    variables()
        .find(|variable| variable.name == name)
        .expect("the table has every variable that the code names")
}

/// Returns the variables that belong to no source or target.
pub fn globals() -> impl Iterator<Item = &'static Variable> {
    variables().filter(|variable| !Noun::ALL.iter().any(|noun| variable.name.starts_with(noun.pattern())))
}
