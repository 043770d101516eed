//! The words of messages and of queries: one definition for the index, for messages that are not
//! indexed yet, and for queries.
//!
//! A word is a longest run of letters and digits in lower case, cut after 64 characters. Chinese,
//! Japanese, Korean, Thai and similar scripts have pairs of adjacent characters instead. JSON is
//! read by its values: strings are words both as written and with their escapes resolved.
//!
//! Besides words, a message has fields such as `=source=github`, and leaves such as
//! `.status=failed`: no word begins like them, so the beginning of a word never finds them.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::ControlFlow;

use crate::json::{self, JsonToken, JsonTokens};
use crate::query::leaves::{self, LeafValue};
use crate::query::message::{MessageText, SearchedMessage};
use crate::query::pattern::event_type;

/// Maximum length of a word in characters; longer ones are cut.
pub const MAX_WORD_CHARACTERS: usize = 64;
/// Bytes of a body whose words are read.
pub const MAX_BODY_BYTES: usize = 1 << 20;
/// Maximum number of different words of a body.
pub const MAX_BODY_WORDS: usize = 32_768;
/// Minimum length of a run of printable ASCII in a binary body.
const MIN_RUN_BYTES: usize = 4;
/// Maximum length of a value in a leaf.
const MAX_LEAF_CHARACTERS: usize = 24;
/// Maximum length of a field, longer ones are cut.
const MAX_FIELD_CHARACTERS: usize = 128;
/// Mark of a message with more words than were read.
pub const CUT: &str = "=is=cut";

/// A word of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchWord {
    Whole(String),
    /// The beginning of a word.
    Beginning(String),
}

impl SearchWord {
    /// Whether a word of a message is this one.
    pub fn is_in(&self, words: &MessageWords) -> bool {
        match self {
            Self::Whole(word) => words.contains(word),
            Self::Beginning(start) => words.has_beginning(start),
        }
    }
}

/// The different words, fields and leaves of a message, in no order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageWords(HashSet<String>);

impl MessageWords {
    pub fn contains(&self, word: &str) -> bool {
        self.0.contains(word)
    }

    pub fn has_beginning(&self, start: &str) -> bool {
        self.0.iter().any(|word| word.starts_with(start))
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    fn add(&mut self, word: &str) {
        if !self.0.contains(word) {
            self.0.insert(word.to_owned());
        }
    }

    fn add_text(&mut self, text: &str) {
        split(text, |piece| self.add(piece.text()));
    }
}

/// Returns the words, fields and leaves of a message, for an index.
pub fn message_words(message: &SearchedMessage<'_>) -> MessageWords {
    let mut body = BodyWords::of(&message.text);
    // The leaves are last, so that they never displace a word.
    body.add_leaves(&message.text);
    let mut words = body.finish();
    let facts = &message.facts;
    let mut add = |name: &str, value: &str| words.add(&field(name, value));
    add("source", facts.source);
    if let Some(event) = facts.event {
        add("event", event);
        add("type", event_type(facts.source, event));
    }
    add("method", facts.method);
    if let Some(owner) = facts.owner {
        add("owner", owner);
    }
    if let Some(address) = facts.remote_ip {
        add("ip", &address.to_string());
    }
    let flags = &facts.flags;
    // The other states change after the message was indexed.
    for (is_set, name) in [
        (flags.is_not_json, "notjson"),
        (flags.is_unsigned, "unsigned"),
        (flags.is_unverified, "unverified"),
        (flags.is_emitted, "emitted"),
    ] {
        if is_set {
            add("is", name);
        }
    }
    words
}

/// Returns the words of the delivery id, the query, the headers and the body.
pub fn text_words(text: &MessageText<'_>) -> MessageWords {
    BodyWords::of(text).finish()
}

/// Returns the words of the delivery id, the query and the headers.
fn head_words(text: &MessageText<'_>) -> MessageWords {
    let mut words = MessageWords::default();
    text.delivery_id.into_iter().for_each(|id| words.add_text(id));
    text.headers.iter().for_each(|(_, value)| words.add_text(value));
    if let Some(query) = text.query {
        words.add_text(query);
        if query.contains(['%', '+']) {
            for (name, value) in form_urlencoded::parse(query.as_bytes()) {
                words.add_text(&name);
                words.add_text(&value);
            }
        }
    }
    words
}

/// Returns the words of a query's text, or of the value that a query requires. With `is_beginning`,
/// the last word may continue.
pub fn search_words(text: &str, is_beginning: bool) -> Vec<SearchWord> {
    let mut words = Vec::new();
    split(text, |piece| match piece {
        WordPiece::Word { text, is_last: true } if is_beginning => {
            words.push(SearchWord::Beginning(text.to_owned()));
        }
        WordPiece::Word { text, .. } | WordPiece::Pair(text) => {
            words.push(SearchWord::Whole(text.to_owned()))
        }
        WordPiece::Single { text, is_alone: true } => words.push(SearchWord::Beginning(text.to_owned())),
        WordPiece::Single { is_alone: false, .. } => {}
    });
    words
}

/// Returns the word for a field of a message, such as `=source=github`.
pub fn field(name: &str, value: &str) -> String {
    format!("={name}={}", field_text(value))
}

/// Returns the word for a value of the payload, such as `.status=failed`; `None` if such values
/// have none. `raw` is the value as JSON.
pub fn leaf(key: &str, raw: &str) -> Option<String> {
    leaf_of_text(key, &if raw.starts_with('"') { json::text_of(raw)? } else { Cow::Borrowed(raw) })
}

/// Like `leaf`, for a string without its quotes.
pub fn leaf_of_text(key: &str, text: &str) -> Option<String> {
    let is_plain = |byte: u8| byte.is_ascii_alphabetic() || b"._-/".contains(&byte);
    let is_short = (1..=MAX_LEAF_CHARACTERS).contains(&text.len());
    (is_short && text.bytes().all(is_plain))
        .then(|| format!(".{}={}", field_text(key), text.to_ascii_lowercase()))
}

/// Returns a text in lower case, without characters that separate the words of the index. If a text
/// begins with another, so do the results.
fn field_text(text: &str) -> String {
    let is_kept = |character: &char| character.is_alphanumeric() || "._-/".contains(*character);
    let replaced = |character| if is_kept(&character) { character } else { '_' };
    text.chars().flat_map(char::to_lowercase).map(replaced).take(MAX_FIELD_CHARACTERS).collect()
}

/// The words of a message, of which those of the body are limited.
struct BodyWords {
    words: MessageWords,
    count: usize,
    is_cut: bool,
}

impl BodyWords {
    fn of(text: &MessageText<'_>) -> Self {
        let mut body = Self { words: head_words(text), count: 0, is_cut: false };
        body.read(text);
        body
    }

    fn finish(mut self) -> MessageWords {
        if self.is_cut {
            self.words.add(CUT);
        }
        self.words
    }

    fn read(&mut self, text: &MessageText<'_>) {
        if let Some(payload) = text.payload {
            let payload = self.cut(payload);
            self.add_json(payload);
        }
        let Some(body) = text.body else { return };
        match std::str::from_utf8(body) {
            Ok(body) => {
                let body = self.cut(body);
                self.add_text(body);
            }
            // A compressed body has only the words of its payload.
            Err(_) if text.payload.is_some() => {}
            Err(_) => {
                self.is_cut = true;
                printable_runs(text).for_each(|run| self.add_text(&run));
            }
        }
    }

    fn cut<'a>(&mut self, text: &'a str) -> &'a str {
        self.is_cut |= text.len() > MAX_BODY_BYTES;
        cut(text)
    }

    fn add_json(&mut self, payload: &str) {
        for token in JsonTokens::new(payload) {
            if let JsonToken::Key(raw) | JsonToken::Value(raw) = token {
                self.add_text(raw);
                match decoded(raw) {
                    Some(text) => self.add_text(&text),
                    None if json::is_number(raw) => {
                        // A cut payload can end with a part of a number.
                        let plain = json::is_plain_number(raw).then(|| json::plain_number(raw)).flatten();
                        plain.into_iter().for_each(|plain| self.add_text(&plain));
                    }
                    None => {}
                }
            }
        }
    }

    fn add_leaves(&mut self, text: &MessageText<'_>) {
        leaves::walk(cut(text.payload.unwrap_or_default()), |path, value| {
            if let (Some(key), LeafValue::Leaf(raw)) = (path.last(), value)
                && let Some(leaf) = leaf(key, raw)
            {
                self.add(&leaf);
            }
            ControlFlow::Continue(())
        });
    }

    fn add_text(&mut self, text: &str) {
        split(text, |piece| self.add(piece.text()));
    }

    fn add(&mut self, word: &str) {
        if self.words.contains(word) {
            return;
        }
        if self.count == MAX_BODY_WORDS {
            self.is_cut = true;
            return;
        }
        self.count += 1;
        self.words.add(word);
    }
}

/// Returns the beginning of a body whose words are read, without a word that would be cut.
pub fn cut(text: &str) -> &str {
    if text.len() <= MAX_BODY_BYTES {
        return text;
    }
    text[..text.floor_char_boundary(MAX_BODY_BYTES)].trim_end_matches(is_word_character)
}

/// Returns the texts in a binary body; none if it has a payload.
pub fn printable_runs<'a>(text: &MessageText<'a>) -> impl Iterator<Item = Cow<'a, str>> {
    let body = text.body.filter(|_| text.payload.is_none()).unwrap_or_default();
    let is_printable = |byte: &u8| (b' '..=b'~').contains(byte);
    body[..body.len().min(MAX_BODY_BYTES)]
        .split(move |byte| !is_printable(byte))
        .filter(|run| run.len() >= MIN_RUN_BYTES)
        .map(String::from_utf8_lossy)
}

/// Returns the text of a raw string with escapes; `None` for other values, which are as written.
pub fn decoded(raw: &str) -> Option<Cow<'_, str>> {
    let is_whole = raw.len() > 1 && raw.starts_with('"') && raw.ends_with('"');
    (is_whole && raw.contains('\\')).then(|| json::text_lossy(raw))
}

/// A part of a text.
#[derive(Clone, Copy, Debug)]
enum WordPiece<'a> {
    /// A run of letters and digits. `is_last`: the text ends with it.
    Word { text: &'a str, is_last: bool },
    /// Two adjacent characters of a script that is compared by pairs.
    Pair(&'a str),
    /// The last character of a run in such a script. `is_alone`: the only one.
    Single { text: &'a str, is_alone: bool },
}

impl<'a> WordPiece<'a> {
    fn text(&self) -> &'a str {
        match self {
            Self::Word { text, .. } | Self::Pair(text) | Self::Single { text, .. } => text,
        }
    }
}

/// Splits a text into its words.
fn split(text: &str, mut emit: impl FnMut(WordPiece<'_>)) {
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
            emit_pair(&mut pair, None, &mut emit);
        }
        if (is_wide || !character.is_alphanumeric()) && length > 0 {
            emit(WordPiece::Word { text: &word, is_last: false });
            word.clear();
            length = 0;
        }
        if is_wide {
            emit_pair(&mut pair, Some(character), &mut emit);
        } else if character.is_alphanumeric() {
            if length < MAX_WORD_CHARACTERS {
                word.push(character);
            }
            length += 1;
        }
    }
    emit_pair(&mut pair, None, &mut emit);
    if length > 0 {
        emit(WordPiece::Word { text: &word, is_last: true });
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
