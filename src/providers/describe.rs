//! The event type of a verified message, and the provider's id for it.

use std::borrow::Cow;

use ring::digest::{SHA256, digest};

use crate::content::form;
use crate::json::{PathValue, PathValues};
use crate::scheme::encoding::hex;

use super::cloud_event::BINARY_MARK;
use super::joined_id::join_parts;
use super::recipe::{Detail, Recipe};
use crate::content::request::Request;

/// The type of a message without an event type.
pub(super) const NO_TYPE: &str = "message";
const MAX_CHARACTERS: usize = 200;

/// The event type and delivery id of a verified message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The type without the source: `issues.opened`, or `message` if there is no type; at most 200
    /// characters.
    pub event_type: String,
    /// Length of the type without the action, in bytes. Replies depend on the type alone.
    pub type_bytes: usize,
    /// The id, at most 200 characters; a longer one is replaced by its SHA-256 in hex. `None` if
    /// there is no id.
    pub delivery_id: Option<String>,
    /// The header that a CloudEvent has in binary mode and not in structured mode; `None` if the
    /// message is not a CloudEvent.
    pub form_mark: Option<&'static str>,
}

impl Description {
    /// The type without the action.
    pub fn bare_type(&self) -> &str {
        self.event_type.get(..self.type_bytes).unwrap_or(&self.event_type)
    }

    /// Describes a message; ignores the `unsigned` headers.
    pub(super) fn of(
        recipe: &Recipe,
        request: &Request<'_>,
        json: Option<&PathValues>,
        unsigned: &[&str],
    ) -> Self {
        if let Some(event) = recipe.cloud_event.and_then(|slots| slots.read(request, json)) {
            let described = Self::named(event.event_type, None, event.id.as_deref().map(delivery_id));
            return Self { form_mark: Some(BINARY_MARK), ..described };
        }
        let is_signed = |detail: &&Detail| match detail {
            Detail::Header(name) => !unsigned.contains(&name.as_str()),
            Detail::Query(_) | Detail::Json(_) => true,
        };
        let find = |details: &[Detail]| {
            details.iter().filter(is_signed).find_map(|detail| find(detail, request, json))
        };
        let bare_type = find(&recipe.event_type);
        let action = bare_type.as_ref().and_then(|_| find(&recipe.event_action));
        Self::named(bare_type, action, joined_id(&recipe.delivery_id, find))
    }

    fn named(
        bare_type: Option<Cow<'_, str>>,
        action: Option<Cow<'_, str>>,
        delivery_id: Option<String>,
    ) -> Self {
        let named = bare_type.as_deref().map(|name| event_type(name, action.as_deref()));
        let event_type = named.unwrap_or_else(|| NO_TYPE.to_owned());
        let type_bytes = bare_type.map_or(event_type.len(), |name| name.len()).min(event_type.len());
        Self { type_bytes, event_type, delivery_id, form_mark: None }
    }
}

/// Joins the ids of all parts; `None` if one is missing, since distinct messages could then have
/// the same id.
fn joined_id<'a>(
    details: &[Vec<Detail>],
    find: impl Fn(&[Detail]) -> Option<Cow<'a, str>>,
) -> Option<String> {
    match details {
        [] => None,
        [one] => find(one).map(|id| delivery_id(&id)),
        several => {
            let parts: Option<Vec<Cow<'_, str>>> = several.iter().map(|places| find(places)).collect();
            let parts = parts?;
            let parts: Vec<&str> = parts.iter().map(Cow::as_ref).collect();
            // Colons stay in the last part, which is usually a time.
            Some(delivery_id(&join_parts(&parts, parts.len() - 1)))
        }
    }
}

/// Returns the text or number at a place; `None` if it is empty, repeated, or of another type.
fn find<'a>(detail: &Detail, request: &Request<'a>, json: Option<&'a PathValues>) -> Option<Cow<'a, str>> {
    let text = match detail {
        Detail::Header(name) => Cow::Borrowed(std::str::from_utf8(request.headers.single(name).ok()??).ok()?),
        Detail::Query(name) => {
            let mut values = form::values(request.query, name);
            match (values.next(), values.next()) {
                // Replacing invalid UTF-8 could make two ids equal.
                (Some(value), None) => Cow::Owned(String::from_utf8(value.into_owned()).ok()?),
                _ => return None,
            }
        }
        Detail::Json(slot) => match json?.get(*slot) {
            PathValue::Text(text) | PathValue::Number(text) => Cow::Borrowed(text.as_str()),
            PathValue::Absent | PathValue::Other => return None,
        },
    };
    (!text.is_empty()).then_some(text)
}

fn event_type(name: &str, action: Option<&str>) -> String {
    let mut event_type = String::with_capacity(
        name.len().min(MAX_CHARACTERS) + action.map_or(0, |action| action.len().min(MAX_CHARACTERS) + 1),
    );
    let dot_and_action = action.into_iter().flat_map(|action| std::iter::once('.').chain(action.chars()));
    event_type.extend(name.chars().chain(dot_and_action).take(MAX_CHARACTERS));
    event_type
}

fn delivery_id(id: &str) -> String {
    // Avoids counting all characters of a long text.
    if id.len() <= MAX_CHARACTERS || id.chars().nth(MAX_CHARACTERS).is_none() {
        id.to_owned()
    } else {
        hex(digest(&SHA256, id.as_bytes()).as_ref())
    }
}
