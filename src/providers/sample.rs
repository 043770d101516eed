//! Sample requests, signed like the provider's, for testing a source without the provider.

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::content::view::Texts;
use crate::scheme::freshness::TimestampPlace;
use crate::scheme::jwt::{self, ClaimCheck, Jwt, JwtKeys};
use crate::scheme::place::Place;
use crate::scheme::signature::{BoundSignature, SignatureKeys};
use crate::scheme::template::TemplateScope;
use crate::scheme::token::basic_authorization;

use super::draft::{SampleDraft, set};
use super::recipe::{Detail, Recipe, SampleBody};
use super::verifier::Verifier;
use crate::content::request::Secret;

/// A POST request that the source accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Names are in lower case.
    pub headers: Vec<(String, String)>,
    /// The query without `?`; may be empty.
    pub query: String,
    pub body: String,
}

/// The options for a sample.
#[derive(Clone, Copy, Debug)]
pub struct SampleOptions<'a> {
    /// `None` for the event of the recipe's first sample.
    pub event: Option<&'a str>,
    pub now: OffsetDateTime,
    /// Makes the delivery id unique.
    pub nonce: &'a str,
    /// The URL as registered with the provider: some schemes sign it.
    pub url: &'a str,
}

/// The values of the placeholders in a sample's body.
struct SampleContent<'a> {
    event_type: &'a str,
    /// Empty if the event has no action.
    action: &'a str,
    id: String,
    now: OffsetDateTime,
}

impl Recipe {
    /// Whether the settings of a source can authenticate a sample; not if only the provider has the
    /// key.
    pub fn can_authenticate_samples(&self) -> bool {
        let proofs = &self.proofs;
        proofs.are_none()
            || proofs.confirm.is_some()
            || proofs.basic
            || !proofs.tokens.is_empty()
            || proofs.code.is_some_and(|code| code.signer().is_some())
            || !proofs.shared_key_settings().is_empty()
    }
}

impl Verifier {
    /// Returns a correctly signed request with a plausible payload. `None` if only the provider has
    /// the key, or if the source has not learned its secret yet.
    pub fn sample(&self, options: &SampleOptions<'_>) -> Option<Sample> {
        if !self.recipe.can_authenticate_samples() {
            return None;
        }
        let mut draft = self.unsigned_sample(options)?;
        let signed_at = self.sample_body(options.event)?.signed_at.as_ref();
        self.add_proofs(&mut draft, signed_at)?;
        Some(Sample { headers: draft.headers, query: draft.query, body: draft.body })
    }

    pub(super) fn unsigned_sample(&self, options: &SampleOptions<'_>) -> Option<SampleDraft> {
        let row = self.sample_body(options.event)?;
        let event = options.event.unwrap_or(&row.event);
        let (event_type, action) = match event.split_once('.') {
            Some((name, action)) if !self.recipe.event_action.is_empty() => (name, action),
            _ => (event, ""),
        };
        let content = SampleContent { event_type, action, id: row.id_with(options.nonce), now: options.now };
        let mut draft = SampleDraft {
            headers: vec![("content-type".to_owned(), row.content_type.clone())],
            query: String::new(),
            url: options.url.to_owned(),
            body: content.fill(&row.body, row.content_type.contains("json")),
            now: options.now,
            nonce: options.nonce.to_owned(),
            payload_field: self.recipe.form_payload.as_deref(),
        };
        if !row.query.is_empty() {
            draft.add_query(&content.fill(&row.query, false));
        }
        for (name, value) in &row.headers {
            draft.push_header(name, content.fill_plain(value));
        }
        self.describing_headers(&content, &mut draft);
        Some(draft)
    }

    /// Authenticates the sample; with `signed_at`, only by the signature at that place.
    pub(super) fn add_proofs(&self, draft: &mut SampleDraft, signed_at: Option<&Place>) -> Option<()> {
        let proofs = &self.proofs;
        if let Some(confirm_api) = &proofs.confirm_api {
            return draft.fill_empty(confirm_api.places());
        }
        if let Some(code) = &proofs.code {
            return code.sign(draft, &self.texts);
        }
        if !proofs.signatures.is_empty() {
            let is_wanted = |keyed: &&BoundSignature| signed_at.is_none_or(|place| keyed.scheme.at == *place);
            let mut signed = None;
            for keyed in proofs.signatures.iter().filter(is_wanted) {
                // A sender with one header for each of its keys sends all these headers.
                if signed.is_none() || matches!(keyed.scheme.at, Place::Headers(_)) {
                    signed = sign(keyed, draft, &self.texts).or(signed);
                }
            }
            return signed;
        }
        if !proofs.jwts.is_empty() {
            return proofs.jwts.iter().find_map(|(jwt, keys)| issue(jwt, keys, draft, &self.texts));
        }
        if let Some(bound) = proofs.tokens.first() {
            let token = std::str::from_utf8(bound.values.first()?.expose()).ok()?;
            return draft.put(bound.token.at(), &format!("{}{token}", bound.token.scheme().written()));
        }
        if proofs.basic.is_some() {
            let of = |name| self.settings.all(name).first().map_or(&b""[..], Secret::expose);
            draft.push_header("authorization", basic_authorization(of("username"), of("password")));
        }
        (!self.recipe.learns()).then_some(())
    }

    /// Returns the row for the event, otherwise one of the same type with another action, otherwise
    /// the first.
    fn sample_body(&self, event: Option<&str>) -> Option<&SampleBody> {
        let rows = &self.recipe.samples;
        let family = |event: &str| event.split('.').next().map(str::to_owned);
        let exact = rows.iter().find(|row| Some(row.event.as_str()) == event);
        let similar =
            || rows.iter().find(|row| event.is_some_and(|event| family(event) == family(&row.event)));
        exact.or_else(similar).or_else(|| rows.first())
    }

    fn describing_headers(&self, content: &SampleContent<'_>, draft: &mut SampleDraft) {
        let is_header =
            |detail: &Detail, name: &str| matches!(detail, Detail::Header(header) if header == name);
        // One of several places is enough, and the sample may already contain it.
        let mut push = |details: &[Detail], value: &str| match details.first() {
            Some(Detail::Header(name)) => {
                let has_one =
                    |(name, _): &(String, String)| details.iter().any(|detail| is_header(detail, name));
                if !draft.headers.iter().any(has_one) {
                    draft.push_header(name, value.to_owned());
                }
            }
            Some(Detail::Query(name)) if !has_field(&draft.query, name) => {
                let pair = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
                draft.add_query(&pair);
            }
            _ => {}
        };
        push(&self.recipe.event_type, content.event_type);
        if !content.action.is_empty() {
            push(&self.recipe.event_action, content.action);
        }
        for places in &self.recipe.delivery_id {
            push(places, &content.id);
        }
    }
}

fn has_field(query: &str, wanted: &str) -> bool {
    form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == wanted)
}

/// Builds a body with a value at each path of the recipe, for recipes without a sample.
pub(super) fn generated(event_type: &[String], delivery_id: &[String]) -> SampleBody {
    let mut body = Value::Object(Map::new());
    for (places, mark) in [(event_type, "$type"), (delivery_id, "$id")] {
        for path in places.iter().filter_map(|place| place.strip_prefix("json ")) {
            set(&mut body, path, mark);
        }
    }
    SampleBody {
        event: "sample".to_owned(),
        is_generated: true,
        id: "$nonce".to_owned(),
        body: body.to_string(),
        content_type: "application/json".to_owned(),
        query: String::new(),
        headers: Vec::new(),
        signed_at: None,
    }
}

impl SampleContent<'_> {
    /// Fills the template of a body or query. In JSON, placeholders occur only inside strings.
    fn fill(&self, template: &str, is_json: bool) -> String {
        self.fill_with(template, |value| match is_json {
            true => {
                let quoted = Value::from(value).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            false => form_urlencoded::byte_serialize(value.as_bytes()).collect(),
        })
    }

    /// Fills a template of a header's value.
    fn fill_plain(&self, template: &str) -> String {
        self.fill_with(template, str::to_owned)
    }

    fn fill_with(&self, template: &str, write: impl Fn(&str) -> String) -> String {
        let date = self.now.format(&Rfc3339).unwrap_or_default();
        let seconds = self.now.unix_timestamp();
        let plain = template
            .replace("$time_ms", &(seconds * 1_000).to_string())
            .replace("$time", &seconds.to_string());
        let values =
            [("$type", self.event_type), ("$action", self.action), ("$id", &self.id), ("$date", &date)];
        values.iter().fold(plain, |text, (name, value)| text.replace(name, &write(value)))
    }
}

/// Signs the sample; `None` if the scheme is off or only the provider can sign.
fn sign(keyed: &BoundSignature, draft: &mut SampleDraft, texts: &Texts) -> Option<()> {
    let scheme = keyed.scheme;
    let SignatureKeys::Secrets(secrets) = &keyed.keys else { return None };
    let secret = secrets.first()?;
    for condition in &scheme.require {
        draft.satisfy(condition, texts)?;
    }
    draft.fill_empty(scheme.template.places())?;
    let timestamp = match &scheme.timestamp {
        None => None,
        Some(timestamp) => Some(match &timestamp.at {
            TimestampPlace::Layout(_) => timestamp.unit.write(draft.now),
            TimestampPlace::Request(place) if place.is_in_body() => {
                let found =
                    draft.with_request(|view| place.find(view).ok().flatten().map(|text| text.into_owned()));
                String::from_utf8(found?).ok()?
            }
            TimestampPlace::Request(place) => {
                let text = timestamp.unit.write(draft.now);
                draft.put(place, &text)?;
                text
            }
        }),
    };
    let stamp = timestamp.as_deref().unwrap_or_default();
    let is_stamp = |name: &str| {
        let at = scheme.timestamp.as_ref().map(|timestamp| &timestamp.at);
        at == Some(&TimestampPlace::Layout(name.to_owned()))
    };
    let part =
        |name: &str| if is_stamp(name) { stamp.to_owned() } else { scheme.template.sample_of_layout(name) };
    // The signed text can contain named parts of the layout, so they are read from a value that has
    // every part but the signature.
    let unsigned = scheme.layout.compose("", part);
    let tag = draft.with_request(|view| {
        let scope = TemplateScope {
            timestamp: timestamp.as_ref().map(String::as_bytes),
            layout: Some((&scheme.layout, unsigned.as_bytes())),
            ..TemplateScope::new(view, texts)
        };
        secret.sign(&scheme.template, &scope).ok()
    })?;
    let value = scheme.layout.compose(&scheme.encoding.encode(tag.as_ref()), part);
    draft.put(&keyed.place(), &value)
}

/// Adds a JSON Web Token with the required claims.
fn issue(jwt: &Jwt, keys: &JwtKeys, draft: &mut SampleDraft, texts: &Texts) -> Option<()> {
    let JwtKeys::Secrets(secrets) = keys else { return None };
    let now = draft.now.unix_timestamp();
    let mut claims = Map::new();
    for (name, time) in [("iat", now), ("nbf", now), ("exp", now + 300)] {
        claims.insert(name.to_owned(), time.into());
    }
    claims.insert("jti".to_owned(), draft.nonce.as_str().into());
    if let Some(issued) = &jwt.issued {
        claims.insert(issued.clone(), now.into());
    }
    for claim in &jwt.claims {
        let value = match &claim.must {
            ClaimCheck::True => Value::Bool(true),
            ClaimCheck::OneOf(texts) => texts.first()?.as_str().into(),
            ClaimCheck::Equal(template) => {
                let text =
                    draft.with_request(|view| template.render(&TemplateScope::new(view, texts)).ok())?;
                String::from_utf8(text).ok()?.into()
            }
        };
        claims.insert(claim.name.clone(), value);
    }
    let token = jwt::compose(*jwt.algorithms.first()?, secrets.first()?, &Value::Object(claims))?;
    draft.put(&jwt.at, &format!("{}{token}", jwt.scheme.written()))
}
