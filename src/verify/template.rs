//! Texts with placeholders: what is signed (`{id}.{ts}.{body}`), what a claim must be, what a reply says. Parsed once, then
//! fed piece by piece into the digest, so that no copy of the body is made.

mod forms;
mod named_headers;
mod pieces;
mod section;
mod split;

use std::borrow::Cow;

use super::canonical;
use super::layout::Layout;
use super::place::Place;
use super::request::Cause;
use super::token::basic_credentials;
use super::view::{Texts, View};
use forms::{BodyForm, UrlForm};
use named_headers::NamedHeaders;
pub use pieces::Piece;
pub use split::Split;

/// A parsed template; has at least one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Body,
    /// Without its content codings.
    DecodedBody,
    BodyAs(BodyForm),
    /// The JSON document, wherever it is in the request.
    Payload,
    Timestamp,
    OfLayout(String),
    /// The values of the headers that a part of the layout names, joined with dots.
    HeadersOfLayout(NamedHeaders),
    Place(Place),
    QueryInLowerCase(Place),
    /// A value of digits only.
    DigitsOf(Place),
    /// Left out where a place in it is absent.
    Section(Vec<Part>),
    SortedForm,
    Url(UrlForm),
    Method,
    /// Path and query of the URL as registered.
    Path,
    Setting(String),
    /// Two settings as user and password of HTTP basic authentication.
    Basic {
        username: String,
        password: String,
    },
    Secret,
    Answer,
    /// What a fetch asks for, or has been given before.
    Id,
    Login,
}

/// What the placeholders stand for.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    pub view: &'a View<'a>,
    pub texts: &'a Texts,
    /// Exactly as sent.
    pub timestamp: Option<&'a [u8]>,
    /// The signature's layout and value.
    pub layout: Option<(&'a Layout, &'a [u8])>,
    pub secret: Option<&'a [u8]>,
    pub answer: Option<&'a str>,
    pub id: Option<&'a str>,
    pub login: Option<&'a str>,
}

impl<'a> Scope<'a> {
    pub const fn new(view: &'a View<'a>, texts: &'a Texts) -> Self {
        Self { view, texts, timestamp: None, layout: None, secret: None, answer: None, id: None, login: None }
    }
}

impl Template {
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(start) = rest.find(['{', '}']) {
            let (before, brace) = rest.split_at(start);
            literal.push_str(before);
            if let Some(after) = brace.strip_prefix("{{").or_else(|| brace.strip_prefix("}}")) {
                literal.push_str(&brace[..1]);
                rest = after;
                continue;
            }
            let section = brace.strip_prefix("{?");
            let split = match section {
                Some(inner) => section::split(inner),
                None => brace.strip_prefix('{').and_then(|inner| inner.split_once('}')),
            };
            let (name, after) = split.ok_or_else(|| format!("`{text}` has a brace without its partner"))?;
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(match section {
                Some(_) => Part::Section(section::parse(name)?),
                None => Part::parse(name)?,
            });
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Literal(literal));
        }
        section::check(&parts)?;
        if parts.is_empty() { Err("is empty".to_owned()) } else { Ok(Self(parts)) }
    }

    /// Whether every byte of the body goes into the text in some form.
    pub fn has_body(&self) -> bool {
        let covers = |part: &Part| match part {
            Part::Body | Part::DecodedBody | Part::Payload => true,
            Part::BodyAs(form) => !form.leaves_out(),
            _ => false,
        };
        self.0.iter().any(covers)
    }

    /// Whether what the body says goes into the text, though not every byte: of sorted JSON how numbers are written is lost, of
    /// a form where a name ends and its value begins.
    pub fn has_content_of_body(&self) -> bool {
        self.0.iter().any(|part| match part {
            Part::BodyAs(form) => matches!(form, BodyForm::Sorted | BodyForm::SortedInEcmaScript),
            other => *other == Part::SortedForm,
        })
    }

    /// Whether the body is decoded or written anew for it, which takes memory.
    pub fn rewrites_body(&self) -> bool {
        self.parts().any(|part| match part {
            Part::BodyAs(form) => form.is_rewritten(),
            Part::DecodedBody | Part::Payload | Part::SortedForm | Part::Place(Place::Form(_)) => true,
            _ => false,
        })
    }

    /// Whether the JSON document goes into the text, wherever it is in the request.
    pub fn has_payload(&self) -> bool {
        self.0.contains(&Part::Payload)
    }

    pub fn has_timestamp(&self) -> bool {
        self.0.contains(&Part::Timestamp)
    }

    pub fn has_secret(&self) -> bool {
        self.0.contains(&Part::Secret)
    }

    pub fn has_url(&self) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Url(_) | Part::Path))
    }

    pub fn has_id(&self) -> bool {
        self.0.contains(&Part::Id)
    }

    /// Whether the signed text is the body and nothing else.
    pub fn is_body_alone(&self) -> bool {
        self.0 == [Part::Body]
    }

    /// Whether it is what stands at that place and nothing else.
    pub fn is_place_alone(&self, place: &Place) -> bool {
        matches!(self.0.as_slice(), [Part::Place(alone)] if alone == place)
    }

    /// Whether some text of it is always the same, and such a one.
    pub fn has_literal(&self, is_wanted: impl Fn(&str) -> bool) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Literal(text) if is_wanted(text)))
    }

    /// Whether a part of it is in the body.
    pub fn reads_body(&self) -> bool {
        let reads = |part: &Part| match part {
            Part::Body | Part::DecodedBody | Part::BodyAs(_) | Part::Payload | Part::SortedForm => true,
            Part::Place(place) => place.is_in_body(),
            _ => false,
        };
        self.parts().any(reads)
    }

    /// The places that it reads.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.parts().filter_map(Part::place)
    }

    /// Whether the header goes into every text that is made from it.
    pub fn covers_header(&self, name: &str) -> bool {
        let is_named = |part: &Part| matches!(part, Part::HeadersOfLayout(named) if named.must_name(name));
        self.0.iter().any(is_named)
            || self.required_places().any(|place| matches!(place, Place::Header(header) if header == name))
    }

    /// Those that must be there.
    pub fn required_places(&self) -> impl Iterator<Item = &Place> {
        self.0.iter().filter_map(Part::place)
    }

    /// With the parts of its sections in their place.
    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.0.iter().flat_map(|part| match part {
            Part::Section(inner) => inner.as_slice(),
            other => std::slice::from_ref(other),
        })
    }

    /// The settings that it reads.
    pub fn settings(&self) -> impl Iterator<Item = &str> {
        let names = self.0.iter().flat_map(|part| match part {
            Part::Setting(name) => [name.as_str(), ""],
            Part::Basic { username, password } => [username.as_str(), password.as_str()],
            _ => ["", ""],
        });
        names.filter(|name| !name.is_empty())
    }

    pub fn layout_parts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::OfLayout(name) => Some(name.as_str()),
            Part::HeadersOfLayout(named) => Some(named.part.as_str()),
            _ => None,
        })
    }

    /// Gives the text to `sink`, piece by piece.
    ///
    /// # Errors
    /// A part that is absent, comes twice, or cannot be read as it should be.
    pub fn feed(&self, scope: &Scope<'_>, mut sink: impl FnMut(&[u8])) -> Result<(), Cause> {
        if section::has_any(&self.0) {
            return section::feed(&self.0, scope, &mut sink);
        }
        for part in &self.0 {
            match part {
                Part::Literal(text) => sink(text.as_bytes()),
                Part::Body => sink(scope.view.request.body),
                Part::Timestamp => sink(scope.timestamp.ok_or(Cause::MissingHeader)?),
                other => sink(&other.value(scope)?),
            }
        }
        Ok(())
    }

    /// # Errors
    /// As for `feed`.
    pub fn render(&self, scope: &Scope<'_>) -> Result<Vec<u8>, Cause> {
        let mut text = Vec::new();
        self.feed(scope, |piece| text.extend_from_slice(piece))?;
        Ok(text)
    }

    /// The text of a JSON document: what is put in is escaped as it stands between the quotes of a string.
    ///
    /// # Errors
    /// As for `feed`.
    pub fn render_json(&self, scope: &Scope<'_>) -> Result<String, Cause> {
        let mut text = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(literal) => text.push_str(literal),
                other => {
                    let quoted =
                        canonical::json_string(&other.value(scope)?).ok_or(Cause::MalformedSignature)?;
                    text.push_str(&quoted[1..quoted.len() - 1]);
                }
            }
        }
        Ok(text)
    }
}

impl Part {
    fn parse(name: &str) -> Result<Self, String> {
        let (kind, rest) = name.split_once(':').unwrap_or((name, ""));
        Ok(match (kind, rest) {
            ("body", "") => Self::Body,
            ("body", "decoded") => Self::DecodedBody,
            ("body", form) => Self::BodyAs(BodyForm::parse(form)?),
            ("payload", "") => Self::Payload,
            ("ts", "") => Self::Timestamp,
            ("sorted-form", "") => Self::SortedForm,
            ("url", form) => Self::Url(UrlForm::parse(form)?),
            ("method", "") => Self::Method,
            ("path", "") => Self::Path,
            ("secret", "") => Self::Secret,
            ("answer", "") => Self::Answer,
            ("id", "") => Self::Id,
            ("login", "") => Self::Login,
            ("layout", part) if !part.is_empty() => Self::OfLayout(part.to_owned()),
            ("layout-headers", named) => Self::HeadersOfLayout(NamedHeaders::parse(named)?),
            ("setting", setting) if !setting.is_empty() => Self::Setting(setting.to_owned()),
            ("basic", settings) if settings.contains(':') => {
                let (username, password) = settings.split_once(':').unwrap_or_default();
                Self::Basic { username: username.to_owned(), password: password.to_owned() }
            }
            ("header" | "query" | "json" | "form", place) if !place.is_empty() => {
                Self::Place(Place::parse(&format!("{kind} {place}"))?)
            }
            ("digits-json", place) if !place.is_empty() => {
                Self::DigitsOf(Place::parse(&format!("json {place}"))?)
            }
            ("query-lower", field) if !field.is_empty() => {
                Self::QueryInLowerCase(Place::Query(field.to_owned()))
            }
            _ => {
                return Err(format!(
                    "`{{{name}}}` is not known; there are {{body}}, {{ts}}, {{header:Name}}, {{json:a.b}}, {{query:name}}, {{form:name}}, \
                     {{url}}, {{method}}, {{path}}, {{setting:name}}, {{secret}} and others (docs/recipes.md); a brace is written twice"
                ));
            }
        })
    }

    const fn place(&self) -> Option<&Place> {
        match self {
            Self::Place(place) | Self::QueryInLowerCase(place) | Self::DigitsOf(place) => Some(place),
            _ => None,
        }
    }

    fn value<'a>(&'a self, scope: &Scope<'a>) -> Result<Cow<'a, [u8]>, Cause> {
        let view = scope.view;
        let request = view.request;
        let owned = |text: String| Cow::Owned(text.into_bytes());
        Ok(match self {
            Self::Literal(text) => Cow::Borrowed(text.as_bytes()),
            Self::Body => Cow::Borrowed(request.body),
            Self::DecodedBody => Cow::Borrowed(view.decoded_body()?),
            Self::BodyAs(form) => form.of(request.body)?,
            Self::Payload => Cow::Borrowed(view.signed_document()?),
            Self::Timestamp => Cow::Borrowed(scope.timestamp.ok_or(Cause::MissingHeader)?),
            Self::OfLayout(name) => {
                let (layout, value) = scope.layout.ok_or(Cause::MalformedSignature)?;
                Cow::Borrowed(layout.named(value, name)?)
            }
            Self::HeadersOfLayout(named) => {
                let (layout, value) = scope.layout.ok_or(Cause::MalformedSignature)?;
                Cow::Owned(named.join(layout.named(value, &named.part)?, view)?)
            }
            Self::Place(place) => place.require(view)?,
            Self::QueryInLowerCase(place) => {
                owned(String::from_utf8_lossy(&place.require(view)?).to_lowercase())
            }
            Self::DigitsOf(place) => {
                let digits = place.require(view)?;
                let is_right = digits.iter().all(u8::is_ascii_digit);
                is_right.then_some(digits).ok_or(Cause::MalformedSignature)?
            }
            Self::Section(_) => {
                let mut text = Vec::new();
                section::feed(std::slice::from_ref(self), scope, &mut |piece| text.extend_from_slice(piece))?;
                Cow::Owned(text)
            }
            Self::SortedForm => owned(canonical::sorted_form(view.whole_form()?)),
            Self::Url(form) => form.of(request.url),
            Self::Method => Cow::Borrowed(request.method.as_bytes()),
            Self::Path => Cow::Borrowed(path_of(request.url).as_bytes()),
            Self::Setting(name) => Cow::Borrowed(scope.texts.first(name).ok_or(Cause::MissingHeader)?),
            Self::Basic { username, password } => {
                let of = |name: &str| match name {
                    "" => Ok(&b""[..]),
                    name => scope.texts.first(name).ok_or(Cause::MissingHeader),
                };
                owned(basic_credentials(of(username)?, of(password)?))
            }
            Self::Secret => Cow::Borrowed(scope.secret.ok_or(Cause::MissingHeader)?),
            Self::Answer => Cow::Borrowed(scope.answer.ok_or(Cause::MissingHeader)?.as_bytes()),
            Self::Id => Cow::Borrowed(scope.id.ok_or(Cause::MissingHeader)?.as_bytes()),
            Self::Login => Cow::Borrowed(scope.login.ok_or(Cause::MissingHeader)?.as_bytes()),
        })
    }
}

/// Path and query of an absolute URL.
pub fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |start| &rest[start..])
}

#[cfg(test)]
mod tests;
