//! Compares two JSON values. A difference keeps the shape of the values, so that the left one and
//! the difference together give the right one.

use std::borrow::Cow;
use std::collections::HashMap;

use super::alignment::{Orientation, Pair, align};
use super::numbered::{NumberedContent, NumberedMember, NumberedValue};
use super::words::{TextPart, WordBudget};
use crate::json::text_of;

/// The difference of two unequal values.
#[derive(Debug, PartialEq, Eq)]
pub enum Delta<'a> {
    /// One raw value in place of the other.
    Replacement {
        left: &'a str,
        right: &'a str,
    },
    Text(TextDelta<'a>),
    /// The differing members of two objects, in the order of the left one. Members of the right one
    /// alone follow.
    Members(Vec<MemberDelta<'a>>),
    /// The differing elements of two lists, in the order of the left one. Elements of the right one
    /// alone follow. The elements that are not listed are equal, and in the same order on both
    /// sides.
    Items(Vec<ItemDelta<'a>>),
}

/// Two texts compared by words.
#[derive(Debug, PartialEq, Eq)]
pub struct TextDelta<'a> {
    pub left_raw: &'a str,
    pub right_raw: &'a str,
    /// The decoded texts, which contain the parts.
    pub left: Cow<'a, str>,
    pub right: Cow<'a, str>,
    pub parts: Vec<TextPart>,
}

/// A member of one or both objects. `key` is raw.
#[derive(Debug, PartialEq, Eq)]
pub enum MemberDelta<'a> {
    OnlyLeft { key: &'a str, value: &'a str },
    OnlyRight { key: &'a str, value: &'a str },
    Changed { key: &'a str, delta: Delta<'a> },
}

/// An element of one or both lists, by index.
#[derive(Debug, PartialEq, Eq)]
pub enum ItemDelta<'a> {
    OnlyLeft {
        at: usize,
        value: &'a str,
    },
    OnlyRight {
        at: usize,
        value: &'a str,
    },
    /// A pair of elements of which at least one of order and content differs.
    Paired {
        pair: Pair,
        delta: Option<Delta<'a>>,
    },
}

/// A comparison of two documents.
#[derive(Debug)]
struct Comparison {
    orientation: Orientation,
    budget: WordBudget,
}

/// Compares two documents, numbered by the same numbering; `None` if they are equal.
pub fn compare<'a>(left: &NumberedValue<'a>, right: &NumberedValue<'a>) -> Option<Delta<'a>> {
    let orientation = Orientation::of(left.raw, right.raw);
    Comparison { orientation, budget: WordBudget::default() }.values(left, right)
}

impl Comparison {
    /// Recurses at most as deep as documents are nested.
    fn values<'a>(&mut self, left: &NumberedValue<'a>, right: &NumberedValue<'a>) -> Option<Delta<'a>> {
        if left.number == right.number {
            return None;
        }
        Some(match (&left.content, &right.content) {
            (NumberedContent::Members(left), NumberedContent::Members(right)) => {
                Delta::Members(self.members(left, right))
            }
            (NumberedContent::Items(left), NumberedContent::Items(right)) => {
                Delta::Items(self.items(left, right))
            }
            _ => match self.texts(left.raw, right.raw) {
                Some(text) => Delta::Text(text),
                None => Delta::Replacement { left: left.raw, right: right.raw },
            },
        })
    }

    fn texts<'a>(&mut self, left_raw: &'a str, right_raw: &'a str) -> Option<TextDelta<'a>> {
        let (left, right) = (text_of(left_raw)?, text_of(right_raw)?);
        let parts = self.budget.compare(&left, &right, self.orientation)?;
        Some(TextDelta { left_raw, right_raw, left, right, parts })
    }

    fn members<'a>(
        &mut self,
        left: &[NumberedMember<'a>],
        right: &[NumberedMember<'a>],
    ) -> Vec<MemberDelta<'a>> {
        let by_key = |side: &[NumberedMember<'a>]| -> HashMap<u32, usize> {
            side.iter().enumerate().map(|(at, member)| (member.key_number, at)).collect()
        };
        let (left_places, right_places) = (by_key(left), by_key(right));
        let mut found = Vec::new();
        for member in left {
            let key = member.key;
            match right_places.get(&member.key_number).map(|at| &right[*at]) {
                None => found.push(MemberDelta::OnlyLeft { key, value: member.value.raw }),
                Some(other) => {
                    let delta = self.values(&member.value, &other.value);
                    found.extend(delta.map(|delta| MemberDelta::Changed { key, delta }));
                }
            }
        }
        let only_right = right.iter().filter(|member| !left_places.contains_key(&member.key_number));
        found.extend(
            only_right.map(|member| MemberDelta::OnlyRight { key: member.key, value: member.value.raw }),
        );
        found
    }

    fn items<'a>(&mut self, left: &[NumberedValue<'a>], right: &[NumberedValue<'a>]) -> Vec<ItemDelta<'a>> {
        let alignment = align(left, right, self.orientation);
        let mut found = Vec::new();
        let mut only_left = alignment.only_left.into_iter().peekable();
        for pair in alignment.pairs {
            while let Some(at) = only_left.next_if(|at| *at < pair.left) {
                found.push(ItemDelta::OnlyLeft { at, value: left[at].raw });
            }
            let delta = self.values(&left[pair.left], &right[pair.right]);
            if delta.is_some() || pair.is_moved {
                found.push(ItemDelta::Paired { pair, delta });
            }
        }
        found.extend(only_left.map(|at| ItemDelta::OnlyLeft { at, value: left[at].raw }));
        let only_right = alignment.only_right.into_iter();
        found.extend(only_right.map(|at| ItemDelta::OnlyRight { at, value: right[at].raw }));
        found
    }
}
