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
use std::fmt;
use std::hash::BuildHasher as _;

use hashbrown::DefaultHashBuilder;
use hashbrown::hash_table::{Entry, HashTable};

use crate::json::{self, JsonToken, JsonTokens};
use crate::query::message::{MessageText, SearchedMessage};
use crate::query::pattern::event_type;
use crate::query::split::{WordPiece, is_word_character, split};

/// Maximum length of a word in an index: nearly all words that differ, differ before.
pub const MAX_INDEXED_CHARACTERS: usize = 24;
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

/// The different words, fields and leaves of a message, in the order in which they were found.
#[derive(Clone, Default)]
pub struct MessageWords {
    /// The words, each followed by a space.
    text: String,
    /// The position and the length of each word.
    spans: HashTable<(usize, usize)>,
    hasher: DefaultHashBuilder,
    /// Maximum length of a word in characters; 0 for `MAX_WORD_CHARACTERS`.
    max_characters: usize,
}

impl fmt::Debug for MessageWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

impl MessageWords {
    /// An empty set for the words of an index, which are cut after `MAX_INDEXED_CHARACTERS`.
    pub fn for_index() -> Self {
        Self { max_characters: MAX_INDEXED_CHARACTERS, ..Self::default() }
    }

    /// The words, each followed by a space.
    pub fn as_text(&self) -> &str {
        &self.text
    }

    pub fn contains(&self, word: &str) -> bool {
        let is_word = |(start, length): &(usize, usize)| self.text[*start..start + length] == *word;
        self.spans.find(self.hasher.hash_one(word), is_word).is_some()
    }

    pub fn has_beginning(&self, start: &str) -> bool {
        self.iter().any(|word| word.starts_with(start))
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.text.split_terminator(' ')
    }

    /// Removes all words, and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.spans.clear();
    }

    /// Adds a word unless it is present, or `is_allowed` returns false.
    fn add_if(&mut self, word: &str, is_allowed: impl FnOnce() -> bool) {
        let Self { text, spans, hasher, .. } = self;
        let word_at = |(start, length): &(usize, usize)| &text[*start..start + length];
        let hash = hasher.hash_one(word);
        let entry = spans.entry(hash, |at| word_at(at) == word, |at| hasher.hash_one(word_at(at)));
        if let Entry::Vacant(place) = entry
            && is_allowed()
        {
            place.insert((text.len(), word.len()));
            text.push_str(word);
            text.push(' ');
        }
    }

    fn add(&mut self, word: &str) {
        self.add_if(word, || true);
    }

    /// Cuts a word of a text.
    fn cut<'w>(&self, word: &'w str) -> &'w str {
        if self.max_characters == 0 { word } else { cut_word(word) }
    }

    fn add_text(&mut self, text: &str) {
        split(text, |piece| self.add(self.cut(piece.text())));
    }
}

/// Cuts a word to the length of those in an index.
pub fn cut_word(word: &str) -> &str {
    if word.len() <= MAX_INDEXED_CHARACTERS {
        return word;
    }
    word.char_indices().nth(MAX_INDEXED_CHARACTERS).map_or(word, |(end, _)| &word[..end])
}

/// Returns the words, fields and leaves of a message, for an index.
pub fn message_words(message: &SearchedMessage<'_>) -> MessageWords {
    let mut words = MessageWords::for_index();
    add_message_words(&mut words, message);
    words
}

/// Adds the words, fields and leaves of a message.
pub fn add_message_words(words: &mut MessageWords, message: &SearchedMessage<'_>) {
    BodyWords::add_to(words, &message.text, true);
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
}

/// Returns the words of the delivery id, the query, the headers and the body.
pub fn text_words(text: &MessageText<'_>) -> MessageWords {
    let mut words = MessageWords::default();
    BodyWords::add_to(&mut words, text, false);
    words
}

/// Adds the words of the delivery id, the query and the headers.
fn add_head(words: &mut MessageWords, text: &MessageText<'_>) {
    text.delivery_id.into_iter().for_each(|id| words.add_text(id));
    text.headers.iter().for_each(|(_, value)| words.add_text(value));
    let Some(query) = text.query else { return };
    words.add_text(query);
    if query.contains(['%', '+']) {
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            words.add_text(&name);
            words.add_text(&value);
        }
    }
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
/// have none. The key and the value are as in the JSON.
fn leaf(key: &str, raw: &str) -> Option<String> {
    // A shortcut: most values are longer.
    if raw.len() > MAX_LEAF_CHARACTERS + 2 && !raw.contains('\\') {
        return None;
    }
    let text = if raw.starts_with('"') { json::text_of(raw)? } else { Cow::Borrowed(raw) };
    leaf_of_text(&json::text_lossy(key), &text)
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
struct BodyWords<'w> {
    words: &'w mut MessageWords,
    count: usize,
    is_cut: bool,
    /// The leaves of the body, each followed by a space; `None` if they are not needed.
    leaves: Option<String>,
}

impl<'w> BodyWords<'w> {
    /// Adds the words of a text, and its leaves if they are needed.
    fn add_to(words: &'w mut MessageWords, text: &MessageText<'_>, has_leaves: bool) {
        add_head(words, text);
        let mut body = Self { words, count: 0, is_cut: false, leaves: has_leaves.then(String::new) };
        body.read(text);
        // The leaves are last, so that they never displace a word.
        let leaves = body.leaves.take().unwrap_or_default();
        leaves.split_terminator(' ').for_each(|leaf| body.add(leaf));
        if body.is_cut {
            body.words.add(CUT);
        }
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
        // The last key at each depth; an array has no own key.
        let mut keys: Vec<Option<&str>> = vec![None];
        for token in JsonTokens::new(payload) {
            match token {
                JsonToken::ObjectStart => keys.push(None),
                JsonToken::ArrayStart => keys.push(keys.last().copied().flatten()),
                JsonToken::ObjectEnd | JsonToken::ArrayEnd => {
                    if keys.len() > 1 {
                        keys.pop();
                    }
                }
                JsonToken::Key(raw) => {
                    if let Some(key) = keys.last_mut() {
                        *key = Some(raw);
                    }
                    self.add_token(raw);
                }
                JsonToken::Value(raw) => {
                    self.add_token(raw);
                    self.note_leaf(keys.last().copied().flatten(), raw);
                }
            }
        }
    }

    fn add_token(&mut self, raw: &str) {
        self.add_text(raw);
        match decoded(raw) {
            Some(text) => self.add_text(&text),
            // A number in its only form is already added.
            None if raw.bytes().all(|byte| byte.is_ascii_digit()) && !raw.starts_with('0') => {}
            None if json::is_number(raw) => {
                // A cut payload can end with a part of a number.
                let plain = json::is_plain_number(raw).then(|| json::plain_number(raw)).flatten();
                plain.into_iter().for_each(|plain| self.add_text(&plain));
            }
            None => {}
        }
    }

    fn note_leaf(&mut self, key: Option<&str>, raw: &str) {
        if let (Some(leaves), Some(key)) = (&mut self.leaves, key)
            && let Some(leaf) = leaf(key, raw)
        {
            leaves.push_str(&leaf);
            leaves.push(' ');
        }
    }

    fn add_text(&mut self, text: &str) {
        split(text, |piece| self.add(self.words.cut(piece.text())));
    }

    fn add(&mut self, word: &str) {
        let Self { words, count, is_cut, .. } = self;
        words.add_if(word, || {
            let is_allowed = *count < MAX_BODY_WORDS;
            *count += usize::from(is_allowed);
            *is_cut |= !is_allowed;
            is_allowed
        });
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

/// Adds the words of a body that may be binary.
pub fn add_run_words(words: &mut MessageWords, body: &[u8]) {
    let text = MessageText { body: Some(body), ..MessageText::default() };
    printable_runs(&text).for_each(|run| words.add_text(&run));
}

/// Returns the text of a raw string with escapes; `None` for other values, which are as written.
pub fn decoded(raw: &str) -> Option<Cow<'_, str>> {
    let is_whole = raw.len() > 1 && raw.starts_with('"') && raw.ends_with('"');
    (is_whole && raw.contains('\\')).then(|| json::text_lossy(raw))
}
