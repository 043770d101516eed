//! The size limit: the oldest finished messages go first, also young ones, and those whose deliveries are dead. Where only
//! messages are left that something waits for, no new ones are taken.

use std::collections::BTreeSet;

use super::Cleaner;
use crate::store::{Keeping, Store, Unavailable};

/// The size limit is reached again only after this share of it was freed.
const SIZE_MARGIN_PERCENT: u64 = 5;
/// As many messages as go between two looks at the size.
const DELETED_AT_ONCE: usize = 64;
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
        let goal = limit - limit / 100 * SIZE_MARGIN_PERCENT;
        let is_above = async |bound: u64| Ok(store.used_and_free_bytes().await?.0 > bound);
        let bound = if self.is_out_of_room { goal } else { limit };
        let mut deleted = 0;
        let mut is_everything_kept = false;
        if is_above(bound).await? {
            while is_above(goal).await? {
                let Some(ids) = self.next_oldest(store).await? else {
                    is_everything_kept = true;
                    break;
                };
                deleted += self.delete(store, ids, &Keeping::default()).await?;
            }
        }
        // Where nothing is pending, something else takes the space: refusing messages would not help.
        self.is_out_of_room =
            is_everything_kept && is_above(bound).await? && store.is_anything_pending().await?;
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
