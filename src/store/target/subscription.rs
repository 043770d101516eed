//! Matches messages to targets: patterns of events, owners, and conditions on the payload. No I/O.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use crate::json::{Literal, PointedValues, Pointers, Slot, is_among};
use crate::query::matches_pattern;
use crate::store::id::TargetId;

/// Source of events that the user's app emits; no configured source has this name.
pub const EMITTED: &str = "emitted";

/// Name of an event, in which `*` matches any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text before the first dot of all matching events; `None` if it can differ.
    fn first_part(&self) -> Option<&str> {
        match self.0.split_once('*') {
            Some((head, _)) => head.split_once('.').map(|(first, _)| first),
            None => Some(first_part(&self.0)),
        }
    }

    pub fn matches(&self, event: &str) -> bool {
        matches_pattern(&self.0, event)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Condition on one value of the payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PayloadCondition {
    /// RFC 6901: `/pull_request/base/ref`; empty for the whole payload.
    pub pointer: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub equals: Option<Literal>,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "in")]
    pub among: Option<Vec<Literal>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
}

/// Distinguishes `"equals": null`, which requires a null, from a missing `equals`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Literal>, D::Error> {
    Literal::deserialize(deserializer).map(Some)
}

/// Conditions that must all hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Filter(pub Vec<PayloadCondition>);

impl PayloadCondition {
    /// Returns a condition that no payload meets.
    pub fn never() -> Self {
        Self { pointer: String::new(), equals: None, among: Some(Vec::new()), exists: None }
    }

    /// Evaluates the condition. `found`: the raw value at the pointer.
    fn holds(&self, found: Option<&str>) -> bool {
        let is_among =
            |all: &[Literal]| found.is_some_and(|found| is_among(found, all.iter().map(Literal::raw)));
        self.exists.is_none_or(|wanted| found.is_some() == wanted)
            && self.equals.as_ref().is_none_or(|wanted| is_among(std::slice::from_ref(wanted)))
            && self.among.as_deref().is_none_or(is_among)
    }
}

impl Filter {
    /// Whether a payload passes this filter. An unreadable payload (`None`) meets no condition.
    pub fn passes(&self, payload: Option<&[u8]>) -> bool {
        let events = vec![Pattern::new("*")];
        let one = Subscription { target: TargetId::START, owner: None, events, filter: Some(self.clone()) };
        !Subscriptions::new(vec![one]).matching("", None, payload).is_empty()
    }

    #[cfg(test)]
    pub fn holds(&self, payload: &str) -> bool {
        self.passes(Some(payload.as_bytes()))
    }
}

/// Subscription of one target.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    pub target: TargetId,
    pub owner: Option<String>,
    pub events: Vec<Pattern>,
    pub filter: Option<Filter>,
}

impl Subscription {
    /// A target with an owner receives only events emitted for that owner; other targets receive
    /// all events.
    fn may_receive(&self, owner: Option<&str>) -> bool {
        self.owner.is_none() || self.owner.as_deref() == owner
    }

    fn selects(&self, event: &str, owner: Option<&str>) -> bool {
        self.may_receive(owner) && self.events.iter().any(|pattern| pattern.matches(event))
    }
}

fn first_part(event: &str) -> &str {
    event.split_once('.').map_or(event, |(first, _)| first)
}

/// Positions of subscriptions by the first part of their patterns, so that an event is compared
/// only with the patterns of its source.
#[derive(Clone, Debug, Default)]
struct PatternIndex {
    by_first_part: HashMap<String, Vec<usize>>,
    of_any_event: Vec<usize>,
}

impl PatternIndex {
    fn new(all: &[Subscription]) -> Self {
        let mut index = Self::default();
        for (at, one) in all.iter().enumerate() {
            for pattern in &one.events {
                match pattern.first_part() {
                    Some(first) => index.by_first_part.entry(first.to_owned()).or_default().push(at),
                    None => index.of_any_event.push(at),
                }
            }
        }
        index
    }

    /// Returns the positions of the subscriptions that may select the event, in order.
    fn candidates(&self, event: &str) -> Vec<usize> {
        let of_source = self.by_first_part.get(first_part(event)).into_iter().flatten();
        let mut found: Vec<usize> = of_source.chain(&self.of_any_event).copied().collect();
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// Subscriptions of all targets.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions {
    all: Vec<Subscription>,
    index: PatternIndex,
    /// Pointers of all filters, so that a payload is read in one pass.
    places: Pointers,
    /// Slots in `places` for the conditions of each subscription.
    slots: Vec<Vec<Slot>>,
}

impl Subscriptions {
    pub fn new(all: Vec<Subscription>) -> Self {
        let mut places = Pointers::default();
        let mut slots_of = |one: &Subscription| {
            let conditions = one.filter.iter().flat_map(|filter| &filter.0);
            conditions.map(|condition| places.add(&condition.pointer)).collect()
        };
        let slots = all.iter().map(&mut slots_of).collect();
        Self { index: PatternIndex::new(&all), all, places, slots }
    }

    /// Whether matching requires the payload.
    pub fn read_payload(&self, event: &str, owner: Option<&str>) -> bool {
        self.selecting(event, owner).any(|(one, _)| one.filter.is_some())
    }

    /// Returns the subscriptions that select the event, with the slots of their conditions.
    fn selecting(&self, event: &str, owner: Option<&str>) -> impl Iterator<Item = (&Subscription, &[Slot])> {
        let candidates = self.index.candidates(event).into_iter();
        let subscriptions = candidates.map(|at| (&self.all[at], &self.slots[at][..]));
        subscriptions.filter(move |(one, _)| one.selects(event, owner))
    }

    /// Returns the targets for a message. `payload`: the JSON text. Without a readable payload no
    /// condition holds, not even `exists: false`, because the content is unknown.
    pub fn matching(&self, event: &str, owner: Option<&str>, payload: Option<&[u8]>) -> Vec<TargetId> {
        let mut read: Option<Option<PointedValues<'_>>> = None;
        let mut targets = Vec::new();
        for (one, slots) in self.selecting(event, owner) {
            let holds = one.filter.as_ref().is_none_or(|filter| {
                let values = read.get_or_insert_with(|| self.places.read(payload?).ok());
                let place = |slot: &Slot| values.as_ref().map(|values| values.get(*slot));
                let mut conditions = filter.0.iter().zip(slots);
                conditions.all(|(condition, slot)| place(slot).is_some_and(|found| condition.holds(found)))
            });
            if holds {
                targets.push(one.target);
            }
        }
        targets
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn star_matches_any_characters() {
        let rows = [
            ("*", "github.push", true),
            ("*", "", true),
            ("github.*", "github.push", true),
            ("github.*", "github.", true),
            ("github.*", "github", false),
            ("*.paid", "pay_info.paid", true),
            ("*.paid", "pay_info.paid.twice", false),
            ("a*b*c", "abc", true),
            ("a*b*c", "a.b.b.c", true),
            ("a*b*c", "acb", false),
            ("a*a", "a", false),
            ("**", "x", true),
            ("push", "push", true),
            ("push", "pushed", false),
            ("*ä*", "grün.ä.x", true),
        ];
        for (pattern, event, matches) in rows {
            assert_eq!(Pattern::new(pattern).matches(event), matches, "{pattern} {event}");
        }
    }

    #[test]
    fn index_finds_each_matching_pattern() {
        let patterns = [
            "*",
            "github.*",
            "github.push",
            "git*",
            "stripe.*",
            "a.b.*",
            "*.paid",
            "github",
            "github.p*h",
            "",
        ];
        let of = |at: usize, events: &[&str]| Subscription {
            events: events.iter().map(|text| Pattern::new(text)).collect(),
            ..subscription((at as i64).into(), None, "*")
        };
        let mut all: Vec<_> = patterns.iter().enumerate().map(|(at, text)| of(at + 1, &[text])).collect();
        all.push(of(99, &["*", "github.*", "github.push"]));
        let subscriptions = Subscriptions::new(all.clone());
        for event in ["github.push", "github", "gitlab.push", "stripe.invoice.paid", "a.b.c", "a.bc", "", "."]
        {
            let expected: Vec<TargetId> =
                all.iter().filter(|one| one.selects(event, None)).map(|one| one.target).collect();
            assert_eq!(subscriptions.matching(event, None, None), expected, "{event}");
        }
    }

    fn filtered(filter: &str) -> Subscriptions {
        let filter = Some(serde_json::from_str(filter).unwrap());
        Subscriptions::new(vec![Subscription { filter, ..subscription(1.into(), None, "*") }])
    }

    fn holds(filter: &str, payload: Option<&str>) -> bool {
        !filtered(filter).matching("e", None, payload.map(str::as_bytes)).is_empty()
    }

    #[test]
    fn filter_matches_payload_pointers() {
        let payload = r#"{"ref":"refs/heads/main","n":1,"none":null,"list":[{"a":true}],"o":{"b":[1,2]},
            "wei":123456789012345678901234567890,"far":1e400,"cut":"\ud83d"}"#;
        let rows = [
            (r#"[{"pointer":"/ref","equals":"refs/heads/main"}]"#, true),
            (r#"[{"pointer":"/ref","equals":"main"}]"#, false),
            (r#"[{"pointer":"/n","equals":1.0}]"#, true),
            (r#"[{"pointer":"/n","in":["1",2]}]"#, false),
            (r#"[{"pointer":"/n","in":["1",1]}]"#, true),
            (r#"[{"pointer":"/none","equals":null}]"#, true),
            (r#"[{"pointer":"/absent","equals":null}]"#, false),
            (r#"[{"pointer":"/absent","exists":false},{"pointer":"/list/0/a","exists":true}]"#, true),
            (r#"[{"pointer":"/list/1","exists":true}]"#, false),
            (r#"[{"pointer":"/o","equals":{"b":[1.0,2e0]}}]"#, true),
            (r#"[{"pointer":"/wei","equals":123456789012345678901234567890}]"#, true),
            (r#"[{"pointer":"/wei","equals":123456789012345678901234567891}]"#, false),
            (r#"[{"pointer":"/wei","equals":1.2345678901234568e29}]"#, false),
            (r#"[{"pointer":"/far","equals":10e399}]"#, true),
            (r#"[{"pointer":"/far","equals":1e401}]"#, false),
            (r#"[{"pointer":"/cut","exists":true}]"#, true),
            (r#"[{"pointer":"/cut","exists":false}]"#, false),
            (r#"[{"pointer":"/cut","equals":"\ud83d"}]"#, false),
            ("[]", true),
        ];
        for (filter, expected) in rows {
            assert_eq!(holds(filter, Some(payload)), expected, "{filter}");
        }
        let id = r#"[{"pointer":"/id","equals":9007199254740993}]"#;
        assert!(holds(id, Some(r#"{"id":9007199254740993}"#)));
        assert!(!holds(id, Some(r#"{"id":9007199254740992}"#)));
        assert!(serde_json::from_str::<Filter>(r#"[{"pointer":"/a","equal":1}]"#).is_err());
    }

    #[test]
    fn unreadable_payload_meets_no_condition() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(127), "]".repeat(127));
        for payload in [None, Some(""), Some("{"), Some("a=1"), Some(deep.as_str())] {
            for filter in ["/a", "/b"] {
                for exists in [true, false] {
                    let filter = format!(r#"[{{"pointer":"{filter}","exists":{exists}}}]"#);
                    assert!(!holds(&filter, payload), "{filter} {payload:?}");
                }
            }
        }
        let readable = &deep.replacen("[[", "[", 1).replacen("]]", "]", 1);
        assert!(holds(r#"[{"pointer":"/b","exists":false}]"#, Some(readable)));
    }

    #[test]
    fn filters_of_several_targets_are_independent() {
        let with = |target: TargetId, filter: Option<&str>| Subscription {
            filter: filter.map(|filter| serde_json::from_str(filter).unwrap()),
            ..subscription(target, None, "*")
        };
        let all = Subscriptions::new(vec![
            with(1.into(), None),
            with(2.into(), Some(r#"[{"pointer":"/draft","exists":true}]"#)),
            with(3.into(), Some(r#"[{"pointer":"/draft","exists":false}]"#)),
            with(4.into(), Some(r#"[{"pointer":"/draft","equals":true},{"pointer":"/n","in":[1,2]}]"#)),
        ]);
        assert_eq!(all.matching("e", None, Some(br#"{"draft":true,"n":2.0}"#)), [1, 2, 4]);
        assert_eq!(all.matching("e", None, Some(b"{}")), [1, 3]);
        assert_eq!(all.matching("e", None, Some(b"no JSON")), [1]);
    }

    proptest! {
        /// Other members never affect the value at a pointer.
        #[test]
        fn unusual_members_do_not_affect_match(
            value in "(true|false|null|[1-9][0-9]{0,40}|\"[a-c]{0,2}\"|\\{\\}|\\[1\\])",
            wanted in "(true|null|[1-9]|\"[a-c]{0,2}\"|\\[1\\])",
            odd in prop::sample::select(vec![
                r#""o":"\ud83d""#, r#""\udc00":0"#, r#""o":1e400"#, r#""o":-1e-99999999999999999999"#,
                r#""o":123456789012345678901234567890"#, r#""o":"\u0000""#, r#""o":1,"o":2"#, r#""o":[{"draft":1}]"#,
            ]),
            is_present in any::<bool>(), comes_first in any::<bool>(), has_mark in any::<bool>(),
        ) {
            let member = if is_present { format!("\"draft\":{value}") } else { "\"other\":1".to_owned() };
            let plain = format!("{{{member}}}");
            let mixed = if comes_first { format!("{{{odd},{member}}}") } else { format!("{{{member},{odd}}}") };
            let mixed = if has_mark { format!("\u{feff}{mixed}") } else { mixed };
            for condition in [
                "\"exists\":true".to_owned(), "\"exists\":false".to_owned(), format!("\"equals\":{wanted}"),
                format!("\"equals\":{value}"), format!("\"in\":[{wanted},1]"),
            ] {
                let filter = format!("[{{\"pointer\":\"/draft\",{condition}}}]");
                prop_assert_eq!(holds(&filter, Some(&plain)), holds(&filter, Some(&mixed)), "{} {}", filter, mixed);
            }
        }
    }

    fn subscription(target: TargetId, owner: Option<&str>, event: &str) -> Subscription {
        let owner = owner.map(str::to_owned);
        Subscription { target, owner, events: vec![Pattern::new(event)], filter: None }
    }

    #[test]
    fn owner_gets_only_events_emitted_for_it() {
        let all = Subscriptions::new(vec![
            subscription(1.into(), None, "*"),
            subscription(2.into(), Some("ann"), "*"),
            subscription(3.into(), Some("bob"), "*"),
            subscription(4.into(), Some(""), "*"),
        ]);
        assert_eq!(all.matching("github.push", None, None), [1]);
        assert_eq!(all.matching("pay_info.paid", Some("ann"), None), [1, 2]);
        assert_eq!(all.matching("pay_info.paid", Some("eve"), None), [1]);
        assert_eq!(all.matching("pay_info.paid", Some("Ann"), None), [1]);
    }
}
