//! Whether a source still verifies. A source that used to verify and now rejects what may be genuine has most likely the
//! wrong secret: the log warns once, and again when the source verifies again. The state survives a restart.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::rt;

use super::service::Service;
use super::source::Source;
use crate::providers::{Cause, Headers, Verifier};
use crate::store::{RejectionFilter, RejectionKind, Sealing, Unavailable};

/// Candidates without a success between them: a single one may be a forgery.
const FAILURES_BEFORE_WARNING: u32 = 3;
/// Forgeries between genuine messages must not fill the log.
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
    /// The log has named the signature that cannot be checked.
    has_named_unchecked: AtomicBool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    FirstSuccess,
    BeganToFail,
    VerifiesAgain,
}

impl SourceHealth {
    /// A message was verified. On the way of every message: nearly always two loads.
    pub fn verified(&self, service: &Service, source: &Arc<Source>) {
        if let Some(change) = self.succeed() {
            follow_up(service, source, change, None);
        }
    }

    /// Logs once that a source's messages are signed and that it has no key to check the signatures with. Of nearly every
    /// message it only learns that its source has nothing to look for.
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

    /// A request that may be genuine was rejected.
    pub fn failed(&self, service: &Service, source: &Arc<Source>, cause: Cause) {
        if let Some(change) = self.fail(Instant::now()) {
            follow_up(service, source, change, Some(cause));
        }
    }

    fn succeed(&self) -> Option<Change> {
        if self.failures.load(Ordering::Relaxed) == 0
            && self.has_verified.load(Ordering::Relaxed)
            && !self.is_failing.load(Ordering::Relaxed)
        {
            return None;
        }
        self.failures.store(0, Ordering::Relaxed);
        if self.is_failing.swap(false, Ordering::AcqRel) {
            return Some(Change::VerifiesAgain);
        }
        (!self.has_verified.swap(true, Ordering::AcqRel)).then_some(Change::FirstSuccess)
    }

    fn fail(&self, now: Instant) -> Option<Change> {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if failures < FAILURES_BEFORE_WARNING
            || !self.has_verified.load(Ordering::Relaxed)
            || self.is_failing.load(Ordering::Relaxed)
        {
            return None;
        }
        let mut last = self.last_warning.lock().ok()?;
        if last.is_some_and(|last| now < last + PAUSE_BETWEEN_WARNINGS) {
            return None;
        }
        *last = Some(now);
        (!self.is_failing.swap(true, Ordering::AcqRel)).then_some(Change::BeganToFail)
    }
}

fn setting(source: &Source) -> String {
    format!("source_health:{}", source.name)
}

/// Logs a change and stores the new state, apart from the request that has shown it.
fn follow_up(service: &Service, source: &Arc<Source>, change: Change, cause: Option<Cause>) {
    let name = source.name.clone();
    if change == Change::BeganToFail {
        log::warn!(
            "source {name} used to verify and now fails: {FAILURES_BEFORE_WARNING} requests in a row that carry what its \
             scheme demands were rejected, the last one as {}. Unless they are forged, check its secret and its other \
             settings; the requests are kept, see `creel rejections --source {name}`",
            cause.map_or("unknown", Cause::name)
        );
    }
    let (store, key, now) = (service.store.clone(), setting(source), (service.clock)());
    rt::spawn(async move {
        if change == Change::VerifiesAgain {
            let filter = RejectionFilter {
                source: Some(name.to_string()),
                kind: Some(RejectionKind::Candidate),
                ..RejectionFilter::default()
            };
            let counts = store.reads().count_rejections(filter, i64::MAX).await.unwrap_or_default();
            let count: u64 = counts.iter().map(|one| one.count).sum();
            match count {
                0 => log::info!("source {name} verifies again"),
                _ => log::info!(
                    "source {name} verifies again; {count} candidates in quarantine: `creel recheck --source {name}` accepts \
                     the genuine ones"
                ),
            }
        }
        let state = if change == Change::BeganToFail { FAILS } else { VERIFIES };
        if let Err(why) = store.settings().set_setting(&key, state, Sealing::Plain, now).await {
            log::warn!("cannot store whether source {name} verifies: {why}");
        }
    });
}

/// Reads how the sources were before this process.
///
/// # Errors
/// When the store cannot be read.
pub async fn recall(service: &Service) -> Result<(), Unavailable> {
    let mut numbers = None;
    for source in &service.sources {
        let health = &source.health;
        match service.store.settings().setting(&setting(source)).await?.as_deref() {
            Some(FAILS) => {
                health.is_failing.store(true, Ordering::Relaxed);
                health.has_verified.store(true, Ordering::Relaxed);
                let name = &source.name;
                log::warn!(
                    "source {name} used to verify and failed before this start: see `creel rejections --source {name}`"
                );
            }
            Some(_) => health.has_verified.store(true, Ordering::Relaxed),
            // A database of an older version has messages and no state.
            None => {
                if numbers.is_none() {
                    numbers = Some(service.store.reads().source_numbers().await?);
                }
                let has_messages = numbers.as_ref().and_then(|numbers| numbers.get(&*source.name));
                let has_verified = has_messages.is_some_and(|numbers| numbers.recent_messages > 0);
                health.has_verified.store(has_verified, Ordering::Relaxed);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_that_never_verified_raises_no_warning() {
        let (health, now) = (SourceHealth::default(), Instant::now());
        assert!((0..100).all(|_| health.fail(now).is_none()));
        assert_eq!(health.succeed(), Some(Change::FirstSuccess));
        assert_eq!(health.succeed(), None);
    }

    #[test]
    fn failing_source_is_reported_once_until_it_verifies() {
        let (health, now) = (SourceHealth::default(), Instant::now());
        health.succeed();
        let changes: Vec<_> = (0..100).filter_map(|_| health.fail(now)).collect();
        assert_eq!(changes, [Change::BeganToFail]);
        assert_eq!((health.succeed(), health.succeed()), (Some(Change::VerifiesAgain), None));
        assert!((0..100).all(|_| health.fail(now + PAUSE_BETWEEN_WARNINGS / 2).is_none()));
        assert_eq!(health.fail(now + PAUSE_BETWEEN_WARNINGS), Some(Change::BeganToFail));
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
