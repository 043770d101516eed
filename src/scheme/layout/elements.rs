//! The elements of a value, and their groups. HTTP lets a proxy join header lines with commas,
//! regardless of the separator within a line (RFC 9110, 5.3).

use std::ops::Range;

/// Limit on candidates, above the number that any sender needs for key rotation; a value with more
/// is rejected without checking any of them.
pub const MAX_CANDIDATES: usize = 16;

/// Limits joined lines with separate timestamps: each one costs a digest of the body before
/// authentication.
pub const MAX_JOINED_LINES: usize = 4;

/// Parts of one value, at most `MAX_CANDIDATES`.
#[derive(Clone, Copy, Debug)]
pub struct Slices<'a> {
    found: [&'a [u8]; MAX_CANDIDATES],
    count: usize,
}

impl<'a> Slices<'a> {
    const NONE: Self = Self { found: [&[]; MAX_CANDIDATES], count: 0 };

    pub const fn of(slice: &'a [u8]) -> Self {
        let mut found: [&'a [u8]; MAX_CANDIDATES] = [&[]; MAX_CANDIDATES];
        found[0] = slice;
        Self { found, count: 1 }
    }

    pub fn as_slice(&self) -> &[&'a [u8]] {
        &self.found[..self.count]
    }

    /// Returns false if there is no room.
    fn push(&mut self, slice: &'a [u8]) -> bool {
        let Some(place) = self.found.get_mut(self.count) else { return false };
        *place = slice;
        self.count += 1;
        true
    }

    /// Collects slices; `None` if there are too many.
    pub fn collect(slices: impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let mut collected = Self::NONE;
        for slice in slices {
            if !collected.push(slice) {
                return None;
            }
        }
        Some(collected)
    }
}

impl<'a> IntoIterator for Slices<'a> {
    type Item = &'a [u8];
    type IntoIter = std::iter::Take<std::array::IntoIter<&'a [u8], MAX_CANDIDATES>>;

    fn into_iter(self) -> Self::IntoIter {
        self.found.into_iter().take(self.count)
    }
}

/// Returns the ranges of the elements between separators, without surrounding blanks; empty ones
/// are skipped. `begins_line` decides whether a comma starts another joined line.
fn ranges(
    value: &[u8],
    separator: u8,
    begins_line: impl Fn(&[u8]) -> bool,
) -> impl Iterator<Item = Range<usize>> {
    let mut next = 0;
    std::iter::from_fn(move || {
        while next <= value.len() {
            let rest = &value[next..];
            let is_end = |(at, byte): (usize, &u8)| {
                *byte == separator || (*byte == b',' && begins_line(rest[at + 1..].trim_ascii_start()))
            };
            let length = rest.iter().enumerate().position(is_end).unwrap_or(rest.len());
            let element = rest[..length].trim_ascii_start();
            let start = next + length - element.len();
            next += length + 1;
            let length = element.trim_ascii_end().len();
            if length > 0 {
                return Some(start..start + length);
            }
        }
        None
    })
}

/// Returns the elements of a value: the same as `ranges`, but as text.
pub fn elements(
    value: &[u8],
    separator: u8,
    begins_line: impl Fn(&[u8]) -> bool,
) -> impl Iterator<Item = &[u8]> {
    ranges(value, separator, begins_line).map(|range| &value[range])
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs {
    pub separator: u8,
    /// The key of the signatures.
    pub signature: String,
    /// Keys, each with the name that templates use, in the order in which the sender writes them.
    pub named: Vec<(String, String)>,
    /// The text between elements as the sender writes it: the separator and maybe a space.
    pub(super) written_separator: String,
    pub(super) signature_first: bool,
}

/// The role of an element in a list of pairs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ElementKind {
    Named(usize),
    Signature,
    Other,
}

/// The elements of a group so far.
struct PairGroup {
    start: usize,
    end: usize,
    /// A bit for each named part.
    named: u64,
    has_signature: bool,
    last: ElementKind,
}

impl PairGroup {
    const fn from(start: usize) -> Self {
        Self { start, end: start, named: 0, has_signature: false, last: ElementKind::Other }
    }

    fn add(&mut self, kind: ElementKind, end: usize) {
        match kind {
            ElementKind::Named(place) => self.named |= 1 << place,
            ElementKind::Signature => self.has_signature = true,
            ElementKind::Other => {}
        }
        self.last = kind;
        self.end = end;
    }
}

impl Pairs {
    pub fn elements<'a>(&self, value: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        elements(value, self.separator, |rest| self.kind(rest) != ElementKind::Other)
    }

    /// The values of one key.
    pub fn values<'a>(&self, value: &'a [u8], key: &str) -> impl Iterator<Item = &'a [u8]> {
        self.elements(value).filter_map(move |pair| value_of(pair, key))
    }

    /// Splits a value into its joined lines: each has all named parts and its own signature. A
    /// value that cannot be split like this is one group, in which a duplicate part is ambiguous.
    pub fn groups<'a>(&self, value: &'a [u8]) -> Slices<'a> {
        self.joined_lines(value).unwrap_or_else(|| Slices::of(value))
    }

    fn joined_lines<'a>(&self, value: &'a [u8]) -> Option<Slices<'a>> {
        let mut groups = Slices::NONE;
        let mut group = PairGroup::from(0);
        for range in ranges(value, self.separator, |rest| self.kind(rest) != ElementKind::Other) {
            let kind = self.kind(&value[range.clone()]);
            if self.begins_another(&group, kind) {
                self.close(&group, value, &mut groups)?;
                group = PairGroup::from(range.start);
            }
            group.add(kind, range.end);
        }
        self.close(&group, value, &mut groups)?;
        Some(groups)
    }

    /// Returns `None` if the group is incomplete, or exceeds the limit.
    fn close<'a>(&self, group: &PairGroup, value: &'a [u8], groups: &mut Slices<'a>) -> Option<()> {
        let has_room = groups.count < MAX_JOINED_LINES;
        (has_room && self.is_complete(group) && groups.push(&value[group.start..group.end])).then_some(())
    }

    fn begins_another(&self, group: &PairGroup, kind: ElementKind) -> bool {
        match kind {
            ElementKind::Named(place) => group.named & (1 << place) != 0,
            // Several signatures of one group are adjacent.
            ElementKind::Signature => self.is_complete(group) && group.last != ElementKind::Signature,
            ElementKind::Other => false,
        }
    }

    fn is_complete(&self, group: &PairGroup) -> bool {
        group.has_signature && group.named.count_ones() as usize == self.named.len()
    }

    fn kind(&self, element: &[u8]) -> ElementKind {
        if value_of(element, &self.signature).is_some() {
            return ElementKind::Signature;
        }
        let place = self.named.iter().position(|(key, _)| value_of(element, key).is_some());
        place.map_or(ElementKind::Other, ElementKind::Named)
    }
}

fn value_of<'a>(pair: &'a [u8], key: &str) -> Option<&'a [u8]> {
    pair.strip_prefix(key.as_bytes())?.strip_prefix(b"=")
}
