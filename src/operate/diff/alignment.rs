//! Aligns two sequences: equal elements by Myers' algorithm, elements of lists first by their
//! identity. Needs no clock: the implementation limits its search by the length of the sequences.

use std::collections::HashMap;
use std::hash::Hash;
use std::ops::Range;

use similar::{Algorithm, DiffOp, capture_diff_slices};

use super::numbered::{NumberedContent, NumberedValue};

/// Keys that identify an element of a list, most specific first.
const IDENTITY_KEYS: [&str; 4] = ["\"id\"", "\"key\"", "\"name\"", "\"sha\""];

/// Whether two documents are aligned as given or with exchanged sides. The document whose text
/// sorts first is always aligned as the left one, so exchanging the sides of a diff only mirrors
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Orientation {
    AsGiven,
    Exchanged,
}

/// Ranges of two sequences, in order. Together they cover both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    Equal { left: usize, right: usize, len: usize },
    Different { left: usize, left_len: usize, right: usize, right_len: usize },
}

/// A pair of elements of two lists, by index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    pub left: usize,
    pub right: usize,
    /// Its order among the other pairs differs on the two sides. Only for elements with the same
    /// identity.
    pub is_moved: bool,
}

/// The pairs of two lists in the order of the left, and the elements without a partner.
#[derive(Debug, Default)]
pub struct ListAlignment {
    pub pairs: Vec<Pair>,
    pub only_left: Vec<usize>,
    pub only_right: Vec<usize>,
}

impl Orientation {
    pub fn of(left: &str, right: &str) -> Self {
        if left <= right { Self::AsGiven } else { Self::Exchanged }
    }
}

/// Aligns equal elements.
pub fn runs<T: Hash + Eq>(left: &[T], right: &[T], orientation: Orientation) -> Vec<Run> {
    // Numbers make each comparison equally cheap, also for long lines.
    let mut numbers = HashMap::new();
    let mut number = |element| {
        let next = numbers.len();
        *numbers.entry(element).or_insert(next)
    };
    let left: Vec<usize> = left.iter().map(&mut number).collect();
    let right: Vec<usize> = right.iter().map(&mut number).collect();
    let ops = match orientation {
        Orientation::AsGiven => capture_diff_slices(Algorithm::Myers, &left, &right),
        Orientation::Exchanged => capture_diff_slices(Algorithm::Myers, &right, &left),
    };
    let exchange = orientation == Orientation::Exchanged;
    ops.into_iter().map(|op| if exchange { exchanged(run(op)) } else { run(op) }).collect()
}

fn run(op: DiffOp) -> Run {
    let (old, new) = (op.old_range(), op.new_range());
    match op {
        DiffOp::Equal { len, .. } => Run::Equal { left: old.start, right: new.start, len },
        _ => Run::Different { left: old.start, left_len: old.len(), right: new.start, right_len: new.len() },
    }
}

fn exchanged(run: Run) -> Run {
    match run {
        Run::Equal { left, right, len } => Run::Equal { left: right, right: left, len },
        Run::Different { left, left_len, right, right_len } => {
            Run::Different { left: right, left_len: right_len, right: left, right_len: left_len }
        }
    }
}

/// Pairs the elements of two lists: first those with the same `id`, `key`, `name` or `sha`. Between
/// two such pairs that are in order, pairs equal elements, then others by position. So only an
/// element with an identity can be moved.
pub fn align(
    left: &[NumberedValue<'_>],
    right: &[NumberedValue<'_>],
    orientation: Orientation,
) -> ListAlignment {
    let mut partners = identified(left, right);
    let identified_in_order = partners.in_order(orientation);
    let (mut from_left, mut from_right) = (0, 0);
    for (to_left, to_right) in identified_in_order.into_iter().chain([(left.len(), right.len())]) {
        align_gap(&mut partners, (left, from_left..to_left), (right, from_right..to_right), orientation);
        (from_left, from_right) = (to_left + 1, to_right + 1);
    }
    partners.alignment(orientation)
}

/// Pairs the elements without a partner in a range of each list.
fn align_gap(
    partners: &mut Partners,
    (left, left_gap): (&[NumberedValue<'_>], Range<usize>),
    (right, right_gap): (&[NumberedValue<'_>], Range<usize>),
    orientation: Orientation,
) {
    let rest_left: Vec<usize> = left_gap.filter(|at| partners.of_left[*at].is_none()).collect();
    let rest_right: Vec<usize> = right_gap.filter(|at| partners.of_right[*at].is_none()).collect();
    let numbers = |side: &[NumberedValue<'_>], rest: &[usize]| -> Vec<u32> {
        rest.iter().map(|at| side[*at].number).collect()
    };
    for run in runs(&numbers(left, &rest_left), &numbers(right, &rest_right), orientation) {
        let (from_left, from_right, len) = match run {
            Run::Equal { left, right, len } => (left, right, len),
            Run::Different { left, left_len, right, right_len } => (left, right, left_len.min(right_len)),
        };
        for (at_left, at_right) in rest_left[from_left..].iter().zip(&rest_right[from_right..]).take(len) {
            if is_alike(&left[*at_left], &right[*at_right]) {
                partners.join(*at_left, *at_right);
            }
        }
    }
}

/// Whether two values are of the same kind: objects, lists or scalars.
fn is_alike(left: &NumberedValue<'_>, right: &NumberedValue<'_>) -> bool {
    std::mem::discriminant(&left.content) == std::mem::discriminant(&right.content)
}

/// The partner of each element, by index.
struct Partners {
    of_left: Vec<Option<usize>>,
    of_right: Vec<Option<usize>>,
}

/// Pairs elements by their identity, if it is unique on both sides.
fn identified(left: &[NumberedValue<'_>], right: &[NumberedValue<'_>]) -> Partners {
    let mut partners = Partners { of_left: vec![None; left.len()], of_right: vec![None; right.len()] };
    for key in IDENTITY_KEYS {
        let of_left = unique_identities(left, &partners.of_left, key);
        let of_right = unique_identities(right, &partners.of_right, key);
        for (identity, at_left) in of_left {
            if let (Some(at_left), Some(Some(at_right))) = (at_left, of_right.get(&identity)) {
                partners.join(at_left, *at_right);
            }
        }
    }
    partners
}

/// Returns the elements without a partner by the value of a key; `None` for a repeated value.
fn unique_identities(
    items: &[NumberedValue<'_>],
    partners: &[Option<usize>],
    key: &str,
) -> HashMap<u32, Option<usize>> {
    let mut found = HashMap::new();
    for (at, item) in items.iter().enumerate().filter(|(at, _)| partners[*at].is_none()) {
        if let Some(identity) = identity(item, key) {
            found.entry(identity).and_modify(|place| *place = None).or_insert(Some(at));
        }
    }
    found
}

/// Returns the number of the string or number at a key.
fn identity(item: &NumberedValue<'_>, key: &str) -> Option<u32> {
    let NumberedContent::Members(members) = &item.content else { return None };
    let value = &members.iter().find(|member| member.key == key)?.value;
    let is_identity =
        value.raw.starts_with(|first: char| first == '"' || first == '-' || first.is_ascii_digit());
    is_identity.then_some(value.number)
}

impl Partners {
    fn join(&mut self, left: usize, right: usize) {
        self.of_left[left] = Some(right);
        self.of_right[right] = Some(left);
    }

    /// Returns the pairs of a longest sequence that is in the same order on both sides.
    fn in_order(&self, orientation: Orientation) -> Vec<(usize, usize)> {
        match orientation {
            Orientation::AsGiven => {
                let of_left = longest_increasing(&self.of_left).into_iter();
                of_left.filter_map(|left| Some((left, self.of_left[left]?))).collect()
            }
            Orientation::Exchanged => {
                let of_right = longest_increasing(&self.of_right).into_iter();
                of_right.filter_map(|right| Some((self.of_right[right]?, right))).collect()
            }
        }
    }

    /// All pairs inside the gaps belong to each longest sequence, because they are in order with
    /// the pairs around them.
    fn alignment(&self, orientation: Orientation) -> ListAlignment {
        let without = |partners: &[Option<usize>]| -> Vec<usize> {
            partners.iter().enumerate().filter(|(_, partner)| partner.is_none()).map(|(at, _)| at).collect()
        };
        let mut in_order = self.in_order(orientation).into_iter().peekable();
        let pair = |(left, right): (usize, &Option<usize>)| {
            let right = (*right)?;
            Some(Pair { left, right, is_moved: in_order.next_if_eq(&(left, right)).is_none() })
        };
        ListAlignment {
            pairs: self.of_left.iter().enumerate().filter_map(pair).collect(),
            only_left: without(&self.of_left),
            only_right: without(&self.of_right),
        }
    }
}

/// Returns the indices of a longest subsequence whose values increase. Takes n log n steps.
fn longest_increasing(values: &[Option<usize>]) -> Vec<usize> {
    // For each length, the index of the smallest last value; and for each index the one before it.
    let mut ends: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; values.len()];
    for (at, value) in values.iter().enumerate().filter(|(_, value)| value.is_some()) {
        let length = ends.partition_point(|end| values[*end] < *value);
        before[at] = length.checked_sub(1).map(|previous| ends[previous]);
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let mut found: Vec<usize> = std::iter::successors(ends.last().copied(), |at| before[*at]).collect();
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::tree;
    use crate::operate::diff::numbered::Numbering;

    /// Formats pairs as `0-1`, moved ones with `!`, elements of one side as `0-` and `-1`.
    fn aligned(left: &str, right: &str) -> String {
        let mut numbering = Numbering::default();
        let left_value = numbering.value(tree(left.as_bytes(), 99).unwrap());
        let right_value = numbering.value(tree(right.as_bytes(), 99).unwrap());
        let (NumberedContent::Items(left_items), NumberedContent::Items(right_items)) =
            (&left_value.content, &right_value.content)
        else {
            panic!("no lists")
        };
        let found = align(left_items, right_items, Orientation::of(left, right));
        let pair =
            |pair: &Pair| format!("{}-{}{}", pair.left, pair.right, if pair.is_moved { "!" } else { "" });
        let parts = found.pairs.iter().map(pair);
        let parts = parts.chain(found.only_left.iter().map(|at| format!("{at}-")));
        parts.chain(found.only_right.iter().map(|at| format!("-{at}"))).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn elements_are_paired_by_identity_equality_position() {
        for (left, right, expected) in [
            ("[1,2,3]", "[1,3]", "0-0 2-1 1-"),
            ("[1,2]", "[1,3]", "0-0 1-1"),
            ("[1]", "[2,3]", "0-0 -1"),
            ("[1]", "[{}]", "0- -0"),
            (r#"[{"id":1,"a":1},{"id":2}]"#, r#"[{"id":2,"a":5},{"id":1}]"#, "0-1! 1-0"),
            (r#"[{"id":1},{"id":2},{"id":3}]"#, r#"[{"id":3},{"id":1},{"id":2}]"#, "0-1 1-2 2-0!"),
            (r#"[{"id":1,"name":"x"},{"id":2}]"#, r#"[{"id":7},{"id":8,"name":"x"}]"#, "0-1 1- -0"),
            (r#"[{"key":1},{"sha":"a"}]"#, r#"[{"sha":"a","b":1},{"key":1,"b":2}]"#, "0-1! 1-0"),
            // An id decides before a name.
            (
                r#"[{"id":1,"name":"x"},{"id":2,"name":"y"}]"#,
                r#"[{"id":2,"name":"x"},{"id":1,"name":"y"}]"#,
                "0-1! 1-0",
            ),
            // Elements without an identity are paired only between the same identified pairs.
            (r#"[{"id":1},{"id":2},"a"]"#, r#"["b",{"id":1},{"id":2}]"#, "0-1 1-2 2- -0"),
            (r#"[{"id":1},{"id":2},"a"]"#, r#"["a",{"id":1},{"id":2}]"#, "0-1 1-2 2- -0"),
            (r#"[1,{"id":1},2,3]"#, r#"[4,{"id":1},3]"#, "0-0 1-1 3-2 2-"),
            (r#"[{"id":1},"a",{"id":2}]"#, r#"[{"id":2},"b",{"id":1}]"#, "0-2! 2-0 1- -1"),
            (r#"["a",{"id":1},{"id":2},"c"]"#, r#"["b",{"id":2},{"id":1},"c"]"#, "0-0 1-2! 2-1 3-3"),
            // A repeated or empty identity pairs nothing.
            (r#"[{"id":1},{"id":1,"a":1}]"#, r#"[{"id":1,"a":1},{"id":1}]"#, "1-0 0- -1"),
            (r#"[{"id":null},7]"#, r#"[7,{"id":null}]"#, "1-0 0- -1"),
        ] {
            assert_eq!(aligned(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn longest_increasing_subsequence_is_found() {
        let of = |values: &[usize]| {
            longest_increasing(&values.iter().map(|value| Some(*value)).collect::<Vec<_>>())
        };
        assert_eq!(of(&[2, 0, 1, 3]), [1, 2, 3]);
        assert_eq!(of(&[3, 2, 1]), [2]);
        assert_eq!(of(&[]), [0; 0]);
        assert_eq!(longest_increasing(&[Some(4), None, Some(1), Some(2)]), [2, 3]);
    }
}
