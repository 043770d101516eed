//! Verification of changed requests within a limit on the hashed bytes.

use std::cell::Cell;

use crate::content::request::{Cause, Request};
use crate::scheme::key_store::{KeyStore, VerifyError};
use crate::scheme::signature::Terms;

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
    /// Texts that one verification hashes for each secret.
    groups: usize,
    left_bytes: Cell<usize>,
    /// Whether the limit prevented a verification of the current trial.
    is_exhausted: Cell<bool>,
    was_exhausted: Cell<bool>,
}

impl<'a> Checks<'a> {
    pub fn new(rejected: &'a RejectedRequest<'a>) -> Self {
        let view = rejected.verifier.view(rejected.request);
        let groups = rejected.verifier.proofs.signatures.iter().map(|keyed| keyed.count_groups(&view));
        let groups = groups.sum::<usize>().max(1);
        Self {
            rejected,
            groups,
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
        self.spend_bytes(bytes, self.groups.saturating_mul(secrets_of(verifier))) && {
            let verdict = verifier.authenticate(request, key_store);
            // The timestamp is compared with the clock last.
            matches!(verdict, Ok(()) | Err(VerifyError::Rejected(Cause::StaleTimestamp)))
        }
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

/// Number of secrets in the settings of a verifier, at least 1.
fn secrets_of(verifier: &Verifier) -> usize {
    let secrets = verifier.recipe.keys.iter().filter(|key| key.kind == SettingKind::Secret);
    secrets.map(|key| verifier.settings.all(&key.name).len()).sum::<usize>().max(1)
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;

    use super::*;
    use crate::content::request::{Headers, Secret};
    use crate::providers::catalogue::recipes;
    use crate::providers::verifier::EmptyKeyStore;

    #[test]
    fn exhausted_trial_does_not_mark_later_ones() {
        let recipe = recipes().find(|recipe| recipe.name() == "github").unwrap();
        let mut settings = Settings::default();
        settings.values.insert("secret".to_owned(), vec![Secret::new("s3cret-value")]);
        let verifier = Verifier::bind(recipe, &settings).unwrap();
        let request = Request {
            method: "POST",
            target: "/",
            query: "",
            url: "",
            headers: Headers(&[]),
            body: b"",
            now: OffsetDateTime::UNIX_EPOCH,
        };
        let rejected = RejectedRequest {
            source: "github",
            verifier: &verifier,
            request: &request,
            has_body: true,
            cause: None,
            key_store: &EmptyKeyStore,
            others: &[],
            hidden: &[],
        };
        let checks = Checks::new(&rejected);
        checks.begin_trial();
        assert!(!checks.spend_bytes(MAX_HASHED_BYTES, 1));
        assert!(checks.is_exhausted() && checks.was_exhausted());
        checks.begin_trial();
        assert!(checks.spend(1));
        assert!(!checks.is_exhausted() && checks.was_exhausted());
    }
}
