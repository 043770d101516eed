//! Quarantine cleanup: deletes rejections above the quarantine's own limit. To meet
//! `CREEL_MAX_DATABASE_SIZE` and `CREEL_MIN_FREE`, deletes rejections before messages.

use super::cleaner::Cleaner;
use crate::store::{Cleanup, Unavailable};

impl Cleaner {
    /// Runs one step to free `excess_bytes`. Returns the number of deleted rejections.
    pub(super) async fn yield_quarantine(
        &self,
        store: &Cleanup,
        excess_bytes: u64,
    ) -> Result<usize, Unavailable> {
        Ok(self.step(store.shrink_quarantine(excess_bytes)).await?.0)
    }

    /// Deletes rejections above the quarantine's limit, or while the disk is below its low-water
    /// mark. Returns their number. Does not depend on the clock, so a clock jump does not pause it.
    pub(super) async fn trim_quarantine(&self, store: &Cleanup) -> Result<usize, Unavailable> {
        let mut excess = store.quarantine_excess_bytes();
        let mut rows = 0;
        while excess > 0 {
            let (deleted, bytes) = self.step(store.shrink_quarantine(excess)).await?;
            if deleted == 0 {
                break;
            }
            rows += deleted;
            excess = excess.saturating_sub(bytes);
        }
        if rows > 0 {
            while !self.step(store.vacuum()).await? {}
            store.settle();
        }
        Ok(rows)
    }
}
