//! Splits a text into words.

use std::borrow::Cow;

/// Maximum length of a word in characters; longer ones are cut.
pub const MAX_WORD_CHARACTERS: usize = 64;

/// A part of a text.
#[derive(Clone, Copy, Debug)]
pub enum WordPiece<'a> {
    /// A run of letters and digits. `is_last`: the text ends with it.
    Word { text: &'a str, is_last: bool },
    /// Two adjacent characters of a script that is compared by pairs.
    Pair(&'a str),
    /// The last character of a run in such a script. `is_alone`: the only one.
    Single { text: &'a str, is_alone: bool },
}

impl<'a> WordPiece<'a> {
    pub fn text(&self) -> &'a str {
        match self {
            Self::Word { text, .. } | Self::Pair(text) | Self::Single { text, .. } => text,
        }
    }
}

/// Splits a text into its words.
pub fn split(text: &str, mut emit: impl FnMut(WordPiece<'_>)) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at].is_ascii() && !bytes[at].is_ascii_alphanumeric() {
            at += 1;
            continue;
        }
        let end = end_of(bytes, at, |byte| byte.is_ascii_alphanumeric());
        if bytes.get(end).is_none_or(u8::is_ascii) {
            let word = lowered(&text[at..end.min(at + MAX_WORD_CHARACTERS)]);
            emit(WordPiece::Word { text: &word, is_last: end == bytes.len() });
            at = end;
        } else {
            let end = end_of(bytes, at, |byte| !byte.is_ascii() || byte.is_ascii_alphanumeric());
            split_any(&text[at..end], end == bytes.len(), &mut emit);
            at = end;
        }
    }
}

/// Returns the end of the run of such bytes that begins at `start`.
fn end_of(bytes: &[u8], start: usize, is_in: impl Fn(u8) -> bool) -> usize {
    bytes[start..].iter().position(|byte| !is_in(*byte)).map_or(bytes.len(), |length| start + length)
}

fn lowered(word: &str) -> Cow<'_, str> {
    match word.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => Cow::Owned(word.to_ascii_lowercase()),
        false => Cow::Borrowed(word),
    }
}

/// Splits a text that has no ASCII characters between its words. `is_end`: the text ends with it.
fn split_any(text: &str, is_end: bool, emit: &mut impl FnMut(WordPiece<'_>)) {
    let mut word = String::new();
    let mut length = 0;
    let mut pair: Option<(char, bool)> = None;
    let mut buffer = String::new();
    let mut emit_pair =
        |pair: &mut Option<(char, bool)>, next: Option<char>, emit: &mut dyn FnMut(WordPiece<'_>)| {
            if let Some((first, is_alone)) = *pair {
                buffer.clear();
                buffer.push(first);
                buffer.extend(next);
                match next {
                    Some(_) => emit(WordPiece::Pair(&buffer)),
                    None => emit(WordPiece::Single { text: &buffer, is_alone }),
                }
            }
            *pair = next.map(|next| (next, pair.is_none()));
        };
    for character in text.chars().flat_map(char::to_lowercase) {
        let is_wide = is_wide(character);
        if !is_wide && pair.is_some() {
            emit_pair(&mut pair, None, emit);
        }
        if (is_wide || !character.is_alphanumeric()) && length > 0 {
            emit(WordPiece::Word { text: &word, is_last: false });
            word.clear();
            length = 0;
        }
        if is_wide {
            emit_pair(&mut pair, Some(character), emit);
        } else if character.is_alphanumeric() {
            if length < MAX_WORD_CHARACTERS {
                word.push(character);
            }
            length += 1;
        }
    }
    emit_pair(&mut pair, None, emit);
    if length > 0 {
        emit(WordPiece::Word { text: &word, is_last: is_end });
    }
}

/// Whether a character is a part of a word.
pub fn is_word_character(character: char) -> bool {
    character.is_alphanumeric() || is_wide(character)
}

/// Whether a text that begins with `first` can begin after the character `before` without being a
/// part of a longer word.
pub fn is_boundary(before: char, first: char) -> bool {
    let is_narrow = |character: char| character.is_alphanumeric() && !is_wide(character);
    let last = before.to_lowercase().last().unwrap_or(before);
    let first = first.to_lowercase().next().unwrap_or(first);
    !(is_narrow(last) && is_narrow(first))
}

/// Whether a character belongs to a script that is compared by pairs of adjacent characters:
/// Chinese, Japanese, Korean, Thai, Lao, Burmese and Khmer, with their marks.
pub fn is_wide(character: char) -> bool {
    matches!(u32::from(character),
        0x0e00..=0x0e3a | 0x0e40..=0x0e4e | 0x0e50..=0x0e59 | 0x0e80..=0x0eff | 0x1000..=0x109f | 0x1780..=0x17d3
        | 0x1100..=0x11ff | 0x2e80..=0x2fdf | 0x3005..=0x3007 | 0x3041..=0x309f | 0x30a1..=0x30fa
        | 0x30fc..=0x31ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xa960..=0xa97f | 0xac00..=0xd7ff
        | 0xf900..=0xfaff | 0xff66..=0xff9f | 0x20000..=0x3ffff)
}
