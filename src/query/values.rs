//! Values of keys and words: their written form.

use super::error::QueryError;
use super::split::{is_wide, is_word_character};

/// Minimum length of the beginning of a word, except in scripts that are compared by pairs.
const MIN_BEGINNING_CHARACTERS: usize = 2;

/// Maximum length of the name of a source, event, target or owner, and of a method.
const MAX_NAME_CHARACTERS: usize = 200;

/// Units of sizes, the largest first. They are decimal, as in `creel messages`.
const SIZE_UNITS: [(char, u64); 3] = [('G', 1_000_000_000), ('M', 1_000_000), ('k', 1_000)];

/// Checks the name at a position.
///
/// # Errors
/// If it is too long or has a control character. SQL reads a pattern only up to a NUL.
pub fn check_name(at: usize, name: &str) -> Result<(), QueryError> {
    if name.chars().any(char::is_control) {
        return Err(QueryError::new(at, "the name must not contain control characters"));
    }
    if name.chars().nth(MAX_NAME_CHARACTERS).is_some() {
        let reason = format!("the name is longer than {MAX_NAME_CHARACTERS} characters");
        return Err(QueryError::new(at, reason));
    }
    Ok(())
}

/// Parses a number of bytes with an optional unit, in any case.
pub fn size(text: &str) -> Option<u64> {
    let of_unit = |(unit, bytes): &(char, u64)| {
        Some((text.strip_suffix(|last: char| last.eq_ignore_ascii_case(unit))?, *bytes))
    };
    let (digits, unit) = SIZE_UNITS.iter().find_map(of_unit).unwrap_or((text, 1));
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .parse::<u64>()
        .ok()
        .filter(|_| is_number)?
        .checked_mul(unit)
        .filter(|bytes| i64::try_from(*bytes).is_ok())
}

/// Writes a size as `size` parses it, with the largest possible unit.
pub fn size_text(bytes: u64) -> String {
    let fits = |(_, unit): &&(char, u64)| bytes > 0 && bytes.is_multiple_of(*unit);
    match SIZE_UNITS.iter().find(fits) {
        Some((unit, length)) => format!("{}{unit}", bytes / length),
        None => bytes.to_string(),
    }
}

/// Returns the words of a text in lower case, separated by underscores.
fn words_text(text: &str) -> String {
    let mut words = String::with_capacity(text.len());
    let mut is_separated = false;
    for character in text.chars().flat_map(char::to_lowercase) {
        if !is_word_character(character) {
            is_separated = true;
            continue;
        }
        if std::mem::take(&mut is_separated) && !words.is_empty() {
            words.push('_');
        }
        words.push(character);
    }
    words
}

/// Parses the words of a token that begins at `at`, and whether the last one is the beginning of a
/// word.
///
/// # Errors
/// Without a letter or digit, and if a star is elsewhere.
pub fn parse_words(at: usize, token: &str) -> Result<(String, bool), QueryError> {
    let (text, has_star) = token.strip_suffix('*').map_or((token, false), |text| (text, true));
    if text.contains('*') || (has_star && !text.ends_with(is_word_character) && !text.is_empty()) {
        let reason = "a star can only be at the end of a word; quote the text to search for a star";
        return Err(QueryError::new(at, reason));
    }
    let words = words_text(text);
    if words.is_empty() {
        return Err(QueryError::new(at, "a word needs a letter or a digit; quote the text to search for it"));
    }
    if !has_star {
        return Ok((words, false));
    }
    let last = words.rsplit('_').next().unwrap_or_default();
    let is_short = last.chars().count() < MIN_BEGINNING_CHARACTERS && !last.ends_with(is_wide);
    if is_short {
        let reason = format!("write at least {MIN_BEGINNING_CHARACTERS} characters before the star");
        return Err(QueryError::new(at, reason));
    }
    Ok((words, true))
}
