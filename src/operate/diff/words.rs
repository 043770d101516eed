//! Compares two texts by words. A difference compares at most 20,000 words and other characters of
//! each side; texts above this limit are listed as a whole, without parts.

use std::ops::Range;

use super::alignment::{Orientation, Run, runs};

/// Minimum length of the longer text. Shorter texts are easier to read as a whole.
const MIN_CHARACTERS: usize = 41;

/// Limit on the words and other characters of each side, for all texts of a diff. Together with the
/// limit on values it bounds the time.
const MAX_WORDS: usize = 20_000;

/// The words that may still be compared.
#[derive(Debug)]
pub struct WordBudget {
    words: usize,
}

/// The side of a part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextSide {
    Both,
    Left,
    Right,
}

/// A part of a text, as a range of bytes: of the right text if it is only there, otherwise of the
/// left one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPart {
    pub side: TextSide,
    pub range: Range<usize>,
}

impl Default for WordBudget {
    fn default() -> Self {
        Self { words: MAX_WORDS }
    }
}

impl WordBudget {
    /// Returns the parts of both texts in order; `None` if the texts are short, share no word, or
    /// exceed the budget.
    pub fn compare(&mut self, left: &str, right: &str, orientation: Orientation) -> Option<Vec<TextPart>> {
        let is_long = |text: &str| text.chars().nth(MIN_CHARACTERS - 1).is_some();
        if !is_long(left) && !is_long(right) {
            return None;
        }
        // A text of more words is not split to its end.
        let split = |text| words(text).take(self.words + 1).collect::<Vec<_>>();
        let (left_words, right_words) = (split(left), split(right));
        self.words = self.words.checked_sub(left_words.len().max(right_words.len()))?;
        let runs = runs(&left_words, &right_words, orientation);
        let shares_word = runs.iter().any(|run| match run {
            Run::Equal { left, len, .. } => left_words[*left..*left + *len].iter().any(|word| is_word(word)),
            Run::Different { .. } => false,
        });
        shares_word.then(|| parts(&runs, &left_words, &right_words))
    }
}

/// Splits a text into words and other characters. A word may contain single characters of `.:+-`,
/// so that numbers, times, host names and UUIDs are words.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (word, after) = rest.split_at_checked(word_bytes(rest))?;
        rest = after;
        (!word.is_empty()).then_some(word)
    })
}

/// Whether a part that `words` returned is a word.
fn is_word(part: &str) -> bool {
    part.starts_with(is_word_character)
}

fn is_word_character(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Length of the first word or other character.
fn word_bytes(text: &str) -> usize {
    let mut characters = text.char_indices().peekable();
    let Some((_, first)) = characters.next() else { return 0 };
    if !is_word_character(first) {
        return first.len_utf8();
    }
    while let Some((at, character)) = characters.next() {
        let joins = matches!(character, '.' | ':' | '+' | '-')
            && characters.peek().is_some_and(|(_, next)| is_word_character(*next));
        if !joins && !is_word_character(character) {
            return at;
        }
    }
    text.len()
}

fn parts(runs: &[Run], left: &[&str], right: &[&str]) -> Vec<TextPart> {
    let length = |words: &[&str]| words.iter().map(|word| word.len()).sum::<usize>();
    let mut parts: Vec<TextPart> = Vec::new();
    let (mut at_left, mut at_right) = (0, 0);
    let mut push = |side, at: usize, bytes: usize| {
        if bytes > 0 {
            parts.push(TextPart { side, range: at..at + bytes });
        }
    };
    for run in runs {
        match *run {
            Run::Equal { left: from, len, .. } => {
                let bytes = length(&left[from..from + len]);
                push(TextSide::Both, at_left, bytes);
                at_left += bytes;
                at_right += bytes;
            }
            Run::Different { left: from_left, left_len, right: from_right, right_len } => {
                let left_bytes = length(&left[from_left..from_left + left_len]);
                let right_bytes = length(&right[from_right..from_right + right_len]);
                push(TextSide::Left, at_left, left_bytes);
                push(TextSide::Right, at_right, right_bytes);
                at_left += left_bytes;
                at_right += right_bytes;
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_keep_numbers_times_and_ids_whole() {
        let split = |text| words(text).collect::<Vec<_>>().join("|");
        assert_eq!(split("Failed: 1.50 at 14:31:05.2+01:00."), "Failed|:| |1.50| |at| |14:31:05.2+01:00|.");
        assert_eq!(split("https://a.example/x_y?a=-1"), "https|:|/|/|a.example|/|x_y|?|a|=|-|1");
        assert_eq!(split("gr\u{fc}n\u{1f41f}--a"), "gr\u{fc}n|\u{1f41f}|-|-|a");
        assert_eq!(split(""), "");
    }

    /// Formats the parts of one side as `-…-` and `+…+`.
    fn compared(left: &str, right: &str, budget: &mut WordBudget) -> Option<String> {
        let parts = budget.compare(left, right, Orientation::of(left, right))?;
        let shown = |part: &TextPart| match part.side {
            TextSide::Both => left[part.range.clone()].to_owned(),
            TextSide::Left => format!("-{}-", &left[part.range.clone()]),
            TextSide::Right => format!("+{}+", &right[part.range.clone()]),
        };
        Some(parts.iter().map(shown).collect())
    }

    #[test]
    fn long_texts_are_compared_by_words() {
        let mut budget = WordBudget::default();
        let left = "The build of main failed after 12 minutes, see log";
        let right = "The build of dev failed after 3 minutes, see the log";
        let expected = "The build of -main-+dev+ failed after -12-+3+ minutes, see+ the+ log";
        assert_eq!(compared(left, right, &mut budget).as_deref(), Some(expected));
        assert_eq!(compared("short", "texts", &mut budget), None);
        assert_eq!(compared(&"a".repeat(41), "b c", &mut budget), None, "they share no word");
    }

    #[test]
    fn budget_limits_all_texts_together() {
        let mut budget = WordBudget { words: 60 };
        let left = "a b ".repeat(11);
        let right = "a c ".repeat(11);
        assert!(compared(&left, &right, &mut budget).is_some());
        assert!(compared(&left, &right, &mut budget).is_none());
    }

    proptest! {
        #[test]
        fn parts_restore_both_texts(left in "[ab .]{41,60}", right in "[ab .]{0,60}") {
            prop_assert_eq!(words(&left).collect::<String>(), left.as_str());
            let orientation = Orientation::of(&left, &right);
            let parts = WordBudget::default().compare(&left, &right, orientation).unwrap_or_default();
            let side = |text: &str, skipped: TextSide, of_both: &str| -> String {
                let taken = parts.iter().filter(|part| part.side != skipped);
                taken.map(|part| if part.side == TextSide::Both { &of_both[part.range.clone()] } else { &text[part.range.clone()] }).collect()
            };
            if !parts.is_empty() {
                prop_assert_eq!(side(&left, TextSide::Right, &left), left.as_str());
                prop_assert_eq!(side(&right, TextSide::Left, &left), right.as_str());
            }
        }
    }
}
