//! The size limit of the database. The cleanup deletes rejections first, then the oldest finished
//! messages of any age, including those with dead deliveries, then messages that only expendable
//! targets retain, see [`YieldingTargets`]. If other targets or pending confirmations retain all
//! remaining messages, new ones are rejected.

use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::cleaner::{Cleaner, CleanupOutcome, CleanupPace};
use super::size_walk::LEVELS;
use crate::store::{
    Cleanup, InactiveTarget, MessageId, Origin, RetentionRule, TargetKind, TargetState, Timestamp,
    Unavailable, YieldingTargets,
};

/// Share of the limit that must be free before messages are accepted again after rejections for
/// lack of space, so that the two states do not alternate with each message.
const REOPEN_MARGIN_PERCENT: u64 = 5;
const MAX_REOPEN_MARGIN_BYTES: u64 = 64 << 20;
/// Limit on the messages deleted between two measurements of the size.
const MAX_DELETED_PER_STEP: usize = 64;
/// Bytes of the pages that the deletion of a message can free beyond its own bytes: its leaf page,
/// and those of the indexes.
const SLACK_BYTES: u64 = 4 * 4096;
/// A target that an operator has paused retains its messages for this long, regardless of the
/// database size.
const PAUSED_PROTECTED: Duration = Duration::from_secs(86_400);
/// Time limit of a run while the service is running: under steady load the run might never end, and
/// would delay other work.
const MAX_DURATION: Duration = Duration::from_secs(1);
/// Reason for the end of a deletion of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// The database is within its goal.
    Fits,
    /// All remaining messages are retained.
    Exhausted,
    /// The deadline has passed. The database may still be above its goal.
    OutOfTime,
}

/// The size goal of a run and its deadline.
#[derive(Clone, Copy, Debug)]
struct Goal {
    bytes: u64,
    deadline: Option<Instant>,
}

impl Cleaner {
    /// Deletes messages until the database is within its limit, and rejects new ones if that is
    /// impossible.
    pub(super) async fn keep_within_size(
        &mut self,
        store: &Cleanup,
        now: OffsetDateTime,
        outcome: &mut CleanupOutcome,
    ) -> Result<(), Unavailable> {
        let Some(limit) = self.policy.max_database_bytes else { return Ok(()) };
        let margin = (limit / 100 * REOPEN_MARGIN_PERCENT).min(MAX_REOPEN_MARGIN_BYTES);
        let goal = Goal {
            bytes: if self.is_out_of_room { limit - margin } else { limit },
            deadline: (self.pace == CleanupPace::WhileServing).then(|| Instant::now() + MAX_DURATION),
        };
        let paused_before = Timestamp::from(now - PAUSED_PROTECTED);
        let ending = self.reach(store, goal, paused_before, outcome).await;
        self.drops_for_size.log(store).await;
        let was_out_of_room = self.is_out_of_room;
        self.is_out_of_room = match ending? {
            Ending::Fits => false,
            // If no message is retained, other data uses the space, and rejecting messages would
            // not help.
            Ending::Exhausted => store.is_room_held(paused_before).await?,
            Ending::OutOfTime => {
                outcome.is_unfinished = true;
                was_out_of_room
            }
        };
        let holders = match self.is_out_of_room && !was_out_of_room {
            true => holders(store, paused_before).await?,
            false => String::new(),
        };
        store.set_out_of_room(self.is_out_of_room, &holders);
        Ok(())
    }

    /// Deletes finished messages first, then those that only expendable targets retain.
    async fn reach(
        &mut self,
        store: &Cleanup,
        goal: Goal,
        paused_before: Timestamp,
        outcome: &mut CleanupOutcome,
    ) -> Result<Ending, Unavailable> {
        let ending = self.reach_at(store, 0, YieldingTargets::NoTargets, goal, outcome).await?;
        if ending != Ending::Exhausted {
            return Ok(ending);
        }
        let inactive = self.step(store.inactive_targets()).await?;
        let levels = inactive.iter().map(|target| (target.id, level_of(target, paused_before)));
        self.size_walk.use_expendable(levels.collect());
        let ending = self.reach_at(store, 1, YieldingTargets::Absent, goal, outcome).await?;
        if ending != Ending::Exhausted {
            return Ok(ending);
        }
        let expendable = YieldingTargets::Expendable { paused_before };
        self.reach_at(store, 2, expendable, goal, outcome).await
    }

    /// Deletes messages that only yielding targets retain, oldest first. Does not measure the size
    /// again after the end of the scan: this would include new messages that were not scanned.
    async fn reach_at(
        &mut self,
        store: &Cleanup,
        level: usize,
        yielding: YieldingTargets,
        goal: Goal,
        outcome: &mut CleanupOutcome,
    ) -> Result<Ending, Unavailable> {
        let retention = RetentionRule { yielding, ..RetentionRule::default() };
        loop {
            let excess_bytes = excess(store, goal.bytes).await?;
            if excess_bytes == 0 {
                return Ok(Ending::Fits);
            }
            if goal.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(Ending::OutOfTime);
            }
            if level == 0 && self.yield_quarantine(store, excess_bytes).await? > 0 {
                continue;
            }
            let Some(ids) = self.next_oldest(store, level, &retention).await? else {
                return Ok(Ending::Exhausted);
            };
            match self.delete_needed(store, level, &ids, &retention, excess_bytes).await {
                Ok(deleted) => outcome.messages += deleted,
                Err(why) => {
                    // Damage is permanent, so the next run must skip these messages.
                    if why == Unavailable::Damaged {
                        self.size_walk.forget(level, &ids);
                    }
                    return Err(why);
                }
            }
        }
    }

    /// Deletes the oldest of `ids`, only as many as needed to free `excess_bytes`. Returns their
    /// number.
    async fn delete_needed(
        &mut self,
        store: &Cleanup,
        level: usize,
        ids: &[MessageId],
        retention: &RetentionRule,
        excess_bytes: u64,
    ) -> Result<usize, Unavailable> {
        let sizes = store.message_sizes(ids.to_vec()).await?;
        let needed = &ids[..needed_count(&sizes, excess_bytes).min(ids.len())];
        let deleted = match level {
            0 => self.delete(store, needed.to_vec(), retention).await?,
            _ => self.delete_yielding(store, needed.to_vec(), retention, &self.drops_for_size).await?,
        };
        self.size_walk.forget(level, needed);
        Ok(deleted)
    }

    /// Returns one page of the oldest messages that may be deletable, which can be empty; `None`
    /// after the last one.
    async fn next_oldest(
        &mut self,
        store: &Cleanup,
        level: usize,
        retention: &RetentionRule,
    ) -> Result<Option<Vec<MessageId>>, Unavailable> {
        let walk = &self.size_walk.levels[level];
        if walk.passed.is_empty() {
            let page = self
                .step(store.oldest_messages(walk.walked, MAX_DELETED_PER_STEP, retention.clone()))
                .await?;
            let walk = &mut self.size_walk.levels[level];
            walk.walked = page.scanned_through;
            walk.passed.extend(&page.ids);
            return Ok((!page.is_last || !page.ids.is_empty()).then_some(page.ids));
        }
        Ok(Some(walk.passed.iter().copied().take(MAX_DELETED_PER_STEP).collect()))
    }
}

/// Returns the bytes used beyond the goal.
async fn excess(store: &Cleanup, goal_bytes: u64) -> Result<u64, Unavailable> {
    Ok(store.used_and_free_bytes().await?.0.saturating_sub(goal_bytes))
}

/// Returns the number of messages to delete, oldest first, to free `excess_bytes`. The size of each
/// is an upper bound, so that no message is deleted needlessly. The caller then measures the size
/// again and deletes more if necessary.
fn needed_count(sizes: &[u64], excess_bytes: u64) -> usize {
    let mut freed = SLACK_BYTES;
    let is_enough = |size: &u64| {
        // Pages of small rows may be half full.
        freed += size + size.min(&4096);
        freed >= excess_bytes
    };
    sizes.iter().position(is_enough).map_or(sizes.len(), |last| last + 1)
}

/// Returns the first level at which the pending deliveries of a target yield; `LEVELS` if they
/// never do.
fn level_of(target: &InactiveTarget, paused_before: Timestamp) -> usize {
    match (target.state, target.kind, target.origin) {
        (TargetState::Removed, _, _) => 1,
        (state, TargetKind::Listener, _) if state != TargetState::Active => 1,
        (_, TargetKind::Listener, _) | (TargetState::Disabled, _, _) | (_, _, Origin::Replay) => 2,
        (TargetState::Paused, _, _) if target.state_since < paused_before => 2,
        _ => LEVELS,
    }
}

/// Describes the targets that hold the space, for the log.
async fn holders(store: &Cleanup, paused_before: Timestamp) -> Result<String, Unavailable> {
    let holders = store.room_holders(paused_before).await?;
    let named = holders.iter().map(|one| format!("{} for {} ({})", one.pending, one.name, one.state));
    Ok(named.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needed_count_stops_at_first_message_that_suffices() {
        let mega = 1_000_000;
        let rows: [(&[u64], u64, usize); 7] = [
            (&[], 1, 0),
            (&[mega; 64], 1, 1),
            (&[mega; 64], mega, 1),
            (&[mega; 64], mega + 100_000, 2),
            (&[mega; 64], 20 * mega, 20),
            (&[1_000, 1_000, 10 * mega, 1_000], mega, 3),
            (&[1_000; 64], 10 * mega, 64),
        ];
        for (sizes, excess_bytes, count) in rows {
            assert_eq!(needed_count(sizes, excess_bytes), count, "{excess_bytes} of {}", sizes.len());
        }
    }
}
