//! A provider's rules, validated: what is in here cannot be wrong.

use std::time::Duration;

use crate::verify::encoding::KeyEncoding;
use crate::verify::json::{Paths, Slot};
use crate::verify::signature::Scheme;

use super::reply::{AcceptedReply, RefusedReply};
use super::settings::Key;

/// A provider's rules, as data.
#[derive(Debug)]
pub struct Recipe {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) docs: String,
    pub(super) keys: Vec<Key>,
    pub(super) proof: Proof,
    /// How far a signed timestamp may be from our clock; `None` where nothing signs one.
    pub(super) tolerance: Option<Duration>,
    /// All paths that are wanted from a JSON body.
    pub(super) paths: Paths,
    pub(super) event_type: Option<Place>,
    pub(super) event_action: Option<Place>,
    pub(super) delivery_id: Option<Place>,
    /// The form field that holds the payload as JSON, where a form has no other.
    pub(super) form_payload: Option<String>,
    /// Ends with a row for all events.
    pub(super) accepted: Vec<AcceptedReply>,
    /// Ends with a row for all causes.
    pub(super) refused: Vec<RefusedReply>,
    pub(super) samples: Vec<SampleBody>,
}

/// What proves the sender.
#[derive(Debug)]
pub(super) enum Proof {
    /// Nothing: the source needs a random path or an allowlist.
    Nothing,
    Token {
        /// `None` where the user must name it.
        header: Option<String>,
    },
    /// In order of preference; at least one.
    Signatures(Vec<Signature>),
}

/// A signature scheme and the setting that holds its key.
#[derive(Debug)]
pub(super) struct Signature {
    pub scheme: Scheme,
    pub key: KeySource,
    /// The switch that allows a scheme which is off by default.
    pub enabled_by: Option<String>,
}

#[derive(Debug)]
pub(super) struct KeySource {
    pub setting: String,
    pub encoding: KeyEncoding,
    /// Taken off where present.
    pub prefix: Option<String>,
}

/// Where a value is in a request.
#[derive(Debug)]
pub(super) enum Place {
    /// In lower case.
    Header(String),
    Json(Slot),
}

/// The body of a sample request for one event.
#[derive(Debug)]
pub(super) struct SampleBody {
    pub event: String,
    pub id: String,
    pub body: String,
}

impl Recipe {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn title(&self) -> &str {
        &self.title
    }

    /// Where the provider documents its scheme; empty for schemes that nobody owns.
    pub fn docs(&self) -> &str {
        &self.docs
    }

    pub fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// Whether the scheme itself proves the sender (false for `none`, which needs a random path or an allowlist).
    pub fn proves_sender(&self) -> bool {
        !matches!(self.proof, Proof::Nothing)
    }
}
