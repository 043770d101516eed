//! Templates of texts with placeholders: signed texts (`{id}.{ts}.{body}`), expected claims,
//! replies. A template is parsed once. For each request, its text is fed into an HMAC or digest in
//! pieces, so that an unchanged body is not copied. For public keys, it is rendered as a whole.

mod forms;
mod named_headers;
mod parse;
mod parts;
mod pieces;
mod section;
mod split;

use super::canonical;
use super::error::SyntaxError;
use super::freshness::TimestampUnit;
use super::place::Place;
use crate::content::request::Cause;
use forms::BodyForm;
use parts::Part;
pub use parts::{TemplateScope, path_of};
pub use pieces::Piece;
pub use split::Split;

/// A parsed template; has at least one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// The problem with the text.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        parse::parts(text).map(Self)
    }

    /// Whether the text covers the content of the whole body: exactly, as a digest, or in a form
    /// that differs only in encoding, white space or line breaks.
    pub fn has_body(&self) -> bool {
        let covers = |part: &Part| match part {
            Part::Body | Part::DecodedBody | Part::Payload => true,
            Part::BodyAs(form) => !form.loses_content(),
            _ => false,
        };
        self.0.iter().any(covers)
    }

    /// Whether the text contains the content of the body, but not its exact bytes: sorted JSON
    /// loses the spelling of numbers, and a sorted form loses the boundary between name and value.
    pub fn has_content_of_body(&self) -> bool {
        self.0.iter().any(|part| match part {
            Part::BodyAs(form) => matches!(form, BodyForm::Sorted | BodyForm::SortedInEcmaScript),
            other => *other == Part::SortedForm,
        })
    }

    /// Whether the body is decoded or rewritten for the text, which takes memory.
    pub fn rewrites_body(&self) -> bool {
        self.parts().any(|part| match part {
            Part::BodyAs(form) => form.is_rewritten(),
            Part::DecodedBody | Part::Payload | Part::SortedForm | Part::Place(Place::Form(_)) => true,
            _ => false,
        })
    }

    /// Whether the text contains the JSON document, from any place in the request.
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

    /// Whether the template is exactly the value at that place.
    pub fn is_place_alone(&self, place: &Place) -> bool {
        matches!(self.0.as_slice(), [Part::Place(alone)] if alone == place)
    }

    /// Whether it contains fixed text that meets the condition.
    pub fn has_literal(&self, is_wanted: impl Fn(&str) -> bool) -> bool {
        self.0.iter().any(|part| matches!(part, Part::Literal(text) if is_wanted(text)))
    }

    /// Returns the places that the template reads.
    pub fn places(&self) -> impl Iterator<Item = &Place> {
        self.parts().filter_map(Part::place)
    }

    /// Whether the text contains the header in every request.
    pub fn covers_header(&self, name: &str) -> bool {
        let is_named = |part: &Part| matches!(part, Part::HeadersOfLayout(named) if named.must_name(name));
        self.0.iter().any(is_named)
            || self.required_places().any(|place| matches!(place, Place::Header(header) if header == name))
    }

    /// Returns the places that must have a value.
    pub fn required_places(&self) -> impl Iterator<Item = &Place> {
        self.0.iter().filter_map(Part::place)
    }

    /// Returns all parts, with each section replaced by its parts.
    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.0.iter().flat_map(|part| match part {
            Part::Section(inner) => inner.as_slice(),
            other => std::slice::from_ref(other),
        })
    }

    /// Returns the settings that the template reads.
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

    /// Passes the text to `sink` in pieces.
    ///
    /// # Errors
    /// A part that is absent, duplicated, malformed, or too large for its form.
    pub fn feed(&self, scope: &TemplateScope<'_>, mut sink: impl FnMut(&[u8])) -> Result<(), Cause> {
        if section::has_any(&self.0) {
            return parts::feed_sections(&self.0, scope, &mut sink);
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

    /// Returns the text.
    ///
    /// # Errors
    /// See `feed`.
    pub fn render(&self, scope: &TemplateScope<'_>) -> Result<Vec<u8>, Cause> {
        let mut text = Vec::new();
        self.feed(scope, |piece| text.extend_from_slice(piece))?;
        Ok(text)
    }

    /// Renders a JSON document; values are escaped for use inside JSON strings.
    ///
    /// # Errors
    /// See `feed`.
    pub fn render_json(&self, scope: &TemplateScope<'_>) -> Result<String, Cause> {
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

    /// Returns the rule that divides a rendered text into the parts of this template.
    pub fn split(&self, unit: Option<TimestampUnit>) -> Split {
        Split::of(&self.0, unit)
    }

    /// Enforces the assumptions of `split` on the values of a request.
    ///
    /// # Errors
    /// A value that makes the division of the text ambiguous.
    pub fn check_split(&self, split: &Split, scope: &TemplateScope<'_>) -> Result<(), Cause> {
        split.check(&self.0, scope)
    }

    /// Whether an attacker without the secret could extend the text and compute a valid digest
    /// (length extension), if the scheme uses a plain hash.
    pub fn can_be_extended(&self) -> bool {
        split::can_be_extended(&self.0)
    }

    /// Whether both templates can produce the same text, divided in different ways.
    pub fn can_be_taken_for(&self, other: &Self) -> bool {
        split::can_be_taken_for(&self.0, &other.0)
    }

    /// Whether its text can be divided in one way only, because at most one part varies.
    pub fn has_one_part(&self) -> bool {
        self.0.iter().filter(|part| !matches!(part, Part::Literal(_) | Part::Setting(_))).count() <= 1
    }

    /// Returns a value for a named part of the layout, as a sender may write it.
    pub fn sample_of_layout(&self, name: &str) -> String {
        let names = self.0.iter().find_map(|part| match part {
            Part::HeadersOfLayout(named) if named.part == name => named.sample(),
            _ => None,
        });
        names.unwrap_or_else(|| "sample".to_owned())
    }

    /// Returns the template in pieces; `None` if a part is other than fixed text, a setting, a
    /// place or the body.
    pub fn pieces(&self) -> Option<Vec<Piece<'_>>> {
        self.0.iter().map(pieces::piece).collect()
    }

    /// Whether the template needs only settings and the result of a login.
    pub fn needs_no_request(&self) -> bool {
        let needs_none = |part: &Part| {
            matches!(part, Part::Literal(_) | Part::Setting(_) | Part::Basic { .. } | Part::Login)
        };
        self.0.iter().all(needs_none)
    }

    pub fn has_login(&self) -> bool {
        self.0.contains(&Part::Login)
    }
}

#[cfg(test)]
mod tests;
