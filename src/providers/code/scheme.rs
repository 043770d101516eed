//! The interface of a scheme in code, and the keys that a source has for it.

use std::fmt::Debug;

use crate::content::request::Secret;
use crate::content::view::{Texts, View};
use crate::scheme::error::KeyError;
use crate::scheme::key_store::VerifyError;
use crate::scheme::signature::Terms;
use crate::scheme::trace::SignatureTrace;

use super::super::draft::SampleDraft;
use super::super::settings::{SettingError, Settings};
use super::parts::non_empty;

/// The setting with the secrets of most schemes.
const SECRET: &str = "secret";

/// A provider's way of signing that a recipe cannot describe. It does no I/O.
pub trait Scheme: Debug + Sync {
    /// Returns the value of `code` in a recipe.
    fn name(&self) -> &'static str;

    /// Describes the signed text, for the provider's page.
    fn in_words(&self) -> &'static str;

    /// Returns the settings with shared secrets, of which one is required; none if all keys are
    /// public.
    fn secret_settings(&self) -> &'static [&'static str] {
        &[SECRET]
    }

    /// Whether the check parses or rewrites the body, which takes memory.
    fn rewrites_body(&self) -> bool {
        false
    }

    /// Whether `is_carried` reads the body.
    fn has_proof_in_body(&self) -> bool {
        false
    }

    fn uses_published_keys(&self) -> bool {
        false
    }

    fn signs_url(&self) -> bool {
        false
    }

    /// Whether the check rejects every message with the shape of a challenge. A handshake can then
    /// safely sign challenges.
    fn rejects_challenges(&self) -> bool {
        false
    }

    /// Derives a key from the value of a setting.
    ///
    /// # Errors
    /// The value cannot be a secret of this scheme.
    fn key(&self, secret: &[u8]) -> Result<Vec<u8>, KeyError> {
        Ok(secret.to_vec())
    }

    /// Verifies a request.
    ///
    /// # Errors
    /// The cause of the rejection, or the key that must be fetched first.
    fn check(&self, view: &View<'_>, terms: &Terms<'_>, keys: &SchemeKeys) -> Result<(), VerifyError>;

    /// Whether the request has a well-formed and fresh signature, made with any key.
    fn is_carried(&self, view: &View<'_>, terms: &Terms<'_>) -> bool;

    /// Returns the signed text and the signatures of a request, to explain its rejection; `None` if
    /// the text cannot be shown.
    fn trace(&self, _view: &View<'_>, _keys: &SchemeKeys) -> Option<SignatureTrace> {
        None
    }

    /// Returns the function that signs a sample; `None` if only the provider has the key.
    fn signer(&self) -> Option<SampleSigner> {
        None
    }
}

/// Signs a sample; `None` if the source has no key for it.
pub type SampleSigner = fn(&mut SampleDraft, &Texts, &SchemeKeys) -> Option<()>;

/// The keys of one source, by setting.
#[derive(Debug)]
pub struct SchemeKeys(Vec<(&'static str, Vec<Secret>)>);

impl SchemeKeys {
    /// Derives the keys of a scheme from a source's settings.
    ///
    /// # Errors
    /// A value that cannot be a secret of the scheme.
    fn of_settings(scheme: &dyn Scheme, settings: &Settings) -> Result<Self, SettingError> {
        let derive = |value: &Secret| scheme.key(non_empty(value.expose())?).map(Secret::new);
        let keys = scheme.secret_settings().iter().map(|setting| {
            SettingError::collect(setting, settings.all(setting), derive).map(|keys| (*setting, keys))
        });
        keys.collect::<Result<_, _>>().map(Self)
    }

    pub fn of(&self, setting: &str) -> &[Secret] {
        self.0.iter().find(|(name, _)| *name == setting).map_or(&[], |(_, keys)| keys.as_slice())
    }

    /// Returns the keys of the setting `secret`.
    pub fn secrets(&self) -> &[Secret] {
        self.of(SECRET)
    }
}

/// A scheme with the keys of one source.
#[derive(Debug)]
pub struct BoundScheme {
    pub scheme: &'static dyn Scheme,
    keys: SchemeKeys,
}

impl BoundScheme {
    /// Binds a scheme to a source's settings; `None` if the scheme needs a secret and the source
    /// has none.
    ///
    /// # Errors
    /// A value that cannot be a secret of the scheme.
    pub fn bind(scheme: &'static dyn Scheme, settings: &Settings) -> Result<Option<Self>, SettingError> {
        let keys = SchemeKeys::of_settings(scheme, settings)?;
        let needs_secret = !scheme.secret_settings().is_empty();
        let has_none = keys.0.iter().all(|(_, secrets)| secrets.is_empty());
        Ok((!needs_secret || !has_none).then_some(Self { scheme, keys }))
    }

    /// Verifies a request.
    ///
    /// # Errors
    /// See [`Scheme::check`].
    pub fn check(&self, view: &View<'_>, terms: &Terms<'_>) -> Result<(), VerifyError> {
        self.scheme.check(view, terms, &self.keys)
    }

    /// Returns the signed text and the signatures of a request. See [`Scheme::trace`].
    pub fn trace(&self, view: &View<'_>) -> Option<SignatureTrace> {
        self.scheme.trace(view, &self.keys)
    }

    /// Signs a sample; `None` if only the provider has the key.
    pub fn sign(&self, draft: &mut SampleDraft, texts: &Texts) -> Option<()> {
        self.scheme.signer()?(draft, texts, &self.keys)
    }
}
