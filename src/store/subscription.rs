//! Which targets get a message: patterns of events, owners, and conditions on the payload. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The source of what the user's own app emits; no configured source is called so.
pub const EMITTED: &str = "emitted";

/// An event's name, in which `*` stands for any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn matches(&self, event: &str) -> bool {
        let Some((head, rest)) = self.0.split_once('*') else { return self.0 == event };
        let Some(mut left) = event.strip_prefix(head) else { return false };
        let (middle, tail) =
            rest.rsplit_once('*').map_or((None, rest), |(middle, tail)| (Some(middle), tail));
        // The first place where a part fits leaves the most for the others.
        for part in middle.into_iter().flat_map(|middle| middle.split('*')) {
            let Some(at) = left.find(part) else { return false };
            left = &left[at + part.len()..];
        }
        left.ends_with(tail)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What must hold of one place of the payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// RFC 6901: `/pull_request/base/ref`; empty for the whole payload.
    pub pointer: String,
    #[serde(default, skip_serializing_if = "Option::is_none", with = "present")]
    pub equals: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none", rename = "in")]
    pub among: Option<Vec<Value>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exists: Option<bool>,
}

/// `"equals": null` asks for a null, and is something else than no `equals`.
mod present {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use serde_json::Value;

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub fn serialize<S: Serializer>(value: &Option<Value>, serializer: S) -> Result<S::Ok, S::Error> {
        value.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
        Value::deserialize(deserializer).map(Some)
    }
}

/// All of them must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Filter(pub Vec<Condition>);

impl Condition {
    /// What nothing meets.
    pub fn never() -> Self {
        Self { pointer: String::new(), equals: None, among: Some(Vec::new()), exists: None }
    }

    fn holds(&self, payload: &Value) -> bool {
        let found = payload.pointer(&self.pointer);
        self.exists.is_none_or(|wanted| found.is_some() == wanted)
            && self.equals.as_ref().is_none_or(|wanted| found.is_some_and(|found| same(found, wanted)))
            && self
                .among
                .as_ref()
                .is_none_or(|all| found.is_some_and(|found| all.iter().any(|wanted| same(found, wanted))))
    }
}

/// `1` and `1.0` are the same number; of two whole numbers every digit counts, however long they are.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || ((a.is_f64() || b.is_f64()) && a.as_f64() == b.as_f64())
        }
        _ => a == b,
    }
}

impl Filter {
    /// What is not JSON has no place, and so meets no condition but that there be none.
    pub fn holds(&self, payload: Option<&Value>) -> bool {
        self.0.iter().all(|condition| match payload {
            Some(payload) => condition.holds(payload),
            None => {
                condition.exists == Some(false) && condition.equals.is_none() && condition.among.is_none()
            }
        })
    }
}

/// What one target wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    pub target: i64,
    pub owner: Option<String>,
    pub events: Vec<Pattern>,
    pub filter: Option<Filter>,
}

impl Subscription {
    /// A target with an owner gets what was emitted for that owner and nothing else; one without gets everything.
    fn may_get(&self, owner: Option<&str>) -> bool {
        self.owner.is_none() || self.owner.as_deref() == owner
    }

    fn wants(&self, event: &str, owner: Option<&str>) -> bool {
        self.may_get(owner) && self.events.iter().any(|pattern| pattern.matches(event))
    }
}

/// What all targets want.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions(pub Vec<Subscription>);

impl Subscriptions {
    /// Whether somebody would have to look into the payload to know.
    pub fn read_payload(&self, event: &str, owner: Option<&str>) -> bool {
        self.0.iter().any(|one| one.filter.is_some() && one.wants(event, owner))
    }

    /// The targets that get it. `payload`: the JSON text, `None` where it is not JSON.
    pub fn matching(&self, event: &str, owner: Option<&str>, payload: Option<&[u8]>) -> Vec<i64> {
        let mut parsed: Option<Option<Value>> = None;
        let mut targets = Vec::new();
        for one in self.0.iter().filter(|one| one.wants(event, owner)) {
            let holds = one.filter.as_ref().is_none_or(|filter| {
                let payload = parsed.get_or_insert_with(|| serde_json::from_slice(payload?).ok());
                filter.holds(payload.as_ref())
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
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
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
    fn a_filter_looks_at_places_of_the_payload() {
        let payload =
            serde_json::json!({"ref": "refs/heads/main", "n": 1, "none": null, "list": [{"a": true}]});
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
            ("[]", true),
        ];
        for (filter, holds) in rows {
            let filter: Filter = serde_json::from_str(filter).unwrap();
            assert_eq!(filter.holds(Some(&payload)), holds, "{filter:?}");
        }
        let id: Filter = serde_json::from_str(r#"[{"pointer":"/id","equals":9007199254740993}]"#).unwrap();
        assert!(id.holds(Some(&serde_json::json!({"id": 9_007_199_254_740_993_u64}))));
        assert!(!id.holds(Some(&serde_json::json!({"id": 9_007_199_254_740_992_u64}))));
        let absent: Filter = serde_json::from_str(r#"[{"pointer":"/a","exists":false}]"#).unwrap();
        assert!(absent.holds(None));
        assert!(serde_json::from_str::<Filter>(r#"[{"pointer":"/a","equal":1}]"#).is_err());
    }

    fn subscription(target: i64, owner: Option<&str>, event: &str) -> Subscription {
        let owner = owner.map(str::to_owned);
        Subscription { target, owner, events: vec![Pattern::new(event)], filter: None }
    }

    #[test]
    fn an_owner_gets_what_was_emitted_for_him_and_nothing_else() {
        let all = Subscriptions(vec![
            subscription(1, None, "*"),
            subscription(2, Some("ann"), "*"),
            subscription(3, Some("bob"), "*"),
            subscription(4, Some(""), "*"),
        ]);
        assert_eq!(all.matching("github.push", None, None), [1]);
        assert_eq!(all.matching("pay_info.paid", Some("ann"), None), [1, 2]);
        assert_eq!(all.matching("pay_info.paid", Some("eve"), None), [1]);
        assert_eq!(all.matching("pay_info.paid", Some("Ann"), None), [1]);
    }
}
