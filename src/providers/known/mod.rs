//! The events and secrets of a recipe, for checking a configuration before any request arrives.

use super::describe::NO_TYPE;
use super::recipe::{KeySource, ProviderGroup, Recipe};

/// Maximum edits between an event and its misspelling. With more, the text could just as well be
/// another event.
const MAX_TYPING_EDITS: usize = 1;
/// Minimum length of a name that is compared: shorter names often differ by only one letter.
const MIN_COMPARED_CHARACTERS: usize = 5;

/// An event that a provider does not send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEvent {
    /// The known event with the most similar spelling.
    pub nearest: Option<String>,
}

impl Recipe {
    /// Checks whether a message of this provider can have an event that matches the pattern. The
    /// pattern is without the source's name; `*` matches any characters. If the recipe does not
    /// list all events, only an obvious misspelling is an error.
    ///
    /// # Errors
    /// No event can match.
    pub fn check_event(&self, pattern: &str) -> Result<(), UnknownEvent> {
        let listed: Vec<&str> = match (&self.event_type[..], &self.events[..]) {
            // Without a type, every message is `message`.
            ([], _) => vec![NO_TYPE],
            (_, []) => return self.check_spelling(pattern),
            (_, events) => events.iter().map(String::as_str).chain([NO_TYPE]).collect(),
        };
        let has_action = !self.event_action.is_empty();
        let with_action = |event: &str| {
            let has_none = self.events_without_action.iter().any(|without| without == event);
            has_action && !has_none && overlap(pattern, &format!("{event}.*"))
        };
        if listed.iter().any(|event| overlap(pattern, event) || with_action(event)) {
            return self.check_action(pattern);
        }
        let written = pattern.split(['*', '.']).next().filter(|_| has_action).unwrap_or(pattern);
        let near = listed.iter().filter(|event| !event.contains('*'));
        let near = near.min_by_key(|event| strsim::damerau_levenshtein(written, event));
        Err(UnknownEvent { nearest: near.map(|event| (*event).to_owned()) })
    }

    /// Whether the provider documents this event. If the recipe does not list all events, those of
    /// its samples count.
    pub fn lists_event(&self, event: &str) -> bool {
        let is_complete = self.event_type.is_empty() || !self.events.is_empty();
        (is_complete && self.check_event(event).is_ok()) || self.has_ending(event)
    }

    /// Rejects an action that differs by one edit from a known action of its event.
    fn check_action(&self, pattern: &str) -> Result<(), UnknownEvent> {
        let Some((event, action)) = pattern.split_once('.').filter(|_| !pattern.contains('*')) else {
            return Ok(());
        };
        let actions = self.actions.get(event).map_or(&[][..], Vec::as_slice);
        match nearest_spelling(action, actions.iter()) {
            Some(nearest) => Err(UnknownEvent { nearest: Some(format!("{event}.{nearest}")) }),
            None => Ok(()),
        }
    }

    /// Returns the event or action that a pattern for any source, such as `*.pushh`, misspells.
    /// `ending` is the part after `*.`.
    pub fn misspelt_ending(&self, ending: &str) -> Option<&str> {
        let samples = self.samples.iter().filter(|sample| !sample.is_generated).map(|sample| &sample.event);
        let known = self.events.iter().chain(samples).chain(self.actions.values().flatten());
        nearest_spelling(ending, known)
    }

    /// Whether the recipe has an event with this ending.
    pub fn has_ending(&self, ending: &str) -> bool {
        let samples = self.samples.iter().map(|sample| &sample.event);
        let known = self.events.iter().chain(samples).chain(self.actions.values().flatten());
        let is_end = |event: &str| {
            let rest = event.strip_suffix(ending);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        ending == NO_TYPE || known.map(String::as_str).any(is_end)
    }

    /// Returns an event of the provider if the pattern matches only messages without an event type,
    /// although the provider sends types. Generic recipes, messaging services and recipes with an
    /// event `message` are excluded, because `message` may be the type that the sender sends.
    pub fn event_instead_of(&self, pattern: &str) -> Option<&str> {
        let is_none = pattern == NO_TYPE && !self.event_type.is_empty();
        let may_be_real = matches!(self.group, ProviderGroup::Generic | ProviderGroup::Messaging)
            || self
                .samples
                .iter()
                .map(|sample| &sample.event)
                .chain(&self.events)
                .any(|event| event == NO_TYPE);
        let sample = self.samples.iter().find(|sample| !sample.is_generated)?;
        (is_none && !may_be_real).then_some(sample.event.as_str())
    }

    /// Whether the provider sends this event only with an action.
    pub fn needs_action(&self, event: &str) -> bool {
        let is_in = |list: &[String]| list.iter().any(|listed| listed == event);
        // Without a list of events that have no action, the recipe cannot distinguish them from
        // others.
        !self.events_without_action.is_empty() && is_in(&self.events) && !is_in(&self.events_without_action)
    }

    fn check_spelling(&self, pattern: &str) -> Result<(), UnknownEvent> {
        if pattern.contains('*') || pattern.chars().count() < MIN_COMPARED_CHARACTERS {
            return Ok(());
        }
        let known = self.samples.iter().filter(|sample| !sample.is_generated).map(|sample| &sample.event);
        match nearest_spelling(pattern, known) {
            Some(event) => Err(UnknownEvent { nearest: Some(event.to_owned()) }),
            None => Ok(()),
        }
    }

    /// Whether each request contains the setting's value itself, rather than a signature.
    pub fn is_sent(&self, setting: &str) -> bool {
        self.proofs.tokens.iter().any(|token| token.key == setting)
            || (self.proofs.basic && setting == "password")
    }

    /// Returns the length in bytes of the weakest secret that the schemes derive from a value, as a
    /// measure of its strength. `None` if the setting is not a shared secret.
    pub fn secret_bytes(&self, setting: &str, value: &[u8]) -> Option<usize> {
        let keys =
            self.proofs.signatures.iter().filter(|signature| signature.scheme.algorithm.public().is_none());
        let keys = keys.filter_map(|signature| match &signature.key {
            KeySource::Setting { setting: name, derivation } if name == setting => {
                derivation.derive(value).ok()
            }
            _ => None,
        });
        let is_for_code = self.proofs.code.is_some_and(|code| code.secret_settings().contains(&setting));
        let whole = (self.is_sent(setting) || is_for_code).then_some(value.len());
        // Hashing can make a key longer than its secret, but not stronger.
        keys.map(|key| key.len().min(value.len())).chain(whole).min()
    }
}

/// Whether some text matches both patterns.
fn overlap(one: &str, other: &str) -> bool {
    let other = other.as_bytes();
    // Whether each suffix of `other` overlaps the rest of `one`, computed from its end to its
    // start.
    let mut rest: Vec<bool> =
        (0..=other.len()).map(|at| other[at..].iter().all(|byte| *byte == b'*')).collect();
    for byte in one.bytes().rev() {
        let mut row = vec![false; other.len() + 1];
        for at in (0..=other.len()).rev() {
            let theirs = other.get(at);
            let next = |row: &[bool]| row.get(at + 1).copied().unwrap_or(false);
            row[at] = match theirs {
                _ if byte == b'*' => rest[at] || next(&row),
                Some(b'*') => next(&row) || rest[at],
                Some(theirs) => *theirs == byte && next(&rest),
                None => false,
            };
        }
        rest = row;
    }
    rest[0]
}

/// Returns the closest known word; `None` if the word is known, short, or unlike all of them.
fn nearest_spelling<'a>(word: &str, known: impl Iterator<Item = &'a String>) -> Option<&'a str> {
    if word.chars().count() < MIN_COMPARED_CHARACTERS {
        return None;
    }
    let edits = |known: &&String| strsim::damerau_levenshtein(word, known);
    let nearest = known.min_by_key(edits)?;
    (1..=MAX_TYPING_EDITS).contains(&edits(&nearest)).then_some(nearest)
}

#[cfg(test)]
mod tests;
