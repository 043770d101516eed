//! The next state of a delivery after an attempt, the stored record, and the log line.

use std::time::Duration;

use time::OffsetDateTime;

use super::attempt::{AttemptResult, AttemptVerdict};
use super::schedule;
use crate::store::{
    AttemptOutcome, AttemptRecord, Clock, DeliveryId, DeliveryOrdering, DeliveryQueue, Disposition,
    DueDelivery, MessageId, StoredTarget, TargetId, Timestamp,
};

pub fn next(
    verdict: AttemptVerdict,
    number: u32,
    now: OffsetDateTime,
    ordering: DeliveryOrdering,
) -> Disposition {
    let requested_pause = match verdict {
        AttemptVerdict::Delivered => return Disposition::Delivered,
        AttemptVerdict::Final => return Disposition::Dead,
        // The target is disabled: the delivery is due as soon as the target is resumed.
        AttemptVerdict::Gone => return Disposition::Again { at: Timestamp::from(now), ordering },
        AttemptVerdict::Failed { retry_after, .. } => retry_after,
    };
    match schedule::next_try_after(number, schedule::random_jitter(), requested_pause) {
        Some(pause) => Disposition::Again { at: Timestamp::from(now + pause), ordering },
        None => Disposition::Dead,
    }
}

pub fn record(
    delivery: &DueDelivery,
    number: u32,
    began_at: OffsetDateTime,
    took: Duration,
    attempted: AttemptResult,
    next: Disposition,
) -> AttemptRecord {
    AttemptRecord {
        delivery: delivery.id,
        number,
        began_at: Timestamp::from(began_at),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        outcome: match attempted.verdict {
            AttemptVerdict::Delivered => AttemptOutcome::Delivered,
            AttemptVerdict::Gone => AttemptOutcome::Gone,
            AttemptVerdict::Failed { .. } | AttemptVerdict::Final => AttemptOutcome::Failed,
        },
        status: attempted.status,
        error: attempted.error,
        excerpt: attempted.excerpt,
        next,
    }
}

/// Disables a target that answered 410, unless its URL has changed meanwhile; returns false if it
/// is still active.
pub async fn disable(store: &DeliveryQueue, clock: Clock, target: TargetId, name: &str, url: String) -> bool {
    match store.disable_target(target, url, "it answered 410 Gone", clock()).await {
        Ok(true) => {
            log::warn!(
                "target={name}: answered 410 Gone and is disabled; its deliveries stay pending for 7 days. \
                 Run `creel targets resume {name}` to deliver them"
            );
            true
        }
        Ok(false) => false,
        Err(why) => {
            log::warn!("target={name}: answered 410 Gone, but cannot be disabled now: {why}");
            false
        }
    }
}

/// Logs an attempt that panicked, and returns its result.
pub fn panicked(target: &str, message: MessageId, delivery: DeliveryId) -> AttemptResult {
    log::error!(
        "target={target} message={message} delivery={delivery}: the attempt panicked, a bug in creel"
    );
    AttemptResult::failed("a bug in creel")
}

/// Logs the outcome of an attempt.
pub fn log(target: &StoredTarget, message: MessageId, record: &AttemptRecord) {
    let (name, delivery) = (&target.settings.name, record.delivery);
    let result = record.error.clone().or_else(|| record.status.map(|status| status.to_string()));
    let result = result.unwrap_or_default();
    match &record.next {
        Disposition::Delivered => {
            log::debug!("target={name} message={message} delivery={delivery}: delivered ({result})");
        }
        Disposition::Again { .. } if record.outcome == AttemptOutcome::Gone => {
            log::info!(
                "target={name} message={message} delivery={delivery}: answered 410 Gone, stays pending"
            );
        }
        Disposition::Again { at, .. } => log::info!(
            "target={name} message={message} delivery={delivery}: attempt {} failed ({result}), next attempt at {at}",
            record.number
        ),
        Disposition::Dead => log::warn!(
            "target={name} message={message} delivery={delivery}: dead after attempt {} ({result})",
            record.number
        ),
    }
}
