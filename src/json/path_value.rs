//! The values at the paths of a document.

use super::strings::text_of;

/// The index of a path's value among the values read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub(super) usize);

/// The values, by slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathValues(pub(super) Vec<PathValue>);

/// The value at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathValue {
    Absent,
    Text(String),
    /// Digits as sent: no precision is lost.
    Number(String),
    /// An object, an array, `true`, `false`, `null`, or a string with a lone surrogate.
    Other,
}

impl PathValues {
    pub fn get(&self, slot: Slot) -> &PathValue {
        self.0.get(slot.0).unwrap_or(&PathValue::Absent)
    }
}

impl PathValue {
    /// Converts a raw value of a document.
    pub fn from_raw(raw: &str) -> Self {
        match raw.as_bytes().first() {
            Some(b'"') => text_of(raw).map_or(Self::Other, |text| Self::Text(text.into_owned())),
            Some(b'-' | b'0'..=b'9') => Self::Number(raw.to_owned()),
            _ => Self::Other,
        }
    }
}
