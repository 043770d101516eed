//! Rejections: put into quarantine, looked at, and released as messages.

use std::collections::BTreeMap;
use std::time::Instant;

use super::super::message::{Kept, NewMessage};
use super::super::quarantined::{self, RejectionFilter, RejectionHead, SourceNumbers, StoredRejection};
use super::super::rejection::{NewRejection, SEALED_AS};
use super::super::writer::Job;
use super::super::{Store, Unavailable};

impl Store {
    /// Never waits; what does not fit is counted only.
    pub fn quarantine(&self, rejection: NewRejection) {
        if self.inner.waiting.add(rejection) {
            let _ = self.inner.send(Job::Wake);
        }
    }

    /// Newest first, those below `from`.
    pub async fn rejections(
        &self,
        filter: RejectionFilter,
        from: Option<i64>,
        limit: usize,
    ) -> Result<Vec<RejectionHead>, Unavailable> {
        self.read(move |connection| quarantined::page(connection, &filter, from, limit)).await
    }

    /// One with its credentials unsealed: for checking it again, never for showing.
    pub async fn rejection(&self, id: i64) -> Result<Option<StoredRejection>, Unavailable> {
        let found = self.read(move |connection| quarantined::one(connection, id)).await?;
        Ok(found.map(|(rejection, sealed)| {
            let sealed = sealed.and_then(|sealed| String::from_utf8(sealed).ok());
            let plain = sealed.and_then(|sealed| self.inner.sealer.open(SEALED_AS, &sealed).ok());
            StoredRejection {
                credentials: plain.and_then(|plain| String::from_utf8(plain).ok()),
                ..rejection
            }
        }))
    }

    /// Keeps the message that was rejected, and removes the rejection with it. `None`: the rejection is gone.
    ///
    /// # Errors
    /// As for `keep`.
    pub async fn release(
        &self,
        rejection: i64,
        message: NewMessage,
        deadline: Instant,
    ) -> Result<Option<Kept>, Unavailable> {
        let prepared = self.prepare(message, deadline).await?;
        let kept = self.keep_prepared(prepared.released(rejection), deadline).await?;
        Ok((kept != Kept::RejectionGone).then_some(kept))
    }

    /// By the name of the source; sources without any are not among them.
    pub async fn source_numbers(&self) -> Result<BTreeMap<String, SourceNumbers>, Unavailable> {
        self.read(quarantined::source_numbers).await
    }
}
