//! Messages, read again.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::store::delivery::dead::DeadLetters;
use crate::store::error::Unavailable;
use crate::store::handle::store::Store;
use crate::store::message;
use crate::store::message::filter::{Direction, MessageFilter};
use crate::store::message::read::{MessagePage, ReplayCount, StoredMessage};
use crate::store::replay::count::{self, ReplayScope};

impl Store {
    pub async fn message(&self, id: i64) -> Result<Option<StoredMessage>, Unavailable> {
        self.read(move |connection| message::read::one(connection, id)).await
    }

    /// Those beyond `from` in the direction.
    pub async fn messages(
        &self,
        filter: MessageFilter,
        direction: Direction,
        from: Option<i64>,
        limit: usize,
    ) -> Result<MessagePage, Unavailable> {
        self.read(move |connection| message::read::page(connection, &filter, direction, from, limit)).await
    }

    /// Counts what a replay would deliver; `None` if that takes longer than until the deadline.
    pub async fn count_to_replay(
        &self,
        scope: ReplayScope,
        deadline: Instant,
    ) -> Result<Option<ReplayCount>, Unavailable> {
        let ids = &scope.filter.ids;
        let mut from = ids.iter().copied().min().map_or(0, |least| least.saturating_sub(1));
        let through = ids.iter().copied().max().map_or(scope.through, |most| most.min(scope.through));
        let scope = ReplayScope { through, ..scope };
        let mut messages = 0;
        let mut dead_letters: BTreeMap<i64, DeadLetters> = BTreeMap::new();
        while Instant::now() < deadline {
            let scope = scope.clone();
            let step = self.read(move |connection| count::count_step(connection, &scope, from)).await?;
            messages += step.messages;
            for (target, more) in step.dead_letters {
                let counted =
                    dead_letters.entry(target).or_insert(DeadLetters { deliveries: 0, ..more.clone() });
                counted.deliveries += more.deliveries;
            }
            let Some(next) = step.next else {
                let dead_letters = dead_letters.into_values().collect();
                return Ok(Some(ReplayCount { messages, dead_letters }));
            };
            from = next;
        }
        Ok(None)
    }

    /// 0 where there is none.
    pub async fn newest_message(&self) -> Result<i64, Unavailable> {
        self.read(message::read::newest_id).await
    }

    /// The first message that was received at this time (as timestamps are written) or later.
    pub async fn first_message_since(&self, since: String) -> Result<Option<i64>, Unavailable> {
        self.read(move |connection| message::read::first_since(connection, &since)).await
    }
}
