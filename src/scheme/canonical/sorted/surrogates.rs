//! Lone surrogates in JSON strings. serde_json rejects them, so while reading, each is replaced by
//! a character that the document does not contain.

use std::borrow::Cow;

use crate::json::replace_lone_surrogates;

/// The first of 2,048 characters in a private use area that replace the surrogates U+D800 to
/// U+DFFF.
const FIRST_MARK: u32 = 0x10_f000;
const FIRST_SURROGATE: u32 = 0xd800;
const SURROGATES: u32 = 0x800;

/// Replaces each escape of a lone surrogate with its mark. `None` if the document itself may
/// contain a mark.
pub fn mark(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains("\\ud") && !text.contains("\\uD") {
        return Some(Cow::Borrowed(text));
    }
    let mut has_lone = false;
    let marked = replace_lone_surrogates(text, |unit, written| {
        has_lone = true;
        let mark = FIRST_MARK + (u32::from(unit) - FIRST_SURROGATE);
        written.extend(char::from_u32(mark));
    });
    if !has_lone {
        return Some(Cow::Borrowed(text));
    }
    // A document can contain a mark literally, or as an escaped surrogate pair.
    let has_mark = text.chars().any(|character| surrogate(character).is_some());
    let has_escape = |high: &str| text.to_ascii_lowercase().contains(high);
    (!has_mark && !has_escape("\\udbfc") && !has_escape("\\udbfd")).then_some(Cow::Owned(marked))
}

/// Writes an escape for each mark.
pub fn escape(marked: &str) -> String {
    let mut text = String::with_capacity(marked.len());
    for character in marked.chars() {
        match surrogate(character) {
            Some(unit) => text.push_str(&format!("\\u{unit:04x}")),
            None => text.push(character),
        }
    }
    text
}

/// The UTF-16 code units of a text with marks.
pub fn utf_16(text: &str) -> impl Iterator<Item = u16> {
    text.chars().flat_map(|character| {
        let mut buffer = [0; 2];
        let units = match surrogate(character) {
            Some(unit) => {
                buffer[0] = unit;
                1
            }
            None => character.encode_utf16(&mut buffer).len(),
        };
        buffer.into_iter().take(units)
    })
}

/// Returns the lone surrogate that a character replaces.
fn surrogate(character: char) -> Option<u16> {
    let place = u32::from(character).checked_sub(FIRST_MARK).filter(|place| *place < SURROGATES)?;
    u16::try_from(FIRST_SURROGATE + place).ok()
}
