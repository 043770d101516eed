//! A recipe bound to one source: what a received request is put to.

use std::time::Duration;

use crate::verify::form;
use crate::verify::json::Extracted;
use crate::verify::signature::{self, Keyed};
use crate::verify::token::Token;

use super::describe::Description;
use super::recipe::Recipe;
use super::reply::{AcceptedReply, RefusedReply, Reply};
use super::{Cause, Request, Secret};

/// A recipe bound to the settings of one source: everything precomputed that can be (HMAC keys, parsed templates).
#[derive(Debug)]
pub struct Verifier {
    pub(super) recipe: &'static Recipe,
    pub(super) proof: BoundProof,
    /// Unused where nothing signs a timestamp.
    pub(super) tolerance: Duration,
    /// Ends with a row for all events.
    pub(super) accepted: Vec<AcceptedReply>,
    /// Ends with a row for all causes.
    pub(super) refused: Vec<RefusedReply>,
    pub(super) credential_headers: Vec<String>,
}

/// What proves the sender, with the source's keys.
#[derive(Debug)]
pub(super) enum BoundProof {
    Nothing,
    Token {
        /// As the user wrote it.
        header: String,
        token: Token,
        /// For samples.
        tokens: Vec<Secret>,
    },
    Signatures(Vec<Keyed>),
}

impl Verifier {
    pub fn recipe(&self) -> &'static Recipe {
        self.recipe
    }

    /// False for schemes that authenticate before the body is read (tokens, none).
    pub fn reads_body(&self) -> bool {
        matches!(self.proof, BoundProof::Signatures(_))
    }

    /// # Errors
    /// Why the request is refused.
    pub fn authenticate(&self, request: &Request<'_>) -> Result<(), Cause> {
        match &self.proof {
            BoundProof::Nothing => Ok(()),
            BoundProof::Token { token, .. } => token.check(request),
            BoundProof::Signatures(schemes) => signature::authenticate(schemes, request, self.tolerance),
        }
    }

    /// What the recipe wants to know from a JSON body, in one pass; `None` where the body is not JSON.
    pub fn read_json(&self, body: &[u8]) -> Option<Extracted> {
        self.recipe.paths.read(body)
    }

    /// A form's content as JSON text, which `read_json` takes: an object with repeats as arrays,
    /// or the payload itself where the provider sends that as the only field. `None` for a form that is too large.
    pub fn form_to_json(&self, body: &[u8]) -> Option<String> {
        form::to_json(body, self.recipe.form_payload.as_deref())
    }

    /// What a message is about; `json` is what `read_json` gave for the body, or for the form's JSON text.
    pub fn describe(&self, request: &Request<'_>, json: Option<&Extracted>) -> Description {
        Description::of(self.recipe, request, json)
    }

    /// The reply once the message is kept.
    pub fn accepted(&self, description: &Description) -> Reply {
        let applies =
            |row: &&AcceptedReply| row.event.as_ref().is_none_or(|event| event == description.bare_type());
        self.accepted.iter().find(applies).map_or_else(|| Reply::empty(204), |row| row.reply.clone())
    }

    pub fn refused(&self, cause: Cause) -> Reply {
        let applies = |row: &&RefusedReply| row.causes.as_ref().is_none_or(|causes| causes.contains(&cause));
        self.refused.iter().find(applies).map_or_else(|| Reply::empty(403), |row| row.reply.clone())
    }

    /// Lower-case names of header fields whose values are credentials and must be redacted before storing.
    pub fn credential_headers(&self) -> &[String] {
        &self.credential_headers
    }

    /// Names of query fields likewise. No scheme of the catalogue reads a token from the query.
    pub fn credential_query(&self) -> &[String] {
        &[]
    }

    /// Whether the proof covers the body.
    pub fn covers_body(&self) -> bool {
        match &self.proof {
            BoundProof::Nothing | BoundProof::Token { .. } => false,
            BoundProof::Signatures(schemes) => schemes.iter().all(|keyed| keyed.scheme.template.has_body()),
        }
    }
}
