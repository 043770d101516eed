//! The keys of the language, and the nearest name of a misspelling.

use super::error::QueryError;

/// All keys without their colon. `header` is followed by a dot and the name of a header.
const KEYS: [&str; 14] = [
    "after", "at", "before", "event", "header", "id", "ip", "is", "larger", "method", "owner", "smaller",
    "source", "to",
];
/// The form of a message id, which has no key.
const MESSAGE_ID: &str = "#";
/// Words of other languages, such as the parameters of the API, and the keys with their meaning.
const SYNONYMS: [(&str, &str); 8] = [
    ("from", "source"),
    ("number", MESSAGE_ID),
    ("provider", "source"),
    ("since", "after"),
    ("state", "is"),
    ("target", "to"),
    ("type", "event"),
    ("until", "before"),
];
/// Maximum edits between a key or word of the language and its misspelling.
const MAX_EDITS: usize = 2;

/// Whether a text before a colon is meant as a key.
pub fn is_key(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Returns the error for a key that is not in the language. `name` is the key in lower case.
pub fn unknown_key(at: usize, written: &str, name: &str) -> QueryError {
    if name == "header" || name == "header." {
        return QueryError::new(at, "the name of the header is missing: write header.NAME:value");
    }
    let nearest = match written.contains('.') && !written.ends_with('.') {
        // A path without its first dot.
        true => Some(format!(".{written}:")),
        false => nearest_key(name),
    };
    let known = KEYS.map(|key| if key == "header" { "header.NAME" } else { key }).join(", ");
    let reason = match nearest {
        Some(_) => format!("{written} is not a key; quote the text to search for it"),
        None => format!("{written} is not a key (keys: {known}); quote the text to search for it"),
    };
    QueryError::new(at, reason).with_nearest(nearest)
}

/// Returns the key that was probably meant, as it is written in a query.
fn nearest_key(written: &str) -> Option<String> {
    let synonym = SYNONYMS.iter().find(|(other, _)| *other == written).map(|(_, key)| *key);
    let key = synonym.or_else(|| nearest_word(written, KEYS.into_iter()))?;
    Some(match key {
        "header" => "header.NAME:".to_owned(),
        MESSAGE_ID => MESSAGE_ID.to_owned(),
        key => format!("{key}:"),
    })
}

/// Returns the word with the most similar spelling, unless it is too different.
pub fn nearest_word<'a>(written: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let edits = |word: &&str| strsim::damerau_levenshtein(written, word);
    // A word of two letters is similar to any other.
    let max_edits = MAX_EDITS.min(written.chars().count() / 2);
    words.min_by_key(edits).filter(|word| edits(word) <= max_edits)
}

/// Returns the name with the most similar spelling, however different it is.
pub fn nearest_name<'a>(written: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names.min_by_key(|name| strsim::damerau_levenshtein(written, name))
}
