//! A recipe bound to one source. It verifies and describes received requests.

mod bound;
mod coverage;
mod form_shape;
mod large_form;
mod signed_headers;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use crate::content::charset;
use crate::content::document;
use crate::content::form::{self, FormProblem};
use crate::content::request::Secret;
use crate::content::view::{Texts, View};
use crate::json::PathValues;
use crate::scheme::certificate::Roots;
use crate::scheme::jwt::JwtKeys;
use crate::scheme::key_store::{KeyRequest, KeyResponse, KeyStore, VerifyError};
use crate::scheme::place::Place;
use crate::scheme::signature::{BoundSignature, SignatureKeys, Terms};
use crate::scheme::token::Basic;

use super::confirm::ConfirmApi;
use super::describe::Description;
use super::fetch::{FetchPlan, keys_among};
use super::recipe::{Coverage, Recipe};
use super::reply::{AcceptedReply, RejectedReply, Reply};
use super::settings::{SettingError, Settings};
use crate::content::request::Cause;
use crate::content::request::Headers;
use crate::content::request::Request;
use crate::scheme::shape::has_shape_of_id;
pub(super) use bound::{BoundProofs, BoundToken};

/// A recipe bound to the settings of one source, with HMAC keys and templates prepared.
#[derive(Debug)]
pub struct Verifier {
    pub(super) recipe: &'static Recipe,
    /// Settings of the source, to bind the recipe again with a learned secret.
    pub(super) settings: Settings,
    pub(super) proofs: BoundProofs,
    pub(super) texts: Texts,
    /// Tolerance of a signed timestamp; unused without one.
    pub(super) tolerance: Duration,
    /// Replies by event; the last row applies to all other events.
    pub(super) accepted: Vec<AcceptedReply>,
    /// Replies by cause; the last row applies to all other causes.
    pub(super) rejected: Vec<RejectedReply>,
    pub(super) credential_headers: Vec<String>,
    pub(super) credential_query: Vec<String>,
    /// Headers in which the provider sends signatures that this source has no key for.
    pub(super) unchecked_headers: Vec<&'static str>,
    /// Headers with an event or id, used only if the deciding signature covers them.
    pub(super) partly_signed_headers: Vec<&'static str>,
    /// Keys from the settings, used instead of fetched ones.
    pub(super) own_keys: Vec<OwnKey>,
}

/// A public key and its id in requests. A key without an id fits every request.
#[derive(Clone, Debug)]
pub(super) struct OwnKey {
    pub id: Option<String>,
    pub text: String,
}

impl Verifier {
    pub fn recipe(&self) -> &'static Recipe {
        self.recipe
    }

    /// False for schemes that authenticate before the body is read (tokens in headers, none).
    pub fn reads_body(&self) -> bool {
        let proofs = &self.proofs;
        let token_in_body = proofs.tokens.iter().any(|bound| bound.token.at().is_in_body());
        token_in_body
            || !proofs.signatures.is_empty()
            || !proofs.jwts.is_empty()
            || proofs.code.is_some()
            || proofs.confirm_api.is_some()
            // Handshakes have no credentials; these are recognized by their body.
            || self.recipe.handshakes.iter().any(|rule| !rule.signed && rule.is_known_by_body())
    }

    /// Whether verification decodes or rewrites the body, so that large bodies must be limited.
    pub fn rewrites_body(&self) -> bool {
        let proofs = &self.proofs;
        let is_in_form = |place: &Place| matches!(place, Place::Form(_));
        self.recipe.form_payload.is_some()
            || proofs.confirm_api.as_ref().is_some_and(|confirm_api| confirm_api.decodes_body())
            || proofs.code.as_ref().is_some_and(|code| code.scheme.rewrites_body())
            || proofs.tokens.iter().any(|bound| is_in_form(bound.token.at()))
            || proofs.signatures.iter().any(|BoundSignature { scheme, .. }| {
                scheme.template.rewrites_body() || is_in_form(&scheme.at)
            })
    }

    /// Whether the scheme authenticates the sender, as this source is configured.
    pub fn verifies_sender(&self) -> bool {
        let proofs = &self.proofs;
        !proofs.tokens.is_empty()
            || proofs.basic.is_some()
            || !proofs.signatures.is_empty()
            || !proofs.jwts.is_empty()
            || proofs.code.is_some()
    }

    /// Authenticates a request.
    ///
    /// # Errors
    /// The cause of the rejection, or a key that must be fetched before verification.
    pub fn authenticate(&self, request: &Request<'_>, key_store: &dyn KeyStore) -> Result<(), VerifyError> {
        if self.proofs.are_none() {
            // A source that has not learned its secret yet cannot verify a message.
            let learns = self.recipe.learns();
            return if learns { Err(Cause::MissingHeader.into()) } else { Ok(()) };
        }
        let view = self.view(request);
        let key_store = OwnKeysFirst { verifier: self, key_store };
        let terms = Terms { texts: &self.texts, tolerance: self.tolerance, key_store: &key_store };
        self.check(&view, &terms)?;
        self.check_form_shape(&view)?;
        // creel may have signed this text as the challenge of an unauthenticated client. A recipe
        // that signs a text other than the body is loaded only if that text cannot be a challenge
        // (`file/handshakes.rs`).
        if self.recipe.signs_unauthenticated() && has_shape_of_id(request.body) {
            return Err(Cause::ClaimMismatch.into());
        }
        Ok(())
    }

    pub(super) fn view<'a>(&'a self, request: &'a Request<'a>) -> View<'a> {
        View::new(request, self.recipe.form_payload.as_deref())
            .with_query_payload(self.recipe.query_payload.as_deref())
    }

    fn check(&self, view: &View<'_>, terms: &Terms<'_>) -> Result<(), VerifyError> {
        let proofs = &self.proofs;
        if let Some(confirm_api) = &proofs.confirm_api {
            return self.check_confirmable(confirm_api, view);
        }
        proofs.check(view, terms)
    }

    /// Whether a rejected request has every part that the scheme requires, so that it may be
    /// genuine with another secret, key or account. Cheaper than `authenticate`.
    pub fn is_proof_carried(&self, request: &Request<'_>) -> bool {
        let proofs = &self.proofs;
        if proofs.are_none() || (self.recipe.signs_unauthenticated() && has_shape_of_id(request.body)) {
            return false;
        }
        let view = self.view(request);
        if let Some(confirm_api) = &proofs.confirm_api {
            return self.check_confirmable(confirm_api, &view).is_ok();
        }
        let terms = Terms { texts: &self.texts, tolerance: self.tolerance, key_store: &EmptyKeyStore };
        proofs.signatures.iter().any(|keyed| keyed.is_carried(&view, &terms))
            || proofs.code.as_ref().is_some_and(|code| code.scheme.is_carried(&view, &terms))
            || (proofs.basic.is_some() && Basic::is_carried(&view))
            || proofs.tokens.iter().any(|bound| bound.token.is_carried(&view))
            || proofs.jwts.iter().any(|(jwt, _)| jwt.is_carried(&view, &terms))
    }

    /// Whether `is_proof_carried` needs the body.
    pub fn has_proof_in_body(&self) -> bool {
        let proofs = &self.proofs;
        proofs.confirm_api.is_some()
            || self.has_token_in_body()
            || proofs.signatures.iter().any(BoundSignature::has_proof_in_body)
            || proofs.code.as_ref().is_some_and(|code| code.scheme.has_proof_in_body())
            || proofs.jwts.iter().any(|(jwt, _)| jwt.at.is_in_body())
    }

    /// Checks the message's untrusted id for the URL of the confirmation request.
    fn check_confirmable(&self, confirm_api: &ConfirmApi, view: &View<'_>) -> Result<(), VerifyError> {
        let Some(confirm) = &self.recipe.proofs.confirm else { return Ok(()) };
        let id = confirm.shape_of.require(view)?;
        if !has_shape_of_id(&id) {
            return Err(Cause::NotConfirmed.into());
        }
        confirm_api
            .confirm_query(view.request, None)
            .map(drop)
            .map_err(|unconfirmable| unconfirmable.cause.into())
    }

    /// Returns the provider's API for confirming messages; `None` without confirmations.
    pub fn confirm_api(&self) -> Option<&Arc<ConfirmApi>> {
        self.proofs.confirm_api.as_ref()
    }

    /// Returns keys from the source's settings, if it has any.
    fn own(&self, wanted: &KeyRequest) -> Option<KeyResponse> {
        let KeyRequest::Key { id } = wanted else { return None };
        if self.own_keys.is_empty() {
            return None;
        }
        let texts: Vec<String> = self
            .own_keys
            .iter()
            .filter(|key| key.id.is_none() || id.is_none() || key.id == *id)
            .filter_map(|key| match keys_among(&key.text, id.as_deref()) {
                Some(KeyResponse::Keys(texts)) => Some(texts),
                _ => None,
            })
            .flatten()
            .collect();
        Some(if texts.is_empty() { KeyResponse::Unknown } else { KeyResponse::Keys(texts) })
    }

    /// Returns the request that fetches a key.
    pub fn plan<'a>(&'a self, wanted: &'a KeyRequest) -> FetchPlan<'a> {
        FetchPlan::new(self.recipe.fetch.as_ref(), &self.texts, wanted)
    }

    /// Whether the source needs published keys, but can neither fetch nor read them.
    pub fn lacks_keys(&self) -> bool {
        let cannot_fetch = || !self.plan(&KeyRequest::Key { id: Some(String::new()) }).is_possible();
        let proofs = &self.proofs;
        let by_secret = proofs.jwts.iter().any(|(_, keys)| !matches!(keys, JwtKeys::Published))
            || proofs
                .signatures
                .iter()
                .any(|keyed| matches!(keyed.keys, SignatureKeys::Secrets(_) | SignatureKeys::Public(_)));
        self.recipe.uses_published_keys() && self.own_keys.is_empty() && !by_secret && cannot_fetch()
    }

    /// Reads the recipe's values from a JSON body in one pass; `None` if the body is not JSON.
    pub fn read_json(&self, body: &[u8]) -> Option<PathValues> {
        self.recipe.paths.read(body)
    }

    /// A form as JSON text for `read_json`: its payload field, if any, otherwise an object with
    /// repeated fields as arrays. `None` for other bodies, and for unexpected multipart bodies.
    ///
    /// # Errors
    /// The reason why the form is unreadable.
    pub fn form_to_json(&self, request: &Request<'_>) -> Result<Option<String>, FormProblem> {
        let Some(kind) = form::kind(request.headers) else { return Ok(None) };
        let declared = charset::declared(request.headers);
        if let Some(field) = self.recipe.form_payload.as_deref()
            && let Some(payload) = form::payload(request.body, kind.clone(), field, declared)?
        {
            return Ok(Some(payload));
        }
        match kind {
            form::FormKind::UrlEncoded => form::to_json(request.body, declared?).map(Some),
            form::FormKind::Multipart(boundary) if self.recipe.multipart => {
                form::fields_to_json(request.body, boundary, declared?)
            }
            form::FormKind::Multipart(_) => Ok(None),
        }
    }

    /// The payload in the query of a GET request, without a byte order mark; `None` unless the
    /// provider sends such requests.
    pub fn body_in_query(&self, request: &Request<'_>) -> Option<String> {
        let text = document::in_query(request, self.recipe.query_payload.as_deref()?)?;
        Some(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
    }

    /// Returns the event type and delivery id of a message. `json` is the result of `read_json` for
    /// the body or the form's JSON text, or of `short_fields`.
    pub fn describe(&self, request: &Request<'_>, json: Option<&PathValues>) -> Description {
        if self.partly_signed_headers.is_empty() {
            return Description::of(self.recipe, request, json, &[]);
        }
        let view = self.view(request);
        let is_unsigned = |header: &&str| !self.proofs.cover_header(header, &view);
        let unsigned: Vec<&str> = self.partly_signed_headers.iter().copied().filter(is_unsigned).collect();
        Description::of(self.recipe, request, json, &unsigned)
    }

    /// The reply after the message is stored.
    pub fn accepted(&self, description: &Description) -> Reply {
        let applies =
            |row: &&AcceptedReply| row.event.as_ref().is_none_or(|event| event == description.bare_type());
        self.accepted.iter().find(applies).map_or_else(|| Reply::empty(204), |row| row.reply.clone())
    }

    pub fn rejection_reply(&self, cause: Cause) -> Reply {
        let applies = |row: &&RejectedReply| row.causes.as_ref().is_none_or(|causes| causes.contains(&cause));
        self.rejected.iter().find(applies).map_or_else(|| Reply::empty(403), |row| row.reply.clone())
    }

    /// Lower-case names of header fields with credentials, which must be redacted before storing.
    pub fn credential_headers(&self) -> &[String] {
        &self.credential_headers
    }

    /// Names of query fields with credentials.
    pub fn credential_query(&self) -> &[String] {
        &self.credential_query
    }

    /// Whether bodies contain a token of the source. Bodies are stored without redaction.
    pub fn has_token_in_body(&self) -> bool {
        self.proofs.tokens.iter().any(|bound| bound.token.at().is_in_body())
    }

    /// Whether the proof covers the body.
    pub fn covers_body(&self) -> bool {
        self.verifies_sender() && self.coverage() == Coverage::Full
    }

    /// Coverage of the weakest proof that this source accepts.
    pub fn coverage(&self) -> Coverage {
        if self.is_signed_alone() {
            return Coverage::Full;
        }
        if self.proofs.must_be_signed() { self.recipe.signed_coverage } else { self.recipe.coverage }
    }

    /// Settings that would enable signatures, if the source only compares a token.
    pub fn unused_signing_settings(&self) -> Vec<&'static str> {
        if self.proofs.are_only_sent() { self.recipe.signing_settings() } else { Vec::new() }
    }

    /// The header with a signature that this source has no key for.
    pub fn unchecked_signature(&self, headers: Headers<'_>) -> Option<&'static str> {
        let is_sent =
            |name: &&&str| headers.0.iter().any(|(field, value)| *field == **name && !value.is_empty());
        self.unchecked_headers.iter().find(is_sent).copied()
    }

    /// Whether the source rejects those proofs of its recipe that do not cover the body.
    fn is_signed_alone(&self) -> bool {
        let proofs = &self.proofs;
        let is_signed = |keyed: &BoundSignature| keyed.keys.are_absent() || keyed.scheme.template.has_body();
        self.recipe.coverage == Coverage::None
            && proofs.tokens.is_empty()
            && proofs.basic.is_none()
            && proofs.jwts.is_empty()
            && proofs.code.is_none()
            && proofs.confirm_api.is_none()
            && proofs.signatures.iter().all(is_signed)
    }

    /// Whether the source has no secret until a handshake delivers it.
    pub fn waits_for_secret(&self) -> bool {
        self.recipe.learns() && self.settings.all("secret").is_empty()
    }

    /// Binds the source again with another secret.
    ///
    /// # Errors
    /// The secret is invalid for the recipe.
    pub fn with_learned(&self, secret: Option<&Secret>) -> Result<Self, Vec<SettingError>> {
        let mut settings = self.settings.clone();
        settings.values.remove("secret");
        if let Some(secret) = secret {
            settings.values.insert("secret".to_owned(), vec![secret.clone()]);
        }
        Self::bind(self.recipe, &settings)
    }
}

/// Prefers keys from the source's settings to fetched ones.
struct OwnKeysFirst<'a> {
    verifier: &'a Verifier,
    key_store: &'a dyn KeyStore,
}

impl KeyStore for OwnKeysFirst<'_> {
    fn known(&self, wanted: &KeyRequest) -> KeyResponse {
        if let Some(own) = self.verifier.own(wanted) {
            return own;
        }
        // All published keys have an id and this request has none, so a fetch cannot help.
        let names_no_key = matches!(wanted, KeyRequest::Key { id: None });
        if names_no_key && self.verifier.plan(wanted).needs_id() {
            return KeyResponse::Unknown;
        }
        self.key_store.known(wanted)
    }

    fn may_be_outdated(&self, wanted: &KeyRequest) -> bool {
        self.verifier.own_keys.is_empty() && self.key_store.may_be_outdated(wanted)
    }

    fn roots(&self) -> &Roots {
        self.key_store.roots()
    }
}

/// A key store without keys or trusted roots.
#[derive(Clone, Copy, Debug)]
pub struct EmptyKeyStore;

impl KeyStore for EmptyKeyStore {
    fn known(&self, _: &KeyRequest) -> KeyResponse {
        KeyResponse::NotYet
    }

    fn roots(&self) -> &Roots {
        static NO_ROOTS: LazyLock<Roots> = LazyLock::new(|| Roots::new([]));
        &NO_ROOTS
    }
}
