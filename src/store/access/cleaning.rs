//! The steps of the clean-up.

use time::OffsetDateTime;

use super::super::expire::{self, Page, Selection};
use super::super::{Store, Unavailable, timestamp};

impl Store {
    /// One page of messages that are old, oldest first.
    pub async fn old_messages(&self, selection: Selection) -> Result<Page, Unavailable> {
        self.read(move |connection| expire::select(connection, &selection)).await
    }

    /// The ids of the oldest messages whatever their age.
    pub async fn oldest_messages(&self, limit: usize) -> Result<Vec<i64>, Unavailable> {
        self.read(move |connection| expire::select_oldest(connection, limit)).await
    }

    /// Bytes of the file that hold data, and those that are free inside it.
    pub async fn used_and_free_bytes(&self) -> Result<(u64, u64), Unavailable> {
        self.read(expire::used_and_free_bytes).await
    }

    /// Deletes some of `ids` in one short step; how many of them it has looked at.
    pub async fn delete_messages(&self, ids: Vec<i64>) -> Result<usize, Unavailable> {
        self.write(move |database| expire::delete(database, &ids)).await
    }

    /// One step of writing the keys that are only in memory, up to the message `through`; true when it is done.
    pub async fn merge_keys(&self, through: i64) -> Result<bool, Unavailable> {
        self.write(move |database| Ok(expire::merge_keys(database, through))).await
    }

    /// One step of dropping keys that were last added to before `cut_off`; true when it is done.
    pub async fn forget_keys(&self, cut_off: OffsetDateTime) -> Result<bool, Unavailable> {
        let cut_off = timestamp::to_text(cut_off);
        self.write(move |database| expire::forget_keys(database, &cut_off)).await
    }

    /// One step of dropping old rejections, and of writing down what was only counted; how many were dropped, 0 when
    /// it is done.
    pub async fn expire_rejections(&self, now: OffsetDateTime) -> Result<usize, Unavailable> {
        self.write(move |database| database.quarantine.expire(database.connection, database.waiting, now))
            .await
    }

    /// One step of giving free pages back; true when nothing more is worth it.
    pub async fn vacuum(&self) -> Result<bool, Unavailable> {
        self.write(expire::vacuum).await
    }

    /// Has the space that a vacuum freed given back to the file system, and the ballast laid out again.
    pub fn settle(&self) {
        self.inner.shared.request_checkpoint();
        self.inner.files.lay_ballast();
    }

    /// Releases the ballast when the disk is nearly full, so that clean-up can write.
    pub fn make_room(&self) {
        if self.inner.files.is_full() || self.inner.files.free_bytes() < 1 << 20 {
            self.inner.files.note_full();
        }
    }
}
