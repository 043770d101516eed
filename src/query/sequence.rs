//! Words that follow each other, such as those of `ORD-17`.

use std::borrow::Cow;

use super::message::MessageText;
use super::split::is_wide;
use super::words::{cut, decoded, printable_runs};
use crate::json::{JsonToken, JsonTokens};

/// The separator of words: a character that is not a part of any word.
const SEPARATOR: char = ' ';

/// Words that must follow each other in one text, with any characters between them.
#[derive(Debug)]
pub struct WordSequence(String);

impl WordSequence {
    /// With `is_beginning`, the last word may continue.
    pub fn new(text: &str, is_beginning: bool) -> Self {
        let words = separated(text);
        let inner = words.trim_matches(SEPARATOR);
        // Scripts that are compared by pairs have no beginning or end of a word.
        let start = if inner.starts_with(is_wide) { "" } else { " " };
        let end = if is_beginning || inner.ends_with(is_wide) { "" } else { " " };
        Self(format!("{start}{inner}{end}"))
    }

    /// Whether the words are in a text that [`separated`] returned.
    pub fn is_in(&self, separated: &str) -> bool {
        separated.contains(&self.0)
    }
}

/// Returns the words of a text in lower case, each between separators.
pub fn separated(text: &str) -> String {
    let mut words = String::with_capacity(text.len() + 2);
    words.push(SEPARATOR);
    let mut was_wide = false;
    for character in text.chars().flat_map(char::to_lowercase) {
        let is_wide = is_wide(character);
        let is_word = is_wide || character.is_alphanumeric();
        if (!is_word || is_wide != was_wide) && !words.ends_with(SEPARATOR) {
            words.push(SEPARATOR);
        }
        if is_word {
            words.push(character);
            was_wide = is_wide;
        }
    }
    if !words.ends_with(SEPARATOR) {
        words.push(SEPARATOR);
    }
    words
}

/// Calls `visit` for each text whose words a message has.
pub fn visit_texts(text: &MessageText<'_>, mut visit: impl FnMut(&str)) {
    text.delivery_id.into_iter().for_each(&mut visit);
    text.headers.iter().for_each(|(_, value)| visit(value));
    if let Some(query) = text.query {
        visit(query);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            visit(&name);
            visit(&value);
        }
    }
    if let Some(payload) = text.payload {
        let payload = cut(payload);
        visit(payload);
        for token in JsonTokens::new(payload) {
            if let JsonToken::Key(raw) | JsonToken::Value(raw) = token {
                decoded(raw).as_ref().map(Cow::as_ref).into_iter().for_each(&mut visit);
            }
        }
    }
    match text.body.map(std::str::from_utf8) {
        None => {}
        Some(Ok(body)) => visit(cut(body)),
        Some(Err(_)) => printable_runs(text).for_each(|run| visit(&run)),
    }
}
