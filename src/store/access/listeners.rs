//! Listeners: opened by whoever connects, filled with old messages if he asked for them.

use time::OffsetDateTime;

use super::super::listener::{
    self, Acknowledgement, FillPage, FillPosition, Listener, ListenerRefused, Opened,
};
use super::super::subscription::Pattern;
use super::super::target::{Target, TargetKind};
use super::super::{Store, Unavailable, timestamp};

/// Messages that are looked at in one step.
const PAGE: usize = 500;

impl Store {
    /// Makes the listener if there is none of that name, else changes what it wants. `since` (as timestamps are written):
    /// a new one also gets what came from then on, after [`Self::fill_listener`].
    pub async fn open_listener(
        &self,
        name: String,
        events: Vec<Pattern>,
        since: Option<String>,
        now: OffsetDateTime,
    ) -> Result<Result<Opened, ListenerRefused>, Unavailable> {
        let now = timestamp::to_text(now);
        self.change_targets(move |database| {
            listener::open(database.connection, &name, events, since.as_deref(), &now)
        })
        .await
    }

    /// Adds the old messages that a listener has asked for; how many. It can be done again at any time. Once it was done
    /// later than `LATE_MESSAGES_WITHIN` after the listener was made, `is_last` says so.
    pub async fn fill_listener(
        &self,
        target: i64,
        is_last: bool,
        now: OffsetDateTime,
    ) -> Result<usize, Unavailable> {
        let now = timestamp::to_text(now);
        let asked_for = self
            .read(move |connection| {
                let since = listener::wanted_since(connection, target)?;
                Ok(since.zip(super::super::target::one(connection, target)?))
            })
            .await?;
        let Some((since, listener)) = asked_for else { return Ok(0) };
        let mut added = 0;
        let mut from = FillPosition::since(since);
        loop {
            let FillPage { messages, next } = self.missing_of(&listener, from).await?;
            if !messages.is_empty() {
                let now = now.clone();
                added += self
                    .write(move |database| listener::fill(database.connection, target, &messages, &now))
                    .await?;
            }
            let Some(next) = next else { break };
            from = next;
        }
        if is_last {
            self.write(move |database| listener::filled(database.connection, target)).await?;
        }
        if added > 0 {
            self.inner.shared.followers_should_look();
        }
        Ok(added)
    }

    async fn missing_of(&self, listener: &Target, from: FillPosition) -> Result<FillPage, Unavailable> {
        let listener = listener.clone();
        self.read(move |connection| listener::missing(connection, &listener, &from, PAGE)).await
    }

    /// The program behind a listener has got these; how many of them were pending.
    pub async fn acknowledge_deliveries(
        &self,
        target: i64,
        acknowledgements: Vec<Acknowledgement>,
        now: OffsetDateTime,
    ) -> Result<usize, Unavailable> {
        self.write(move |database| listener::acknowledge(database.connection, target, &acknowledgements, now))
            .await
    }

    pub async fn listener_named(&self, name: &str) -> Result<Option<Target>, Unavailable> {
        let name = name.to_owned();
        let found = self.read(move |connection| listener::by_name(connection, &name)).await?;
        Ok(found.filter(|target| target.kind == TargetKind::Listener))
    }

    /// What a listener has not acknowledged.
    pub async fn pending_of_listener(&self, target: i64) -> Result<i64, Unavailable> {
        self.read(move |connection| listener::pending(connection, target)).await
    }

    pub async fn listeners(&self) -> Result<Vec<Listener>, Unavailable> {
        self.read(listener::all).await
    }

    /// Nobody can be connected when the service starts.
    pub async fn pause_listeners(&self, now: OffsetDateTime) -> Result<(), Unavailable> {
        let now = timestamp::to_text(now);
        self.write(move |database| listener::pause_all(database.connection, &now)).await
    }

    /// Deliveries to a listener that nobody is connected to end after a week like those of any target that is paused.
    pub async fn set_listener_connected(
        &self,
        target: i64,
        is_connected: bool,
        now: OffsetDateTime,
    ) -> Result<(), Unavailable> {
        let now = timestamp::to_text(now);
        self.change_targets(move |database| {
            listener::set_connected(database.connection, target, is_connected, &now)
        })
        .await
    }
}
