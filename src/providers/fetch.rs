//! Fetching a provider's keys: requests and the interpretation of answers, without I/O.

use std::borrow::Cow;

use crate::content::request::{Headers, Request};
use crate::content::view::{Texts, View};
use crate::json::lookup::{self, JsonPath};
use crate::json::{text_of, without_mark};
use crate::scheme::certificate::certificates;
use crate::scheme::key_store::{self, KeyRequest, KeyResponse};
use crate::scheme::template::{Template, TemplateScope};
use crate::scheme::tink;

/// Maximum size of a key set. Sets of large platforms have dozens of keys.
const MAX_KEYS_BYTES: usize = 256 << 10;
/// Maximum size of a chain of certificates.
const MAX_CERTIFICATE_BYTES: usize = 64 << 10;

/// The recipe's request for keys.
#[derive(Debug)]
pub(super) struct FetchRule {
    pub method: String,
    pub url: Template,
    pub body: Option<Template>,
    pub headers: Vec<(String, Template)>,
    /// Path of the key in the answer; `None` for the whole answer.
    pub take: Option<JsonPath>,
    /// Path of the lifetime of the result, in seconds.
    pub expires: Option<JsonPath>,
    /// A request made first, whose result becomes `{login}`.
    pub login: Option<Box<FetchRule>>,
}

impl FetchRule {
    /// Returns the settings that the request and its login use.
    pub fn settings(&self) -> Vec<&str> {
        let headers = self.headers.iter().map(|(_, template)| template);
        let templates = std::iter::once(&self.url).chain(&self.body).chain(headers);
        let login = self.login.as_deref().map(Self::settings).unwrap_or_default();
        templates.flat_map(Template::settings).chain(login).collect()
    }
}

/// A request to the provider's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchRequest {
    pub method: String,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// The requests that fetch a key, and the interpretation of the answers.
#[derive(Debug)]
pub struct FetchPlan<'a> {
    rule: Option<&'a FetchRule>,
    texts: &'a Texts,
    wanted: &'a KeyRequest,
}

impl<'a> FetchPlan<'a> {
    pub(super) const fn new(rule: Option<&'a FetchRule>, texts: &'a Texts, wanted: &'a KeyRequest) -> Self {
        Self { rule, texts, wanted }
    }

    /// Returns the login call, which must precede the request.
    pub fn login(&self) -> Option<FetchRequest> {
        call(self.rule?.login.as_deref()?, self.texts, None, None)
    }

    /// Returns the login for the second call from the answer to the first.
    pub fn logged_in(&self, answer: &[u8]) -> Option<String> {
        let login = self.rule?.login.as_deref()?;
        let text = match &login.take {
            Some(path) => path.raw(answer).and_then(text_of)?.into_owned(),
            None => String::from_utf8(answer.to_vec()).ok()?,
        };
        Some(text)
    }

    /// Returns the request that fetches the key; `None` if the recipe does not define one.
    pub fn call(&self, login: Option<&str>) -> Option<FetchRequest> {
        match self.wanted {
            KeyRequest::Document(url) | KeyRequest::Issuer(url) => Some(FetchRequest {
                method: "GET".to_owned(),
                url: url.clone(),
                headers: Vec::new(),
                body: Vec::new(),
            }),
            KeyRequest::Key { id } => call(self.rule?, self.texts, id.as_deref(), login),
        }
    }

    /// Whether one answer holds all keys of the provider.
    pub fn is_whole_set(&self) -> bool {
        self.rule
            .is_some_and(|rule| !rule.url.has_id() && rule.body.as_ref().is_none_or(|body| !body.has_id()))
    }

    /// Whether the recipe defines a request and all its settings are present.
    pub fn is_possible(&self) -> bool {
        let logs_in = self.rule.is_some_and(|rule| rule.login.is_some());
        (!logs_in || self.login().is_some()) && self.call(Some("")).is_some()
    }

    /// Whether the provider serves each key only by its id.
    pub fn needs_id(&self) -> bool {
        self.rule.is_some() && !self.is_whole_set()
    }

    /// Reads a provider's answer. Temporary failures (a maintenance page, rejected credentials, a
    /// set without keys) return `None`.
    pub fn read(&self, status: u16, body: &[u8]) -> Option<KeyResponse> {
        let is_ok = (200..=299).contains(&status);
        let is_absent = matches!(status, 404 | 410);
        match self.wanted {
            KeyRequest::Key { id } if self.is_whole_set() => {
                if is_ok {
                    self.read_keys(id.as_deref(), body)
                } else {
                    None
                }
            }
            _ if is_absent => Some(KeyResponse::Unknown),
            KeyRequest::Key { id } if is_ok => self.read_keys(id.as_deref(), body),
            KeyRequest::Document(_) | KeyRequest::Issuer(_) if is_ok && is_certificate(body) => {
                Some(KeyResponse::Document(body.to_vec()))
            }
            _ => None,
        }
    }

    fn read_keys(&self, id: Option<&str>, body: &[u8]) -> Option<KeyResponse> {
        if body.len() > MAX_KEYS_BYTES {
            return None;
        }
        let text = match self.rule.and_then(|rule| rule.take.as_ref()) {
            Some(path) => {
                let raw = path.raw(body)?;
                text_of(raw).map_or_else(|| raw.to_owned(), Cow::into_owned)
            }
            None => String::from_utf8(without_mark(body).to_vec()).ok()?,
        };
        keys_among(&text, if self.is_whole_set() { id } else { None }).filter(has_usable_key)
    }
}

fn has_usable_key(answer: &KeyResponse) -> bool {
    matches!(answer, KeyResponse::Keys(texts) if texts.iter().any(|text| key_store::key(text).is_some()))
}

fn is_certificate(body: &[u8]) -> bool {
    body.len() <= MAX_CERTIFICATE_BYTES && !certificates(body).is_empty()
}

/// Returns the keys in a text: those of a JSON Web Key Set or a Tink key set (only those with `id`,
/// if given), or the text itself as one key.
pub fn keys_among(text: &str, id: Option<&str>) -> Option<KeyResponse> {
    let text = text.trim();
    let member = |name: &str| text.starts_with('{').then(|| lookup::member(text, name)).flatten();
    let keys: Vec<String> = match (member("keys"), member("key")) {
        (Some(set), _) => lookup::items(set)?.into_iter().map(str::to_owned).collect(),
        (None, Some(set)) if set.starts_with('[') => tink::web_keys(set)?,
        _ => return (!text.is_empty()).then(|| KeyResponse::Keys(vec![text.to_owned()])),
    };
    let has_id = |key: &String| {
        let kid = lookup::member(key, "kid").and_then(text_of);
        id.is_none() || kid.as_deref() == id
    };
    let keys: Vec<String> = keys.into_iter().filter(has_id).collect();
    Some(if keys.is_empty() { KeyResponse::Unknown } else { KeyResponse::Keys(keys) })
}

/// Returns the keys with this id from all keys that the provider publishes. Keys without an id
/// never match.
pub fn key_of_set(texts: &[String], id: &str) -> Option<KeyResponse> {
    let fits = |text: &&String| {
        let kid = lookup::member(text.trim(), "kid").and_then(text_of);
        kid.as_deref() == Some(id)
    };
    let keys: Vec<String> = texts.iter().filter(fits).cloned().collect();
    (!keys.is_empty()).then_some(KeyResponse::Keys(keys))
}

/// Renders a template without a webhook request; `None` if a setting is missing.
pub(super) fn render(
    template: &Template,
    texts: &Texts,
    id: Option<&str>,
    login: Option<&str>,
) -> Option<String> {
    with_scope(texts, id, login, |scope| String::from_utf8(template.render(scope).ok()?).ok())
}

fn with_scope<T>(
    texts: &Texts,
    id: Option<&str>,
    login: Option<&str>,
    use_scope: impl FnOnce(&TemplateScope<'_>) -> T,
) -> T {
    let nothing = Request {
        method: "",
        target: "",
        query: "",
        url: "",
        headers: Headers(&[]),
        body: &[],
        now: time::OffsetDateTime::UNIX_EPOCH,
    };
    let view = View::new(&nothing, None);
    use_scope(&TemplateScope { id, login, ..TemplateScope::new(&view, texts) })
}

pub(super) fn call(
    rule: &FetchRule,
    texts: &Texts,
    id: Option<&str>,
    login: Option<&str>,
) -> Option<FetchRequest> {
    let render = |template: &Template, id: Option<&str>| render(template, texts, id, login);
    let escaped = id.map(|id| form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>());
    let headers = rule.headers.iter().map(|(name, value)| Some((name.clone(), render(value, id)?)));
    let body = rule.body.as_ref().map(|body| {
        let is_json = render(body, id).is_some_and(|text| text.starts_with('{'));
        match is_json {
            true => with_scope(texts, id, login, |scope| body.render_json(scope).ok()),
            false => render(body, escaped.as_deref()),
        }
    });
    Some(FetchRequest {
        method: rule.method.clone(),
        url: render(&rule.url, escaped.as_deref())?,
        headers: headers.collect::<Option<_>>()?,
        body: match body {
            Some(text) => text?.into_bytes(),
            None => Vec::new(),
        },
    })
}
