//! Confirmations: about which messages is to be asked, and what the answer was.

use std::sync::Arc;

use time::OffsetDateTime;

use super::super::confirmation::{self, Asked, Confirmation, DueConfirmation, Settlement};
use super::super::settled::Settlements;
use super::super::writer::Database;
use super::super::{Store, StoredMessage, Unavailable, timestamp};

impl Store {
    /// Resolves when there may be something new to ask about.
    pub async fn confirmation_due(&self) {
        self.inner.shared.confirmations.notified().await;
    }

    /// The sources that have messages about which is to be asked.
    pub async fn sources_awaiting_confirmation(&self) -> Result<Vec<String>, Unavailable> {
        self.read(confirmation::sources).await
    }

    /// Those of a source that are due, and when its next one is.
    pub async fn due_confirmations(
        &self,
        source: Arc<str>,
        now: OffsetDateTime,
        limit: usize,
    ) -> Result<(Vec<DueConfirmation>, Option<OffsetDateTime>), Unavailable> {
        let now = timestamp::to_text(now);
        let (found, next) =
            self.read(move |connection| confirmation::due(connection, &source, &now, limit)).await?;
        let open = |(due, sealed): (DueConfirmation, Option<String>)| {
            let plain = sealed.and_then(|sealed| self.inner.sealer.open(SEALED_AS, &sealed).ok());
            DueConfirmation { request: plain.and_then(|plain| String::from_utf8(plain).ok()), ..due }
        };
        let next = next.as_deref().and_then(timestamp::from_text);
        Ok((found.into_iter().map(open).collect(), next))
    }

    /// Writes the answer; a confirmed message is on its way to its targets with it.
    pub async fn settle_confirmation(&self, asked: Asked, now: OffsetDateTime) -> Result<(), Unavailable> {
        let now = timestamp::to_text(now);
        let mut targets = Vec::new();
        let id = asked.message;
        if asked.settlement == Settlement::Confirmed
            && let Some(message) = self.message_to_deliver(id).await?
        {
            targets = self.targets_for(&message.head.event, message.head.owner.as_deref(), message.payload());
        }
        let signalled = targets.clone();
        let shared = self.inner.shared.clone();
        let settled_at = now.clone();
        let is_final = !matches!(asked.settlement, Settlement::Again { .. });
        let work =
            move |database: &mut Database<'_>| confirmation::settle(database, &asked, &targets, &settled_at);
        let committed = move |is_changed: &bool| {
            if is_final && *is_changed {
                shared.settled.add(id);
            }
            shared.work_committed(signalled);
        };
        match self.write_then(work, committed).await {
            // The row of the message cannot be written: others must not be held up by it.
            Err(Unavailable::Damaged) => {
                self.write(move |database| confirmation::give_up_damaged(database.connection, id, &now)).await
            }
            settled => settled.map(drop),
        }
    }

    /// Asks again about a refused message. False if it is not refused, or its question is not stored.
    pub async fn ask_refused_again(&self, message: i64, now: OffsetDateTime) -> Result<bool, Unavailable> {
        let now = timestamp::to_text(now);
        let shared = self.inner.shared.clone();
        let ask = move |database: &mut Database<'_>| {
            confirmation::ask_refused_again(database.connection, message, &now)
        };
        self.write_then(ask, move |_| shared.confirmations.notify_one()).await
    }

    /// Messages whose confirmation was settled since the last call, for the clean-up.
    pub fn take_settlements(&self) -> Settlements {
        self.inner.shared.settled.take()
    }

    /// A message that is damaged goes nowhere.
    async fn message_to_deliver(&self, id: i64) -> Result<Option<StoredMessage>, Unavailable> {
        match self.message(id).await {
            Err(Unavailable::Damaged) => {
                log::error!("message {id} is confirmed, but damaged: it is not delivered");
                Ok(None)
            }
            message => message,
        }
    }

    pub async fn confirmation(&self, message: i64) -> Result<Option<Confirmation>, Unavailable> {
        self.read(move |connection| confirmation::one(connection, message)).await
    }
}

/// Sealed values open under the same name only.
pub const SEALED_AS: &str = "confirmation";
