//! Determines whether a signed text can be divided into its parts in only one way.
//!
//! A signature covers one text, but creel stores the parts. Without a rule for the end of each
//! part, an attacker with a captured message can move bytes from one part to its neighbour: the
//! text and its signature stay the same, but the body changes. So the text itself must determine
//! the boundaries of every part but one: read from the left, it must determine the end of each part
//! before that one; read from the right, the beginning of each part after it. `Split::of` checks
//! this when a recipe is loaded; `Split::check` enforces it on the values of a request.

use std::borrow::Cow;

use super::forms::{BodyForm, UrlForm};
use super::parts::{Part, TemplateScope};
use crate::content::request::Cause;
use crate::scheme::freshness::{MAX_DATE_BYTES, TimestampUnit};
use crate::scheme::place::Place;

/// Rule that distinguishes the parts of one signed text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    unit: Option<TimestampUnit>,
    /// The text, read from the left, determines the end of each part before this one.
    from_left: usize,
    /// The text, read from the right, determines the beginning of each part from this one on.
    from_right: usize,
    ambiguity: Option<String>,
    /// The index of the id, if the text ends in an id, a timestamp and the whole body.
    id_at: Option<usize>,
    /// Whether `check` has anything to do.
    has_rules: bool,
}

impl Split {
    pub fn of(parts: &[Part], unit: Option<TimestampUnit>) -> Self {
        let ends = |at: &usize| ends_in_text(parts, *at, unit);
        let begins = |at: &usize| begins_in_text(parts, *at, unit);
        let from_left = (0..parts.len()).take_while(ends).count();
        let from_right = (from_left..parts.len()).rev().take_while(begins).last().unwrap_or(parts.len());
        let open = &parts[from_left..from_right];
        let ambiguity = open.get(1).map(|next| {
            format!(
                "can be divided in more than one way between {} and {}: separate them with fixed text that the first cannot hold, \
                 or use `{{body:structured}}` for the body",
                open[0].in_words(),
                next.in_words()
            )
        });
        let is_free = |part: &Part| {
            matches!(part, Part::Literal(_) | Part::Method | Part::Secret | Part::Setting(_) | Part::Body)
                || (*part == Part::Timestamp && unit.is_some_and(TimestampUnit::has_fixed_form))
        };
        let id_at = id_before_timestamp_and_body(parts);
        Self { unit, from_left, from_right, ambiguity, id_at, has_rules: !parts.iter().all(is_free) }
    }

    /// Describes why the text can be divided in more than one way; `None` if it cannot.
    pub fn ambiguity(&self) -> Option<&str> {
        self.ambiguity.as_deref()
    }

    /// Enforces the assumptions of the division on the values of a request.
    ///
    /// # Errors
    /// A value that lets the text be divided in another way.
    pub fn check(&self, parts: &[Part], scope: &TemplateScope<'_>) -> Result<(), Cause> {
        if !self.has_rules {
            return Ok(());
        }
        let check = SplitCheck { parts, unit: self.unit, scope };
        if let Some(id_at) = self.id_at {
            return check.tail(id_at);
        }
        for at in 0..self.from_left {
            check.end(at)?;
        }
        for at in self.from_right..parts.len() {
            check.beginning(at)?;
        }
        match parts.iter().position(|part| *part == Part::BodyAs(BodyForm::Structured)) {
            Some(at) => check.structured(at),
            None => Ok(()),
        }
    }
}

/// Whether a plain digest of the text can be continued without the secret: the digest's padding and
/// any other bytes would be at the end of the body.
pub fn can_be_extended(parts: &[Part]) -> bool {
    let takes_all = |part: &Part| {
        matches!(part, Part::Body | Part::DecodedBody | Part::BodyAs(BodyForm::CrLf | BodyForm::FirstItem))
    };
    parts.last() != Some(&Part::Secret) && parts.iter().any(takes_all)
}

/// Whether both templates can produce the same text, divided in different ways. Two templates of
/// the same shape cannot, and neither can two of which the shorter contains structured JSON.
pub fn can_be_taken_for(parts: &[Part], other: &[Part]) -> bool {
    let shape = |parts: &[Part]| parts.iter().map(Part::shape).collect::<Vec<_>>();
    let shorter = if parts.len() < other.len() { parts } else { other };
    shape(parts) != shape(other) && !shorter.contains(&Part::BodyAs(BodyForm::Structured))
}

/// Whether the text, read from the left, determines the end of the part.
fn ends_in_text(parts: &[Part], at: usize, unit: Option<TimestampUnit>) -> bool {
    let next = parts.get(at + 1);
    match &parts[at] {
        Part::Timestamp => unit.is_some(),
        // A section has its own rules: see `section::check`.
        Part::Section(_) | Part::DigitsOf(_) | Part::BodyAs(BodyForm::JsonString) => true,
        // No JSON object or array begins with a shorter one.
        Part::BodyAs(BodyForm::Structured) => {
            !matches!(next, Some(Part::Literal(text)) if text.starts_with(['{', '[']))
        }
        Part::HeadersOfLayout(named) => named.is_anchored() && matches!(next, Some(Part::Literal(_))),
        part if part.is_value() => match next {
            Some(Part::Literal(_) | Part::Secret | Part::Setting(_)) => true,
            Some(Part::Timestamp) => unit.is_some_and(TimestampUnit::is_date),
            _ => false,
        },
        part if part.is_url_with_query() => {
            matches!(next, Some(Part::Literal(text)) if text.starts_with(['\n', ' ']))
        }
        part => part.is_fixed(),
    }
}

/// Whether the text, read from the right, determines the beginning of the part.
fn begins_in_text(parts: &[Part], at: usize, unit: Option<TimestampUnit>) -> bool {
    let before = at.checked_sub(1).and_then(|before| parts.get(before));
    match &parts[at] {
        Part::Timestamp => unit.is_some(),
        // No JSON object or array ends with a shorter one.
        Part::DigitsOf(_) | Part::BodyAs(BodyForm::Structured) => true,
        Part::HeadersOfLayout(_) => false,
        part if part.is_value() => matches!(before, Some(Part::Literal(_) | Part::Secret | Part::Setting(_))),
        part if part.is_url_with_query() => {
            matches!(before, Some(Part::Literal(text)) if text.ends_with(['\n', ' ']))
        }
        part => part.is_fixed(),
    }
}

impl Part {
    /// Whether the part is the same in all texts of a source, has a fixed length, or is the method.
    const fn is_fixed(&self) -> bool {
        matches!(
            self,
            Self::Literal(_)
                | Self::Method
                | Self::Setting(_)
                | Self::Basic { .. }
                | Self::Secret
                | Self::Url(UrlForm::NoQuery | UrlForm::Sha256)
                | Self::BodyAs(BodyForm::Sha256(_))
        )
    }

    /// Whether the part is a text that a client can choose freely.
    const fn is_value(&self) -> bool {
        matches!(
            self,
            Self::Place(_) | Self::QueryInLowerCase(_) | Self::OfLayout(_) | Self::HeadersOfLayout(_)
        )
    }

    /// Whether the part includes the query of the URL: the registered one, otherwise the request's.
    const fn is_url_with_query(&self) -> bool {
        matches!(self, Self::Url(UrlForm::Whole | UrlForm::Decoded) | Self::Path)
    }

    /// Returns the same value for all parts of one kind.
    fn shape(&self) -> Self {
        match self {
            Self::DecodedBody | Self::BodyAs(_) | Self::Payload => Self::Body,
            Self::Place(_) | Self::QueryInLowerCase(_) => Self::Place(Place::Query(String::new())),
            Self::Section(parts) => Self::Section(parts.iter().map(Self::shape).collect()),
            other => other.clone(),
        }
    }

    fn in_words(&self) -> String {
        match self {
            Self::Literal(text) => format!("`{text}`"),
            Self::Body | Self::DecodedBody | Self::BodyAs(_) | Self::Payload => "the body".to_owned(),
            Self::Timestamp => "the timestamp".to_owned(),
            Self::OfLayout(name) => format!("`{{layout:{name}}}`"),
            Self::HeadersOfLayout(_) => "the headers that the signature names".to_owned(),
            Self::Place(place) | Self::QueryInLowerCase(place) | Self::DigitsOf(place) => place.to_string(),
            Self::SortedForm => "the form".to_owned(),
            Self::Url(_) | Self::Path => "the URL".to_owned(),
            _ => "another part".to_owned(),
        }
    }
}

/// Returns the index of the id in a text that ends in an id, a timestamp and the whole body, with
/// only fixed text before the id.
fn id_before_timestamp_and_body(parts: &[Part]) -> Option<usize> {
    let without_literal =
        |parts: &'_ [Part]| parts.len() - usize::from(matches!(parts.last(), Some(Part::Literal(_))));
    let rest = parts.strip_suffix(&[Part::Body])?;
    let rest = rest[..without_literal(rest)].strip_suffix(&[Part::Timestamp])?;
    let at = without_literal(rest).checked_sub(1)?;
    let is_id = parts[at].is_value() && !matches!(parts[at], Part::HeadersOfLayout(_));
    (is_id && parts[..at].iter().all(Part::is_fixed)).then_some(at)
}

/// The parts of one text with the values of one request.
struct SplitCheck<'a> {
    parts: &'a [Part],
    unit: Option<TimestampUnit>,
    scope: &'a TemplateScope<'a>,
}

impl<'a> SplitCheck<'a> {
    /// Checks that the part, read from the left, ends at its actual end.
    fn end(&self, at: usize) -> Result<(), Cause> {
        let part = &self.parts[at];
        let next = self.parts.get(at + 1);
        let is_clear = match part {
            Part::Timestamp if self.needs_window() => {
                let value = self.value(part)?;
                let delimiter = literal(next);
                let window = self.window_after(at, &value)?;
                let is_longer = |length: usize| {
                    self.is_timestamp(&window[..length]) && window[length..].starts_with(delimiter)
                };
                let reach = window[value.len()..].iter().take_while(|byte| is_of_date(**byte)).count();
                !(value.len() + 1..=(value.len() + reach).min(MAX_DATE_BYTES)).any(is_longer)
            }
            Part::DigitsOf(_) => {
                let value = self.value(part)?;
                let window = self.window_after(at, &value)?;
                !window.get(value.len()).is_some_and(u8::is_ascii_digit)
            }
            Part::HeadersOfLayout(_) => true,
            part if part.is_value() => self.value_ends(at, &self.value(part)?)?,
            _ => true,
        };
        clear(is_clear)
    }

    /// Whether the delimiter occurs only after the value, not in it. If a timestamp follows the
    /// delimiter, both are searched together, so that ids may contain the delimiter.
    fn value_ends(&self, at: usize, value: &[u8]) -> Result<bool, Cause> {
        let Some(next) = self.parts.get(at + 1) else { return Ok(true) };
        // An attacker does not have the secret, so no value contains it.
        if *next == Part::Secret {
            return Ok(true);
        }
        let delimiter = match next {
            Part::Timestamp => Cow::Borrowed(&b""[..]),
            next => self.value(next)?,
        };
        let stamp_at = if *next == Part::Timestamp { at + 1 } else { at + 2 };
        if self.parts.get(stamp_at) != Some(&Part::Timestamp) {
            let window = [value, &*delimiter].concat();
            return Ok(!(0..value.len()).any(|start| window[start..].starts_with(&delimiter)));
        }
        let close = literal(self.parts.get(stamp_at + 1));
        let window = [value, &*delimiter, &*self.value(&Part::Timestamp)?, close].concat();
        let is_end = |start: usize| {
            let Some(rest) = window[start..].strip_prefix(&*delimiter) else { return false };
            self.unit.is_some_and(|unit| unit.begins(rest, close))
        };
        Ok(!(0..value.len()).any(is_end))
    }

    /// Checks that the part, read from the right, begins at its actual beginning.
    fn beginning(&self, at: usize) -> Result<(), Cause> {
        let part = &self.parts[at];
        let before = at.checked_sub(1).and_then(|before| self.parts.get(before));
        let is_clear = match part {
            Part::Timestamp if self.needs_window() => {
                let value = self.value(part)?;
                let delimiter = literal(before);
                let window = self.window_before(at, &value)?;
                let is_longer = |length: usize| {
                    let (head, tail) = window.split_at(window.len() - length);
                    self.is_timestamp(tail) && head.ends_with(delimiter)
                };
                let before = &window[..window.len() - value.len()];
                let reach = before.iter().rev().take_while(|byte| is_of_date(**byte)).count();
                !(value.len() + 1..=(value.len() + reach).min(MAX_DATE_BYTES)).any(is_longer)
            }
            Part::DigitsOf(_) => {
                let value = self.value(part)?;
                let window = self.window_before(at, &value)?;
                let place = window.len().checked_sub(value.len() + 1);
                !place.and_then(|place| window.get(place)).is_some_and(u8::is_ascii_digit)
            }
            part if part.is_value() => match before {
                Some(Part::Secret) | None => true,
                Some(before) => {
                    let (value, delimiter) = (self.value(part)?, self.value(before)?);
                    let window = [&*delimiter, &*value].concat();
                    !(1..=value.len()).any(|start| window[start..].starts_with(&delimiter))
                }
            },
            _ => true,
        };
        clear(is_clear)
    }

    /// Rejects neighbouring parts that may contain text moved out of the body: a byte order mark,
    /// or the whole body if it is empty now.
    fn structured(&self, at: usize) -> Result<(), Cause> {
        let is_empty = self.scope.view.request.body.is_empty();
        // If the text contains the method, a GET must have an empty body, and needs no other rule.
        if self.scope.view.request.method == "GET" && self.parts.contains(&Part::Method) {
            return clear(is_empty);
        }
        let is_open = |part: &&Part| part.is_value() || part.is_url_with_query();
        if let Some(part) = at.checked_sub(1).and_then(|before| self.parts.get(before)).filter(is_open) {
            let value = self.value(part)?;
            // A value must not end in the last byte of a byte order mark, which may precede JSON.
            clear(value.last().is_none_or(|last| *last != 0xBF && !(is_empty && b"}]".contains(last))))?;
        }
        if let Some(part) = self.parts.get(at + 1).filter(is_open) {
            let value = self.value(part)?;
            clear(value.first().is_none_or(|first| *first != 0xEF && !(is_empty && b"{[".contains(first))))?;
        }
        Ok(())
    }

    /// Whether a timestamp of this unit can have several lengths.
    fn needs_window(&self) -> bool {
        !self.unit.is_some_and(TimestampUnit::has_fixed_form)
    }

    fn is_timestamp(&self, text: &[u8]) -> bool {
        self.unit.is_some_and(|unit| unit.parse(text).is_ok())
    }

    fn value(&self, part: &'a Part) -> Result<Cow<'a, [u8]>, Cause> {
        match part {
            // Not checked here: `feed` checks the JSON, which takes a pass over the whole body.
            Part::BodyAs(BodyForm::Json | BodyForm::Structured) => {
                Ok(Cow::Borrowed(self.scope.view.request.body))
            }
            // The secrets are checked later, one after the other.
            Part::Secret => Ok(Cow::Borrowed(b"")),
            part => part.value(self.scope),
        }
    }

    /// Returns the value of a part, and enough of the text after it for a timestamp and its
    /// delimiter.
    fn window_after(&self, at: usize, value: &[u8]) -> Result<Vec<u8>, Cause> {
        let enough = MAX_DATE_BYTES + literal(self.parts.get(at + 1)).len();
        let mut window = value.to_vec();
        for part in &self.parts[at + 1..] {
            if window.len() >= enough {
                break;
            }
            let text = self.value(part)?;
            window.extend_from_slice(&text[..text.len().min(enough)]);
        }
        Ok(window)
    }

    /// Returns the value of a part, and enough of the text before it, as in `window_after`.
    fn window_before(&self, at: usize, value: &[u8]) -> Result<Vec<u8>, Cause> {
        let before = at.checked_sub(1).and_then(|before| self.parts.get(before));
        let enough = MAX_DATE_BYTES + literal(before).len();
        let mut window = value.to_vec();
        for part in self.parts[..at].iter().rev() {
            if window.len() >= enough {
                break;
            }
            let text = self.value(part)?;
            window.splice(..0, text[text.len().saturating_sub(enough)..].iter().copied());
        }
        Ok(window)
    }
}

/// Whether a timestamp may contain the byte.
fn is_of_date(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b":.,+- ".contains(&byte)
}

fn clear(is_clear: bool) -> Result<(), Cause> {
    if is_clear { Ok(()) } else { Err(Cause::MalformedSignature) }
}

/// Returns the fixed text of a part; empty for any other part.
fn literal(part: Option<&Part>) -> &[u8] {
    match part {
        Some(Part::Literal(text)) => text.as_bytes(),
        _ => b"",
    }
}

mod tail;
#[cfg(test)]
mod tests;
