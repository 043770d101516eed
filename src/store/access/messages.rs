//! Messages, read again.

use std::time::Instant;

use super::super::stored::{self, Direction, MessageFilter, MessagePage, StoredMessage};
use super::super::{Store, Unavailable};

impl Store {
    pub async fn message(&self, id: i64) -> Result<Option<StoredMessage>, Unavailable> {
        self.read(move |connection| stored::one(connection, id)).await
    }

    /// Those beyond `from` in the direction.
    pub async fn messages(
        &self,
        filter: MessageFilter,
        direction: Direction,
        from: Option<i64>,
        limit: usize,
    ) -> Result<MessagePage, Unavailable> {
        self.read(move |connection| stored::page(connection, &filter, direction, from, limit)).await
    }

    /// How many messages up to `through` a replay to a target of that owner would deliver; `None` if it takes longer than
    /// until the deadline to know.
    pub async fn count_to_replay(
        &self,
        filter: MessageFilter,
        target_owner: Option<String>,
        through: i64,
        deadline: Instant,
    ) -> Result<Option<u64>, Unavailable> {
        let through = filter.ids.iter().copied().max().map_or(through, |most| most.min(through));
        let mut from = filter.ids.iter().copied().min().map_or(0, |least| least.saturating_sub(1));
        let mut all = 0;
        while Instant::now() < deadline {
            let (filter, owner) = (filter.clone(), target_owner.clone());
            let step = move |connection: &rusqlite::Connection| {
                stored::count_step(connection, &filter, owner.as_deref(), from, through)
            };
            let (count, next) = self.read(step).await?;
            all += count;
            let Some(next) = next else { return Ok(Some(all)) };
            from = next;
        }
        Ok(None)
    }

    /// 0 where there is none.
    pub async fn newest_message(&self) -> Result<i64, Unavailable> {
        self.read(stored::newest_id).await
    }

    /// The first message that was received at this time (as timestamps are written) or later.
    pub async fn first_message_since(&self, since: String) -> Result<Option<i64>, Unavailable> {
        self.read(move |connection| stored::first_since(connection, &since)).await
    }
}
