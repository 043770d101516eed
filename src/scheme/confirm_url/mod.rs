//! The URL of an API request that confirms a message. The operator sets scheme, host and port. Only
//! path and query hold untrusted values, each percent-encoded to remain one segment or one value.

use std::fmt::Write;

use super::error::SyntaxError;
use super::place::Place;
use super::template::{Piece, Template};
use crate::content::view::Texts;

/// Maximum size of a value, longer than any id or token.
const MAX_VALUE_BYTES: usize = 512;

/// A URL with placeholders for values of a request.
#[derive(Clone, PartialEq, Eq)]
pub struct ConfirmUrl(Vec<UrlPart>);

/// A part of a URL. Has no `Debug`, because it may hold a token.
#[derive(Clone, PartialEq, Eq)]
enum UrlPart {
    Fixed(String),
    Value { place: Place, within: UrlComponent },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UrlComponent {
    Path,
    Query,
}

impl std::fmt::Debug for ConfirmUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl ConfirmUrl {
    /// Fills in the settings. Errors do not repeat the URL, which may hold a token.
    ///
    /// # Errors
    /// The problem with the URL.
    pub fn new(template: &Template, texts: &Texts) -> Result<Self, SyntaxError> {
        let pieces = template
            .pieces()
            .ok_or("may contain only values like {query:id}, {header:X-Id}, {json:/data/id} and {form:id}")?;
        let mut parts = Vec::new();
        let mut fixed = String::new();
        let mut before = String::new();
        for piece in pieces {
            let text = match piece {
                Piece::Literal(text) => text,
                Piece::Setting(name) => {
                    let value = texts.first(name).ok_or_else(|| format!("needs the setting `{name}`"))?;
                    std::str::from_utf8(value)
                        .map_err(|_| format!("the setting `{name}` is not UTF-8 text"))?
                        .trim()
                }
                Piece::Body => return Err("cannot contain {body}: it is not an id".into()),
                Piece::Place(place) => {
                    let within = within(&before, place)?;
                    parts.push(UrlPart::Fixed(std::mem::take(&mut fixed)));
                    parts.push(UrlPart::Value { place: place.clone(), within });
                    // A placeholder for the value in the checks below.
                    before.push('x');
                    continue;
                }
            };
            fixed.push_str(text);
            before.push_str(text);
        }
        parts.push(UrlPart::Fixed(fixed));
        check(&before)?;
        Ok(Self(parts))
    }

    /// Returns the places whose values the URL needs.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.0.iter().filter_map(|part| match part {
            UrlPart::Value { place, .. } => Some(place),
            UrlPart::Fixed(_) => None,
        })
    }

    /// The origin for display, e.g. `https://api.example.com`.
    pub fn origin(&self) -> String {
        let Some(UrlPart::Fixed(beginning)) = self.0.first() else { return String::new() };
        url::Url::parse(beginning).map_or_else(|_| String::new(), |url| url.origin().ascii_serialization())
    }

    /// Fills in the values of a message.
    ///
    /// # Errors
    /// The reason why these values allow no request.
    pub fn fill<'a>(&self, value_of: impl Fn(&Place) -> Option<&'a str>) -> Result<String, ConfirmUrlError> {
        let mut url = String::new();
        for part in &self.0 {
            match part {
                UrlPart::Fixed(text) => url.push_str(text),
                UrlPart::Value { place, within } => {
                    let value = value_of(place).ok_or_else(|| ConfirmUrlError::Missing(place.clone()))?;
                    check_value(value, *within)
                        .map_err(|problem| ConfirmUrlError::Value { place: place.clone(), problem })?;
                    push_encoded(&mut url, value);
                }
            }
        }
        // Two harmless values may form a dot segment together.
        if has_dot_segment(path_of(&url)) {
            return Err(ConfirmUrlError::Path);
        }
        Ok(url)
    }
}

/// The reason why the values of a message allow no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfirmUrlError {
    #[error("{0} is missing")]
    Missing(Place),
    #[error("{place} {problem}")]
    Value { place: Place, problem: &'static str },
    #[error("the values would change the path")]
    Path,
}

/// Returns the URL component of a value, from the text before it.
fn within(before: &str, place: &Place) -> Result<UrlComponent, SyntaxError> {
    let authority = before.split_once("://").map(|(_, rest)| rest);
    match authority.and_then(|rest| rest.find(['/', '?'])) {
        Some(_) if before.contains('?') => Ok(UrlComponent::Query),
        Some(_) => Ok(UrlComponent::Path),
        None => Err(format!(
            "has {place} before its path: values from the request may be only in path and query, never in scheme, host or port"
        ).into()),
    }
}

/// Checks the whole URL, with a letter in place of each value.
fn check(text: &str) -> Result<(), SyntaxError> {
    let wrong = || {
        SyntaxError::from(
            "is not an absolute http or https URL; write it like https://api.example.com/payments/{query:id}",
        )
    };
    let url = url::Url::parse(text).map_err(|_| wrong())?;
    let slashes = text.get(url.scheme().len()..).is_some_and(|rest| rest.starts_with("://"));
    // The parser corrects backslashes and white space, but the API would receive them as typed.
    let has_forbidden_character = text
        .contains(|character: char| character.is_whitespace() || character.is_control() || character == '\\');
    if !matches!(url.scheme(), "http" | "https")
        || !slashes
        || url.host_str().is_none()
        || has_forbidden_character
    {
        return Err(wrong());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("contains a user name or password; remove it".into());
    }
    if url.fragment().is_some() {
        return Err("has a fragment; remove the # and the text after it".into());
    }
    let path = path_of(text);
    if path.contains("//") {
        return Err("has an empty segment in its path; remove the second slash".into());
    }
    if has_dot_segment(path) {
        return Err("has `.` or `..` as a segment of its path; write the resolved path".into());
    }
    Ok(())
}

fn check_value(value: &str, within: UrlComponent) -> Result<(), &'static str> {
    if value.is_empty() {
        return Err("is empty");
    }
    if value.len() > MAX_VALUE_BYTES {
        return Err("is too long for an id");
    }
    if value.chars().any(char::is_control) {
        return Err("contains control characters");
    }
    // Some servers decode before they split, so an encoded slash separates segments too.
    if within == UrlComponent::Path && value.split(['/', '\\']).any(|segment| matches!(segment, "." | "..")) {
        return Err("would change the path");
    }
    Ok(())
}

fn has_dot_segment(path: &str) -> bool {
    let is_dots = |segment: &str| {
        let segment = segment.replace("%2e", ".").replace("%2E", ".");
        matches!(segment.as_str(), "." | "..")
    };
    path.split('/').any(is_dots)
}

/// Returns the path without host and query.
fn path_of(url: &str) -> &str {
    super::template::path_of(url).split('?').next().unwrap_or_default()
}

/// Encodes all characters except those that RFC 3986 calls unreserved.
fn push_encoded(url: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _ = write!(url, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests;
