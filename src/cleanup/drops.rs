//! Log reports of pending deliveries that were dropped for lack of space: at most one line a
//! minute for each reason, with the sums.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::store::{Cleanup, TargetId, TargetKind, TargetState};

const PAUSE_BETWEEN_REPORTS: Duration = Duration::from_secs(60);
/// Limit on the targets that one line names.
const MAX_NAMED: usize = 5;

/// Number of dropped deliveries that are not logged yet, by target. Clones share the numbers, so
/// that a clone can log the rest before the stop.
#[derive(Clone, Debug)]
pub struct DeliveryDropReport {
    reason: &'static str,
    unlogged: Arc<Mutex<UnloggedDrops>>,
}

#[derive(Debug, Default)]
struct UnloggedDrops {
    dropped: BTreeMap<TargetId, u64>,
    last: Option<Instant>,
}

impl UnloggedDrops {
    /// Returns targets and counts, largest first, if a line is due, and marks them as logged.
    fn take_due(&mut self, now: Instant) -> Option<Vec<(TargetId, u64)>> {
        let is_early = self.last.is_some_and(|last| now.duration_since(last) < PAUSE_BETWEEN_REPORTS);
        if self.dropped.is_empty() || is_early {
            return None;
        }
        self.last = Some(now);
        let mut dropped: Vec<_> = std::mem::take(&mut self.dropped).into_iter().collect();
        dropped.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        Some(dropped)
    }
}

impl DeliveryDropReport {
    /// `reason`: the start of the log line, such as "the disk is full".
    pub fn new(reason: &'static str) -> Self {
        Self { reason, unlogged: Arc::default() }
    }

    pub fn add(&self, dropped: &BTreeMap<TargetId, u64>) {
        let mut unlogged = self.unlogged.lock();
        for (target, count) in dropped {
            *unlogged.dropped.entry(*target).or_default() += count;
        }
    }

    /// Subtracts deliveries that were added but not dropped.
    pub fn subtract(&self, kept: &BTreeMap<TargetId, u64>) {
        let mut unlogged = self.unlogged.lock();
        for (target, count) in kept {
            if let Some(sum) = unlogged.dropped.get_mut(target) {
                *sum = sum.saturating_sub(*count);
            }
        }
        unlogged.dropped.retain(|_, count| *count > 0);
    }

    #[cfg(test)]
    pub fn unlogged(&self) -> BTreeMap<TargetId, u64> {
        self.unlogged.lock().dropped.clone()
    }

    pub async fn log(&self, store: &Cleanup) {
        let due = self.unlogged.lock().take_due(Instant::now());
        if let Some(dropped) = due {
            self.write(store, &dropped).await;
        }
    }

    /// Logs the rest before the stop.
    pub async fn finish(&self, store: &Cleanup) {
        self.unlogged.lock().last = None;
        self.log(store).await;
    }

    async fn write(&self, store: &Cleanup, dropped: &[(TargetId, u64)]) {
        let total: u64 = dropped.iter().map(|(_, count)| count).sum();
        let (named, others) = dropped.split_at(dropped.len().min(MAX_NAMED));
        let mut parts = Vec::new();
        for (target, count) in named {
            parts.push(format!("{count} to {}", describe(store, *target).await));
        }
        if !others.is_empty() {
            let count: u64 = others.iter().map(|(_, count)| count).sum();
            parts.push(format!("{count} to {} other targets", others.len()));
        }
        log::warn!(
            "{}: dropped {total} pending deliveries with their messages: {}",
            self.reason,
            parts.join(", ")
        );
    }
}

async fn describe(store: &Cleanup, target: TargetId) -> String {
    match store.reads().target(target).await {
        Ok(Some(one)) => format!("target={} ({})", one.settings.name, state_name(one.kind, one.state)),
        _ => format!("target={target}"),
    }
}

fn state_name(kind: TargetKind, state: TargetState) -> &'static str {
    match (kind, state) {
        (TargetKind::Listener, TargetState::Active) => "connected",
        (TargetKind::Listener, TargetState::Paused) => "not connected",
        (_, state) => state.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_summed_for_a_minute() {
        let start = Instant::now();
        let report = DeliveryDropReport::new("the disk is full");
        let take_due = |now| report.unlogged.lock().take_due(now);
        assert_eq!(take_due(start), None);
        report.add(&BTreeMap::from([(1.into(), 2), (2.into(), 3)]));
        assert_eq!(take_due(start), Some(vec![(2.into(), 3), (1.into(), 2)]));
        for second in 1..60 {
            report.add(&BTreeMap::from([(1.into(), 2)]));
            assert_eq!(take_due(start + Duration::from_secs(second)), None);
        }
        assert_eq!(take_due(start + PAUSE_BETWEEN_REPORTS), Some(vec![(1.into(), 2 * 59)]));
        assert_eq!(take_due(start + 2 * PAUSE_BETWEEN_REPORTS), None);
    }

    #[test]
    fn kept_deliveries_are_not_reported() {
        let report = DeliveryDropReport::new("the disk is full");
        report.add(&BTreeMap::from([(1.into(), 2), (2.into(), 3)]));
        report.subtract(&BTreeMap::from([(1.into(), 2), (2.into(), 1)]));
        assert_eq!(report.unlogged.lock().take_due(Instant::now()), Some(vec![(2.into(), 2)]));
    }
}
