//! The one table of variables: name, default, unit and meaning. `.env.example`, the README's table, the parser's
//! defaults and the suggestions for misspelt names all come from here. The keys that a provider's recipe names
//! (`_SECRET`, `_HEADER` …) are not in it: their recipes describe them.

mod service;
mod targets;
mod variable;

use super::noun::Noun;
pub use variable::{Absent, Variable};

/// How every variable of creel begins.
pub const PREFIX: &str = "CREEL_";
/// What is put behind a name to read the value from a file.
pub const FILE_SUFFIX: &str = "_FILE";

/// All rows, in the order in which a reader meets them.
pub fn variables() -> impl Iterator<Item = &'static Variable> {
    service::VARIABLES.iter().chain(targets::VARIABLES)
}

/// The keys that every source or target takes, such as `PATH`, with their rows.
pub fn keys(noun: Noun) -> impl Iterator<Item = (&'static str, &'static Variable)> {
    variables()
        .filter_map(move |variable| variable.name.strip_prefix(noun.pattern()).map(|key| (key, variable)))
}

/// The row of a variable that the code itself names.
pub fn variable(name: &str) -> &'static Variable {
    variables()
        .find(|variable| variable.name == name)
        .expect("the code asks only for variables that the table has")
}

/// The variables that stand for themselves.
pub fn globals() -> impl Iterator<Item = &'static Variable> {
    variables().filter(|variable| !Noun::ALL.iter().any(|noun| variable.name.starts_with(noun.pattern())))
}
