//! Verification health of a source. A source that used to verify and now rejects possibly genuine
//! requests most likely has the wrong secret. creel logs this once, and logs when the source
//! verifies again. The state survives a restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use time::OffsetDateTime;

use crate::providers::{Cause, Headers, Verifier};
use crate::store::{RejectionFilter, RejectionId, RejectionKind, Sealing, SourceNumbers, Store, Unavailable};

/// Number of consecutive rejected candidates that cause a warning: a single one may be a forgery.
const FAILURES_BEFORE_WARNING: u32 = 3;
/// Minimum time between warnings: forgeries between genuine messages must not flood the log.
const PAUSE_BETWEEN_WARNINGS: Duration = Duration::from_secs(3_600);
const VERIFIES: &str = "verifies";
const FAILS: &str = "fails";

#[derive(Debug, Default)]
pub struct SourceHealth {
    has_verified: AtomicBool,
    is_failing: AtomicBool,
    /// Candidates that were rejected since the last success.
    failures: AtomicU32,
    last_warning: Mutex<Option<Instant>>,
    /// Whether the warning about an unchecked signature has been logged.
    has_named_unchecked: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HealthChange {
    FirstSuccess,
    BeganToFail,
    VerifiesAgain,
}

impl SourceHealth {
    /// Records a verified message. Runs for every message, and nearly always only loads three
    /// atomics.
    pub fn verified(&self, name: &Arc<str>, store: &Store, now: OffsetDateTime) {
        if let Some(change) = self.succeed() {
            follow_up(name, store, now, change, None);
        }
    }

    /// Logs once that a source's messages are signed but no key is configured to verify them.
    /// Nearly always returns early, because the source has no unchecked signature.
    pub fn warn_of_unchecked_signature(&self, name: &str, verifier: &Verifier, headers: Headers<'_>) {
        let Some(header) = verifier.unchecked_signature(headers) else { return };
        if !self.has_named_unchecked.swap(true, Ordering::Relaxed) {
            log::warn!(
                "source {name}: its messages are signed ({header}), but the source has no key to check the signature with, so \
                 bodies are not protected; set {}",
                verifier.unused_signing_settings().join(" or ")
            );
        }
    }

    /// Records the rejection of a request that may be genuine.
    pub fn failed(&self, name: &Arc<str>, store: &Store, now: OffsetDateTime, cause: Cause) {
        if let Some(change) = self.fail(Instant::now()) {
            follow_up(name, store, now, change, Some(cause));
        }
    }

    /// Restores the state that an earlier process stored.
    ///
    /// # Errors
    /// The store cannot be read.
    pub async fn recall(
        &self,
        name: &str,
        store: &Store,
        numbers: &mut Option<BTreeMap<String, SourceNumbers>>,
    ) -> Result<(), Unavailable> {
        match store.settings().setting(&setting(name)).await?.as_deref() {
            Some(FAILS) => {
                self.is_failing.store(true, Ordering::Relaxed);
                self.has_verified.store(true, Ordering::Relaxed);
                log::warn!(
                    "source {name} was failing verification before this restart: see `creel rejections --source {name}`"
                );
            }
            Some(_) => self.has_verified.store(true, Ordering::Relaxed),
            // A database may have messages from before this state was stored.
            None => {
                if numbers.is_none() {
                    *numbers = Some(store.reads().source_numbers().await?);
                }
                let has_messages = numbers.as_ref().and_then(|numbers| numbers.get(name));
                let has_verified = has_messages.is_some_and(|numbers| numbers.recent_messages > 0);
                self.has_verified.store(has_verified, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    fn succeed(&self) -> Option<HealthChange> {
        if self.failures.load(Ordering::Relaxed) == 0
            && self.has_verified.load(Ordering::Relaxed)
            && !self.is_failing.load(Ordering::Relaxed)
        {
            return None;
        }
        self.failures.store(0, Ordering::Relaxed);
        if self.is_failing.swap(false, Ordering::AcqRel) {
            return Some(HealthChange::VerifiesAgain);
        }
        (!self.has_verified.swap(true, Ordering::AcqRel)).then_some(HealthChange::FirstSuccess)
    }

    fn fail(&self, now: Instant) -> Option<HealthChange> {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures < FAILURES_BEFORE_WARNING
            || !self.has_verified.load(Ordering::Relaxed)
            || self.is_failing.load(Ordering::Relaxed)
        {
            return None;
        }
        let mut last = self.last_warning.lock();
        if last.is_some_and(|last| now < last + PAUSE_BETWEEN_WARNINGS) {
            return None;
        }
        *last = Some(now);
        (!self.is_failing.swap(true, Ordering::AcqRel)).then_some(HealthChange::BeganToFail)
    }
}

fn setting(name: &str) -> String {
    format!("source_health:{name}")
}

/// Logs a change and stores the new state, in a separate task from the request that caused it.
fn follow_up(
    name: &Arc<str>,
    store: &Store,
    now: OffsetDateTime,
    change: HealthChange,
    cause: Option<Cause>,
) {
    if change == HealthChange::BeganToFail {
        log::warn!(
            "source {name} used to verify and now fails: {FAILURES_BEFORE_WARNING} consecutive requests with well-formed \
             credentials were rejected, the last one as {}. Unless they are forged, check its secret and \
             its other settings; the requests are in the quarantine, see `creel rejections --source {name}`",
            cause.map_or("unknown", Cause::name)
        );
    }
    let (name, store, key) = (Arc::clone(name), store.clone(), setting(name));
    tokio::spawn(async move {
        if change == HealthChange::VerifiesAgain {
            let filter = RejectionFilter {
                source: Some(name.to_string()),
                kind: Some(RejectionKind::Candidate),
                ..RejectionFilter::default()
            };
            let counts = store.reads().count_rejections(filter, RejectionId::END).await.unwrap_or_default();
            let count: u64 = counts.iter().map(|one| one.count).sum();
            match count {
                0 => log::info!("source {name} verifies again"),
                _ => log::info!(
                    "source {name} verifies again; {count} candidates in quarantine: `creel recheck --source {name}` accepts \
                     the genuine ones"
                ),
            }
        }
        let state = if change == HealthChange::BeganToFail { FAILS } else { VERIFIES };
        if let Err(why) = store.settings().set_setting(&key, state, Sealing::Plain, now).await {
            log::warn!("cannot store the verification state of source {name}: {why}");
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_that_never_verified_raises_no_warning() {
        let (health, now) = (SourceHealth::default(), Instant::now());
        assert!((0..100).all(|_| health.fail(now).is_none()));
        assert_eq!(health.succeed(), Some(HealthChange::FirstSuccess));
        assert_eq!(health.succeed(), None);
    }

    #[test]
    fn failing_source_is_reported_once_until_it_verifies() {
        let (health, now) = (SourceHealth::default(), Instant::now());
        health.succeed();
        let changes: Vec<_> = (0..100).filter_map(|_| health.fail(now)).collect();
        assert_eq!(changes, [HealthChange::BeganToFail]);
        assert_eq!((health.succeed(), health.succeed()), (Some(HealthChange::VerifiesAgain), None));
        assert!((0..100).all(|_| health.fail(now + PAUSE_BETWEEN_WARNINGS / 2).is_none()));
        assert_eq!(health.fail(now + PAUSE_BETWEEN_WARNINGS), Some(HealthChange::BeganToFail));
    }

    #[test]
    fn successes_between_forgeries_keep_the_source_healthy() {
        let (health, now) = (SourceHealth::default(), Instant::now());
        health.succeed();
        for _ in 0..100 {
            assert_eq!((health.fail(now), health.fail(now), health.succeed()), (None, None, None));
        }
    }
}
