//! Messages that have outlived their retention. What is kept by a delivery or a confirmation is passed by, and looked at
//! again when that delivery has ended: a walk over everything that waits would take the longer the more it is.

use std::collections::BTreeSet;
use std::time::Duration;

use time::OffsetDateTime;

use super::{Cleaner, Outcome};
use crate::store::{
    InactiveTarget, Keeping, Position, RetainedSince, Selection, Store, TargetKind, TargetState, Unavailable,
    Yielding, timestamp,
};

/// A message that its provider does not know is kept so long, for a person to look at.
const REFUSED_KEPT: Duration = Duration::from_secs(86_400);
/// A delivery ends, by its own account, this long before it is committed at most.
const COMMITTED_WITHIN: Duration = Duration::from_secs(10);

impl Cleaner {
    /// Near the low-water mark of the disk, removed targets and disconnected listeners keep no messages beyond their
    /// retention: below the mark, they would make the service refuse new ones.
    pub(super) async fn yield_old(&mut self, store: &Store) -> Result<(), Unavailable> {
        self.old_yielding = Yielding::Nobody;
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
        store: &Store,
        now: OffsetDateTime,
        outcome: &mut Outcome,
    ) -> Result<(), Unavailable> {
        let keeping = Keeping { yielding: self.old_yielding.clone(), ..self.policy.keeping(now) };
        for (group, (sources, age)) in self.policy.groups().into_iter().enumerate() {
            let before = timestamp::to_text(now - age);
            for since in RetainedSince::BOTH {
                let looked_at = self.looked_at.get(&(group, since)).cloned().unwrap_or_default();
                let mut next = Some(Position::before(looked_at));
                while let Some(after) = next {
                    let (before, sources, keeping) = (before.clone(), sources.clone(), keeping.clone());
                    let selection = Selection { since, after, before, sources, keeping: keeping.clone() };
                    let page = self.step(store.old_messages(selection)).await?;
                    self.looked_through = self.looked_through.max(page.looked_through);
                    if self.old_yielding != Yielding::Nobody {
                        let pending = self.step(store.pending_of_messages(page.ids.clone())).await?;
                        self.drops_for_disk.add(pending);
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

    /// Messages that were passed by because of a delivery that has ended since.
    pub(super) async fn look_at_finished(
        &mut self,
        store: &Store,
        now: OffsetDateTime,
        outcome: &mut Outcome,
    ) -> Result<(), Unavailable> {
        let seen = Position::before(timestamp::to_text(now - COMMITTED_WITHIN));
        let through = self.looked_through.max(self.size_walk.walked());
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

    /// Those of `ids` that are old and that nothing keeps any more.
    pub(super) async fn delete_if_old(
        &self,
        store: &Store,
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
        store: &Store,
        now: OffsetDateTime,
        outcome: &mut Outcome,
    ) -> Result<(), Unavailable> {
        let before = timestamp::to_text(now - REFUSED_KEPT);
        let mut next = Some(Position::default());
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
        store: &Store,
        ids: Vec<i64>,
        keeping: &Keeping,
    ) -> Result<usize, Unavailable> {
        let Some(newest) = ids.iter().copied().max() else { return Ok(0) };
        while !self.step(store.merge_keys(newest)).await? {}
        self.in_steps(ids, async |ids| store.delete_messages(ids, keeping.clone()).await).await
    }
}
