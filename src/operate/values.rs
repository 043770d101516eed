//! Validation of names, search texts and times in requests.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::problem::Problem;
use crate::config;
use crate::store::Timestamp;

/// Maximum length of a name, in characters.
const MAX_NAME_CHARACTERS: usize = 200;
/// Maximum length of a search text, in characters.
const MAX_TEXT_CHARACTERS: usize = 1_000;

/// Validates a string that names an object, an event or an owner.
///
/// # Errors
/// If it is empty, too long, or contains control characters.
pub fn name(field: &'static str, text: &str) -> Result<(), Problem> {
    if text.is_empty() || text.chars().count() > MAX_NAME_CHARACTERS {
        return Err(Problem::invalid(field, format!("must be 1 to {MAX_NAME_CHARACTERS} characters long")));
    }
    if text.chars().any(char::is_control) {
        return Err(Problem::invalid(field, "must not contain control characters"));
    }
    Ok(())
}

/// Validates a text to search for in bodies.
///
/// # Errors
/// If it is empty or too long.
pub fn search_text(field: &'static str, text: &str) -> Result<(), Problem> {
    if (1..=MAX_TEXT_CHARACTERS).contains(&text.chars().count()) {
        return Ok(());
    }
    Err(Problem::invalid(field, format!("must be 1 to {MAX_TEXT_CHARACTERS} characters long")))
}

/// Converts an RFC 3339 time, or a duration before `now`, to the stored timestamp format.
///
/// # Errors
/// If it is neither, or out of range.
pub fn time(field: &'static str, text: &str, now: OffsetDateTime) -> Result<Timestamp, Problem> {
    if let Ok(at) = OffsetDateTime::parse(text, &Rfc3339) {
        return Ok(Timestamp::from(at));
    }
    let Ok(ago) = config::duration(text) else {
        let problem = "must be a time such as 2026-11-22T14:31:00Z, or an age such as 90s, 15m, 2h or 7d";
        return Err(Problem::invalid(field, problem));
    };
    let at = now.checked_sub(time::Duration::try_from(ago).unwrap_or(time::Duration::MAX));
    at.map(Timestamp::from).ok_or_else(|| Problem::invalid(field, "is too long ago"))
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn time_is_a_timestamp_or_duration_before_now() {
        let now = datetime!(2026-11-22 14:31:00 UTC);
        let rows = [
            ("2026-11-22T15:31:00+01:00", Some("2026-11-22T14:31:00.000000Z")),
            ("2h", Some("2026-11-22T12:31:00.000000Z")),
            ("36500d", Some("1926-12-17T14:31:00.000000Z")),
            ("yesterday", None),
            ("2026-11-22", None),
            ("", None),
            ("-2h", None),
        ];
        for (text, at) in rows {
            assert_eq!(time("since", text, now).ok().as_ref().map(Timestamp::as_str), at, "{text}");
        }
    }
}
