//! A provider's rules, validated: what is in here cannot be wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::verify::auth_scheme::AuthScheme;
use crate::verify::condition::Condition;
use crate::verify::encoding::Encoding;
use crate::verify::json::{Paths, Slot};
use crate::verify::jwt::Jwt;
use crate::verify::key::{Algorithm, Derivation};
use crate::verify::place::Place;
use crate::verify::signature::Scheme;
use crate::verify::template::Template;

use super::challenge::ChallengeShape;
use super::cloud_event::EventSlots;
use super::code::Code;
use super::confirm::ConfirmRule;
use super::fetch::FetchRule;
use super::reply::{AcceptedReply, RefusedReply};
use super::settings::Key;

/// A provider's rules, as data. `Debug` shows the name alone: all the rest is the recipe's file.
pub struct Recipe {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) group: Group,
    pub(super) facts: Facts,
    pub(super) keys: Vec<Key>,
    pub(super) proofs: Proofs,
    /// How far a signed timestamp may be from our clock; `None` where nothing signs one.
    pub(super) tolerance: Option<Duration>,
    /// All paths that are wanted from a JSON body.
    pub(super) paths: Paths,
    /// The first that is there counts.
    pub(super) event_type: Vec<Detail>,
    pub(super) event_action: Vec<Detail>,
    /// All types that `event_type` can have; `*` stands for any characters. Empty where they are not known.
    pub(super) events: Vec<String>,
    /// Those of `events` that never have an action; empty where that is not known.
    pub(super) events_without_action: Vec<String>,
    /// Actions of some of `events`, against which others are compared for misspellings.
    pub(super) actions: BTreeMap<String, Vec<String>>,
    /// Joined with colons; all of them must be there, each in the first of its places.
    pub(super) delivery_id: Vec<Vec<Detail>>,
    /// Methods of its messages, in upper case.
    pub(super) methods: Vec<String>,
    /// The form field that holds the payload as JSON, where a form has no other.
    pub(super) form_payload: Option<String>,
    /// The query field that holds the payload of a GET as JSON.
    pub(super) query_payload: Option<String>,
    /// Whether the fields of a multipart body are read like those of any form, and files as objects without content.
    pub(super) multipart: bool,
    /// Where a CloudEvent has its attributes; `None` where the sender sends none.
    pub(super) cloud_event: Option<EventSlots>,
    /// Of the weakest proof.
    pub(super) coverage: Coverage,
    /// Where nothing but signatures is taken.
    pub(super) signed_coverage: Coverage,
    /// Settings of which one must be there, for the documentation.
    pub(super) requires: Vec<String>,
    pub(super) handshakes: Vec<HandshakeRule>,
    pub(super) fetch: Option<FetchRule>,
    /// Ends with a row for all events.
    pub(super) accepted: Vec<AcceptedReply>,
    /// Ends with a row for all causes.
    pub(super) refused: Vec<RefusedReply>,
    pub(super) samples: Vec<SampleBody>,
}

/// What kind of service a provider is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    Generic,
    Code,
    Payments,
    Commerce,
    Messaging,
    Content,
    Identity,
}

/// What a person should know; nothing here decides anything.
#[derive(Debug, Default)]
pub struct Facts {
    /// The provider's own page; empty where none is known.
    pub docs: String,
    /// Where the facts come from.
    pub source: String,
    /// Where the URL is registered.
    pub registered_at: Option<String>,
    pub answer_within: Option<String>,
    pub retries: Option<String>,
    pub addresses: Option<String>,
    pub rotation: Option<String>,
    pub traps: Vec<String>,
    /// Fields of the recipe that no source confirms.
    pub unconfirmed: Vec<String>,
    /// Places as the recipe writes them.
    pub event_type: Vec<String>,
    pub event_action: Vec<String>,
    pub delivery_id: Vec<String>,
    /// What is signed, or shared, in words.
    pub schemes: Vec<String>,
    /// Which requests are answered instead of kept, in words.
    pub handshakes: Vec<String>,
}

impl Facts {
    pub fn is_unconfirmed(&self, field: &str) -> bool {
        self.unconfirmed.iter().any(|unconfirmed| unconfirmed == field)
    }
}

/// How much of the body the proof covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coverage {
    Full,
    Partial,
    None,
}

/// What may prove the sender. Of several kinds any one that is configured is enough.
#[derive(Debug, Default)]
pub(super) struct Proofs {
    pub tokens: Vec<TokenRule>,
    pub basic: bool,
    /// In order of preference.
    pub signatures: Vec<Signature>,
    pub jwts: Vec<JwtRule>,
    pub code: Option<Code>,
    pub confirm: Option<ConfirmRule>,
}

/// A shared token.
#[derive(Debug)]
pub(super) struct TokenRule {
    pub at: NamedPlace,
    pub scheme: AuthScheme,
    /// The setting that holds it.
    pub key: String,
    pub optional: bool,
}

/// A place, or a header that a setting names.
#[derive(Clone, Debug)]
pub(super) enum NamedPlace {
    Place(Place),
    HeaderOf { setting: String },
}

/// A signature scheme and where its key comes from.
#[derive(Debug)]
pub(super) struct Signature {
    pub scheme: Scheme,
    pub key: KeySource,
    /// The switch that allows a scheme which is off by default.
    pub enabled_by: Option<String>,
}

#[derive(Debug)]
pub(super) enum KeySource {
    Setting { setting: String, derivation: Derivation },
    ById(NamedPlace),
    AnyPublished,
    Certificate { url: Place, hosts: Vec<String> },
}

impl KeySource {
    pub fn setting(&self) -> Option<&str> {
        match self {
            Self::Setting { setting, .. } => Some(setting),
            _ => None,
        }
    }

    /// Whether keys of the provider are looked up by id or taken from its set.
    pub const fn is_published(&self) -> bool {
        matches!(self, Self::ById(_) | Self::AnyPublished)
    }
}

#[derive(Debug)]
pub(super) struct JwtRule {
    pub jwt: Jwt,
    pub key: KeySource,
}

/// A request that is no message and wants an answer.
#[derive(Debug)]
pub(super) struct HandshakeRule {
    pub method: String,
    pub when: Vec<Condition>,
    pub check: Vec<Condition>,
    /// Answered only after the signature.
    pub signed: bool,
    pub answer: Option<AnswerRule>,
    /// What we sign for the sender: only what cannot be a webhook's body.
    pub challenge: Option<Place>,
    pub challenge_shape: ChallengeShape,
    pub reply: HandshakeReply,
    pub learn: Option<Place>,
    pub visit: Option<Place>,
    pub visit_hosts: Vec<String>,
}

impl HandshakeRule {
    pub fn is_known_by_body(&self) -> bool {
        self.when.iter().any(|condition| condition.place().is_in_body())
    }

    /// Whether whoever asks is given a signature with a key of the source.
    pub fn signs_for_strangers(&self) -> bool {
        !self.signed && self.answer.as_ref().is_some_and(|answer| answer.key.is_some())
    }
}

#[derive(Debug)]
pub(super) struct AnswerRule {
    pub algorithm: Algorithm,
    pub encoding: Encoding,
    pub text: Template,
    pub key: Option<(String, Derivation)>,
}

#[derive(Debug)]
pub(super) struct HandshakeReply {
    pub status: u16,
    pub body: HandshakeBody,
    pub headers: Vec<(String, Template)>,
}

#[derive(Debug)]
pub(super) enum HandshakeBody {
    Empty,
    Text(Template),
    Json(Template),
}

/// Where a detail of a message is.
#[derive(Debug)]
pub(super) enum Detail {
    /// In lower case.
    Header(String),
    Query(String),
    /// In the JSON body, or the form as JSON.
    Json(Slot),
}

/// The body of a sample request for one event.
#[derive(Debug)]
pub(super) struct SampleBody {
    pub event: String,
    /// The recipe has no sample, so the event is none of the provider's.
    pub is_invented: bool,
    pub id: String,
    pub body: String,
    pub content_type: String,
    pub query: String,
    /// Names and templates of values, as in the body.
    pub headers: Vec<(String, String)>,
    /// Where this one is signed; the first signature that can be made where nothing is said.
    pub signed_at: Option<Place>,
}

impl std::fmt::Debug for Recipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Recipe").field(&self.name).finish()
    }
}

impl SampleBody {
    /// The delivery id, unlike that of samples with another nonce. `$uuid` becomes a UUID.
    pub fn id_with(&self, nonce: &str) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, nonce.as_bytes());
        let hex = Encoding::Hex.encode(digest.as_ref());
        let uuid =
            format!("{}-{}-7{}-8{}-{}", &hex[..8], &hex[8..12], &hex[12..15], &hex[15..18], &hex[18..30]);
        self.id.replace("$nonce", nonce).replace("$uuid", &uuid)
    }
}

impl Recipe {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn title(&self) -> &str {
        &self.title
    }

    pub const fn group(&self) -> Group {
        self.group
    }

    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    pub const fn tolerance(&self) -> Option<Duration> {
        self.tolerance
    }

    pub const fn coverage(&self) -> Coverage {
        self.coverage
    }

    pub fn requires(&self) -> &[String] {
        &self.requires
    }

    /// Whether a handshake teaches the secret.
    pub fn learns(&self) -> bool {
        self.handshakes.iter().any(|rule| rule.learn.is_some())
    }

    /// Whether the provider's API must be asked.
    pub const fn asks_provider(&self) -> bool {
        self.proofs.confirm.is_some()
    }

    /// Methods of its messages, in upper case.
    pub fn methods(&self) -> &[String] {
        &self.methods
    }

    /// Methods of its handshakes.
    pub fn handshake_methods(&self) -> impl Iterator<Item = &str> {
        self.handshakes.iter().map(|rule| rule.method.as_str())
    }

    /// Whether it has signatures over the body next to proofs that do not cover it.
    pub(super) fn signs_body_sometimes(&self) -> bool {
        let signatures = &self.proofs.signatures;
        let covers_all = signatures.iter().all(|signature| signature.scheme.template.has_body());
        self.coverage == Coverage::None && !signatures.is_empty() && covers_all
    }

    /// Whether the URL as registered is part of what is signed.
    pub fn signs_url(&self) -> bool {
        self.proofs.signs_url()
    }

    /// Whether a handshake has something signed that nobody has proven to have asked for.
    pub(super) fn signs_for_strangers(&self) -> bool {
        self.handshakes.iter().any(HandshakeRule::signs_for_strangers)
    }

    /// The settings that hold keys of signatures.
    pub(super) fn signing_settings(&self) -> Vec<&str> {
        self.proofs.signing_settings()
    }

    /// Whether some scheme uses keys that the provider publishes.
    pub(super) fn uses_published_keys(&self) -> bool {
        self.proofs.signatures.iter().any(|signature| signature.key.is_published())
            || self.proofs.jwts.iter().any(|rule| rule.key.is_published())
            || self.proofs.code.is_some_and(Code::uses_published_keys)
    }
}

impl Proofs {
    /// The settings that hold keys of signatures, JWTs and code.
    fn signing_settings(&self) -> Vec<&str> {
        let of_signatures = self.signatures.iter().map(|rule| &rule.key);
        let keys = of_signatures.chain(self.jwts.iter().map(|rule| &rule.key));
        let of_code = self.code.into_iter().flat_map(|code| code.secret_settings().iter().copied());
        let mut settings: Vec<&str> = keys.filter_map(KeySource::setting).chain(of_code).collect();
        settings.sort_unstable();
        settings.dedup();
        settings
    }

    pub fn are_none(&self) -> bool {
        self.tokens.is_empty()
            && !self.basic
            && self.signatures.is_empty()
            && self.jwts.is_empty()
            && self.code.is_none()
            && self.confirm.is_none()
    }

    fn signs_url(&self) -> bool {
        use crate::verify::jwt::Must;
        let claims_url = |rule: &JwtRule| {
            rule.jwt.claims.iter().any(|claim| matches!(&claim.must, Must::Equal(text) if text.has_url()))
        };
        self.signatures.iter().any(|signature| signature.scheme.template.has_url())
            || self.jwts.iter().any(claims_url)
            || self.code.is_some_and(Code::signs_url)
    }
}
