//! The expected answer of an API: a status (`200`, `2xx`), then conditions on its JSON
//! (`/status=paid`). All of them must hold.

use std::fmt;

use super::error::SyntaxError;
use crate::json::{self, Literal, Pointers, Slot};

/// Limits the length of a value from an answer in an error message.
const MAX_SHOWN_CHARACTERS: usize = 60;

/// A status with conditions on the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    status: Status,
    conditions: Vec<Equal>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Status {
    /// Any status from 200 to 299.
    Success,
    Exactly(u16),
}

/// The expected value at a JSON pointer, written as text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Equal {
    pointer: String,
    value: String,
}

impl Default for Expectation {
    fn default() -> Self {
        Self { status: Status::Success, conditions: Vec::new() }
    }
}

impl Expectation {
    /// Returns the usual answers of APIs for ids that do not exist.
    pub fn of_unknown() -> Vec<Self> {
        ["404", "410"].iter().filter_map(|status| Self::parse(status).ok()).collect()
    }

    /// Parses an expectation.
    ///
    /// # Errors
    /// The problem with the text.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut words = text.split_whitespace();
        let first = words.next().unwrap_or_default();
        let status = match first {
            "2xx" => Status::Success,
            digits => match digits.parse() {
                Ok(status @ 100..=599) => Status::Exactly(status),
                _ => {
                    return Err(format!(
                        "begins with {first:?} instead of a status; write it like `200`, `2xx` or `200 /status=paid`"
                    ).into());
                }
            },
        };
        let mut conditions: Vec<Equal> = Vec::new();
        for word in words {
            match (word.starts_with('/'), conditions.last_mut()) {
                (true, _) => conditions.push(Equal::parse(word)?),
                // A value may hold spaces.
                (false, Some(last)) => {
                    last.value.push(' ');
                    last.value.push_str(word);
                }
                (false, None) => {
                    return Err(
                        format!("has {word:?} instead of a condition; write it like `/status=paid`").into()
                    );
                }
            }
        }
        Ok(Self { status, conditions })
    }

    /// Whether it expects a successful status.
    pub fn is_success(&self) -> bool {
        matches!(self.status, Status::Success | Status::Exactly(200..=299))
    }

    /// Returns the unmet condition; `None` if the answer is as expected.
    pub fn unmet(&self, status: u16, body: &[u8]) -> Option<String> {
        let is_met = match self.status {
            Status::Success => (200..=299).contains(&status),
            Status::Exactly(wanted) => status == wanted,
        };
        if !is_met {
            return Some(format!("answered {status}"));
        }
        if self.conditions.is_empty() {
            return None;
        }
        let mut pointers = Pointers::default();
        let slots: Vec<Slot> = self.conditions.iter().map(|one| pointers.add(&one.pointer)).collect();
        let values = match pointers.read(body) {
            Ok(values) => values,
            Err(json::JsonProblem::NotJson) => return Some(format!("answered {status}, but not with JSON")),
            Err(json::JsonProblem::TooDeep) => {
                return Some(format!("answered {status}, but with JSON nested more than 127 levels deep"));
            }
        };
        let mut conditions = self.conditions.iter().zip(slots);
        let unmet = conditions.find_map(|(condition, slot)| condition.unmet(values.get(slot)))?;
        Some(format!("answered {status}, but {unmet}"))
    }
}

impl fmt::Display for Expectation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.status {
            Status::Success => f.write_str("2xx")?,
            Status::Exactly(status) => write!(f, "{status}")?,
        }
        self.conditions
            .iter()
            .try_for_each(|condition| write!(f, " {}={}", condition.pointer, condition.value))
    }
}

impl Equal {
    fn parse(word: &str) -> Result<Self, SyntaxError> {
        match word.split_once('=') {
            Some((pointer, _)) if !json::is_pointer(pointer) => {
                Err(format!("has {pointer:?} with a `~` that is neither `~0` nor `~1`").into())
            }
            Some((pointer, value)) if !value.is_empty() => {
                Ok(Self { pointer: pointer.to_owned(), value: value.to_owned() })
            }
            _ => Err(format!("has {word:?} without a value; write it like `/status=paid`").into()),
        }
    }

    /// Returns the unmet condition; `found` is the raw value in the response.
    fn unmet(&self, found: Option<&str>) -> Option<String> {
        let Some(found) = found else {
            return Some(format!("there is no {}", self.pointer));
        };
        if is_written(found, &self.value) {
            return None;
        }
        let shown: String = json::compact(found).chars().take(MAX_SHOWN_CHARACTERS).collect();
        Some(format!("{} is {shown}, not {}", self.pointer, self.value))
    }
}

/// Whether a value equals the text; `1`, `1.0` and `"1"` all equal `1`.
fn is_written(found: &str, text: &str) -> bool {
    match found.as_bytes().first() {
        Some(b'"') => json::text_of(found).is_some_and(|found| found == text),
        Some(b'[' | b'{') => false,
        _ if json::is_number(found) => {
            Literal::parse(text).is_some_and(|wanted| json::same(found, wanted.raw()))
        }
        _ => found == text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unmet(expectation: &str, status: u16, body: &str) -> Option<String> {
        Expectation::parse(expectation).unwrap().unmet(status, body.as_bytes())
    }

    #[test]
    fn answer_must_meet_status_and_all_conditions() {
        let paid = r#"{"status":"paid","amount":10.50,"n":3,"big":9007199254740993,"ok":true,"none":null,"a":[{"b":"in progress"}],"o":{}}"#;
        for expectation in [
            "2xx",
            "200",
            "200 /status=paid",
            "2xx /status=paid /ok=true /none=null",
            "200 /amount=10.5",
            "200 /amount=10.50",
            "200 /n=3",
            "200 /n=3.0",
            "200 /big=9007199254740993",
            "200 /a/0/b=in progress /ok=true",
        ] {
            assert_eq!(unmet(expectation, 200, paid), None, "{expectation}");
        }
        for (expectation, words) in [
            ("201", "answered 200"),
            ("200 /status=open", "answered 200, but /status is \"paid\", not open"),
            ("200 /status=PAID", "/status is"),
            ("200 /status=paid /ok=false", "/ok is true, not false"),
            ("200 /big=9007199254740992", "/big is"),
            ("200 /missing=paid", "there is no /missing"),
            ("200 /o={}", "/o is {}"),
        ] {
            let found = unmet(expectation, 200, paid).unwrap();
            assert!(found.contains(words), "{expectation}: {found}");
        }
        for odd in
            [r#""o":"\ud83d""#, r#""\udc00":1"#, r#""o":1e400"#, r#""o":123456789012345678901234567890"#]
        {
            let answer =
                format!("\u{feff}{{{odd},\"status\":\"paid\",\"wei\":123456789012345678901234567890}}");
            assert_eq!(unmet("200 /status=paid /wei=123456789012345678901234567890", 200, &answer), None);
            assert!(unmet("200 /wei=123456789012345678901234567891", 200, &answer).is_some());
        }
        let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
        assert!(unmet("200 /status=paid", 200, &deep).unwrap().contains("127 levels"));
        assert_eq!(unmet("2xx", 299, ""), None);
        assert_eq!(unmet("2xx", 302, "").unwrap(), "answered 302");
        assert_eq!(unmet("200 /status=paid", 200, "<html>").unwrap(), "answered 200, but not with JSON");
        assert_eq!(unmet("200 /status=paid", 404, paid).unwrap(), "answered 404");
    }

    #[test]
    fn invalid_expectation_is_rejected_with_reason() {
        for (text, problem) in [
            ("", "instead of a status"),
            ("paid", "instead of a status"),
            ("3xx", "instead of a status"),
            ("600", "instead of a status"),
            ("/status=paid", "instead of a status"),
            ("200 status=paid", "instead of a condition"),
            ("200 /status", "without a value"),
            ("200 /status=", "without a value"),
            ("200 /a~2=b", "neither `~0` nor `~1`"),
        ] {
            let found = Expectation::parse(text).unwrap_err().to_string();
            assert!(found.contains(problem), "{text}: {found}");
        }
        assert!(!Expectation::parse("404").unwrap().is_success());
        let text = "200 /status=in progress /a/0=b";
        assert_eq!(Expectation::parse(text).unwrap().to_string(), text);
    }
}
