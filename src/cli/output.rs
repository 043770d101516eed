//! What a command says: results to stdout, complaints to stderr, and never a panic because the reader went away.

use std::io::Write;

use crate::config::Problems;

/// Why a command did not succeed; printed behind `creel: `.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self(problems.to_string())
    }
}

/// To stdout. `creel check | head` closes the pipe early; `println!` would panic then.
pub fn print(text: &str) {
    let _ = print_to_reader(text);
}

/// To stdout; false when nobody reads it any more.
pub fn print_to_reader(text: &str) -> bool {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_ok()
}

/// To stderr: what a person should know while a command goes on.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "creel: {text}");
}

/// To stderr.
pub fn complain(failure: &Failure) {
    let _ = writeln!(std::io::stderr(), "creel: {failure}");
}

/// Untrusted text for one line of a terminal: as `harmless`, with line breaks and tabs escaped too.
pub fn harmless_line(text: &str) -> String {
    harmless(&text.replace('\n', "\\n").replace('\t', "\\t"))
}

/// Text from outside for a terminal: escape codes and direction overrides are spelt out, line breaks stay.
pub fn harmless(text: &str) -> String {
    text.chars()
        .flat_map(|character| match character {
            '\n' | '\t' => vec![character],
            '"' | '\'' | '\\' => vec![character],
            other => other.escape_debug().collect(),
        })
        .collect()
}
