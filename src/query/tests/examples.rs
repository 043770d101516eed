//! The examples in `docs/search.md`: each query selects the listed messages.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use time::format_description::well_known::Rfc3339;

use super::*;

const DOCUMENT: &str = include_str!("../../../docs/search.md");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExampleMessage {
    id: i64,
    received_at: String,
    source: String,
    event: String,
    owner: Option<String>,
    delivery_id: Option<String>,
    method: Option<String>,
    ip: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    payload: Option<Box<RawValue>>,
    body: Option<String>,
    #[serde(default)]
    deliveries: BTreeMap<String, String>,
    #[serde(default)]
    flags: Vec<String>,
}

impl ExampleMessage {
    fn matches(&self, query: &str) -> bool {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let deliveries: Vec<_> = self
            .deliveries
            .iter()
            .map(|(target, state)| SearchedDelivery { target, state: MessageState::from_name(state) })
            .collect();
        let is = |flag: &str| self.flags.iter().any(|other| other == flag);
        let payload = self.payload.as_deref().map(RawValue::get);
        let length = payload.map_or(0, str::len) + self.body.as_ref().map_or(0, String::len);
        let facts = MessageFacts {
            id: Some(self.id),
            received_at: OffsetDateTime::parse(&self.received_at, &Rfc3339).unwrap(),
            source: &self.source,
            event: Some(&self.event),
            owner: self.owner.as_deref(),
            method: self.method.as_deref().unwrap_or("POST"),
            remote_ip: self.ip.as_ref().map(|address| address.parse().unwrap()),
            body_bytes: u64::try_from(length).unwrap(),
            flags: MessageFlags {
                is_duplicate: is("duplicate"),
                is_not_json: is("notjson"),
                is_unverified: is("unverified"),
                is_rejected: is("rejected"),
                ..MessageFlags::default()
            },
            deliveries: &deliveries,
        };
        let text = MessageText {
            delivery_id: self.delivery_id.as_deref(),
            headers: &headers,
            body: self.body.as_deref().map(str::as_bytes),
            payload,
            ..MessageText::default()
        };
        matches(query, &SearchedMessage { facts, text })
    }
}

/// A rejected request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExampleRequest {
    id: i64,
    received_at: String,
    source: String,
    method: Option<String>,
    ip: Option<String>,
    query: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
}

impl ExampleRequest {
    fn matches(&self, query: &str) -> bool {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        let body = self.body.as_deref().map(str::as_bytes);
        let facts = MessageFacts {
            id: None,
            received_at: OffsetDateTime::parse(&self.received_at, &Rfc3339).unwrap(),
            source: &self.source,
            event: None,
            owner: None,
            method: self.method.as_deref().unwrap_or("POST"),
            remote_ip: self.ip.as_ref().map(|address| address.parse().unwrap()),
            body_bytes: body.map_or(0, <[u8]>::len) as u64,
            flags: MessageFlags { is_rejected: true, ..MessageFlags::default() },
            deliveries: &[],
        };
        let text = MessageText::of_rejection(self.query.as_deref(), &headers, body);
        matches(query, &SearchedMessage { facts, text })
    }
}

fn section(heading: &str) -> &'static str {
    DOCUMENT.split(heading).nth(1).unwrap().split("\n## ").next().unwrap()
}

/// The objects in the JSON under a heading, one a line.
fn objects<T: serde::de::DeserializeOwned>(heading: &str) -> Vec<T> {
    let block = section(heading).split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    block
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

/// The rows of the tables under a heading, with the code in their first column.
fn rows(heading: &str) -> Vec<(&'static str, &'static str)> {
    section(heading).lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | ")).collect()
}

#[test]
fn documents_examples_select_the_listed_messages() {
    let messages: Vec<ExampleMessage> = objects("\n## Examples\n");
    let rows = rows("\n## Examples\n");
    assert!(rows.len() > 40, "{}", rows.len());
    for (query, expected) in rows {
        let query = query.trim_end_matches('`');
        let found: Vec<String> = messages
            .iter()
            .filter(|message| message.matches(query))
            .map(|message| format!("#{}", message.id))
            .collect();
        assert_eq!(found.join(" "), expected.trim_end_matches(" |"), "{query}");
    }
}

#[test]
fn documents_examples_select_the_listed_rejections() {
    let requests: Vec<ExampleRequest> = objects("\n## Rejections\n");
    let rows = rows("\n## Rejections\n");
    assert!(rows.len() > 12, "{}", rows.len());
    for (query, expected) in rows {
        let query = query.trim_end_matches('`');
        let matching = requests.iter().filter(|request| request.matches(query));
        let found: Vec<String> = matching.map(|request| format!("#{}", request.id)).collect();
        let expected = expected.trim_end_matches(" |").replace("none", "");
        assert_eq!(found.join(" "), expected, "{query}");
    }
}

#[test]
fn documents_forms_are_queries() {
    let rows = rows("\n## Forms\n");
    assert!(rows.len() > 15, "{}", rows.len());
    for (forms, _) in rows {
        for form in forms.split('`').filter(|form| !form.trim().is_empty()) {
            // The other comparisons of a number.
            if !["<", ">=", "<="].contains(&form) {
                parse(form);
            }
        }
    }
}
