//! The place of a value in a request, as one text: `header X-Event`, `query token`, `json data.id`,
//! `form payload`.

use std::borrow::Cow;

use super::error::SyntaxError;
use crate::content::request::Cause;
use crate::content::view::View;
use crate::json::PathValue;
use crate::json::lookup::JsonPath;

/// The place of a value in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The name of a header, in lower case.
    Header(String),
    /// A prefix of header names, in lower case. `find` returns the value of the first such field.
    Headers(String),
    Query(String),
    Json(JsonPath),
    Form(String),
    /// The name of an object's first key that is not in `except`.
    KeyOf {
        object: JsonPath,
        except: Vec<String>,
    },
}

impl Place {
    /// Parses a place.
    ///
    /// # Errors
    /// The problem with the text.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let (kind, rest) = text.trim().split_once(' ').unwrap_or((text, ""));
        let name = rest.trim();
        if name.is_empty() {
            return Err(format!(
                "`{text}` is not a place; write one like `header X-Event`, `query token`, `json data.id` or `form payload`"
            ).into());
        }
        match kind {
            "header" if is_header_name(name) => Ok(Self::Header(name.to_ascii_lowercase())),
            "headers" => {
                let beginning = name.strip_suffix('*').filter(|beginning| is_header_name(beginning));
                let beginning = beginning
                    .ok_or_else(|| format!("`{name}` is not a header name prefix followed by `*`"))?;
                Ok(Self::Headers(beginning.to_ascii_lowercase()))
            }
            "header" => Err(format!("`{name}` is not a valid header name").into()),
            "query" => Ok(Self::Query(name.to_owned())),
            "form" => Ok(Self::Form(name.to_owned())),
            "json" => Ok(Self::Json(JsonPath::parse(name)?)),
            "key-of" => Self::parse_key_of(name),
            _ => Err(format!(
                "`{kind}` is not a kind of place; use header, headers, query, json, form or key-of"
            )
            .into()),
        }
    }

    fn parse_key_of(text: &str) -> Result<Self, SyntaxError> {
        let mut words = text.split_whitespace();
        let path = words.next().unwrap_or(".");
        let object = if path == "." { JsonPath::root() } else { JsonPath::parse(path)? };
        match words.next() {
            None | Some("except") => Ok(Self::KeyOf { object, except: words.map(str::to_owned).collect() }),
            Some(other) => Err(format!("has `{other}`, but expected `except`").into()),
        }
    }

    /// Whether the value is in the body.
    pub const fn is_in_body(&self) -> bool {
        matches!(self, Self::Json(_) | Self::Form(_) | Self::KeyOf { .. })
    }

    /// Returns the value, unless it is empty. JSON numbers, `true` and `false` are as sent; `null`,
    /// objects and arrays have no value.
    ///
    /// # Errors
    /// The value is repeated and therefore ambiguous, or it is in a body that cannot be
    /// decompressed or is too large.
    pub fn find<'a>(&self, view: &'a View<'a>) -> Result<Option<Cow<'a, [u8]>>, Cause> {
        let text = |text: String| Cow::Owned(text.into_bytes());
        let found = match self {
            Self::Header(name) => view.request.headers.single(name)?.map(Cow::Borrowed),
            Self::Headers(beginning) => {
                let mut fields =
                    view.request.headers.0.iter().filter(|(name, _)| name.starts_with(beginning));
                fields.next().map(|(_, value)| Cow::Borrowed(value.trim_ascii()))
            }
            Self::Query(name) => view.query_field(name)?.map(text),
            Self::Form(name) => view.form_field(name)?.map(|value| Cow::Borrowed(value.as_bytes())),
            Self::Json(path) => match path.find(view.json()?) {
                PathValue::Text(found) | PathValue::Number(found) => Some(text(found)),
                PathValue::Other => path
                    .raw(view.json()?)
                    .filter(|raw| ["true", "false"].contains(raw))
                    .map(|raw| Cow::Borrowed(raw.as_bytes())),
                PathValue::Absent => None,
            },
            Self::KeyOf { object, except } => {
                let object = object.raw(view.json()?);
                object.and_then(|object| crate::json::lookup::first_key_except(object, except)).map(text)
            }
        };
        Ok(found.filter(|value| !value.is_empty()))
    }

    /// Whether the place has a value, which may be an object or an array; `null` and an empty text
    /// are not values.
    ///
    /// # Errors
    /// See `find`.
    pub fn is_filled(&self, view: &View<'_>) -> Result<bool, Cause> {
        match self {
            Self::Json(path) => {
                Ok(path.raw(view.json()?).is_some_and(|raw| !["null", "\"\""].contains(&raw)))
            }
            other => other.find(view).map(|found| found.is_some()),
        }
    }

    /// Finds a required value.
    ///
    /// # Errors
    /// If the value is absent; otherwise see `find`.
    pub fn require<'a>(&self, view: &'a View<'a>) -> Result<Cow<'a, [u8]>, Cause> {
        self.find(view)?.ok_or(Cause::MissingHeader)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header {name}"),
            Self::Headers(beginning) => write!(f, "headers {beginning}*"),
            Self::Query(name) => write!(f, "query field {name}"),
            Self::Json(path) => write!(f, "{path} in the body"),
            Self::Form(name) => write!(f, "form field {name}"),
            Self::KeyOf { .. } => f.write_str("the name of a key in the body"),
        }
    }
}

pub fn is_header_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
