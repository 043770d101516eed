//! Compares two messages: event, source, method, query, headers and body.

use std::collections::BTreeMap;

use super::body::{BodyDelta, ComparedBody, ComparisonMethod, compare_bodies};
use super::noise::is_noise;
use crate::store::headers::StoredHeaders;
use crate::store::{MessageRow, StoredMessage};

/// The difference of two messages.
#[derive(Debug)]
pub struct MessageDelta {
    pub fields: Vec<FieldDelta>,
    pub headers: Vec<HeaderDelta>,
    pub body: BodyDelta,
    /// Differences that were hidden as noise, including those of the body.
    pub hidden: usize,
}

/// A differing field of the request or of its description.
#[derive(Debug, PartialEq, Eq)]
pub struct FieldDelta {
    pub name: &'static str,
    pub left: Option<String>,
    pub right: Option<String>,
    pub is_noise: bool,
}

/// A header with different values, as stored. Empty if it is absent.
#[derive(Debug, PartialEq, Eq)]
pub struct HeaderDelta {
    pub name: String,
    pub left: Vec<String>,
    pub right: Vec<String>,
    pub is_noise: bool,
}

impl MessageDelta {
    /// Whether anything differs that is not hidden. Bodies
    /// compared as JSON do not differ if their JSON is the same.
    pub fn is_different(&self) -> bool {
        let body = &self.body;
        let is_body_different = match body.method {
            ComparisonMethod::Json | ComparisonMethod::Lines => {
                !body.changes.is_empty() || !body.line_changes.is_empty() || body.left_out > 0
            }
            ComparisonMethod::Bytes => !body.is_same,
        };
        is_body_different || !self.fields.is_empty() || !self.headers.is_empty()
    }
}

/// Compares two messages. Redacted values are equal.
pub fn compare_messages(left: &StoredMessage, right: &StoredMessage, hides_noise: bool) -> MessageDelta {
    let mut fields = fields(&left.head, &right.head);
    let mut headers = headers(&left.head.headers, &right.head.headers);
    let count = fields.len() + headers.len();
    if hides_noise {
        fields.retain(|field| !field.is_noise);
        headers.retain(|header| !header.is_noise);
    }
    let hidden = count - fields.len() - headers.len();
    let body = compare_bodies(body_of(left), body_of(right), hides_noise);
    MessageDelta { fields, headers, hidden: hidden + body.hidden, body }
}

fn body_of(message: &StoredMessage) -> ComparedBody<'_> {
    ComparedBody { bytes: &message.body, payload: message.payload() }
}

fn fields(left: &MessageRow, right: &MessageRow) -> Vec<FieldDelta> {
    let text = |text: &String| Some(text.clone());
    let mut found = Vec::new();
    for (name, left, right) in [
        ("event", text(&left.event), text(&right.event)),
        ("source", text(&left.source), text(&right.source)),
        ("method", text(&left.method), text(&right.method)),
        ("query", left.query.clone(), right.query.clone()),
    ] {
        if left != right {
            let is_noise = name == "query"
                && is_noise(left.as_deref().unwrap_or_default(), right.as_deref().unwrap_or_default());
            found.push(FieldDelta { name, left, right, is_noise });
        }
    }
    found
}

/// Returns the headers with different values, by name.
fn headers(left: &str, right: &str) -> Vec<HeaderDelta> {
    let parse = |json| StoredHeaders::parse(json).unwrap_or_default();
    let (left, right) = (parse(left), parse(right));
    let mut values: BTreeMap<&str, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for (name, value) in left.pairs() {
        values.entry(name).or_default().0.push(value.to_owned());
    }
    for (name, value) in right.pairs() {
        values.entry(name).or_default().1.push(value.to_owned());
    }
    values.retain(|_, (left, right)| left != right);
    let delta = |(name, (left, right)): (&str, (Vec<String>, Vec<String>))| HeaderDelta {
        name: name.to_owned(),
        is_noise: left.len() == right.len() && is_noise(&left.join("\n"), &right.join("\n")),
        left,
        right,
    };
    values.into_iter().map(delta).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_differ_by_value_and_presence() {
        let left = r#"{"accept":"*/*","a":["1","2"],"id":"9e107d9d372bb6826bd81d3542a419d6","old":"x","t":"[redacted]"}"#;
        let right = r#"{"accept":"*/*","a":["2","1"],"id":"e4d909c290d0fb1ca068ffaddf22cbd0","new":"y","t":"[redacted]"}"#;
        let found = headers(left, right);
        let shown: Vec<(&str, String, String, bool)> = found
            .iter()
            .map(|one| (one.name.as_str(), one.left.join(","), one.right.join(","), one.is_noise))
            .collect();
        let row =
            |name, left: &str, right: &str, is_noise| (name, left.to_owned(), right.to_owned(), is_noise);
        assert_eq!(
            shown,
            [
                row("a", "1,2", "2,1", false),
                row("id", "9e107d9d372bb6826bd81d3542a419d6", "e4d909c290d0fb1ca068ffaddf22cbd0", true),
                row("new", "", "y", false),
                row("old", "x", "", false),
            ]
        );
        assert!(headers(left, left).is_empty() && headers("", "{").is_empty());
    }
}
