//! The parts of a template, and the value of each in a request.

use std::borrow::Cow;

use super::super::canonical;
use super::super::error::SyntaxError;
use super::super::layout::Layout;
use super::super::place::Place;
use super::super::token::basic_credentials;
use super::forms::{BodyForm, UrlForm};
use super::named_headers::NamedHeaders;
use crate::content::request::Cause;
use crate::content::view::{Texts, View};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    Literal(String),
    Body,
    /// The body without its content codings.
    DecodedBody,
    BodyAs(BodyForm),
    /// The JSON document, from any place in the request.
    Payload,
    Timestamp,
    OfLayout(String),
    /// The values of the headers that a part of the layout names, joined with dots.
    HeadersOfLayout(NamedHeaders),
    Place(Place),
    QueryInLowerCase(Place),
    /// A value of digits only.
    DigitsOf(Place),
    /// A section that is omitted if a place in it is absent.
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
    /// `{id}` and `{login}` of a fetch request.
    Id,
    Login,
}

/// The values of the placeholders.
#[derive(Clone, Copy, Debug)]
pub struct TemplateScope<'a> {
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

impl<'a> TemplateScope<'a> {
    pub const fn new(view: &'a View<'a>, texts: &'a Texts) -> Self {
        Self { view, texts, timestamp: None, layout: None, secret: None, answer: None, id: None, login: None }
    }
}

impl Part {
    pub fn parse(name: &str) -> Result<Self, SyntaxError> {
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
                    "`{{{name}}}` is unknown; use {{body}}, {{ts}}, {{header:Name}}, {{json:a.b}}, {{query:name}}, {{form:name}}, \
                     {{url}}, {{method}}, {{path}}, {{setting:name}}, {{secret}} and others (docs/recipes.md); double each literal brace"
                ).into());
            }
        })
    }

    pub const fn place(&self) -> Option<&Place> {
        match self {
            Self::Place(place) | Self::QueryInLowerCase(place) | Self::DigitsOf(place) => Some(place),
            _ => None,
        }
    }

    pub fn value<'a>(&'a self, scope: &TemplateScope<'a>) -> Result<Cow<'a, [u8]>, Cause> {
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
                let has_digits_only = digits.iter().all(u8::is_ascii_digit);
                has_digits_only.then_some(digits).ok_or(Cause::MalformedSignature)?
            }
            Self::Section(_) => {
                let mut text = Vec::new();
                feed_sections(std::slice::from_ref(self), scope, &mut |piece| text.extend_from_slice(piece))?;
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

/// Returns path and query of an absolute URL.
pub fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').map_or("/", |start| &rest[start..])
}

/// Passes the text of a template with sections to `sink`.
pub fn feed_sections(
    parts: &[Part],
    scope: &TemplateScope<'_>,
    sink: &mut dyn FnMut(&[u8]),
) -> Result<(), Cause> {
    for (at, part) in parts.iter().enumerate() {
        match part {
            Part::Literal(text) => sink(text.as_bytes()),
            Part::Section(inner) if are_present(inner, scope)? => feed_sections(inner, scope, sink)?,
            Part::Section(_) => {}
            variable => {
                let value = variable.value(scope)?;
                if let Some(Part::Literal(end)) = parts.get(at + 1)
                    && !ends_at(&value, end.as_bytes())
                {
                    return Err(Cause::MalformedSignature);
                }
                sink(&value);
            }
        }
    }
    Ok(())
}

fn are_present(parts: &[Part], scope: &TemplateScope<'_>) -> Result<bool, Cause> {
    for part in parts {
        if let Part::Place(place) | Part::QueryInLowerCase(place) = part
            && place.find(scope.view)?.is_none()
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether the first occurrence of `end` is directly after the value.
fn ends_at(value: &[u8], end: &[u8]) -> bool {
    let text = [value, end].concat();
    text.windows(end.len()).position(|window| window == end) == Some(value.len())
}
