//! The size limit: rejections go first, then the oldest finished messages, also young ones, and those whose deliveries are
//! dead. Then those that only expendable targets still wait for, see [`Yielding`]. Where targets that must get them keep all
//! messages that are left, no new ones are taken.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use time::OffsetDateTime;

use super::Cleaner;
use crate::store::{
    InactiveTarget, Keeping, Origin, Store, TargetKind, TargetState, Unavailable, Yielding, timestamp,
};

/// While messages are refused for lack of room, this share of the limit must be free before new ones are taken, so that
/// the two states do not alternate with each message.
const REOPEN_MARGIN_PERCENT: u64 = 5;
const MAX_REOPEN_MARGIN_BYTES: u64 = 64 << 20;
/// Limit on the messages deleted between two measurements of the size.
const DELETED_AT_ONCE: usize = 64;
/// Pages that the deletion of a message can free beyond its own bytes: its leaf page, and those of the indexes.
const SLACK_BYTES: u64 = 4 * 4096;
/// With more of them everything is looked at again.
const MOST_PASSED: usize = 100_000;
/// A target that an operator has paused keeps its messages for this long, whatever the size of the database.
const PAUSED_PROTECTED: Duration = Duration::from_secs(86_400);
/// No target yields, absent targets yield, all expendable targets yield.
const LEVELS: usize = 3;

/// How far the messages were looked at for the size limit, for each level of what yields.
#[derive(Debug, Default)]
pub struct SizeWalk {
    levels: [LevelWalk; LEVELS],
    /// Expendable targets, when the levels above the first were last begun.
    expendable: Vec<(i64, usize)>,
}

#[derive(Debug, Default)]
struct LevelWalk {
    /// Up to here all messages were gone or kept when they were looked at.
    walked: i64,
    /// Those up to there that may be free by now.
    passed: BTreeSet<i64>,
}

impl SizeWalk {
    pub fn walked(&self) -> i64 {
        self.levels.iter().map(|level| level.walked).max().unwrap_or(0)
    }

    /// A delivery of these messages has ended.
    pub fn pass(&mut self, messages: &[i64]) {
        for level in &mut self.levels {
            level.passed.extend(messages.iter().filter(|message| **message <= level.walked));
            if level.passed.len() > MOST_PASSED {
                *level = LevelWalk::default();
            }
        }
    }

    /// What was kept by a target that has become expendable since must be looked at again.
    fn use_expendable(&mut self, expendable: Vec<(i64, usize)>) {
        if self.expendable != expendable {
            self.expendable = expendable;
            self.levels[1..].iter_mut().for_each(|level| *level = LevelWalk::default());
        }
    }
}

impl Cleaner {
    /// How many messages went.
    pub(super) async fn keep_within_size(
        &mut self,
        store: &Store,
        now: OffsetDateTime,
    ) -> Result<usize, Unavailable> {
        let Some(limit) = self.policy.max_database_bytes else { return Ok(0) };
        let margin = (limit / 100 * REOPEN_MARGIN_PERCENT).min(MAX_REOPEN_MARGIN_BYTES);
        let goal = if self.is_out_of_room { limit - margin } else { limit };
        let mut deleted = 0;
        let mut is_everything_kept = false;
        loop {
            let excess_bytes = excess(store, goal).await?;
            if excess_bytes == 0 {
                break;
            }
            if self.yield_quarantine(store, excess_bytes).await? > 0 {
                continue;
            }
            let Some(ids) = self.next_needed(store, 0, &Keeping::default(), excess_bytes).await? else {
                is_everything_kept = true;
                break;
            };
            deleted += self.delete(store, ids, &Keeping::default()).await?;
        }
        if is_everything_kept {
            deleted += self.drop_expendable(store, now, goal).await?;
        }
        // Where nothing is pending, something else takes the space: refusing messages would not help.
        let was_out_of_room = self.is_out_of_room;
        self.is_out_of_room =
            is_everything_kept && excess(store, goal).await? > 0 && store.is_anything_pending().await?;
        let holders = match self.is_out_of_room && !was_out_of_room {
            true => holders(store).await?,
            false => String::new(),
        };
        store.set_out_of_room(self.is_out_of_room, &holders);
        Ok(deleted)
    }

    /// Deletes messages that only expendable targets wait for, oldest first, until the database is within `goal`; how many.
    async fn drop_expendable(
        &mut self,
        store: &Store,
        now: OffsetDateTime,
        goal: u64,
    ) -> Result<usize, Unavailable> {
        let paused_before = timestamp::to_text(now - PAUSED_PROTECTED);
        let inactive = self.step(store.inactive_targets()).await?;
        let levels = inactive.iter().map(|target| (target.id, level_of(target, &paused_before)));
        self.size_walk.use_expendable(levels.collect());
        let yieldings = [Yielding::Absent, Yielding::Expendable { paused_before }];
        let mut deleted = 0;
        let mut dropped = BTreeMap::new();
        for (level, yielding) in (1..).zip(yieldings) {
            let keeping = Keeping { yielding, ..Keeping::default() };
            loop {
                let excess_bytes = excess(store, goal).await?;
                if excess_bytes == 0 {
                    break;
                }
                let Some(ids) = self.next_needed(store, level, &keeping, excess_bytes).await? else { break };
                let pending = self.step(store.pending_of_messages(ids.clone())).await?;
                let gone = self.delete(store, ids, &keeping).await?;
                deleted += gone;
                if gone > 0 {
                    pending
                        .into_iter()
                        .for_each(|(target, more)| *dropped.entry(target).or_insert(0) += more);
                }
            }
        }
        for (target, count) in dropped {
            let target = store.target(target).await?;
            let (name, state) = target
                .map_or_else(Default::default, |one| (one.settings.name, state_name(one.kind, one.state)));
            log::warn!(
                "the database is above CREEL_MAX_DATABASE_SIZE: dropped {count} pending deliveries to {name} ({state}) with their messages"
            );
        }
        Ok(deleted)
    }

    /// The oldest messages that may be free, and no more of them than must go; `None` after the last one.
    async fn next_needed(
        &mut self,
        store: &Store,
        level: usize,
        keeping: &Keeping,
        excess_bytes: u64,
    ) -> Result<Option<Vec<i64>>, Unavailable> {
        let Some(mut ids) = self.next_oldest(store, level, keeping).await? else { return Ok(None) };
        let sizes = store.message_sizes(ids.clone()).await?;
        let rest = ids.split_off(needed_count(&sizes, excess_bytes).min(ids.len()));
        self.size_walk.levels[level].passed.extend(rest);
        Ok(Some(ids))
    }

    /// The oldest messages that may be free; `None` after the last one.
    async fn next_oldest(
        &mut self,
        store: &Store,
        level: usize,
        keeping: &Keeping,
    ) -> Result<Option<Vec<i64>>, Unavailable> {
        let walk = &mut self.size_walk.levels[level];
        if !walk.passed.is_empty() {
            let ids: Vec<i64> = walk.passed.iter().copied().take(DELETED_AT_ONCE).collect();
            for id in &ids {
                walk.passed.remove(id);
            }
            return Ok(Some(ids));
        }
        let walked = walk.walked;
        let page = self.step(store.oldest_messages(walked, DELETED_AT_ONCE, keeping.clone())).await?;
        self.size_walk.levels[level].walked = page.looked_through;
        Ok((!page.is_last || !page.ids.is_empty()).then_some(page.ids))
    }
}

/// What the database uses beyond the goal.
async fn excess(store: &Store, goal_bytes: u64) -> Result<u64, Unavailable> {
    Ok(store.used_and_free_bytes().await?.0.saturating_sub(goal_bytes))
}

/// The number of messages, oldest first, that must go to free `excess_bytes`. The estimate of what each one frees is an
/// upper bound, so that every message but the last is certainly needed; the size is measured again afterwards.
fn needed_count(sizes: &[u64], excess_bytes: u64) -> usize {
    let mut freed = SLACK_BYTES;
    let is_enough = |size: &u64| {
        // Pages of small rows may be half full.
        freed += size + size.min(&4096);
        freed >= excess_bytes
    };
    sizes.iter().position(is_enough).map_or(sizes.len(), |last| last + 1)
}

/// From which level on the pending deliveries of a target yield; `LEVELS`: never.
fn level_of(target: &InactiveTarget, paused_before: &String) -> usize {
    match (target.state, target.kind, target.origin) {
        (TargetState::Removed, _, _) => 1,
        (state, TargetKind::Listener, _) if state != TargetState::Active => 1,
        (_, TargetKind::Listener, _) | (TargetState::Disabled, _, _) | (_, _, Origin::Replay) => 2,
        (TargetState::Paused, _, _) if target.state_since < *paused_before => 2,
        _ => LEVELS,
    }
}

fn state_name(kind: TargetKind, state: TargetState) -> &'static str {
    match (kind, state) {
        (TargetKind::Listener, TargetState::Active) => "connected",
        (TargetKind::Listener, TargetState::Paused) => "not connected",
        (_, state) => state.name(),
    }
}

/// For the log.
async fn holders(store: &Store) -> Result<String, Unavailable> {
    let holders = store.room_holders().await?;
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
