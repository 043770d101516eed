//! Sample requests, signed as the provider signs: for trying a source without the provider.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::verify::freshness::TimestampPlace;
use crate::verify::signature::Keyed;

use super::recipe::{Place, SampleBody};
use super::verifier::{BoundProof, Verifier};
use super::{Headers, Request};

/// A POST request that the source accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Names are in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// What a sample is made of.
struct Content<'a> {
    event_type: &'a str,
    /// Empty where the event has none.
    action: &'a str,
    id: String,
    now: OffsetDateTime,
}

impl Verifier {
    /// A correctly signed request with a plausible payload; without an event, the provider's commonest one.
    /// `nonce` makes the delivery id unlike others. `None` where the source has only a public key, or the recipe no sample.
    pub fn sample(&self, event: Option<&str>, now: OffsetDateTime, nonce: &str) -> Option<Sample> {
        let row = self.sample_body(event)?;
        let event = event.unwrap_or(&row.event);
        let (event_type, action) = match (&self.recipe.event_action, event.split_once('.')) {
            (Some(_), Some((name, action))) => (name, action),
            _ => (event, ""),
        };
        let content = Content { event_type, action, id: row.id.replace("$nonce", nonce), now };
        let body = content.fill(&row.body);
        let mut headers = vec![("content-type".to_owned(), "application/json".to_owned())];
        self.describing_headers(&content, &mut headers);
        match &self.proof {
            BoundProof::Nothing => {}
            BoundProof::Token { token, tokens, .. } => {
                headers.push((
                    token.header().to_owned(),
                    String::from_utf8(tokens.first()?.expose().to_vec()).ok()?,
                ));
            }
            BoundProof::Signatures(schemes) => {
                schemes
                    .iter()
                    .find_map(|keyed| sign(keyed, &content, &body, &headers))
                    .map(|signed| headers.extend(signed))?;
            }
        }
        Some(Sample { headers, body })
    }

    /// The row for the event, else one of the same type with another action, else the first.
    fn sample_body(&self, event: Option<&str>) -> Option<&SampleBody> {
        let rows = &self.recipe.samples;
        let family = |event: &str| event.split('.').next().map(str::to_owned);
        let exact = rows.iter().find(|row| Some(row.event.as_str()) == event);
        let similar =
            || rows.iter().find(|row| event.is_some_and(|event| family(event) == family(&row.event)));
        exact.or_else(similar).or_else(|| rows.first())
    }

    fn describing_headers(&self, content: &Content<'_>, headers: &mut Vec<(String, String)>) {
        let mut push = |place: &Option<Place>, value: &str| {
            if let Some(Place::Header(name)) = place {
                headers.push((name.clone(), value.to_owned()));
            }
        };
        push(&self.recipe.event_type, content.event_type);
        push(&self.recipe.delivery_id, &content.id);
    }
}

impl Content<'_> {
    /// Fills a template of a JSON body; values stand inside its strings.
    fn fill(&self, template: &str) -> String {
        let date = self.now.format(&Rfc3339).unwrap_or_default();
        [("$type", self.event_type), ("$action", self.action), ("$id", &self.id), ("$date", &date)]
            .iter()
            .fold(template.replace("$time", &self.now.unix_timestamp().to_string()), |body, (name, value)| {
                body.replace(name, &escaped(value))
            })
    }
}

/// A text as it stands between the quotes of a JSON string.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// The headers that prove the sender; `None` where the scheme is off or cannot sign.
fn sign(
    keyed: &Keyed,
    content: &Content<'_>,
    body: &str,
    headers: &[(String, String)],
) -> Option<Vec<(String, String)>> {
    let scheme = keyed.scheme;
    let fields: Vec<(&str, &[u8])> =
        headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let request = Request {
        method: "POST",
        target: "",
        query: "",
        headers: Headers(&fields),
        body: body.as_bytes(),
        now: content.now,
    };
    let timestamp =
        scheme.timestamp.as_ref().map(|timestamp| (timestamp, timestamp.unit.of(content.now).to_string()));
    let sent = timestamp.as_ref().map(|(_, text)| text.as_bytes());
    let tag = keyed.keys.first()?.sign(&scheme.template, &request, sent).ok()??;
    let mut pairs = Vec::new();
    let mut proof = Vec::new();
    if let Some((timestamp, text)) = &timestamp {
        match &timestamp.place {
            TimestampPlace::Header(name) => proof.push((name.clone(), text.clone())),
            TimestampPlace::Pair(key) => pairs.push((key.as_str(), text.as_str())),
        }
    }
    proof.push((scheme.header.clone(), scheme.layout.compose(&scheme.encoding.encode(tag.as_ref()), &pairs)));
    Some(proof)
}
