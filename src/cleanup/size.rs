//! The size limit: rejections go first, then the oldest finished messages, also young ones, and those whose deliveries are
//! dead. Where only messages are left that something waits for, no new ones are taken.

use std::collections::BTreeSet;

use super::Cleaner;
use crate::store::{Keeping, Store, Unavailable};

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

/// How far the messages were looked at for the size limit.
#[derive(Debug, Default)]
pub struct SizeWalk {
    /// Up to here all messages were gone or kept when they were looked at.
    walked: i64,
    /// Those up to there that may be free by now.
    passed: BTreeSet<i64>,
}

impl SizeWalk {
    pub fn walked(&self) -> i64 {
        self.walked
    }

    /// A delivery of these messages has ended.
    pub fn pass(&mut self, messages: &[i64]) {
        self.passed.extend(messages.iter().filter(|message| **message <= self.walked));
        if self.passed.len() > MOST_PASSED {
            *self = Self::default();
        }
    }
}

impl Cleaner {
    /// How many messages went.
    pub(super) async fn keep_within_size(&mut self, store: &Store) -> Result<usize, Unavailable> {
        let Some(limit) = self.policy.max_database_bytes else { return Ok(0) };
        let margin = (limit / 100 * REOPEN_MARGIN_PERCENT).min(MAX_REOPEN_MARGIN_BYTES);
        let goal = if self.is_out_of_room { limit - margin } else { limit };
        let excess = async || Ok(store.used_and_free_bytes().await?.0.saturating_sub(goal));
        let mut deleted = 0;
        let mut is_everything_kept = false;
        loop {
            let excess_bytes = excess().await?;
            if excess_bytes == 0 {
                break;
            }
            if self.yield_quarantine(store, excess_bytes).await? > 0 {
                continue;
            }
            let Some(mut ids) = self.next_oldest(store).await? else {
                is_everything_kept = true;
                break;
            };
            let sizes = store.message_sizes(ids.clone()).await?;
            let rest = ids.split_off(needed_count(&sizes, excess_bytes).min(ids.len()));
            self.size_walk.passed.extend(rest);
            deleted += self.delete(store, ids, &Keeping::default()).await?;
        }
        // Where nothing is pending, something else takes the space: refusing messages would not help.
        self.is_out_of_room =
            is_everything_kept && excess().await? > 0 && store.is_anything_pending().await?;
        store.set_out_of_room(self.is_out_of_room);
        Ok(deleted)
    }

    /// The oldest messages that may be free; `None` after the last one.
    async fn next_oldest(&mut self, store: &Store) -> Result<Option<Vec<i64>>, Unavailable> {
        if !self.size_walk.passed.is_empty() {
            let ids: Vec<i64> = self.size_walk.passed.iter().copied().take(DELETED_AT_ONCE).collect();
            for id in &ids {
                self.size_walk.passed.remove(id);
            }
            return Ok(Some(ids));
        }
        let page = self.step(store.oldest_messages(self.size_walk.walked, DELETED_AT_ONCE)).await?;
        self.size_walk.walked = page.looked_through;
        Ok((!page.is_last || !page.ids.is_empty()).then_some(page.ids))
    }
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
