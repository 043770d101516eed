//! Messages that have outlived their retention. What is kept by a delivery or a confirmation is passed by, and looked at
//! again when that delivery has ended or the confirmation is settled: a walk over everything that waits would take the
//! longer the more it is.

use std::collections::BTreeSet;
use std::time::Duration;

use time::OffsetDateTime;

use super::cleaner::{Cleaner, CleanupOutcome, past_damage};
use crate::store::{
    Cleanup, ExpirySelection, InactiveTarget, RetainedSince, RetentionRule, TargetKind, TargetState,
    TimePosition, Unavailable, Yielding, timestamp,
};

/// A message that its provider does not know is kept so long, for a person to look at.
const REFUSED_KEPT: Duration = Duration::from_secs(86_400);
/// A delivery ends, by its own account, this long before it is committed at most.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(10);
/// Messages with a settled confirmation that are looked at in one read.
const SETTLED_AT_ONCE: usize = 500;

impl Cleaner {
    /// Near the low-water mark of the disk, removed targets and disconnected listeners keep no messages beyond their
    /// retention: below the mark, they would make the service refuse new ones.
    pub(super) async fn yield_old(&mut self, store: &Cleanup) -> Result<(), Unavailable> {
        self.old_yielding = Yielding::NoTargets;
        if !store.is_disk_nearly_low() {
            self.absent.clear();
            return Ok(());
        }
        self.old_yielding = Yielding::Absent;
        let targets = self.step(store.inactive_targets()).await?;
        let is_absent = |target: &InactiveTarget| {
            let is_listener = target.kind == TargetKind::Listener && target.state == TargetState::Paused;
            target.is_busy && (is_listener || target.state == TargetState::Removed)
        };
        let absent: BTreeSet<_> =
            targets.into_iter().filter(is_absent).map(|target| (target.id, target.state_since)).collect();
        if !absent.is_subset(&self.absent) {
            // Their messages were passed by.
            self.looked_at.clear();
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
        let keeping = RetentionRule { yielding: self.old_yielding.clone(), ..self.policy.keeping(now) };
        for (group, (sources, age)) in self.policy.groups().into_iter().enumerate() {
            let before = timestamp::to_text(now - age);
            for since in RetainedSince::BOTH {
                let looked_at = self.looked_at.get(&(group, since)).cloned().unwrap_or_default();
                let mut next = Some(TimePosition::before(looked_at));
                while let Some(after) = next {
                    let (before, sources, keeping) = (before.clone(), sources.clone(), keeping.clone());
                    let selection =
                        ExpirySelection { since, after, before, sources, keeping: keeping.clone() };
                    let page = self.step(store.old_messages(selection)).await?;
                    self.looked_through = self.looked_through.max(page.looked_through);
                    if self.old_yielding != Yielding::NoTargets {
                        let pending = self.step(store.pending_of_messages(page.ids.clone())).await?;
                        self.drops_for_disk.add(&pending);
                    }
                    outcome.messages += self.delete(store, page.ids, &keeping).await?;
                    next = page.next;
                }
                self.looked_at.insert((group, since), before.clone());
            }
        }
        self.drops_for_disk.log(store).await;
        Ok(())
    }

    /// Messages that were passed by because of a confirmation that is settled or a delivery that has ended since.
    pub(super) async fn look_at_finished(
        &mut self,
        store: &Cleanup,
        now: OffsetDateTime,
        uptime: Duration,
        outcome: &mut CleanupOutcome,
    ) -> Result<(), Unavailable> {
        self.look_at_settled(store, now, outcome).await?;
        self.rewind_finished(now, uptime);
        let seen = TimePosition::before(timestamp::to_text(now - COMMIT_TIMEOUT));
        let through = self.passed_through();
        // In the first run nothing has been passed by.
        let mut next = self.finished_seen.take().filter(|_| through > 0);
        while let Some(after) = next {
            // If this fails, the next run begins here.
            self.finished_seen = Some(after.clone());
            let (messages, behind) = self.step(store.messages_finished(after, through)).await?;
            self.size_walk.pass(&messages);
            outcome.messages += self.delete_if_old(store, messages, now).await?;
            next = behind;
        }
        self.finished_seen = Some(seen);
        Ok(())
    }

    /// The ids come from memory, so neither a clock nor an index has a part in it.
    async fn look_at_settled(
        &mut self,
        store: &Cleanup,
        now: OffsetDateTime,
        outcome: &mut CleanupOutcome,
    ) -> Result<(), Unavailable> {
        let new = store.take_settlements();
        if new.is_incomplete {
            self.look_at_everything();
        }
        let through = self.passed_through();
        let mut passed: Vec<i64> = new.messages.into_iter().filter(|message| *message <= through).collect();
        self.size_walk.pass(&passed);
        self.settled.append(&mut passed);
        while !self.settled.is_empty() {
            let page = self.settled[..self.settled.len().min(SETTLED_AT_ONCE)].to_vec();
            let looked_at = page.len();
            // If this fails, the next run begins here. Damage stays, so it must not keep the others.
            outcome.messages += past_damage(self.delete_if_old(store, page, now).await)?;
            self.settled.drain(..looked_at);
        }
        Ok(())
    }

    /// A clock that was set back since the last look gives deliveries that end an earlier time than those seen before.
    fn rewind_finished(&mut self, now: OffsetDateTime, uptime: Duration) {
        let last = self.finished_looked_at.replace((now, uptime));
        let Some((then, then_uptime)) = last else { return };
        let set_back = then + uptime.saturating_sub(then_uptime) - now;
        if !set_back.is_positive() {
            return;
        }
        if let Some(seen) = &mut self.finished_seen
            && let Some(at) = timestamp::from_text(&seen.at)
        {
            *seen = TimePosition::before(timestamp::to_text(at.saturating_sub(set_back)));
        }
    }

    /// The newest message that was passed by.
    fn passed_through(&self) -> i64 {
        self.looked_through.max(self.size_walk.walked())
    }

    /// Those of `ids` that are old and that nothing keeps any more.
    pub(super) async fn delete_if_old(
        &self,
        store: &Cleanup,
        ids: Vec<i64>,
        now: OffsetDateTime,
    ) -> Result<usize, Unavailable> {
        if ids.is_empty() {
            return Ok(0);
        }
        let keeping = self.policy.keeping(now);
        let free = self.step(store.messages_not_kept(ids, keeping.clone())).await?;
        let old = free.iter().filter(|message| self.policy.is_old(message, now));
        self.delete(store, old.map(|message| message.id).collect(), &keeping).await
    }

    /// Messages that their provider did not confirm, whatever the retention.
    pub(super) async fn delete_refused(
        &self,
        store: &Cleanup,
        now: OffsetDateTime,
        outcome: &mut CleanupOutcome,
    ) -> Result<(), Unavailable> {
        let before = timestamp::to_text(now - REFUSED_KEPT);
        let mut next = Some(TimePosition::default());
        while let Some(after) = next {
            let page = self.step(store.refused_messages(after, before.clone())).await?;
            outcome.messages += self.delete(store, page.ids, &self.policy.keeping(now)).await?;
            next = page.next;
        }
        Ok(())
    }

    /// Deletes those of `ids` that nothing keeps, their keys having been merged first.
    pub(super) async fn delete(
        &self,
        store: &Cleanup,
        ids: Vec<i64>,
        keeping: &RetentionRule,
    ) -> Result<usize, Unavailable> {
        let Some(newest) = ids.iter().copied().max() else { return Ok(0) };
        while !self.step(store.merge_keys(newest)).await? {}
        self.in_steps(ids, async |ids| store.delete_messages(ids, keeping.clone()).await).await
    }
}
