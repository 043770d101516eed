//! A provider's rules, after validation.

mod rules;

use std::collections::BTreeMap;
use std::time::Duration;

use crate::json::Paths;

use super::cloud_event::EventSlots;
use super::fetch::FetchRule;
use super::reply::{AcceptedReply, RejectedReply};
use super::settings::SettingSpec;

pub(super) use rules::{
    AnswerRule, ConfirmRule, Detail, HandshakeBody, HandshakeReply, HandshakeRule, JwtRule, KeySource,
    NamedPlace, Proofs, SampleBody, Signature, TokenRule,
};

/// A provider's rules, as data. `Debug` shows only the name; the rest is in the recipe's file.
pub struct Recipe {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) group: ProviderGroup,
    pub(super) facts: Facts,
    pub(super) keys: Vec<SettingSpec>,
    pub(super) proofs: Proofs,
    /// Maximum difference between a signed timestamp and the local clock; `None` if no timestamp is
    /// signed.
    pub(super) tolerance: Option<Duration>,
    /// All paths that are read from a JSON body.
    pub(super) paths: Paths,
    /// Places of the event type; the first one present is used.
    pub(super) event_type: Vec<Detail>,
    pub(super) event_action: Vec<Detail>,
    /// All possible values of `event_type`; `*` matches any characters. Empty if unknown.
    pub(super) events: Vec<String>,
    /// Members of `events` that never have an action; empty if unknown.
    pub(super) events_without_action: Vec<String>,
    /// Known actions of some events. Other actions are compared with them to find misspellings.
    pub(super) actions: BTreeMap<String, Vec<String>>,
    /// Parts of the delivery id, joined with colons. All are required; each is read from its first
    /// place that has a value.
    pub(super) delivery_id: Vec<Vec<Detail>>,
    /// Methods of its messages, in upper case.
    pub(super) methods: Vec<String>,
    /// The form field that holds the payload as JSON; the other fields are not stored.
    pub(super) form_payload: Option<String>,
    /// The query field that holds the payload of a GET as JSON.
    pub(super) query_payload: Option<String>,
    /// Whether multipart bodies are read like other forms, with files as objects without content.
    pub(super) multipart: bool,
    /// Places of a CloudEvent's attributes; `None` if the sender does not send CloudEvents.
    pub(super) cloud_event: Option<EventSlots>,
    /// Coverage of the weakest proof.
    pub(super) coverage: Coverage,
    /// The coverage if only signatures are accepted.
    pub(super) signed_coverage: Coverage,
    /// Settings of which at least one is required.
    pub(super) requires: Vec<String>,
    pub(super) handshakes: Vec<HandshakeRule>,
    pub(super) fetch: Option<FetchRule>,
    /// Replies by event; the last row applies to all other events.
    pub(super) accepted: Vec<AcceptedReply>,
    /// Replies by cause; the last row applies to all other causes.
    pub(super) rejected: Vec<RejectedReply>,
    pub(super) samples: Vec<SampleBody>,
}

/// The kind of service of a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderGroup {
    Generic,
    Code,
    Payments,
    Commerce,
    Messaging,
    Content,
    Identity,
}

/// Information for people, without effect on verification.
#[derive(Debug, Default)]
pub struct Facts {
    /// The provider's own page; empty if unknown.
    pub docs: String,
    /// The references for the facts, such as the provider's code or documentation.
    pub source: String,
    /// The place where the URL is registered.
    pub registered_at: Option<String>,
    pub answer_within: Option<String>,
    pub retries: Option<String>,
    pub addresses: Option<String>,
    pub rotation: Option<String>,
    pub traps: Vec<String>,
    /// Fields of the recipe whose facts have no reference.
    pub unconfirmed: Vec<String>,
    /// Places, as written in the recipe's file.
    pub event_type: Vec<String>,
    pub event_action: Vec<String>,
    pub delivery_id: Vec<String>,
    /// Descriptions of the signed texts and shared secrets.
    pub schemes: Vec<SchemeFact>,
    /// Descriptions of the requests that are answered and not stored.
    pub handshakes: Vec<String>,
}

/// The description of a signed text or shared secret.
#[derive(Debug, PartialEq, Eq)]
pub struct SchemeFact {
    pub text: String,
    pub is_unconfirmed: bool,
}

impl Facts {
    pub fn is_unconfirmed(&self, field: &str) -> bool {
        self.unconfirmed.iter().any(|unconfirmed| unconfirmed == field)
    }
}

/// Part of the body that the proof covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coverage {
    Full,
    Partial,
    None,
}

impl std::fmt::Debug for Recipe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Recipe").field(&self.name).finish()
    }
}

impl Recipe {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn title(&self) -> &str {
        &self.title
    }

    pub const fn group(&self) -> ProviderGroup {
        self.group
    }

    #[cfg(test)]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    pub fn keys(&self) -> &[SettingSpec] {
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

    /// Whether a handshake contains the secret.
    pub fn learns(&self) -> bool {
        self.handshakes.iter().any(|rule| rule.learn.is_some())
    }

    /// Whether messages must be confirmed by the provider's API.
    pub const fn needs_confirmation(&self) -> bool {
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

    /// Whether the recipe accepts signatures over the body, and also proofs that do not cover the
    /// body.
    pub(super) fn signs_body_sometimes(&self) -> bool {
        let signatures = &self.proofs.signatures;
        let covers_all = signatures.iter().all(|signature| signature.scheme.template.has_body());
        self.coverage == Coverage::None && !signatures.is_empty() && covers_all
    }

    /// Whether the registered URL is part of the signed text.
    pub fn signs_url(&self) -> bool {
        self.proofs.signs_url()
    }

    /// Whether a handshake signs a value for an unauthenticated request.
    pub(super) fn signs_unauthenticated(&self) -> bool {
        self.handshakes.iter().any(HandshakeRule::signs_unauthenticated)
    }

    /// The settings that hold keys of signatures.
    pub(super) fn signing_settings(&self) -> Vec<&str> {
        self.proofs.signing_settings()
    }

    /// Whether some scheme uses keys that the provider publishes.
    pub(super) fn uses_published_keys(&self) -> bool {
        self.proofs.signatures.iter().any(|signature| signature.key.is_published())
            || self.proofs.jwts.iter().any(|rule| rule.key.is_published())
            || self.proofs.code.is_some_and(|code| code.uses_published_keys())
    }
}
