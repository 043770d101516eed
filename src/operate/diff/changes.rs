//! Lists differences one by one, each with its path, within limits.

use super::delta::{Delta, ItemDelta, MemberDelta, TextDelta};
use super::lines::LineDelta;
use super::noise::{is_noise, is_number_noise};
use super::words::{TextPart, TextSide};
use crate::json::{is_number, text_lossy, text_of};

/// Limit on the listed differences of a body.
const MAX_CHANGES: usize = 5_000;
/// Limit on the bytes of their paths and values. Without it, a long key would be repeated in the
/// path of each value inside it.
const MAX_BYTES: usize = 4 << 20;
/// Bytes that each part of a text takes, in addition to its characters.
const PART_BYTES: usize = 32;

/// A difference of two JSON documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub kind: ChangeKind,
    /// JSON pointer in the left document, or in the right one for `OnlyRight`.
    pub path: String,
    /// Pointer in the right document, if it differs.
    pub right_path: Option<String>,
    /// The raw values; `None` where the value is absent, and for `Moved`.
    pub left: Option<String>,
    pub right: Option<String>,
    /// The parts of two long texts, if they share a word and the limit on words is not reached.
    pub parts: Vec<(TextSide, String)>,
    /// Only ids and times differ.
    pub is_noise: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    Changed,
    /// An element of a list with the same identity, whose order among the paired elements differs.
    /// Differences inside it are listed separately.
    Moved,
    OnlyLeft,
    OnlyRight,
}

/// Differing lines of two texts at one place. Line numbers start at 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineChange {
    pub left_line: usize,
    pub left: Vec<String>,
    pub right_line: usize,
    pub right: Vec<String>,
    /// Only ids and times differ.
    pub is_noise: bool,
}

/// Lists differences until the limits are reached, and counts the others.
#[derive(Debug)]
pub struct ChangeLister {
    hides_noise: bool,
    max_changes: usize,
    max_bytes: usize,
    left_path: String,
    right_path: String,
    /// Number of steps at which the two paths differ.
    differing_steps: usize,
    pub changes: Vec<Change>,
    pub line_changes: Vec<LineChange>,
    /// Differences that were hidden as noise.
    pub hidden: usize,
    /// Differences above the limits.
    pub left_out: usize,
}

impl ChangeLister {
    pub fn new(hides_noise: bool) -> Self {
        Self {
            hides_noise,
            max_changes: MAX_CHANGES,
            max_bytes: MAX_BYTES,
            left_path: String::new(),
            right_path: String::new(),
            differing_steps: 0,
            changes: Vec::new(),
            line_changes: Vec::new(),
            hidden: 0,
            left_out: 0,
        }
    }

    /// Lists the differences of two values.
    pub fn list(&mut self, delta: &Delta<'_>) {
        match delta {
            Delta::Replacement { left, right } => {
                let kind = ChangeKind::Changed;
                self.push(kind, Some(left), Some(right), None, is_scalar_noise(left, right));
            }
            Delta::Text(text) => {
                let (left, right) = (Some(text.left_raw), Some(text.right_raw));
                let is_noise = is_noise(&text.left, &text.right);
                self.push(ChangeKind::Changed, left, right, Some(text), is_noise);
            }
            Delta::Members(members) => members.iter().for_each(|member| self.list_member(member)),
            Delta::Items(items) => items.iter().for_each(|item| self.list_item(item)),
        }
    }

    fn list_member(&mut self, member: &MemberDelta<'_>) {
        let (MemberDelta::OnlyLeft { key, .. }
        | MemberDelta::OnlyRight { key, .. }
        | MemberDelta::Changed { key, .. }) = member;
        let token = text_lossy(key).replace('~', "~0").replace('/', "~1");
        self.within(&token, &token, |lister| match member {
            MemberDelta::OnlyLeft { value, .. } => lister.push_left(value),
            MemberDelta::OnlyRight { value, .. } => lister.push_right(value),
            MemberDelta::Changed { delta, .. } => lister.list(delta),
        });
    }

    fn list_item(&mut self, item: &ItemDelta<'_>) {
        let (left, right) = match item {
            ItemDelta::OnlyLeft { at, .. } | ItemDelta::OnlyRight { at, .. } => (*at, *at),
            ItemDelta::Paired { pair, .. } => (pair.left, pair.right),
        };
        self.within(&left.to_string(), &right.to_string(), |lister| match item {
            ItemDelta::OnlyLeft { value, .. } => lister.push_left(value),
            ItemDelta::OnlyRight { value, .. } => lister.push_right(value),
            ItemDelta::Paired { pair, delta } => {
                if pair.is_moved {
                    lister.push(ChangeKind::Moved, None, None, None, false);
                }
                delta.iter().for_each(|delta| lister.list(delta));
            }
        });
    }

    fn within(&mut self, left_token: &str, right_token: &str, list: impl FnOnce(&mut Self)) {
        let (left_bytes, right_bytes) = (self.left_path.len(), self.right_path.len());
        for (path, token) in [(&mut self.left_path, left_token), (&mut self.right_path, right_token)] {
            path.push('/');
            path.push_str(token);
        }
        let is_differing = usize::from(left_token != right_token);
        self.differing_steps += is_differing;
        list(self);
        self.differing_steps -= is_differing;
        self.left_path.truncate(left_bytes);
        self.right_path.truncate(right_bytes);
    }

    fn push_left(&mut self, value: &str) {
        self.push(ChangeKind::OnlyLeft, Some(value), None, None, false);
    }

    fn push_right(&mut self, value: &str) {
        self.push(ChangeKind::OnlyRight, None, Some(value), None, false);
    }

    fn push(
        &mut self,
        kind: ChangeKind,
        left: Option<&str>,
        right: Option<&str>,
        text: Option<&TextDelta<'_>>,
        is_noise: bool,
    ) {
        let parts_bytes =
            text.map_or(0, |text| text.parts.iter().map(|part| part.range.len() + PART_BYTES).sum::<usize>());
        let values_bytes = left.map_or(0, str::len) + right.map_or(0, str::len) + parts_bytes;
        let (path, right_path) = self.paths(kind);
        let paths_bytes = path.len() + right_path.map_or(0, str::len);
        if !self.admits(is_noise, paths_bytes + values_bytes) {
            return;
        }
        let (path, right_path) = self.paths(kind);
        self.changes.push(Change {
            kind,
            path: path.to_owned(),
            right_path: right_path.map(str::to_owned),
            left: left.map(str::to_owned),
            right: right.map(str::to_owned),
            parts: text.map(parts_of).unwrap_or_default(),
            is_noise,
        });
    }

    /// Returns the path of a change, and the path on the right if it differs.
    fn paths(&self, kind: ChangeKind) -> (&str, Option<&str>) {
        match kind {
            ChangeKind::OnlyLeft => (&self.left_path, None),
            ChangeKind::OnlyRight => (&self.right_path, None),
            ChangeKind::Changed | ChangeKind::Moved if self.differing_steps == 0 => (&self.left_path, None),
            ChangeKind::Changed | ChangeKind::Moved => (&self.left_path, Some(&self.right_path)),
        }
    }

    /// Lists differing lines.
    pub fn list_lines(&mut self, delta: &LineDelta<'_>) {
        let owned = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let bytes = |lines: &[&str]| lines.iter().map(|line| line.len() + PART_BYTES).sum::<usize>();
        let is_noise = is_noise(&delta.left.concat(), &delta.right.concat());
        if self.admits(is_noise, bytes(&delta.left) + bytes(&delta.right)) {
            self.line_changes.push(LineChange {
                left_line: delta.left_at + 1,
                left: owned(&delta.left),
                right_line: delta.right_at + 1,
                right: owned(&delta.right),
                is_noise,
            });
        }
    }

    /// Counts a difference; returns whether it is listed.
    fn admits(&mut self, is_noise: bool, bytes: usize) -> bool {
        if is_noise && self.hides_noise {
            self.hidden += 1;
            return false;
        }
        let left = self.max_changes.checked_sub(1).zip(self.max_bytes.checked_sub(bytes));
        match left {
            Some((max_changes, max_bytes)) => {
                self.max_changes = max_changes;
                self.max_bytes = max_bytes;
                true
            }
            None => {
                self.left_out += 1;
                false
            }
        }
    }
}

fn parts_of(text: &TextDelta<'_>) -> Vec<(TextSide, String)> {
    let of_side = |side| if side == TextSide::Right { &text.right } else { &text.left };
    let part = |part: &TextPart| (part.side, of_side(part.side)[part.range.clone()].to_owned());
    text.parts.iter().map(part).collect()
}

/// Whether two scalars of the same type differ only in ids and times.
fn is_scalar_noise(left: &str, right: &str) -> bool {
    match (text_of(left), text_of(right)) {
        (Some(left), Some(right)) => is_noise(&left, &right),
        _ => is_number(left) && is_number(right) && is_number_noise(left, right),
    }
}
