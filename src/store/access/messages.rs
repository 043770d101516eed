//! Messages, read again.

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

    /// 0 where there is none.
    pub async fn newest_message(&self) -> Result<i64, Unavailable> {
        self.read(stored::newest_id).await
    }

    /// The first message that was received at this time (as timestamps are written) or later.
    pub async fn first_message_since(&self, since: String) -> Result<Option<i64>, Unavailable> {
        self.read(move |connection| stored::first_since(connection, &since)).await
    }
}
