//! What a verified message is about: its event type and the provider's own id for it.

use ring::digest::{SHA256, digest};

use crate::verify::encoding::hex;
use crate::verify::json::{Extracted, Found};

use super::Request;
use super::recipe::{Place, Recipe};

/// The type of a message that names none.
const NO_TYPE: &str = "message";
const MAX_CHARACTERS: usize = 200;

/// What a verified message is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// Without the source: `issues.opened`, or `message` where there is no type; at most 200 characters.
    pub event_type: String,
    /// How much of it is the type alone, without the action: replies go by that.
    pub type_bytes: usize,
    /// At most 200 characters; longer ones are their SHA-256 in hex; `None` where there is none.
    pub delivery_id: Option<String>,
}

impl Description {
    /// The type without the action.
    pub fn bare_type(&self) -> &str {
        self.event_type.get(..self.type_bytes).unwrap_or(&self.event_type)
    }

    pub(super) fn of(recipe: &Recipe, request: &Request<'_>, json: Option<&Extracted>) -> Self {
        let find = |place: &Option<Place>| place.as_ref().and_then(|place| find(place, request, json));
        let event_type = find(&recipe.event_type)
            .map_or_else(|| NO_TYPE.to_owned(), |name| event_type(name, find(&recipe.event_action)));
        Self {
            type_bytes: find(&recipe.event_type).map_or(event_type.len(), str::len).min(event_type.len()),
            event_type,
            delivery_id: find(&recipe.delivery_id).map(delivery_id),
        }
    }
}

/// The text or number at a place; nothing where it is empty, repeated, not text, or anything else.
fn find<'a>(place: &Place, request: &Request<'a>, json: Option<&'a Extracted>) -> Option<&'a str> {
    let text = match place {
        Place::Header(name) => std::str::from_utf8(request.headers.single(name).ok()??).ok()?,
        Place::Json(slot) => match json?.get(*slot) {
            Found::Text(text) | Found::Number(text) => text,
            Found::Absent | Found::Other => return None,
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
    // Counting characters of a long text is not needed to know that it is long.
    if id.len() <= MAX_CHARACTERS || id.chars().nth(MAX_CHARACTERS).is_none() {
        id.to_owned()
    } else {
        hex(digest(&SHA256, id.as_bytes()).as_ref())
    }
}
