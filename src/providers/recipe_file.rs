//! Reading a recipe from its file. Strict: what is not understood is refused with the name of the field.

use std::time::Duration;

use serde::Deserialize;

use crate::verify::encoding::{Encoding, KeyEncoding};
use crate::verify::freshness::{TimestampPlace, TimestampUnit};
use crate::verify::json::{self, Paths};
use crate::verify::key::Algorithm;
use crate::verify::layout::Layout;
use crate::verify::signature::{Scheme, Timestamp};
use crate::verify::template::Template;

use super::Cause;
use super::recipe::{KeySource, Place, Proof, Recipe, SampleBody, Signature};
use super::reply::{AcceptedReply, RefusedReply, Reply};
use super::settings::Key;

/// Why a recipe cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("recipe `{recipe}`: {field}: {problem}")]
pub struct RecipeError {
    pub recipe: String,
    pub field: String,
    pub problem: String,
}

/// A problem in one field, before the recipe's name is known.
struct Problem(String, String);

fn problem(field: &str, problem: impl Into<String>) -> Problem {
    Problem(field.to_owned(), problem.into())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    #[serde(default)]
    docs: String,
    event_type: Option<PlaceField>,
    event_action: Option<PlaceField>,
    delivery_id: Option<PlaceField>,
    form_payload: Option<String>,
    #[serde(default)]
    key: Vec<KeyTable>,
    token: Option<TokenTable>,
    #[serde(default)]
    signature: Vec<SignatureTable>,
    timestamp: Option<TimestampTable>,
    accepted: Vec<AcceptedTable>,
    refused: Vec<RefusedTable>,
    #[serde(default)]
    sample: Vec<SampleTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum PlaceField {
    Header(String),
    Json(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyTable {
    name: String,
    kind: KeyKind,
    #[serde(default)]
    required: bool,
    doc: String,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum KeyKind {
    Secret,
    Text,
    Switch,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenTable {
    header: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureTable {
    header: String,
    layout: Layout,
    encoding: Encoding,
    algorithm: Algorithm,
    key: KeyField,
    text: String,
    enabled_by: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyField {
    setting: String,
    encoding: KeyEncoding,
    prefix: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimestampTable {
    at: TimestampField,
    unit: TimestampUnit,
    tolerance_seconds: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum TimestampField {
    Header(String),
    Pair(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AcceptedTable {
    event: Option<String>,
    status: u16,
    text: Option<String>,
    json: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusedTable {
    causes: Option<Vec<Cause>>,
    status: u16,
    text: Option<String>,
    json: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SampleTable {
    event: String,
    #[serde(default = "nonce_alone")]
    id: String,
    body: String,
}

fn nonce_alone() -> String {
    "$nonce".to_owned()
}

impl Recipe {
    /// # Errors
    /// The first thing that is wrong, with the field's name.
    pub fn parse(name: &str, text: &str) -> Result<Self, RecipeError> {
        let file: File = toml::from_str(text).map_err(|error| RecipeError {
            recipe: name.to_owned(),
            field: "file".to_owned(),
            problem: error.to_string(),
        })?;
        file.into_recipe(name).map_err(|Problem(field, problem)| RecipeError {
            recipe: name.to_owned(),
            field,
            problem,
        })
    }
}

impl File {
    fn into_recipe(self, name: &str) -> Result<Recipe, Problem> {
        let mut paths = Paths::default();
        let event_type = self.event_type.map(|field| place("event_type", field, &mut paths)).transpose()?;
        let event_action =
            self.event_action.map(|field| place("event_action", field, &mut paths)).transpose()?;
        let delivery_id =
            self.delivery_id.map(|field| place("delivery_id", field, &mut paths)).transpose()?;
        let tolerance = self.timestamp.as_ref().map(|table| Duration::from_secs(table.tolerance_seconds));
        Ok(Recipe {
            name: name.to_owned(),
            title: self.title,
            docs: self.docs,
            proof: proof(self.token, self.signature, self.timestamp.as_ref(), &self.key)?,
            keys: self.key.into_iter().map(Key::from).collect(),
            tolerance,
            paths,
            event_type,
            event_action,
            delivery_id,
            form_payload: self.form_payload,
            accepted: accepted(self.accepted)?,
            refused: refused(self.refused)?,
            samples: self
                .sample
                .into_iter()
                .map(|SampleTable { event, id, body }| SampleBody { event, id, body })
                .collect(),
        })
    }
}

impl From<KeyTable> for Key {
    fn from(table: KeyTable) -> Self {
        Self {
            name: table.name,
            required: table.required,
            secret: table.kind == KeyKind::Secret,
            doc: table.doc,
        }
    }
}

fn place(name: &str, field: PlaceField, paths: &mut Paths) -> Result<Place, Problem> {
    Ok(match field {
        PlaceField::Header(header) => Place::Header(header.to_ascii_lowercase()),
        PlaceField::Json(path) => Place::Json(paths.add(&path).map_err(|error| problem(name, error))?),
    })
}

fn proof(
    token: Option<TokenTable>,
    signatures: Vec<SignatureTable>,
    timestamp: Option<&TimestampTable>,
    keys: &[KeyTable],
) -> Result<Proof, Problem> {
    if timestamp.is_some() && signatures.is_empty() {
        return Err(problem("timestamp", "proves nothing without a signature"));
    }
    match (token, signatures.is_empty()) {
        (None, true) => Ok(Proof::Nothing),
        (Some(_), false) => Err(problem("token", "stands beside `signature`; a recipe has one of them")),
        (Some(token), true) => {
            declared("token", "secret", KeyKind::Secret, keys)?;
            declared("token", "header", KeyKind::Text, keys)?;
            Ok(Proof::Token { header: token.header })
        }
        (None, false) => {
            let signature = |table| signature(table, timestamp, keys);
            Ok(Proof::Signatures(signatures.into_iter().map(signature).collect::<Result<_, _>>()?))
        }
    }
}

fn signature(
    table: SignatureTable,
    timestamp: Option<&TimestampTable>,
    keys: &[KeyTable],
) -> Result<Signature, Problem> {
    let template = Template::parse(&table.text).map_err(|error| problem("signature.text", error))?;
    // A timestamp that is not signed can be renewed by anybody who resends an old message.
    if template.has_timestamp() != timestamp.is_some() {
        return Err(problem("signature.text", "`{ts}` and `[timestamp]` need each other"));
    }
    if matches!(timestamp, Some(TimestampTable { at: TimestampField::Pair(_), .. }))
        && !matches!(table.layout, Layout::Pairs(_))
    {
        return Err(problem("timestamp.at", "is a pair, but the signature's layout has no pairs"));
    }
    declared("signature.key.setting", &table.key.setting, KeyKind::Secret, keys)?;
    if let Some(switch) = &table.enabled_by {
        declared("signature.enabled_by", switch, KeyKind::Switch, keys)?;
    }
    Ok(Signature {
        scheme: Scheme {
            header: table.header.to_ascii_lowercase(),
            layout: table.layout,
            encoding: table.encoding,
            algorithm: table.algorithm,
            template,
            timestamp: timestamp.map(Timestamp::from),
        },
        key: KeySource { setting: table.key.setting, encoding: table.key.encoding, prefix: table.key.prefix },
        enabled_by: table.enabled_by,
    })
}

impl From<&TimestampTable> for Timestamp {
    fn from(table: &TimestampTable) -> Self {
        let place = match &table.at {
            TimestampField::Header(name) => TimestampPlace::Header(name.to_ascii_lowercase()),
            TimestampField::Pair(key) => TimestampPlace::Pair(key.clone()),
        };
        Self { place, unit: table.unit }
    }
}

fn declared(field: &str, name: &str, kind: KeyKind, keys: &[KeyTable]) -> Result<(), Problem> {
    if keys.iter().any(|key| key.name == name && key.kind == kind) {
        Ok(())
    } else {
        let kind = match kind {
            KeyKind::Secret => "secret",
            KeyKind::Text => "text",
            KeyKind::Switch => "switch",
        };
        Err(problem(field, format!("needs a `[[key]]` named `{name}` of kind `{kind}`")))
    }
}

fn accepted(tables: Vec<AcceptedTable>) -> Result<Vec<AcceptedReply>, Problem> {
    if tables.last().is_none_or(|last| last.event.is_some()) {
        return Err(problem("accepted", "must end with a row without `event`, for all others"));
    }
    let row = |table: AcceptedTable| {
        let reply = reply("accepted", 200..=299, table.status, table.text, table.json)?;
        Ok(AcceptedReply { event: table.event, reply })
    };
    tables.into_iter().map(row).collect()
}

fn refused(tables: Vec<RefusedTable>) -> Result<Vec<RefusedReply>, Problem> {
    if tables.last().is_none_or(|last| last.causes.is_some()) {
        return Err(problem("refused", "must end with a row without `causes`, for all others"));
    }
    let row = |table: RefusedTable| {
        let reply = reply("refused", 400..=599, table.status, table.text, table.json)?;
        Ok(RefusedReply { causes: table.causes, reply })
    };
    tables.into_iter().map(row).collect()
}

fn reply(
    field: &str,
    statuses: std::ops::RangeInclusive<u16>,
    status: u16,
    text: Option<String>,
    json: Option<String>,
) -> Result<Reply, Problem> {
    if !statuses.contains(&status) {
        return Err(problem(
            &format!("{field}.status"),
            format!("{status} is not between {} and {}", statuses.start(), statuses.end()),
        ));
    }
    match (text, json) {
        (Some(_), Some(_)) => Err(problem(field, "has both `text` and `json`")),
        (Some(_), None) | (None, Some(_)) if status == 204 => Err(problem(field, "204 carries no body")),
        (Some(text), None) => Ok(Reply::text(status, text)),
        (None, Some(json)) if json::accepts(json.as_bytes()) => Ok(Reply::json(status, json)),
        (None, Some(_)) => Err(problem(&format!("{field}.json"), "is not JSON")),
        (None, None) => Ok(Reply::empty(status)),
    }
}
