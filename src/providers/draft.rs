//! A sample request under construction: its parts, and the placement of values in them.

use serde_json::{Map, Value};
use time::OffsetDateTime;

use crate::content::form;
use crate::content::request::{Headers, Request};
use crate::content::view::{Texts, View};
use crate::scheme::condition::RequestCondition;
use crate::scheme::place::Place;

/// A sample under construction.
#[derive(Clone, Debug)]
pub struct SampleDraft {
    pub headers: Vec<(String, String)>,
    pub query: String,
    /// The URL with its query.
    pub url: String,
    pub body: String,
    pub now: OffsetDateTime,
    pub nonce: String,
    /// The form field that holds the payload.
    pub payload_field: Option<&'static str>,
}

impl SampleDraft {
    pub fn is_form(&self) -> bool {
        self.headers.iter().any(|(_, value)| value.starts_with("application/x-www-form-urlencoded"))
    }

    pub fn form(&self) -> Vec<(String, String)> {
        let kind = self.is_form().then_some(form::FormKind::UrlEncoded);
        let fields = kind.and_then(|kind| form::fields(self.body.as_bytes(), kind, None));
        fields.map(|fields| fields.values).unwrap_or_default()
    }

    /// Adds a header, unless it already exists.
    pub fn push_header(&mut self, name: &str, value: String) {
        let name = name.to_ascii_lowercase();
        if self.headers.iter().all(|(present, _)| *present != name) {
            self.headers.push((name, value));
        }
    }

    pub fn add_query(&mut self, pairs: &str) {
        for (text, mark) in [(&mut self.query, ""), (&mut self.url, "?")] {
            let joint = if text.contains('?') || (mark.is_empty() && !text.is_empty()) { "&" } else { mark };
            text.push_str(joint);
            text.push_str(pairs);
        }
    }

    /// Adds a value at a place of the request.
    pub fn put(&mut self, place: &Place, value: &str) -> Option<()> {
        let pair =
            |name: &str| form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
        match place {
            Place::Header(name) => self.push_header(name, value.to_owned()),
            Place::Headers(beginning) => self.push_header(&format!("{beginning}1"), value.to_owned()),
            Place::Query(name) => self.add_query(&pair(name)),
            Place::Form(name) => {
                let joint = if self.body.is_empty() { "" } else { "&" };
                self.body.push_str(&format!("{joint}{}", pair(name)));
            }
            Place::Json(path) => {
                let mut body: Value = serde_json::from_str(&self.body).ok()?;
                set(&mut body, &path.to_string(), value)?;
                self.body = body.to_string();
            }
            Place::KeyOf { .. } => return None,
        }
        Some(())
    }

    /// Puts the nonce into each empty place outside the body.
    pub fn fill_empty<'a>(&mut self, places: impl Iterator<Item = &'a Place>) -> Option<()> {
        for place in places.filter(|place| !place.is_in_body()) {
            if self.with_request(|view| place.find(view).is_ok_and(|found| found.is_none())) {
                self.put(place, &self.nonce.clone())?;
            }
        }
        Some(())
    }

    /// Changes the draft to meet a condition outside the body. The sample's body must already meet
    /// the other conditions.
    pub fn satisfy(&mut self, condition: &RequestCondition, texts: &Texts) -> Option<()> {
        let value = match (condition.literal(), condition.setting()) {
            (Some(literal), _) => literal.to_owned(),
            (None, Some(setting)) => String::from_utf8(texts.first(setting)?.to_vec()).ok()?,
            (None, None) => return Some(()),
        };
        if condition.place().is_in_body() {
            return Some(());
        }
        self.put(condition.place(), &value)
    }

    pub fn with_request<T>(&self, use_view: impl FnOnce(&View<'_>) -> T) -> T {
        let fields: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let request = Request {
            method: "POST",
            target: "",
            query: &self.query,
            url: &self.url,
            headers: Headers(&fields),
            body: self.body.as_bytes(),
            now: self.now,
        };
        use_view(&View::new(&request, self.payload_field))
    }
}

/// Sets a value in every item along the path, whose arrays must exist.
pub fn set(document: &mut Value, path: &str, value: &str) -> Option<()> {
    let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
    let (key, is_array) = key.strip_suffix("[]").map_or((key, false), |key| (key, true));
    let object = document.as_object_mut()?;
    match (rest, is_array) {
        (None, false) => {
            object.insert(key.to_owned(), value.into());
            Some(())
        }
        (Some(rest), true) => {
            object.get_mut(key)?.as_array_mut()?.iter_mut().try_for_each(|item| set(item, rest, value))
        }
        (Some(rest), false) => {
            let inner = object.entry(key).or_insert_with(|| Value::Object(Map::new()));
            set(inner, rest, value)
        }
        (None, true) => None,
    }
}
