//! One signature scheme: the place, layout and encoding of the signature, and the signed text.

use std::borrow::Cow;
use std::time::Duration;

use subtle::ConstantTimeEq;

use super::condition::RequestCondition;
use super::encoding::{Encoding, MAX_SIGNATURE_BYTES};
use super::freshness::{SignedTime, TimestampRule};
use super::key::{Algorithm, SecretKey};
use super::key_store::{KeyStore, VerifyError};
use super::layout::{Layout, MAX_CANDIDATES, MAX_JOINED_LINES};
use super::place::Place;
use super::public_key::PublicKey;
use super::template::{Split, Template, TemplateScope};
use crate::content::request::Cause;
use crate::content::view::{Texts, View};

/// A scheme as its provider documents it.
#[derive(Clone, Debug)]
pub struct SignatureScheme {
    /// The place of the signature.
    pub at: Place,
    pub layout: Layout,
    pub encoding: Encoding,
    pub algorithm: Algorithm,
    pub template: Template,
    pub timestamp: Option<TimestampRule>,
    /// The rule that divides the signed text into its parts.
    pub split: Split,
    /// The conditions under which the scheme applies.
    pub require: Vec<RequestCondition>,
    /// The pair key of a stronger scheme. This scheme does not apply to a value with that key.
    pub without: Option<String>,
}

/// The keys of one source for one scheme.
#[derive(Clone, Debug)]
pub enum SignatureKeys {
    /// Empty if the scheme is not configured or not allowed for the source.
    Secrets(Vec<SecretKey>),
    Public(Vec<PublicKey>),
    /// The provider's key with the id that the request names.
    ById(Place),
    /// Any key that the provider has published.
    AnyPublished,
    /// The key of the certificate at the URL that the request names.
    Certificate {
        url: Place,
        hosts: &'static [String],
    },
}

impl SignatureKeys {
    pub fn are_absent(&self) -> bool {
        match self {
            Self::Secrets(keys) => keys.is_empty(),
            Self::Public(keys) => keys.is_empty(),
            Self::ById(_) | Self::AnyPublished | Self::Certificate { .. } => false,
        }
    }
}

/// A scheme with the keys of one source. Without keys it rejects every signature: `MissingHeader`
/// if only the keys are missing, otherwise the cause that a scheme with keys returns.
#[derive(Clone, Debug)]
pub struct BoundSignature {
    pub scheme: &'static SignatureScheme,
    pub keys: SignatureKeys,
    /// The setting that holds the keys; `None` if they are fetched.
    pub setting: Option<&'static str>,
}

impl BoundSignature {
    /// Returns the place of the signature. For headers with a common prefix, that is the one named
    /// after the key: `X-Primary` for the setting `primary_secret`, otherwise `X-1`.
    pub fn place(&self) -> Place {
        let Place::Headers(beginning) = &self.scheme.at else { return self.scheme.at.clone() };
        let name = self.setting.and_then(|setting| setting.strip_suffix("_secret"));
        Place::Header(format!("{beginning}{}", name.unwrap_or("1")))
    }
}

/// The context of a check, in addition to the request.
#[derive(Clone, Copy)]
pub struct Terms<'a> {
    pub texts: &'a Texts,
    pub tolerance: Duration,
    pub key_store: &'a dyn KeyStore,
}

impl BoundSignature {
    /// Verifies the signature of a request.
    ///
    /// # Errors
    /// The cause of rejection, or a key to fetch. The clock is checked last, so that only a genuine
    /// message is reported as stale.
    pub fn check(&self, view: &View<'_>, terms: &Terms<'_>) -> Result<(), VerifyError> {
        self.try_values(view, |value| self.check_value(view, terms, value))
    }

    /// Whether the place of the signature has a value, valid or not.
    fn is_sent(&self, view: &View<'_>) -> bool {
        match &self.scheme.at {
            Place::Header(name) => lines(view, |field| field == name).next().is_some(),
            Place::Headers(beginning) => {
                lines(view, |field| field.starts_with(beginning.as_str())).next().is_some()
            }
            place => place.find(view) != Ok(None),
        }
    }

    /// Tries each value that may hold the signature. If the layout is a list, all lines of the
    /// header are one list; with any other layout, several lines are ambiguous.
    ///
    /// # Errors
    /// The most specific cause among all values.
    pub(super) fn try_values(
        &self,
        view: &View<'_>,
        attempt: impl FnMut(&[u8]) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        let layout = &self.scheme.layout;
        match &self.scheme.at {
            Place::Header(name) if layout.is_list() => {
                try_list(lines(view, |field| field == name), layout.is_positional(), attempt)
            }
            Place::Headers(beginning) => {
                try_each(lines(view, |field| field.starts_with(beginning.as_str())), attempt)
            }
            place => {
                let mut attempt = attempt;
                attempt(&place.require(view)?)
            }
        }
    }

    fn check_value(&self, view: &View<'_>, terms: &Terms<'_>, value: &[u8]) -> Result<(), VerifyError> {
        for condition in &self.scheme.require {
            if !condition.holds(view, terms.texts)? {
                return Err(Cause::UnknownAlgorithm.into());
            }
        }
        if self.yields_in(value) {
            return Err(Cause::UnknownAlgorithm.into());
        }
        let mut rejection = VerifyError::Rejected(Cause::MissingHeader);
        for group in self.scheme.layout.groups(value) {
            match self.check_group(view, terms, group) {
                Ok(()) => return Ok(()),
                Err(error) => rejection = more_specific(rejection, error),
            }
        }
        Err(rejection)
    }

    /// Whether the value contains a signature of a stronger scheme, which then decides.
    pub(super) fn yields_in(&self, value: &[u8]) -> bool {
        let scheme = self.scheme;
        scheme.without.as_ref().is_some_and(|key| scheme.layout.has_pair(value, key))
    }

    /// Whether a value in the request has the layout of the scheme's signatures.
    fn is_written(&self, view: &View<'_>) -> bool {
        let layout = &self.scheme.layout;
        let read = |value: &[u8]| {
            let is_readable = layout.groups(value).any(|group| layout.candidates(group).is_ok());
            if is_readable && !self.yields_in(value) { Ok(()) } else { Err(Cause::UnknownAlgorithm.into()) }
        };
        self.try_values(view, read).is_ok()
    }

    fn check_group(&self, view: &View<'_>, terms: &Terms<'_>, value: &[u8]) -> Result<(), VerifyError> {
        let scheme = self.scheme;
        let candidates = scheme.layout.candidates(value)?;
        if self.keys.are_absent() {
            return Err(Cause::MissingHeader.into());
        }
        let sent: Option<(Cow<'_, [u8]>, SignedTime)> = match &scheme.timestamp {
            Some(timestamp) => {
                let text = timestamp.at.find(view, &scheme.layout, value)?;
                let moment = timestamp.unit.parse(&text)?;
                Some((text, moment))
            }
            None => None,
        };
        let scope = TemplateScope {
            timestamp: sent.as_ref().map(|(text, _)| &**text),
            layout: Some((&scheme.layout, value)),
            ..TemplateScope::new(view, terms.texts)
        };
        scheme.template.check_split(&scheme.split, &scope)?;
        self.check_candidates(&scope, terms, candidates.as_slice())?;
        if let Some((_, moment)) = sent {
            moment.check(view.request.now, terms.tolerance)?;
        }
        Ok(())
    }

    fn check_candidates(
        &self,
        scope: &TemplateScope<'_>,
        terms: &Terms<'_>,
        candidates: &[&[u8]],
    ) -> Result<(), VerifyError> {
        let key_store = terms.key_store;
        match &self.keys {
            SignatureKeys::Secrets(secrets) => Ok(self.check_secrets(secrets, scope, candidates)?),
            SignatureKeys::Public(keys) => self.check_public(scope, candidates, || Ok(keys.clone())),
            SignatureKeys::ById(place) => {
                let id = place.require(scope.view)?;
                let id = std::str::from_utf8(&id).map_err(|_| Cause::UnknownKey)?.to_owned();
                self.check_public(scope, candidates, || key_store.keys(Some(&id)))
            }
            SignatureKeys::AnyPublished => {
                let verdict = self.check_public(scope, candidates, || key_store.keys(None));
                verdict.map_err(|error| match error {
                    VerifyError::Rejected(Cause::SignatureMismatch) => key_store.mismatch(None),
                    other => other,
                })
            }
            SignatureKeys::Certificate { url, hosts } => {
                let url = url.require(scope.view)?;
                let url = std::str::from_utf8(&url).map_err(|_| Cause::CertificateNotTrusted)?.to_owned();
                let is_allowed = |host: &str| hosts.iter().any(|allowed| allowed == host);
                self.check_public(scope, candidates, || {
                    key_store.certified_key(&url, is_allowed, scope.view).map(|key| vec![key])
                })
            }
        }
    }

    /// Checks the signatures with each secret. The running time does not depend on the content of
    /// the signatures.
    fn check_secrets(
        &self,
        secrets: &[SecretKey],
        scope: &TemplateScope<'_>,
        candidates: &[&[u8]],
    ) -> Result<(), Cause> {
        let length = self.scheme.algorithm.signature_bytes().unwrap_or(MAX_SIGNATURE_BYTES);
        let decoded = || candidates.iter().filter_map(|text| self.scheme.encoding.decode(text, length));
        if decoded().next().is_none() {
            return Err(Cause::MalformedSignature);
        }
        for secret in secrets {
            let tag = secret.sign(&self.scheme.template, scope)?;
            if decoded().any(|signature| tag.as_ref().ct_eq(&signature[..length]).into()) {
                return Ok(());
            }
        }
        Err(Cause::SignatureMismatch)
    }

    /// Checks the signatures with public keys. Looks up the keys only if there is a signature to
    /// check.
    fn check_public(
        &self,
        scope: &TemplateScope<'_>,
        candidates: &[&[u8]],
        keys: impl FnOnce() -> Result<Vec<PublicKey>, VerifyError>,
    ) -> Result<(), VerifyError> {
        let algorithm = self.scheme.algorithm.public().ok_or(Cause::UnknownAlgorithm)?;
        let has_right_length = |bytes: &Vec<u8>| {
            self.scheme.algorithm.signature_bytes().is_none_or(|length| bytes.len() == length)
        };
        let decoded: Vec<Vec<u8>> = candidates
            .iter()
            .filter_map(|text| self.scheme.encoding.decode_any(text))
            .filter(has_right_length)
            .collect();
        if decoded.is_empty() {
            return Err(Cause::MalformedSignature.into());
        }
        let text = self.scheme.template.render(scope)?;
        let keys = keys()?;
        let matches =
            |key: &PublicKey| decoded.iter().any(|signature| key.verify(algorithm, &text, signature));
        if keys.iter().any(matches) { Ok(()) } else { Err(Cause::SignatureMismatch.into()) }
    }
}

/// Returns the lines of header fields, without empty lines.
fn lines<'a>(view: &View<'a>, is_wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = &'a [u8]> {
    let fields = view.request.headers.0.iter().filter(move |(name, _)| is_wanted(name));
    fields.map(|(_, value)| value.trim_ascii()).filter(|value| !value.is_empty())
}

fn try_each<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    mut attempt: impl FnMut(&[u8]) -> Result<(), VerifyError>,
) -> Result<(), VerifyError> {
    let mut rejection = VerifyError::Rejected(Cause::MissingHeader);
    for (place, line) in lines.enumerate() {
        if place == MAX_CANDIDATES {
            return Err(Cause::MalformedSignature.into());
        }
        match attempt(line) {
            Ok(()) => return Ok(()),
            Err(error) => rejection = more_specific(rejection, error),
        }
    }
    Err(rejection)
}

/// Tries one line as it is, and several lines as the list that a proxy would have joined them to.
/// With a positional layout, it also tries each of up to `MAX_JOINED_LINES` lines.
fn try_list<'a>(
    mut lines: impl Iterator<Item = &'a [u8]>,
    is_positional: bool,
    mut attempt: impl FnMut(&[u8]) -> Result<(), VerifyError>,
) -> Result<(), VerifyError> {
    let Some(first) = lines.next() else { return Err(Cause::MissingHeader.into()) };
    let Some(second) = lines.next() else { return attempt(first) };
    let several: Vec<&[u8]> = [first, second].into_iter().chain(lines.take(MAX_CANDIDATES)).collect();
    if several.len() > MAX_CANDIDATES {
        return Err(Cause::MalformedSignature.into());
    }
    match attempt(&several.join(&b", "[..])) {
        Err(rejection) if is_positional && several.len() <= MAX_JOINED_LINES => {
            try_each(several.into_iter(), attempt).map_err(|error| more_specific(rejection, error))
        }
        verdict => verdict,
    }
}

/// Whether a request has a value at the place of the signature of a scheme that has keys.
pub fn is_sent(schemes: &[BoundSignature], view: &View<'_>) -> bool {
    schemes.iter().any(|keyed| !keyed.keys.are_absent() && keyed.is_sent(view))
}

/// Checks a request against the schemes of one source, in the order of the recipe. The first place
/// with a value decides, even if another part that its scheme needs is missing, so that omitting it
/// cannot let a weaker scheme decide. All schemes with that place (versions in one list) are tried.
///
/// # Errors
/// The most specific cause for the deciding place.
pub fn authenticate(
    schemes: &[BoundSignature],
    view: &View<'_>,
    terms: &Terms<'_>,
) -> Result<(), VerifyError> {
    let mut deciding: Option<&Place> = None;
    let mut rejection = VerifyError::Rejected(Cause::MissingHeader);
    for keyed in schemes {
        let place = &keyed.scheme.at;
        if deciding.is_some_and(|decided| decided != place) {
            continue;
        }
        let Err(error) = keyed.check(view, terms) else {
            return Ok(());
        };
        if error != VerifyError::Rejected(Cause::MissingHeader)
            || (!keyed.keys.are_absent() && keyed.is_sent(view))
        {
            deciding = Some(place);
        }
        rejection = more_specific(rejection, error);
    }
    Err(rejection)
}

/// Whether `covers` holds for every signature that may have decided; `None` if the request has no
/// signature. The deciding place is the same as in `authenticate`: for an accepted request, the
/// first one with a value and keys.
pub fn is_covered(
    schemes: &[BoundSignature],
    view: &View<'_>,
    covers: impl Fn(&Template) -> bool,
) -> Option<bool> {
    let usable = || schemes.iter().filter(|keyed| !keyed.keys.are_absent());
    let place = &usable().find(|keyed| keyed.is_sent(view))?.scheme.at;
    let may_decide = |keyed: &&BoundSignature| keyed.scheme.at == *place && keyed.is_written(view);
    Some(usable().filter(may_decide).all(|keyed| covers(&keyed.scheme.template)))
}

/// Returns the more specific of two errors.
pub fn more_specific(first: VerifyError, second: VerifyError) -> VerifyError {
    if specificity(&second) > specificity(&first) { second } else { first }
}

/// Ranks an error by the step at which the check failed.
const fn specificity(error: &VerifyError) -> u8 {
    match error {
        VerifyError::Missing(_) => 7,
        VerifyError::Rejected(cause) => match cause {
            Cause::MissingHeader => 0,
            Cause::AddressNotAllowed | Cause::UnknownAlgorithm => 1,
            Cause::MalformedSignature | Cause::TokenMismatch => 2,
            Cause::UnknownKey
            | Cause::CertificateNotTrusted
            | Cause::HandshakeRefused
            | Cause::NotConfirmed => 3,
            Cause::SignatureMismatch => 4,
            Cause::ClaimMismatch | Cause::WrongAccount | Cause::TooLarge => 5,
            Cause::StaleTimestamp => 6,
        },
    }
}
