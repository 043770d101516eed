//! Finished deliveries, and pending deliveries to inactive targets.

use time::OffsetDateTime;

use super::cleaner::{Cleaner, CleanupOutcome};
use crate::config::Retention;
use crate::store::{
    Cleanup, DeliveryState, DiscardRequest, InactiveTarget, MAX_DELIVERY_WAIT, MessageId, TargetKind,
    TargetState, TimePosition, Timestamp, Unavailable,
};

impl Cleaner {
    /// Discards deliveries that have been pending for a week, to targets that have been inactive
    /// for a week, and all pending deliveries to permanently removed targets. Returns their number.
    pub(super) async fn discard_pending(
        &self,
        store: &Cleanup,
        now: OffsetDateTime,
    ) -> Result<usize, Unavailable> {
        let a_week_ago = Timestamp::from(now - MAX_DELIVERY_WAIT);
        let mut discarded = 0;
        for target in self.step(store.inactive_targets()).await? {
            if target.is_removed_for_good() && target.is_busy {
                // The removal itself discards the deliveries. Some remain if the service stopped
                // meanwhile.
                discarded += store.delivery_queue().drop_pending_of_removed(target.id, now).await?;
                continue;
            }
            let before = a_week_ago;
            if !target.is_busy || target.state == TargetState::Active || target.state_since >= before {
                continue;
            }
            let why = discard_reason(&target);
            loop {
                let waiting = self.step(store.delivery_queue().pending_before(target.id, before)).await?;
                let request = |deliveries| DiscardRequest {
                    deliveries,
                    inactive_since: Some(before),
                    why: why.clone(),
                };
                let discard = async |ids| store.delivery_queue().discard_some(request(ids), now).await;
                let ended = self.in_steps(waiting, discard).await?;
                discarded += ended;
                // No delivery is left, or the target has become active.
                if ended == 0 {
                    break;
                }
            }
        }
        Ok(discarded)
    }

    /// Deletes delivered and replayed deliveries with their attempts. Deletes the attempts of dead
    /// deliveries too, but the dead deliveries themselves only after their own retention.
    pub(super) async fn delete_finished(
        &mut self,
        store: &Cleanup,
        now: OffsetDateTime,
        outcome: &mut CleanupOutcome,
    ) -> Result<(), Unavailable> {
        if let Retention::For(age) = self.policy.attempts {
            let before = Timestamp::from(now - age);
            let mut next = Some(TimePosition::before(self.attempts_at));
            while let Some(after) = next {
                let page = self.step(store.finished_deliveries(after, before)).await?;
                let is_dead = |state| state == DeliveryState::Dead;
                let ended = page.deliveries.iter().filter(|one| !is_dead(one.state) || one.has_attempts);
                let ids = ended.map(|delivery| delivery.id).collect();
                outcome.deliveries +=
                    self.in_steps(ids, async |ids| store.delete_finished(ids).await).await?;
                next = page.next;
            }
            self.attempts_at = before;
        }
        if let Retention::For(age) = self.policy.dead {
            let before = Timestamp::from(now - age);
            let mut next = Some(TimePosition::before(self.dead_at));
            while let Some(after) = next {
                let page = self.step(store.finished_deliveries(after, before)).await?;
                let dead: Vec<_> =
                    page.deliveries.iter().filter(|delivery| delivery.state == DeliveryState::Dead).collect();
                let ids = dead.iter().map(|delivery| delivery.id).collect();
                outcome.deliveries += self.in_steps(ids, async |ids| store.delete_dead(ids).await).await?;
                // These may have been the last deliveries that retained their messages.
                let mut messages: Vec<MessageId> = dead.iter().map(|delivery| delivery.message).collect();
                messages.sort_unstable();
                messages.dedup();
                outcome.messages += self.delete_if_old(store, messages, now).await?;
                next = page.next;
            }
            self.dead_at = before;
        }
        Ok(())
    }
}

/// Returns the reason that is shown with the delivery.
fn discard_reason(target: &InactiveTarget) -> String {
    let since = target.state_since.to_seconds();
    let state_text = match (target.kind, target.state) {
        (TargetKind::Listener, TargetState::Paused) => format!("no client has been connected since {since}Z"),
        (_, TargetState::Removed) => format!("the target was removed at {since}Z"),
        (_, state) => format!("the target has been {} since {since}Z", state.name()),
    };
    match &target.state_reason {
        Some(reason) => format!("{state_text}: {reason}"),
        None => state_text,
    }
}
