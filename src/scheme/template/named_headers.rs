//! The headers that a signature lists, with their values joined with dots. Values may contain dots
//! too. A captured signature therefore also matches other headers and another body, unless the
//! joined text can be split in only one way.

use crate::content::request::Cause;
use crate::content::view::View;
use crate::scheme::error::SyntaxError;

/// Maximum number of named headers. No sender signs more.
const MAX_NAMED_HEADERS: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedHeaders {
    /// The part of the layout that names them.
    pub part: String,
    anchors: Option<Anchors>,
}

/// Two required headers, in this order. With a JSON body, they make the text after the first one
/// unambiguous: in any other split, the id is not a UUID, or a rule below is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Anchors {
    /// The header with the UUID. Both names are in lower case.
    id: String,
    /// The header whose value may contain dots, but no UUID between them. The values of other
    /// headers after the id must not contain dots.
    dotted: String,
}

impl NamedHeaders {
    /// Parses the text after `layout-headers:`.
    ///
    /// # Errors
    /// The problem with the text.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let (part, anchors) = match words.as_slice() {
            [part] => (part, None),
            [part, id, dotted] => {
                (part, Some(Anchors { id: id.to_ascii_lowercase(), dotted: dotted.to_ascii_lowercase() }))
            }
            _ => {
                return Err(format!(
                    "`{{layout-headers:{text}}}` must name a part of the layout, and either no headers or two: the id and the event type"
                ).into());
            }
        };
        Ok(Self { part: (*part).to_owned(), anchors })
    }

    /// Whether every accepted signature names the header.
    pub fn must_name(&self, header: &str) -> bool {
        self.anchors.as_ref().is_some_and(|anchors| anchors.id == header || anchors.dotted == header)
    }

    /// Names for a sample.
    pub fn sample(&self) -> Option<String> {
        self.anchors.as_ref().map(|anchors| format!("{} {}", anchors.id, anchors.dotted))
    }

    /// Whether the joined values can be divided in only one way.
    pub const fn is_anchored(&self) -> bool {
        self.anchors.is_some()
    }

    /// Returns the values of the headers that `names` lists, joined with dots.
    ///
    /// # Errors
    /// A header is absent or repeated, or the text could be split in another way.
    pub fn join(&self, names: &[u8], view: &View<'_>) -> Result<Vec<u8>, Cause> {
        let names = std::str::from_utf8(names).map_err(|_| Cause::MalformedSignature)?.to_ascii_lowercase();
        let mut headers: Vec<(&str, &[u8])> = Vec::new();
        for name in names.split_ascii_whitespace() {
            if headers.len() == MAX_NAMED_HEADERS {
                return Err(Cause::MalformedSignature);
            }
            headers.push((name, view.request.headers.single(name)?.ok_or(Cause::MissingHeader)?));
        }
        if let Some(anchors) = &self.anchors {
            anchors.check(&headers)?;
        }
        let values: Vec<&[u8]> = headers.into_iter().map(|(_, value)| value).collect();
        Ok(values.join(&b'.'))
    }
}

impl Anchors {
    fn check(&self, headers: &[(&str, &[u8])]) -> Result<(), Cause> {
        let place = headers.iter().position(|(name, _)| *name == self.id).ok_or(Cause::MissingHeader)?;
        let (head, after) = headers.split_at(place + 1);
        let dotted = after.iter().find(|(name, _)| *name == self.dotted);
        let (_, dotted) = dotted.ok_or(Cause::MissingHeader)?;
        let is_plain = |(name, value): &(&str, &[u8])| *name == self.dotted || !value.contains(&b'.');
        let has_id = head.last().is_some_and(|(_, value)| is_uuid(value));
        let is_unambiguous =
            has_id && after.iter().all(is_plain) && !dotted.split(|byte| *byte == b'.').any(is_uuid);
        if is_unambiguous { Ok(()) } else { Err(Cause::MalformedSignature) }
    }
}

fn is_uuid(text: &[u8]) -> bool {
    text.len() == 36
        && text.iter().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::content::request::{Headers, Request};

    const ID: &str = "0199a1b2-c3d4-7e5f-8a9b-0c1d2e3f4a5b";
    const TENANT: &str = "6d1f0b7a-3a4e-4c7f-9b6a-2f1e0d9c8b7a";

    fn joined(template: &str, headers: &[(&str, &str)]) -> Result<String, Cause> {
        let fields: Vec<(&str, &[u8])> =
            headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let request = Request {
            method: "POST",
            target: "/",
            query: "",
            url: "",
            headers: Headers(&fields),
            body: b"{}",
            now: OffsetDateTime::UNIX_EPOCH,
        };
        let text = NamedHeaders::parse(template)
            .unwrap()
            .join(names.join(" ").as_bytes(), &View::new(&request, None))?;
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn anchored_headers_are_joined_in_one_way() {
        let of = |headers| joined("h X-Id X-Type", headers);
        for headers in [
            &[("a", "1.5"), ("x-id", ID), ("x-type", "invoice.paid")][..],
            &[("a", TENANT), ("x-id", ID), ("x-type", "paid"), ("x-user", TENANT)],
        ] {
            let values: Vec<&str> = headers.iter().map(|(_, value)| *value).collect();
            assert_eq!(of(headers), Ok(values.join(".")));
        }
        let longer = format!("{ID}.billing");
        let moved = format!("a.{ID}.paid");
        for headers in [
            &[("x-id", longer.as_str()), ("x-type", "invoice.paid")][..],
            &[("x-id", "7"), ("x-type", "paid")],
            &[("x-type", "paid"), ("x-id", ID)],
            &[("x-id", TENANT), ("x-type", moved.as_str())],
            &[("x-id", ID), ("x-more", "a.b"), ("x-type", "paid")],
            &[("x-id", ID), ("x-type", "paid"), ("x-user", "a.b")],
            &[("x-id", ID)],
            &[("x-type", "paid")],
        ] {
            assert!(of(headers).is_err(), "{headers:?}");
        }
    }

    #[test]
    fn other_headers_are_joined_unchanged() {
        assert_eq!(joined("h", &[("x-id", "a.b"), ("x-type", "c")]), Ok("a.b.c".to_owned()));
        assert!(NamedHeaders::parse("h X-Id").is_err() && NamedHeaders::parse("h A B C").is_err());
    }
}
