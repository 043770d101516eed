//! Confirms a message with the provider's API: builds the query and the request, and interprets
//! the answer. No I/O. The query is stored with the message. URL, credentials and expectation
//! come from the source's settings at the time of the call, so that the operator can correct them
//! after the message arrived.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::content::view::{Texts, View};
use crate::json;
use crate::scheme::canonical::json_string;
use crate::scheme::confirm_url::{ConfirmUrl, ConfirmUrlError};
use crate::scheme::error::SyntaxError;
use crate::scheme::expectation::Expectation;
use crate::scheme::place::Place;
use crate::scheme::template::{Piece, Template};

use super::fetch::{FetchRequest, FetchRule, call, render};
use super::recipe::{ConfirmRule, Recipe};
use super::settings::SettingError;
use crate::content::request::Cause;
use crate::content::request::Request;
use crate::content::request::Secret;

/// Maximum size of a message that is sent back for confirmation. No provider that confirms whole
/// messages sends larger ones.
const MAX_BODY_BYTES: usize = 1 << 20;
/// Maximum size of a value, longer than any signature or certificate URL. Values in the URL have a
/// separate limit.
const MAX_VALUE_BYTES: usize = 4_096;
/// Lifetime of a login whose answer does not state one.
const DEFAULT_LOGIN_LIFETIME: Duration = Duration::from_secs(5 * 60);
/// A login is renewed at most this long before it expires.
const MAX_RENEWAL_LEAD: Duration = Duration::from_secs(60);
/// Name of the setting with the value of `CREEL_SOURCE_<NAME>_CONFIRM_TOKEN`.
const TOKEN: &str = "confirm_token";

/// The API of one source, with its settings.
#[derive(Clone, Debug)]
pub struct ConfirmApi {
    method: String,
    url: ConfirmUrl,
    headers: Vec<(String, Template)>,
    body: Vec<BodyPart>,
    expect: Expectation,
    unknown: Vec<Expectation>,
    login: Option<&'static FetchRule>,
    texts: Texts,
    form_payload: Option<&'static str>,
}

#[derive(Clone, Debug)]
enum BodyPart {
    /// A literal piece of the recipe's body, or a setting escaped for a JSON string.
    Fixed(Secret),
    /// Text, escaped for a JSON string.
    Value(Place),
    /// The message's body, which is JSON.
    Message,
}

/// The values of a message that the API call needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConfirmQuery {
    /// Values by place.
    Values(BTreeMap<String, String>),
    /// The call is impossible, with the reason.
    #[serde(rename = "unaskable")]
    Unconfirmable(String),
}

/// The reason why a request cannot be confirmed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfirmQueryError {
    pub cause: Cause,
    pub reason: String,
}

/// The meaning of an API answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfirmResult {
    Confirmed,
    /// The API answered that the object does not exist; final only if repeated.
    Unknown(String),
    /// The message may be confirmed later.
    NotYet(String),
}

/// The result of a login.
#[derive(Clone, Debug)]
pub struct Login {
    pub token: Secret,
    /// Time until a new login is needed.
    pub holds: Duration,
}

/// The API settings in a source's own variables, for a recipe without a `[confirm]` rule.
#[derive(Debug)]
pub struct ConfirmSettings<'a> {
    pub url: &'a str,
    pub token: Option<Secret>,
}

impl ConfirmApi {
    /// Configures the API by the recipe's rule.
    pub(super) fn bind(
        rule: &'static ConfirmRule,
        texts: &Texts,
        form_payload: Option<&'static str>,
    ) -> Result<Self, SettingError> {
        let setting = rule.url.settings().next().unwrap_or("url").to_owned();
        let url =
            ConfirmUrl::new(&rule.url, texts).map_err(|problem| SettingError::new(&setting, problem))?;
        let body = rule.body.as_ref().map(|body| body_parts(body, texts)).transpose();
        Ok(Self {
            method: rule.method.clone(),
            url,
            headers: rule.headers.clone(),
            body: body
                .map_err(|name| SettingError::new(&name, "is missing or is not UTF-8 text"))?
                .unwrap_or_default(),
            expect: rule.expect.clone(),
            unknown: rule.unknown.clone(),
            login: rule.login.as_ref(),
            texts: texts.clone(),
            form_payload,
        })
    }

    /// Configures the API from the source's own variables.
    ///
    /// # Errors
    /// The problem with the URL, without repeating the URL.
    pub fn own(settings: &ConfirmSettings<'_>, recipe: &'static Recipe) -> Result<Self, SyntaxError> {
        // The parser's error repeats the text, which may contain a token.
        let template = Template::parse(settings.url.trim()).map_err(|_| {
            "has an unmatched brace or an unknown placeholder; write values like {query:id}, {header:X-Id}, {json:/data/id} or {form:id}, and double each literal brace"
        })?;
        let mut texts = Texts::default();
        let url = ConfirmUrl::new(&template, &texts)?;
        if url.places().next().is_none() {
            return Err(SyntaxError::from(
                "contains no value of the message, so every message would have the same answer; add one to path or query, like {query:id}, {header:X-Id}, {json:/data/id} or {form:id}",
            ));
        }
        let mut headers = vec![("Accept".to_owned(), "application/json")];
        if let Some(token) = &settings.token {
            texts.insert(TOKEN, vec![token.clone()]);
            headers.push(("Authorization".to_owned(), "Bearer {setting:confirm_token}"));
        }
        let parse = |(name, text): (String, &str)| Template::parse(text).map(|template| (name, template));
        Ok(Self {
            method: "GET".to_owned(),
            url,
            headers: headers.into_iter().map(parse).collect::<Result<_, _>>()?,
            body: Vec::new(),
            expect: Expectation::default(),
            unknown: Expectation::of_unknown(),
            login: None,
            texts,
            form_payload: recipe.form_payload.as_deref(),
        })
    }

    /// Parses the expected answer.
    ///
    /// # Errors
    /// The problem with the text.
    pub fn expectation(text: &str) -> Result<Expectation, SyntaxError> {
        let expectation = Expectation::parse(text)?;
        if expectation.is_success() {
            return Ok(expectation);
        }
        Err("expects an error; write a status from 200 to 299, like `200`, `2xx` or `200 /status=paid`"
            .into())
    }

    /// Returns a copy with another expectation.
    #[must_use]
    pub fn expecting(&self, expect: Expectation) -> Self {
        Self { expect, ..self.clone() }
    }

    /// Collects the values that the API call needs. `payload` is the JSON already read from the
    /// request, if any.
    ///
    /// # Errors
    /// The reason why the request cannot be confirmed.
    pub fn confirm_query(
        &self,
        request: &Request<'_>,
        payload: Option<&[u8]>,
    ) -> Result<ConfirmQuery, ConfirmQueryError> {
        let view = View::new(request, self.form_payload);
        let view = match payload {
            Some(payload) => view.with_json(payload),
            None => view,
        };
        let mut values = BTreeMap::new();
        for place in self.places() {
            self.check_is_stored(place, &view)?;
            values.insert(place.to_string(), value(place, &view)?);
        }
        let unconfirmable =
            |reason: &str| ConfirmQueryError { cause: Cause::NotConfirmed, reason: reason.to_owned() };
        if self.needs_body() {
            let body = view.json().map_err(|cause| ConfirmQueryError {
                cause,
                reason: "the body cannot be decompressed, or is too large to be decoded".to_owned(),
            })?;
            if body.len() > MAX_BODY_BYTES {
                return Err(unconfirmable("the body is too large"));
            }
            // The body becomes part of a JSON document; any other text could end that document
            // early.
            if !json::accepts(body) {
                return Err(unconfirmable("the body is not JSON"));
            }
        }
        self.url(&values).map_err(|error| unconfirmable(&error.to_string()))?;
        Ok(ConfirmQuery::Values(values))
    }

    /// Rejects form fields other than the payload field: if a form has that field, creel stores
    /// nothing else.
    fn check_is_stored(&self, place: &Place, view: &View<'_>) -> Result<(), ConfirmQueryError> {
        let (Place::Form(name), Some(payload)) = (place, self.form_payload) else { return Ok(()) };
        if name == payload || view.form_field(payload) == Ok(None) {
            return Ok(());
        }
        let reason = format!("{place} is outside the field {payload}, and creel stores only that field");
        Err(ConfirmQueryError { cause: Cause::NotConfirmed, reason })
    }

    pub(super) fn places(&self) -> impl Iterator<Item = &Place> {
        let in_body = self.body.iter().filter_map(|part| match part {
            BodyPart::Value(place) => Some(place),
            BodyPart::Fixed(_) | BodyPart::Message => None,
        });
        self.url.places().chain(in_body)
    }

    /// Whether the values can only be read by decoding the body.
    pub fn decodes_body(&self) -> bool {
        let is_decoded = |place: &Place| match place {
            Place::Form(_) => true,
            other => other.is_in_body() && self.form_payload.is_some(),
        };
        self.places().any(is_decoded)
    }

    fn url(&self, values: &BTreeMap<String, String>) -> Result<String, ConfirmUrlError> {
        self.url.fill(|place| values.get(&place.to_string()).map(String::as_str))
    }

    /// Whether the message's body is part of the query.
    pub fn needs_body(&self) -> bool {
        self.body.iter().any(|part| matches!(part, BodyPart::Message))
    }

    /// Builds the API request. `login` is the result of `logged_in`.
    ///
    /// # Errors
    /// The reason why it cannot be built, e.g. settings that changed after the message arrived.
    pub fn call(
        &self,
        values: &BTreeMap<String, String>,
        message: &[u8],
        login: Option<&Login>,
    ) -> Result<FetchRequest, ConfirmUrlError> {
        let login = login.and_then(|login| std::str::from_utf8(login.token.expose()).ok());
        let header = |(name, template): &(String, Template)| {
            Some((name.clone(), render(template, &self.texts, None, login)?))
        };
        let mut body = Vec::new();
        for part in &self.body {
            match part {
                BodyPart::Fixed(text) => body.extend_from_slice(text.expose()),
                BodyPart::Value(place) => {
                    let value = values
                        .get(&place.to_string())
                        .ok_or_else(|| ConfirmUrlError::Missing(place.clone()))?;
                    body.extend_from_slice(escaped(value.as_bytes()).unwrap_or_default().as_bytes());
                }
                // A byte order mark is valid only at the start of a document.
                BodyPart::Message => body.extend_from_slice(json::without_mark(message)),
            }
        }
        Ok(FetchRequest {
            method: self.method.clone(),
            url: self.url(values)?,
            headers: self.headers.iter().filter_map(header).collect(),
            body,
        })
    }

    /// Returns the login call, which must precede the request.
    pub fn login(&self) -> Option<FetchRequest> {
        call(self.login?, &self.texts, None, None)
    }

    /// Reads the answer to the login request; `None` if it contains no login.
    pub fn logged_in(&self, answer: &[u8]) -> Option<Login> {
        let rule = self.login?;
        let token = json::text_of(rule.take.as_ref()?.raw(answer)?)?.into_owned();
        let seconds = rule.expires.as_ref().and_then(|path| path.raw(answer)?.trim_matches('"').parse().ok());
        let whole = seconds.map_or(DEFAULT_LOGIN_LIFETIME, Duration::from_secs);
        Some(Login {
            token: Secret::new(token),
            holds: whole.saturating_sub(MAX_RENEWAL_LEAD.min(whole / 2)),
        })
    }

    /// Interprets an API answer. `body` is UTF-8.
    pub fn evaluate(&self, status: u16, body: &[u8]) -> ConfirmResult {
        let Some(unmet) = self.expect.unmet(status, body) else { return ConfirmResult::Confirmed };
        match self.unknown.iter().any(|unknown| unknown.unmet(status, body).is_none()) {
            true => ConfirmResult::Unknown(unmet),
            false => ConfirmResult::NotYet(unmet),
        }
    }

    /// Returns the API's origin for log lines and errors, e.g. `https://api.example.com`.
    pub fn origin(&self) -> String {
        self.url.origin()
    }

    /// Returns the settings with credentials, for the error if the API rejects them.
    pub fn credentials(&self) -> Vec<&str> {
        let of_login = self.login.iter().flat_map(|rule| &rule.headers);
        let templates = self.headers.iter().chain(of_login).map(|(_, template)| template);
        templates.flat_map(Template::settings).collect()
    }

    /// Returns the credentials that are not set.
    pub fn missing_credentials(&self) -> Vec<&str> {
        self.credentials().into_iter().filter(|name| self.texts.first(name).is_none()).collect()
    }
}

impl ConfirmQuery {
    /// Returns the text that the store keeps.
    pub fn to_text(&self) -> String {
        // Strings and maps of strings always serialize.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub fn from_text(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

fn value(place: &Place, view: &View<'_>) -> Result<String, ConfirmQueryError> {
    let unconfirmable =
        |cause: Cause, problem: &str| ConfirmQueryError { cause, reason: format!("{place} {problem}") };
    let found = place.find(view).map_err(|cause| match cause {
        Cause::TooLarge => unconfirmable(cause, "is in a body that is too large to be decoded"),
        Cause::SignatureMismatch => {
            unconfirmable(cause, "is in a body whose Content-Encoding cannot be removed")
        }
        _ => unconfirmable(cause, "occurs more than once"),
    })?;
    let found = found.ok_or_else(|| unconfirmable(Cause::MissingHeader, "is missing"))?;
    if found.len() > MAX_VALUE_BYTES {
        return Err(unconfirmable(Cause::NotConfirmed, "is too long"));
    }
    String::from_utf8(found.into_owned()).map_err(|_| unconfirmable(Cause::NotConfirmed, "is not UTF-8 text"))
}

/// Splits the template of a body into its parts.
///
/// # Errors
/// The setting that is missing.
fn body_parts(template: &Template, texts: &Texts) -> Result<Vec<BodyPart>, String> {
    let pieces = template.pieces().unwrap_or_default();
    let part = |piece: &Piece<'_>| {
        Ok(match *piece {
            Piece::Literal(text) => BodyPart::Fixed(Secret::new(text)),
            Piece::Place(place) => BodyPart::Value(place.clone()),
            Piece::Body => BodyPart::Message,
            Piece::Setting(name) => {
                let text = texts.first(name).and_then(escaped).ok_or_else(|| name.to_owned())?;
                BodyPart::Fixed(Secret::new(text))
            }
        })
    };
    pieces.iter().map(part).collect()
}

/// Escapes text for a JSON string.
fn escaped(text: &[u8]) -> Option<String> {
    let quoted = json_string(text)?;
    Some(quoted[1..quoted.len() - 1].to_owned())
}
