//! Verification of changed requests within a limit on the hashed bytes.

use std::cell::Cell;

use crate::content::request::{Cause, Request, Secret};
use crate::content::view::View;
use crate::scheme::key_store::{KeyStore, VerifyError};
use crate::scheme::signature::{BoundSignature, SignatureKeys, Terms};

use super::super::recipe::Recipe;
use super::super::settings::{SettingKind, Settings};
use super::super::verifier::Verifier;
use super::diagnosis::RejectedRequest;

/// Limit on the bytes that the trials of one explanation hash.
const MAX_HASHED_BYTES: usize = 32 << 20;
/// Cost of a verification without a body, in bytes.
const BASE_COST_BYTES: usize = 2 << 10;
/// Limit on the values that are removed from settings because the recipe cannot use them.
const MAX_UNUSABLE_VALUES: usize = 20;

/// The result of a change with several candidates.
#[derive(Debug, PartialEq, Eq)]
pub enum TrialFinding<T> {
    Inapplicable,
    Differs,
    Fits(T),
}

impl<T> TrialFinding<T> {
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> TrialFinding<U> {
        match self {
            Self::Inapplicable => TrialFinding::Inapplicable,
            Self::Differs => TrialFinding::Differs,
            Self::Fits(found) => TrialFinding::Fits(change(found)),
        }
    }
}

/// Verifies changed copies of a rejected request.
pub struct Checks<'a> {
    pub rejected: &'a RejectedRequest<'a>,
    left_bytes: Cell<usize>,
    /// Whether the limit prevented a verification of the current trial.
    is_exhausted: Cell<bool>,
    was_exhausted: Cell<bool>,
}

impl<'a> Checks<'a> {
    pub fn new(rejected: &'a RejectedRequest<'a>) -> Self {
        Self {
            rejected,
            left_bytes: Cell::new(MAX_HASHED_BYTES),
            is_exhausted: Cell::new(false),
            was_exhausted: Cell::new(false),
        }
    }

    pub fn begin_trial(&self) {
        self.is_exhausted.set(false);
    }

    /// Whether the limit prevented a verification of the current trial.
    pub const fn is_exhausted(&self) -> bool {
        self.is_exhausted.get()
    }

    /// Whether the limit prevented a verification of any trial.
    pub const fn was_exhausted(&self) -> bool {
        self.was_exhausted.get()
    }

    /// Whether `texts` more texts of the size of the body may be hashed.
    pub fn spend(&self, texts: usize) -> bool {
        self.spend_bytes(self.rejected.request.body.len(), texts)
    }

    fn spend_bytes(&self, bytes: usize, texts: usize) -> bool {
        let cost = (bytes + BASE_COST_BYTES).saturating_mul(texts.max(1));
        let left = self.left_bytes.get().checked_sub(cost);
        self.left_bytes.set(left.unwrap_or_else(|| self.left_bytes.get()));
        self.is_exhausted.set(self.is_exhausted.get() || left.is_none());
        self.was_exhausted.set(self.was_exhausted.get() || left.is_none());
        left.is_some()
    }

    /// Whether a request is correctly signed for a verifier of its source; false at the limit.
    pub fn verifies(&self, verifier: &Verifier, request: &Request<'_>) -> bool {
        self.verifies_with(verifier, request, self.rejected.key_store)
    }

    /// Whether a request is correctly signed for any verifier, with these keys.
    pub fn verifies_with(
        &self,
        verifier: &Verifier,
        request: &Request<'_>,
        key_store: &dyn KeyStore,
    ) -> bool {
        let bytes = if verifier.reads_body() { request.body.len() } else { 0 };
        self.spend_bytes(bytes, count_texts(verifier, request)) && {
            let verdict = verifier.authenticate(request, key_store);
            // The timestamp is compared with the clock last.
            matches!(verdict, Ok(()) | Err(VerifyError::Rejected(Cause::StaleTimestamp)))
        }
    }

    /// Whether a signature has the form of its scheme and matches with a configured secret; `None`
    /// at the limit. `timestamp` replaces the one in the request.
    pub fn matches(&self, keyed: &BoundSignature, view: &View<'_>, timestamp: Option<&[u8]>) -> Option<bool> {
        let SignatureKeys::Secrets(secrets) = &keyed.keys else { return Some(false) };
        let is_affordable = self.spend(keyed.count_groups(view).saturating_mul(secrets.len()));
        let trace = || keyed.trace(view, &self.terms(), timestamp);
        is_affordable.then(|| trace().is_some_and(|trace| trace.is_match))
    }

    /// Verifies the request with other settings of its source.
    pub fn fits_settings(&self, settings: Settings) -> bool {
        let verifier = bind(self.rejected.verifier.recipe, settings);
        verifier.is_some_and(|verifier| self.verifies(&verifier, self.rejected.request))
    }

    pub fn terms(&self) -> Terms<'a> {
        let verifier = self.rejected.verifier;
        Terms { texts: &verifier.texts, tolerance: verifier.tolerance, key_store: self.rejected.key_store }
    }
}

/// Returns the first candidate that fits.
pub fn first_fit<T>(
    candidates: impl IntoIterator<Item = T>,
    mut fits: impl FnMut(&T) -> bool,
) -> TrialFinding<T> {
    let mut finding = TrialFinding::Inapplicable;
    for candidate in candidates {
        if fits(&candidate) {
            return TrialFinding::Fits(candidate);
        }
        finding = TrialFinding::Differs;
    }
    finding
}

/// Returns the candidates in their order, each once.
pub fn unique<T: PartialEq>(candidates: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut unique: Vec<T> = Vec::new();
    for candidate in candidates {
        if !unique.contains(&candidate) {
            unique.push(candidate);
        }
    }
    unique
}

/// Binds a recipe, without the values that it cannot use; `None` if it needs one of them.
pub fn bind(recipe: &'static Recipe, mut settings: Settings) -> Option<Verifier> {
    for _ in 0..MAX_UNUSABLE_VALUES {
        let mut errors = match Verifier::bind(recipe, &settings) {
            Ok(verifier) => return Some(verifier),
            Err(errors) => errors,
        };
        errors.sort_by(|a, b| (&b.key, b.value).cmp(&(&a.key, a.value)));
        errors.dedup_by(|a, b| a.key == b.key && a.value == b.value);
        for error in errors {
            let values = settings.values.get_mut(&error.key).filter(|values| values.len() > 1)?;
            if error.value >= values.len() {
                return None;
            }
            values.remove(error.value);
        }
    }
    None
}

/// Returns the secrets in the settings of a verifier.
pub fn secrets_of(verifier: &Verifier) -> impl Iterator<Item = &Secret> {
    let keys = verifier.recipe.keys.iter().filter(|key| key.kind == SettingKind::Secret);
    keys.flat_map(|key| verifier.settings.all(&key.name))
}

/// Limit on the texts that one verification hashes, at least 1. A scheme in code may hash a few
/// more.
fn count_texts(verifier: &Verifier, request: &Request<'_>) -> usize {
    let view = verifier.view(request);
    let groups = verifier.proofs.signatures.iter().map(|keyed| keyed.count_groups(&view)).sum::<usize>();
    groups.max(1).saturating_mul(secrets_of(verifier).count().max(1))
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::content::request::{Headers, Secret};
    use crate::providers::catalogue::recipes;
    use crate::providers::verifier::EmptyKeyStore;

    fn verifier(provider: &str, secrets: &[&str]) -> Verifier {
        let recipe = recipes().find(|recipe| recipe.name() == provider).unwrap();
        let mut settings = Settings::default();
        settings.values.insert("secret".to_owned(), secrets.iter().map(|text| Secret::new(*text)).collect());
        Verifier::bind(recipe, &settings).unwrap()
    }

    fn request<'a>(headers: &'a [(&'a str, &'a [u8])]) -> Request<'a> {
        Request {
            method: "POST",
            target: "/",
            query: "",
            url: "",
            headers: Headers(headers),
            body: b"",
            now: OffsetDateTime::UNIX_EPOCH,
        }
    }

    fn rejected<'a>(verifier: &'a Verifier, request: &'a Request<'a>) -> RejectedRequest<'a> {
        RejectedRequest {
            source: "test",
            verifier,
            request,
            has_body: true,
            cause: None,
            key_store: &EmptyKeyStore,
            others: &[],
            hidden: &[],
        }
    }

    #[test]
    fn verification_costs_the_texts_of_its_own_verifier() {
        let headers = [("persona-signature", &b"t=1,v1=aa t=2,v1=bb t=3,v1=cc"[..])];
        let request = request(&headers);
        let own = verifier("github", &["s3cret-value"]);
        let rejected = rejected(&own, &request);
        let checks = Checks::new(&rejected);
        let mut left = MAX_HASHED_BYTES;
        let mut spent_texts = || {
            let before = std::mem::replace(&mut left, checks.left_bytes.get());
            (before - left) / BASE_COST_BYTES
        };
        assert!(!checks.verifies(&own, &request));
        assert_eq!(spent_texts(), 1);
        let other = verifier("persona", &["s3cret-value", "s3cret-other"]);
        assert!(!checks.verifies(&other, &request));
        assert_eq!(spent_texts(), 6);
        let view = other.view(&request);
        assert_eq!(checks.matches(&other.proofs.signatures[0], &view, None), Some(false));
        assert_eq!(spent_texts(), 6);
    }

    #[test]
    fn exhausted_trial_does_not_mark_later_ones() {
        let verifier = verifier("github", &["s3cret-value"]);
        let request = request(&[]);
        let rejected = rejected(&verifier, &request);
        let checks = Checks::new(&rejected);
        checks.begin_trial();
        assert!(!checks.spend_bytes(MAX_HASHED_BYTES, 1));
        assert!(checks.is_exhausted() && checks.was_exhausted());
        checks.begin_trial();
        assert!(checks.spend(1));
        assert!(!checks.is_exhausted() && checks.was_exhausted());
    }
}
