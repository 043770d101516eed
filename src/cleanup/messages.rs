//! Messages past their retention. A scan skips messages that a pending delivery, a dead letter or a
//! pending confirmation retains. A later run checks a skipped message again after that delivery or
//! confirmation has ended, or the dead letter was deleted. Scanning all skipped messages in each
//! run would take longer as the backlog grows.

use std::collections::BTreeSet;
use std::time::Duration;

use time::OffsetDateTime;

use super::cleaner::{Cleaner, CleanupOutcome, past_damage};
use super::drops::DeliveryDropReport;
use crate::store::{
    Cleanup, ExpirySelection, InactiveTarget, MessageId, RetainedSince, RetentionRule, TargetKind,
    TargetState, TimePosition, Timestamp, Unavailable, YieldingTargets,
};

/// Retention of messages that their provider did not confirm, so that an operator can inspect them.
const REFUSED_RETENTION: Duration = Duration::from_secs(86_400);
/// Limit on the time between the recorded end of a delivery and the commit of that record.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages with a settled confirmation that are checked in one read.
const MAX_SETTLED_PER_STEP: usize = 500;

impl Cleaner {
    /// Stops retaining old messages for removed targets and disconnected listeners when the free
    /// disk space is close to the low-water mark, below which the service rejects new messages.
    pub(super) async fn yield_old(&mut self, store: &Cleanup) -> Result<(), Unavailable> {
        self.old_yielding = YieldingTargets::NoTargets;
        if !store.is_disk_nearly_low() {
            self.absent.clear();
            return Ok(());
        }
        self.old_yielding = YieldingTargets::Absent;
        let targets = self.step(store.inactive_targets()).await?;
        let is_absent = |target: &InactiveTarget| {
            let is_listener = target.kind == TargetKind::Listener && target.state == TargetState::Paused;
            target.is_busy && (is_listener || target.state == TargetState::Removed)
        };
        let absent: BTreeSet<_> =
            targets.into_iter().filter(is_absent).map(|target| (target.id, target.state_since)).collect();
        if !absent.is_subset(&self.absent) {
            // Earlier scans skipped the messages of the newly absent targets.
            self.scanned_until.clear();
        }
        self.absent = absent;
        Ok(())
    }

    pub(super) async fn delete_old(
        &mut self,
        store: &Cleanup,
        now: OffsetDateTime,
        outcome: &mut CleanupOutcome,
    ) -> Result<(), Unavailable> {
        let retention =
            RetentionRule { yielding: self.old_yielding.clone(), ..self.policy.retention_rule(now) };
        for (group, (sources, age)) in self.policy.groups().into_iter().enumerate() {
            let before = Timestamp::from(now - age);
            for since in RetainedSince::BOTH {
                let scanned_until =
                    self.scanned_until.get(&(group, since)).copied().unwrap_or(Timestamp::MIN);
                let mut next = Some(TimePosition::before(scanned_until));
                while let Some(after) = next {
                    let (before, sources, retention) = (before, sources.clone(), retention.clone());
                    let selection =
                        ExpirySelection { since, after, before, sources, retention: retention.clone() };
                    let page = self.step(store.old_messages(selection)).await?;
                    self.scanned_through = self.scanned_through.max(page.scanned_through);
                    outcome.messages += match self.old_yielding {
                        YieldingTargets::NoTargets => self.delete(store, page.ids, &retention).await?,
                        _ => self.delete_yielding(store, page.ids, &retention, &self.drops_for_disk).await?,
                    };
                    next = page.next;
                }
                self.scanned_until.insert((group, since), before);
            }
        }
        self.drops_for_disk.log(store).await;
        Ok(())
    }

    /// Checks skipped messages again after their delivery ended or their confirmation was settled.
    pub(super) async fn revisit_finished(
        &mut self,
        store: &Cleanup,
        now: OffsetDateTime,
        uptime: Duration,
        outcome: &mut CleanupOutcome,
    ) -> Result<(), Unavailable> {
        self.revisit_settled(store, now, outcome).await?;
        self.rewind_finished(now, uptime);
        let seen = TimePosition::before(Timestamp::from(now - COMMIT_TIMEOUT));
        let through = self.passed_through();
        // Before the first scan, no messages were skipped.
        let mut next = self.finished_seen.take().filter(|_| through > MessageId::START);
        while let Some(after) = next {
            // If this fails, the next run starts here.
            self.finished_seen = Some(after.clone());
            let (messages, following) = self.step(store.messages_finished(after, through)).await?;
            self.size_walk.pass(&messages);
            outcome.messages += self.delete_if_old(store, messages, now).await?;
            next = following;
        }
        self.finished_seen = Some(seen);
        Ok(())
    }

    /// Checks messages whose confirmation was settled. Their ids come from memory, so finding them
    /// does not depend on the clock or an index.
    async fn revisit_settled(
        &mut self,
        store: &Cleanup,
        now: OffsetDateTime,
        outcome: &mut CleanupOutcome,
    ) -> Result<(), Unavailable> {
        let new = store.take_settlements();
        if new.is_incomplete {
            self.restart_scans();
        }
        let through = self.passed_through();
        let mut passed: Vec<MessageId> =
            new.messages.into_iter().filter(|message| *message <= through).collect();
        self.size_walk.pass(&passed);
        self.settled.append(&mut passed);
        while !self.settled.is_empty() {
            let page = self.settled[..self.settled.len().min(MAX_SETTLED_PER_STEP)].to_vec();
            let checked = page.len();
            // If this fails, the next run starts here. Damage is permanent, so it must not block
            // the other messages.
            outcome.messages += past_damage(self.delete_if_old(store, page, now).await)?;
            self.settled.drain(..checked);
        }
        Ok(())
    }

    /// Moves the scan of finished deliveries back if the clock was set back, because deliveries
    /// that end after the setback can have earlier times than those already scanned.
    fn rewind_finished(&mut self, now: OffsetDateTime, uptime: Duration) {
        let last = self.finished_checked_at.replace((now, uptime));
        let Some((then, then_uptime)) = last else { return };
        let set_back = then + uptime.saturating_sub(then_uptime) - now;
        if !set_back.is_positive() {
            return;
        }
        if let Some(seen) = &mut self.finished_seen {
            let seen_at = seen.at.to_timestamp().unwrap_or(Timestamp::MIN).to_time();
            *seen = TimePosition::before(seen_at.saturating_sub(set_back).into());
        }
    }

    /// Returns the newest message that a scan may have skipped.
    fn passed_through(&self) -> MessageId {
        self.scanned_through.max(self.size_walk.walked())
    }

    /// Deletes the messages in `ids` that are past their retention and that nothing else retains.
    pub(super) async fn delete_if_old(
        &self,
        store: &Cleanup,
        ids: Vec<MessageId>,
        now: OffsetDateTime,
    ) -> Result<usize, Unavailable> {
        if ids.is_empty() {
            return Ok(0);
        }
        let retention = self.policy.retention_rule(now);
        let free = self.step(store.unretained_messages(ids, retention.clone())).await?;
        let old = free.iter().filter(|message| self.policy.is_old(message, now));
        self.delete(store, old.map(|message| message.id).collect(), &retention).await
    }

    /// Deletes messages that their provider did not confirm, `REFUSED_RETENTION` after its answer,
    /// regardless of the configured retention.
    pub(super) async fn delete_refused(
        &self,
        store: &Cleanup,
        now: OffsetDateTime,
        outcome: &mut CleanupOutcome,
    ) -> Result<(), Unavailable> {
        let before = Timestamp::from(now - REFUSED_RETENTION);
        let mut next = Some(TimePosition::START);
        while let Some(after) = next {
            let page = self.step(store.refused_messages(after, before)).await?;
            outcome.messages += self.delete(store, page.ids, &self.policy.retention_rule(now)).await?;
            next = page.next;
        }
        Ok(())
    }

    /// Deletes those messages in `ids` that only yielding targets retain, and adds their
    /// pending deliveries to the report.
    pub(super) async fn delete_yielding(
        &self,
        store: &Cleanup,
        ids: Vec<MessageId>,
        retention: &RetentionRule,
        report: &DeliveryDropReport,
    ) -> Result<usize, Unavailable> {
        let pending = self.step(store.pending_of_messages(ids.clone())).await?;
        // Counted before the deletion: a stop of the service ends this task, but not a deletion
        // that the writer has received.
        report.add(&pending);
        let deleted = self.delete(store, ids.clone(), retention).await;
        if deleted != Ok(ids.len()) {
            let kept = self.step(store.pending_of_messages(ids)).await;
            report.subtract(&kept.unwrap_or(pending));
        }
        deleted
    }

    /// Merges the keys of the messages in `ids`, then deletes those messages that nothing retains.
    pub(super) async fn delete(
        &self,
        store: &Cleanup,
        ids: Vec<MessageId>,
        retention: &RetentionRule,
    ) -> Result<usize, Unavailable> {
        let Some(newest) = ids.iter().copied().max() else { return Ok(0) };
        while !self.step(store.merge_keys(newest)).await? {}
        self.in_steps(ids, async |ids| store.delete_messages(ids, retention.clone()).await).await
    }
}
