//! Confirmations: about which messages is to be asked, and what the answer was.

use std::sync::Arc;

use time::OffsetDateTime;

use super::super::confirmation::{self, Asked, Confirmation, DueConfirmation, Settlement};
use super::super::writer::Database;
use super::super::{Store, Unavailable, stored, timestamp};

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
            && let Some(message) = self.read(move |connection| stored::one(connection, id)).await?
            && message.head.conflict_of.is_none()
        {
            targets = self.targets_for(&message.head.event, message.head.owner.as_deref(), message.payload());
        }
        let signalled = targets.clone();
        let shared = self.inner.shared.clone();
        let work = move |database: &mut Database<'_>| {
            confirmation::settle(database.connection, &asked, &targets, &now)
        };
        self.write_then(work, move |_| shared.work_committed(signalled)).await.map(drop)
    }

    pub async fn confirmation(&self, message: i64) -> Result<Option<Confirmation>, Unavailable> {
        self.read(move |connection| confirmation::one(connection, message)).await
    }
}

/// Sealed values open under the same name only.
pub const SEALED_AS: &str = "confirmation";
