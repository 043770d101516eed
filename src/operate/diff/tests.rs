//! Properties of differences of arbitrary JSON, and the list of changes.

use proptest::prelude::*;
use serde_json::Value;

use super::alignment::Pair;
use super::body::{ComparedBody, compare_bodies};
use super::changes::{Change, ChangeKind, ChangeLister};
use super::delta::{Delta, ItemDelta, MemberDelta, TextDelta, compare};
use super::numbered::Numbering;
use super::words::{TextPart, TextSide};
use crate::json::{TreeContent, TreeNode, text_of, tree};

fn parsed(text: &str) -> TreeNode<'_> {
    tree(text.as_bytes(), 9_999).unwrap()
}

fn difference<'a>(left: &'a str, right: &'a str) -> Option<Delta<'a>> {
    let mut numbering = Numbering::default();
    let (left, right) = (numbering.value(parsed(left)), numbering.value(parsed(right)));
    compare(&left, &right)
}

/// Applies a difference to the left value.
fn applied(delta: Option<&Delta<'_>>, left: &TreeNode<'_>) -> String {
    match (delta, &left.content) {
        (None, _) => left.raw.to_owned(),
        (Some(Delta::Replacement { left: old, right }), _) => {
            assert_eq!(*old, left.raw);
            (*right).to_owned()
        }
        (Some(Delta::Text(text)), _) => {
            let part = |part: &TextPart| match part.side {
                TextSide::Both => &text.left[part.range.clone()],
                TextSide::Left => "",
                TextSide::Right => &text.right[part.range.clone()],
            };
            serde_json::to_string(&text.parts.iter().map(part).collect::<String>()).unwrap()
        }
        (Some(Delta::Members(deltas)), TreeContent::Members(members)) => applied_members(deltas, members),
        (Some(Delta::Items(deltas)), TreeContent::Items(items)) => applied_items(deltas, items),
        (Some(delta), _) => panic!("{delta:?} of {left:?}"),
    }
}

fn applied_members(deltas: &[MemberDelta<'_>], members: &[(&str, TreeNode<'_>)]) -> String {
    let mut written: Vec<String> = Vec::new();
    for (key, value) in members {
        let delta_of = |delta: &&MemberDelta<'_>| match delta {
            MemberDelta::OnlyLeft { key: found, .. } | MemberDelta::Changed { key: found, .. } => {
                found == key
            }
            MemberDelta::OnlyRight { .. } => false,
        };
        match deltas.iter().find(delta_of) {
            Some(MemberDelta::OnlyLeft { .. }) => {}
            Some(MemberDelta::Changed { delta, .. }) => {
                written.push(format!("{key}:{}", applied(Some(delta), value)));
            }
            _ => written.push(format!("{key}:{}", value.raw)),
        }
    }
    for delta in deltas {
        if let MemberDelta::OnlyRight { key, value } = delta {
            written.push(format!("{key}:{value}"));
        }
    }
    format!("{{{}}}", written.join(","))
}

fn applied_items(deltas: &[ItemDelta<'_>], items: &[TreeNode<'_>]) -> String {
    let mut written: std::collections::BTreeMap<usize, String> = std::collections::BTreeMap::new();
    let mut rest: Vec<Option<&TreeNode<'_>>> = items.iter().map(Some).collect();
    for delta in deltas {
        match delta {
            ItemDelta::OnlyLeft { at, value } => assert_eq!(rest[*at].take().unwrap().raw, *value),
            ItemDelta::OnlyRight { at, value } => drop(written.insert(*at, (*value).to_owned())),
            ItemDelta::Paired { pair, delta } => {
                let item = rest[pair.left].take().unwrap();
                written.insert(pair.right, applied(delta.as_ref(), item));
            }
        }
    }
    let mut at = 0;
    for item in rest.into_iter().flatten() {
        while written.contains_key(&at) {
            at += 1;
        }
        written.insert(at, item.raw.to_owned());
    }
    assert!(written.keys().copied().eq(0..written.len()), "{written:?}");
    format!("[{}]", written.into_values().collect::<Vec<_>>().join(","))
}

/// Exchanges the sides of a difference.
fn mirrored<'a>(delta: Delta<'a>) -> Delta<'a> {
    match delta {
        Delta::Replacement { left, right } => Delta::Replacement { left: right, right: left },
        Delta::Text(text) => Delta::Text(mirrored_text(text)),
        Delta::Members(members) => {
            let member = |member| match member {
                MemberDelta::OnlyLeft { key, value } => MemberDelta::OnlyRight { key, value },
                MemberDelta::OnlyRight { key, value } => MemberDelta::OnlyLeft { key, value },
                MemberDelta::Changed { key, delta } => MemberDelta::Changed { key, delta: mirrored(delta) },
            };
            Delta::Members(members.into_iter().map(member).collect())
        }
        Delta::Items(items) => {
            let item = |item| match item {
                ItemDelta::OnlyLeft { at, value } => ItemDelta::OnlyRight { at, value },
                ItemDelta::OnlyRight { at, value } => ItemDelta::OnlyLeft { at, value },
                ItemDelta::Paired { pair, delta } => ItemDelta::Paired {
                    pair: Pair { left: pair.right, right: pair.left, is_moved: pair.is_moved },
                    delta: delta.map(mirrored),
                },
            };
            Delta::Items(items.into_iter().map(item).collect())
        }
    }
}

fn mirrored_text(TextDelta { left_raw, right_raw, left, right, parts }: TextDelta<'_>) -> TextDelta<'_> {
    let mut at_right = 0;
    let part = |TextPart { side, range }: TextPart| {
        let (side, range) = match side {
            TextSide::Left => return TextPart { side: TextSide::Right, range },
            TextSide::Right => (TextSide::Left, range),
            TextSide::Both => (TextSide::Both, at_right..at_right + range.len()),
        };
        at_right = range.end;
        TextPart { side, range }
    };
    let parts = parts.into_iter().map(part).collect();
    TextDelta { left_raw: right_raw, right_raw: left_raw, left: right, right: left, parts }
}

/// Formats a difference with keys as text, sorted, so that the order of the left does not count.
fn shown(delta: &Delta<'_>) -> String {
    let key = |raw: &str| text_of(raw).map(String::from).unwrap_or_default();
    let list = |mut parts: Vec<String>| {
        parts.sort();
        parts.join("; ")
    };
    match delta {
        Delta::Text(TextDelta { parts, .. }) => {
            let mut parts: Vec<String> = parts.iter().map(|part| format!("{part:?}")).collect();
            parts.sort();
            format!("{parts:?}")
        }
        Delta::Replacement { .. } => format!("{delta:?}"),
        Delta::Members(members) => list(
            members
                .iter()
                .map(|member| match member {
                    MemberDelta::OnlyLeft { key: raw, value } => format!("{} {value} <", key(raw)),
                    MemberDelta::OnlyRight { key: raw, value } => format!("{} > {value}", key(raw)),
                    MemberDelta::Changed { key: raw, delta } => format!("{} ({})", key(raw), shown(delta)),
                })
                .collect(),
        ),
        Delta::Items(items) => list(
            items
                .iter()
                .map(|item| match item {
                    ItemDelta::Paired { pair, delta } => {
                        format!("{pair:?} ({:?})", delta.as_ref().map(shown))
                    }
                    other => format!("{other:?}"),
                })
                .collect(),
        ),
    }
}

/// Text of a JSON value with white space, escapes, repeated keys, and few different values, so that
/// parts of two values are often equal.
fn json_text() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "null",
            "true",
            "1",
            "1.0",
            "1e2",
            "-7",
            "\"a\"",
            "\"\\u0061\"",
            "\" \"",
            "{}"
        ])
        .prop_map(str::to_owned),
        "[ab ]{41,50}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let key = prop::sample::select(vec!["id", "name", "a", "b", "\\u0061", "x/y~"]);
        let id = prop::sample::select(vec!["1", "2", "3", "\"x\""]).prop_map(str::to_owned);
        let member = (key, inner.clone()).prop_map(|(key, value)| format!("\"{key}\" :{value}"));
        let item = (id, inner.clone()).prop_map(|(id, value)| format!("{{\"id\":{id},\"v\": {value}}}"));
        prop_oneof![
            prop::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(", "))),
            prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[ {}]", items.join(","))),
            prop::collection::vec(item.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(" ,"))),
            prop::collection::vec(prop_oneof![item, inner], 0..8)
                .prop_map(|items| format!("[{}]", items.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn difference_applied_to_left_gives_right(left in json_text(), right in json_text()) {
        let result = applied(difference(&left, &right).as_ref(), &parsed(&left));
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        prop_assert_eq!(value(&result), value(&right));
        prop_assert!(difference(&result, &right).is_none());
    }

    #[test]
    fn difference_of_exchanged_sides_is_mirrored(left in json_text(), right in json_text()) {
        let exchanged = difference(&right, &left).as_ref().map(shown);
        prop_assert_eq!(difference(&left, &right).map(mirrored).as_ref().map(shown), exchanged);
    }

    #[test]
    fn equal_values_have_no_difference(text in json_text()) {
        prop_assert!(difference(&text, &text).is_none());
        let pretty = crate::json::pretty(&text);
        prop_assert!(difference(&text, &pretty).is_none());
    }

    #[test]
    fn any_bodies_are_compared_without_panic(
        left in "[\\[\\]{}\",:\\\\ \n\u{e9}a1]{0,40}", right in "[\\[\\]{}\",:\\\\ \n\u{e9}a1]{0,40}",
    ) {
        let found = compare_bodies(body(&left), body(&right), false);
        prop_assert_eq!(found.is_same, left == right);
    }
}

fn body(text: &str) -> ComparedBody<'_> {
    let bytes = text.as_bytes();
    ComparedBody { bytes, payload: crate::json::accepts(bytes).then_some(bytes) }
}

/// Formats each change on a line.
fn changes(left: &str, right: &str, hides_noise: bool) -> Vec<String> {
    let line = |change: &Change| {
        let side = |side: &Option<String>| side.clone().unwrap_or_default();
        let path = match &change.right_path {
            Some(right) => format!("{} -> {right}", change.path),
            None => change.path.clone(),
        };
        let sign = match change.kind {
            ChangeKind::Changed => "|",
            ChangeKind::Moved => "moved",
            ChangeKind::OnlyLeft => "<",
            ChangeKind::OnlyRight => ">",
        };
        format!("{path} {} {sign} {}", side(&change.left), side(&change.right))
    };
    compare_bodies(body(left), body(right), hides_noise).changes.iter().map(line).collect()
}

#[test]
fn changes_have_paths_in_both_documents() {
    let left = r#"{"ref":"main","n":1.0,"gone":{"a":1},"x/y~":[1,2],"runs":[{"id":1,"ok":true},{"id":2}]}"#;
    let right = r#"{"n":1,"ref":"dev","x/y~":[1],"runs":[{"id":2},{"id":1,"ok":false}],"new":null}"#;
    assert_eq!(
        changes(left, right, false),
        [
            "/ref \"main\" | \"dev\"",
            "/n 1.0 | 1",
            "/gone {\"a\":1} < ",
            "/x~1y~0/1 2 < ",
            "/runs/0/ok -> /runs/1/ok true | false",
            "/runs/1 -> /runs/0  moved ",
            "/new  > null",
        ]
    );
    assert_eq!(changes("1", "[]", false), [" 1 | []"]);
    // Only elements with an identity are moved.
    assert_eq!(
        changes(r#"[{"id":1},{"id":2},"a"]"#, r#"["b",{"id":1},{"id":2}]"#, false),
        ["/2 \"a\" < ", "/0  > \"b\""]
    );
}

#[test]
fn noise_is_marked_and_hidden_on_request() {
    let left = r#"{"id":"evt_1NG8Du2eZvKYlo2C","at":1790000000,"closed":null,"n":12}"#;
    let right = r#"{"id":"evt_1NG8Du2eZvKYlo2D","at":1790000001,"closed":1790000001,"n":13}"#;
    let found = compare_bodies(body(left), body(right), false);
    let noise: Vec<bool> = found.changes.iter().map(|change| change.is_noise).collect();
    assert_eq!((noise.as_slice(), found.hidden), (&[true, true, false, false][..], 0));
    assert_eq!(changes(left, right, true), ["/closed null | 1790000001", "/n 12 | 13"]);
    assert_eq!(compare_bodies(body(left), body(right), true).hidden, 2);
    let [left, right] = ["1000000000000000000", "2000000000000000000"];
    assert_eq!(changes(left, right, true), [" 1000000000000000000 | 2000000000000000000"]);
}

#[test]
fn values_with_lone_surrogates_are_compared_as_written() {
    let left = r#"{"a":"\ud800","\ud801":1}"#;
    assert!(changes(left, left, false).is_empty());
    let right = r#"{"a":"\ud802","\ud801":2}"#;
    let expected = [r#"/a "\ud800" | "\ud802""#, "/\u{fffd} 1 | 2"];
    assert_eq!(changes(left, right, false), expected);
}

#[test]
fn long_text_is_split_into_parts() {
    let left = r#"["The build of main failed after 12 minutes \u0041"]"#;
    let right = r#"["The build of dev failed after 12 minutes A"]"#;
    let found = compare_bodies(body(left), body(right), false);
    let parts: Vec<(TextSide, &str)> =
        found.changes[0].parts.iter().map(|(side, text)| (*side, text.as_str())).collect();
    assert_eq!(
        parts,
        [
            (TextSide::Both, "The build of "),
            (TextSide::Left, "main"),
            (TextSide::Right, "dev"),
            (TextSide::Both, " failed after 12 minutes A"),
        ]
    );
}

#[test]
fn text_above_limit_on_words_has_no_parts() {
    let text = |words: usize, last: &str| format!("\"{}{last}\"", "a ".repeat(words));
    let found = |words: usize| compare_bodies(body(&text(words, "b")), body(&text(words, "c")), false);
    assert_eq!(found(9_999).changes[0].parts.len(), 3);
    let above = found(10_000);
    assert_eq!((above.changes.len(), above.changes[0].parts.len()), (1, 0));
}

#[test]
fn list_of_changes_is_limited() {
    let members = |value: &str| {
        let members: Vec<String> = (0..6_000).map(|key| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    };
    let found = compare_bodies(body(&members("1")), body(&members("2")), false);
    assert_eq!((found.changes.len(), found.left_out), (5_000, 1_000));
    // A long key is in the path of each value inside it.
    let key = "k".repeat(100_000);
    let inside = |value| format!("{{\"{key}\":{}}}", members(value));
    let found = compare_bodies(body(&inside("1")), body(&inside("2")), false);
    assert!(found.changes.len() < 50 && found.changes.len() + found.left_out == 6_000);
}

#[test]
fn lister_reports_hidden_before_left_out() {
    let mut lister = ChangeLister::new(true);
    let noise = Delta::Replacement { left: "1790000000", right: "1790000001" };
    lister.list(&noise);
    assert_eq!((lister.changes.len(), lister.hidden, lister.left_out), (0, 1, 0));
}
