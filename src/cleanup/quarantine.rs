//! The quarantine yields before messages do: to `CREEL_MAX_DATABASE_SIZE`, and to `CREEL_MIN_FREE` on the disk. It also keeps
//! within its own limit.

use super::cleaner::Cleaner;
use crate::store::{Cleanup, Unavailable};

impl Cleaner {
    /// One step of making `excess_bytes` free; how many rejections went.
    pub(super) async fn yield_quarantine(
        &self,
        store: &Cleanup,
        excess_bytes: u64,
    ) -> Result<usize, Unavailable> {
        Ok(self.step(store.shrink_quarantine(excess_bytes)).await?.0)
    }

    /// All that is too much; how many rejections went. Does not depend on the clock, so a jump does not pause it.
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
