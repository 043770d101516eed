//! Opens listeners and adds old messages to them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::store::error::Unavailable;
use crate::store::handle::core::Core;
use crate::store::id::{MessageId, TargetId};
use crate::store::listener::{
    self, DeliveryAcknowledgement, FillPage, FillPosition, ListenerError, ListenerSession,
};
use crate::store::target::settings::StoredTarget;
use crate::store::target::subscription::Pattern;
use crate::store::timestamp::Timestamp;

/// Limit on messages examined in one step.
const PAGE: usize = 500;
/// Length of the pause after a step while messages arrive, as a multiple of the step.
const PAUSE_FACTOR: u32 = 4;
/// Limit on the step time from which the pause is computed: most of a longer step was waiting for
/// the writer.
const MAX_STEP: Duration = Duration::from_millis(4);

/// Opens listeners and adds old messages to them.
#[derive(Clone, Debug)]
pub struct ListenerRegistry {
    pub(super) core: Arc<Core>,
}

impl ListenerRegistry {
    /// Creates the listener, or changes the subscription of an existing one. With `since`, a new
    /// listener also receives the messages since then, once [`Self::fill_listener`] has added them.
    pub async fn open_listener(
        &self,
        name: String,
        events: Vec<Pattern>,
        since: Option<Timestamp>,
        now: OffsetDateTime,
    ) -> Result<ListenerSession, ListenerError> {
        let now = Timestamp::from(now);
        self.core
            .change_targets(move |connection| listener::open(connection, &name, events, since, now))
            .await
    }

    /// Adds the requested old messages; returns their number. Can be repeated at any time. With
    /// `is_last`, also records that no old messages remain: only for calls later than
    /// `LATE_MESSAGE_TIMEOUT` after the listener was created.
    pub async fn fill_listener(
        &self,
        target: TargetId,
        is_last: bool,
        now: OffsetDateTime,
    ) -> Result<usize, Unavailable> {
        let added = self.fill_after(target, None, now).await?;
        if is_last {
            self.core.write(move |database| listener::filled(database.connection, target)).await?;
        }
        Ok(added)
    }

    /// Runs the last search for requested old messages, only among those committed after `message`.
    pub async fn finish_filling(
        &self,
        target: TargetId,
        message: MessageId,
        now: OffsetDateTime,
    ) -> Result<usize, Unavailable> {
        let added = self.fill_after(target, Some(message), now).await?;
        self.core.write(move |database| listener::filled(database.connection, target)).await?;
        Ok(added)
    }

    async fn fill_after(
        &self,
        target: TargetId,
        after: Option<MessageId>,
        now: OffsetDateTime,
    ) -> Result<usize, Unavailable> {
        let now = Timestamp::from(now);
        let wanted = self
            .core
            .read(move |connection| {
                let since = listener::wanted_since(connection, target)?;
                Ok(since.zip(crate::store::target::read::one(connection, target)?))
            })
            .await?;
        let Some((since, listener)) = wanted else { return Ok(0) };
        let mut added = 0;
        let mut next = Some(FillPosition::new(since, after));
        while let Some(from) = next {
            // One listener at a time, so that many listeners use no more of the writer's time than
            // one.
            let Ok(_turn) = self.core.filling.acquire().await else { return Err(Unavailable::Failed) };
            let began = Instant::now();
            let FillPage { mut messages, next: following } = self.missing_of(&listener, from).await?;
            let written = self.messages_written();
            self.rest(began, written).await;
            while !messages.is_empty() {
                let (began, written) = (Instant::now(), self.messages_written());
                let (page, now) = (messages.clone(), now);
                let step = self
                    .core
                    .write(move |database| listener::fill(database.connection, target, &page, now))
                    .await?;
                added += step.added;
                messages.drain(..step.taken.min(messages.len()));
                self.rest(began, written).await;
            }
            next = following;
        }
        if added > 0 {
            self.core.shared.wake_followers();
        }
        Ok(added)
    }

    fn messages_written(&self) -> u64 {
        self.core.shared.batches().1
    }

    /// Pauses so that incoming messages can be written, longer if some were written during the
    /// step. `written`: the count of written messages before the step.
    async fn rest(&self, began: Instant, written: u64) {
        let factor = if self.messages_written() == written { 1 } else { PAUSE_FACTOR };
        tokio::time::sleep(began.elapsed().min(MAX_STEP) * factor).await;
    }

    async fn missing_of(&self, listener: &StoredTarget, from: FillPosition) -> Result<FillPage, Unavailable> {
        let listener = listener.clone();
        self.core.read(move |connection| listener::missing(connection, &listener, &from, PAGE)).await
    }

    /// Records that a listener's program received these messages; returns the number that were
    /// pending.
    pub async fn acknowledge_deliveries(
        &self,
        target: TargetId,
        acknowledgements: Vec<DeliveryAcknowledgement>,
        now: OffsetDateTime,
    ) -> Result<usize, Unavailable> {
        self.core
            .write(move |database| listener::acknowledge(database.connection, target, &acknowledgements, now))
            .await
    }

    /// Pauses all listeners at start, when none can be connected.
    pub async fn pause_listeners(&self, now: OffsetDateTime) -> Result<(), Unavailable> {
        let now = Timestamp::from(now);
        self.core.write(move |database| listener::pause_all(database.connection, now)).await
    }

    /// Sets whether a program is connected. Without one, the listener is paused, and its pending
    /// deliveries expire after a week, like those of any paused target.
    pub async fn set_listener_connected(
        &self,
        target: TargetId,
        is_connected: bool,
        now: OffsetDateTime,
    ) -> Result<(), Unavailable> {
        let now = Timestamp::from(now);
        self.core
            .change_targets(move |connection| {
                Ok(listener::set_connected(connection, target, is_connected, now)?)
            })
            .await
    }
}
