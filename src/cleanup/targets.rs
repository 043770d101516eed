//! Unused targets: those of finished replays, abandoned listeners, and rows of removed targets
//! without deliveries.

use std::collections::BTreeSet;
use std::time::Duration;

use time::OffsetDateTime;

use super::cleaner::Cleaner;
use crate::store::{
    Cleanup, DeliveryId, InactiveTarget, MAX_DELIVERY_WAIT, Origin, TargetId, TargetKind, TargetState,
    Timestamp, Unavailable,
};

/// Idle time after which a replay's target is removed.
const REPLAY_TARGET_RETENTION: Duration = Duration::from_secs(86_400);
/// Time without a client after which a listener is removed: until then, each matching message
/// creates a delivery to it.
const LISTENER_RETENTION: Duration = Duration::from_secs(30 * 86_400);

impl Cleaner {
    pub(super) async fn retire_targets(
        &mut self,
        store: &Cleanup,
        now: OffsetDateTime,
        uptime: Duration,
    ) -> Result<(), Unavailable> {
        let targets = self.step(store.inactive_targets()).await?;
        let is_idle = |target: &&InactiveTarget| {
            target.origin == Origin::Replay && target.state != TargetState::Removed && !target.is_busy
        };
        let idle: BTreeSet<TargetId> = targets.iter().filter(is_idle).map(|target| target.id).collect();
        self.idle_since.retain(|target, _| idle.contains(target));
        for target in idle {
            let since = *self.idle_since.entry(target).or_insert(uptime);
            if uptime.saturating_sub(since) >= REPLAY_TARGET_RETENTION {
                self.step(store.retire_replay_target(target, now)).await?;
            }
        }
        let before = Timestamp::from(now - LISTENER_RETENTION);
        let is_abandoned = |target: &InactiveTarget| {
            target.kind == TargetKind::Listener
                && target.state == TargetState::Paused
                && target.state_since < before
        };
        if targets.iter().any(is_abandoned) {
            self.step(store.retire_listeners(before, now)).await?;
        }
        Ok(())
    }

    /// Deletes targets that were removed a week ago and have no deliveries left. Scans all
    /// deliveries, so it only runs with a full scan.
    pub(super) async fn delete_removed_targets(
        &self,
        store: &Cleanup,
        now: OffsetDateTime,
    ) -> Result<(), Unavailable> {
        let before = Timestamp::from(now - MAX_DELIVERY_WAIT);
        let targets = self.step(store.inactive_targets()).await?;
        let removed = targets
            .iter()
            .filter(|target| target.state == TargetState::Removed && target.state_since < before);
        let mut unused: BTreeSet<TargetId> = removed.map(|target| target.id).collect();
        let mut next = Some(DeliveryId::START);
        while let Some(after) = next.filter(|_| !unused.is_empty()) {
            let (in_use, following) = self.step(store.targets_in_use(after)).await?;
            for target in in_use {
                unused.remove(&target);
            }
            next = following;
        }
        for target in unused {
            self.step(store.delete_removed_target(target, before)).await?;
        }
        Ok(())
    }
}
