//! Output of commands: results to stdout, errors to stderr. A closed pipe never causes a panic.

use std::io::{IsTerminal as _, Write};

use crate::config::Problems;

/// Error of a command; printed after `creel: `.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failure(pub String);

impl From<Problems> for Failure {
    fn from(problems: Problems) -> Self {
        Self(problems.to_string())
    }
}

/// Prints to stdout. `creel check | head` closes the pipe early, and `println!` would panic then.
pub fn print(text: &str) {
    let _ = print_to_reader(text);
}

/// Prints to stdout; returns false if the pipe is closed.
pub fn print_to_reader(text: &str) -> bool {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).is_ok()
}

/// Whether stdout is a terminal that may show colours (<https://no-color.org>).
pub fn is_coloured() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb
}

/// Prints progress of a running command to stderr.
pub fn print_progress(text: &str) {
    let _ = writeln!(std::io::stderr(), "creel: {text}");
}

/// Prints an error to stderr.
pub fn print_error(failure: &Failure) {
    let _ = writeln!(std::io::stderr(), "creel: {failure}");
}

/// Quotes a word for a POSIX shell, unless all its characters are plain.
pub fn shell_word(text: &str) -> String {
    let is_plain = |next: char| next.is_ascii_alphanumeric() || "_-./:@%+=,".contains(next);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// Removes the fraction of the second from a timestamp. Other text, such as a time that was edited
/// in the database, stays unchanged.
pub fn seconds(timestamp: &str) -> String {
    let is_fraction = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match timestamp.split_once('.') {
        Some((whole, rest)) if rest.strip_suffix('Z').is_some_and(is_fraction) => format!("{whole}Z"),
        _ => timestamp.to_owned(),
    }
}

/// Formats a number of bytes.
pub fn size(bytes: i64) -> String {
    match bytes {
        ..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{} MB", bytes / 1_000_000),
    }
}

/// Escapes untrusted text for one line of a terminal: like `harmless`, and also line breaks and
/// tabs.
pub fn harmless_line(text: &str) -> String {
    harmless(&text.replace('\n', "\\n").replace('\t', "\\t"))
}

/// Escapes control characters and direction overrides in untrusted text for a terminal; line breaks
/// and tabs stay.
pub fn harmless(text: &str) -> String {
    text.chars()
        .flat_map(|character| match character {
            '\n' | '\t' => vec![character],
            '"' | '\'' | '\\' => vec![character],
            other => other.escape_debug().collect(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{seconds, size};

    #[test]
    fn seconds_keeps_text_that_is_not_a_timestamp() {
        let rows = [
            ("2026-11-22T14:31:00.123456Z", "2026-11-22T14:31:00Z"),
            ("22.11.2026 14:31", "22.11.2026 14:31"),
            ("yesterday", "yesterday"),
        ];
        for (stored, shown) in rows {
            assert_eq!(seconds(stored), shown);
        }
    }

    #[test]
    fn sizes_are_short() {
        let rows = [(0, "0 B"), (9_999, "9999 B"), (10_000, "10 kB"), (25_000_000, "25 MB")];
        for (bytes, text) in rows {
            assert_eq!(size(bytes), text);
        }
    }
}
