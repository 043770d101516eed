//! The fields of a recipe's file.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::content::request::Cause;
use crate::scheme::encoding::{Encoding, KeyEncoding};
use crate::scheme::freshness::TimestampUnit;
use crate::scheme::jwt::{Expires, JwtAlgorithm};
use crate::scheme::key::{Algorithm, Derivation, KeyHash, Normalization};

use super::super::recipe::{Coverage, ProviderGroup};
use super::super::settings::{SettingKind, SettingSpec};

/// The tolerance if the provider does not document one.
pub const DEFAULT_TOLERANCE_SECONDS: u64 = 300;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecipeFile {
    pub title: String,
    pub group: Option<ProviderGroup>,
    pub docs: String,
    pub source: String,
    #[serde(rename = "where")]
    pub registered_at: Option<String>,
    pub answer_within: Option<String>,
    pub retries: Option<String>,
    pub addresses: Option<String>,
    pub rotation: Option<String>,
    pub traps: Vec<String>,
    pub unconfirmed: Vec<String>,
    pub event_type: Option<OneOrMany>,
    pub event_action: Option<OneOrMany>,
    pub delivery_id: Option<OneOrMany>,
    pub events: Vec<String>,
    pub events_without_action: Vec<String>,
    pub actions: BTreeMap<String, Vec<String>>,
    pub methods: Vec<String>,
    pub form_payload: Option<String>,
    pub query_payload: Option<String>,
    pub multipart: bool,
    pub cloudevents: bool,
    pub body_coverage: Option<Coverage>,
    pub requires: Vec<String>,
    pub code: Option<String>,
    /// Tolerance of a recipe without `[timestamp]`.
    pub tolerance_seconds: Option<u64>,
    pub key: Vec<KeyTable>,
    pub token: Vec<TokenTable>,
    pub basic: Option<BasicTable>,
    pub signature: Vec<SignatureTable>,
    pub jwt: Vec<JwtTable>,
    pub confirm: Option<ConfirmTable>,
    pub timestamp: Option<TimestampTable>,
    pub handshake: Vec<HandshakeTable>,
    pub fetch: Option<FetchTable>,
    pub accepted: Vec<AcceptedTable>,
    pub refused: Vec<RejectedTable>,
    pub sample: Vec<SampleTable>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub fn to_vec(&self) -> Vec<String> {
        match self {
            Self::One(text) => vec![text.clone()],
            Self::Many(texts) => texts.clone(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyTable {
    pub name: String,
    pub kind: KeyKind,
    #[serde(default)]
    pub required: bool,
    pub default: Option<String>,
    #[serde(default)]
    pub begins_with: Vec<String>,
    #[serde(default)]
    pub rotates: bool,
    pub doc: String,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    Secret,
    Text,
    Switch,
    List,
}

impl From<&KeyTable> for SettingSpec {
    fn from(table: &KeyTable) -> Self {
        Self {
            name: table.name.clone(),
            required: table.required,
            secret: table.kind == KeyKind::Secret,
            kind: match table.kind {
                KeyKind::Secret => SettingKind::Secret,
                KeyKind::Text => SettingKind::Text,
                KeyKind::Switch => SettingKind::Switch,
                KeyKind::List => SettingKind::List,
            },
            default: table.default.clone(),
            begins_with: table.begins_with.clone(),
            rotates: table.rotates || table.name == "secret",
            doc: table.doc.clone(),
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenTable {
    pub at: String,
    #[serde(default)]
    pub scheme: String,
    #[serde(default = "secret")]
    pub key: String,
    #[serde(default)]
    pub optional: bool,
}

fn secret() -> String {
    "secret".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BasicTable {}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignatureTable {
    pub at: String,
    #[serde(default = "whole")]
    pub layout: String,
    pub encoding: Encoding,
    pub algorithm: Algorithm,
    pub key: KeyField,
    pub text: String,
    pub timestamp: Option<OwnTimestamp>,
    #[serde(default)]
    pub require: Vec<String>,
    #[serde(default)]
    pub repeats: bool,
    pub enabled_by: Option<String>,
    pub without: Option<String>,
}

/// The timestamp of a signature, if it differs from the recipe's.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum OwnTimestamp {
    /// `false`: this signature has no timestamp although the recipe has one.
    None(bool),
    Elsewhere(TimestampTable),
}

pub fn whole() -> String {
    "{signature}".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum KeyField {
    Setting(String),
    Table(Box<KeySourceTable>),
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeySourceTable {
    pub setting: Option<String>,
    pub encoding: KeyEncoding,
    pub prefix: Vec<String>,
    pub after: Option<String>,
    pub suffix: Option<String>,
    pub normalize: Option<Normalization>,
    pub hash: Option<KeyHash>,
    pub prepend_timestamp: bool,
    pub by_id: Option<String>,
    pub key_set: bool,
    pub certificate_url: Option<String>,
    pub hosts: Vec<String>,
}

impl KeySourceTable {
    pub fn derivation(&self) -> Derivation {
        Derivation {
            prefix: self.prefix.clone(),
            after: self.after.clone(),
            encoding: self.encoding,
            normalize: self.normalize,
            hash: self.hash,
            suffix: self.suffix.clone(),
            prepend_timestamp: self.prepend_timestamp,
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimestampTable {
    pub at: String,
    #[serde(default = "seconds")]
    pub unit: TimestampUnit,
    #[serde(default = "default_tolerance")]
    pub tolerance_seconds: u64,
}

const fn seconds() -> TimestampUnit {
    TimestampUnit::Seconds
}

const fn default_tolerance() -> u64 {
    DEFAULT_TOLERANCE_SECONDS
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JwtTable {
    pub at: String,
    #[serde(default)]
    pub scheme: String,
    #[serde(default)]
    pub scheme_optional: bool,
    pub algorithms: Vec<JwtAlgorithm>,
    pub key: KeyField,
    #[serde(default)]
    pub expires: Expires,
    pub issued: Option<String>,
    #[serde(default)]
    pub leeway_seconds: u64,
    #[serde(default)]
    pub claim: Vec<ClaimTable>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClaimTable {
    pub name: String,
    pub equals: Option<String>,
    pub one_of: Option<Vec<String>>,
    #[serde(default)]
    pub is_true: bool,
    #[serde(default)]
    pub unless_empty_body: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfirmTable {
    #[serde(default = "get")]
    pub method: String,
    pub url: String,
    pub shape_of: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub body: Option<String>,
    pub expect: Option<String>,
    pub unknown: Option<Vec<String>>,
    pub login: Option<Box<FetchTable>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandshakeTable {
    #[serde(default = "post")]
    pub method: String,
    #[serde(default)]
    pub when: Vec<String>,
    #[serde(default)]
    pub check: Vec<String>,
    pub refuse_status: Option<u16>,
    #[serde(default)]
    pub signed: bool,
    pub answer: Option<AnswerTable>,
    pub challenge: Option<String>,
    pub challenge_hex_digits: Option<(usize, usize)>,
    pub reply: HandshakeReplyTable,
    pub learn: Option<String>,
    pub visit: Option<String>,
    #[serde(default)]
    pub visit_hosts: Vec<String>,
}

fn post() -> String {
    "POST".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerTable {
    pub algorithm: Algorithm,
    pub encoding: Encoding,
    pub key: Option<KeyField>,
    pub text: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HandshakeReplyTable {
    pub status: u16,
    pub text: Option<String>,
    pub json: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FetchTable {
    pub url: String,
    #[serde(default = "get")]
    pub method: String,
    pub body: Option<String>,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub take: Option<String>,
    pub expires: Option<String>,
    pub login: Option<Box<FetchTable>>,
}

fn get() -> String {
    "GET".to_owned()
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcceptedTable {
    pub event: Option<String>,
    pub status: u16,
    pub text: Option<String>,
    pub json: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RejectedTable {
    pub causes: Option<Vec<Cause>>,
    pub status: u16,
    pub text: Option<String>,
    pub json: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleTable {
    pub event: String,
    #[serde(default = "nonce_alone")]
    pub id: String,
    pub body: String,
    #[serde(default = "json_type")]
    pub content_type: String,
    #[serde(default)]
    pub query: String,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub signed_at: Option<String>,
}

fn nonce_alone() -> String {
    "$nonce".to_owned()
}

fn json_type() -> String {
    "application/json".to_owned()
}
