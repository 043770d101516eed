//! Rejections: put into quarantine, looked at, and released as messages.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::super::message::{Kept, NewMessage};
use super::super::quarantine::read::{
    self as quarantined, CauseCount, RejectionFilter, RejectionHead, RejectionPosition, SourceNumbers,
    StoredRejection,
};
use super::super::quarantine::{NewRejection, Offer, SEALED_AS};
use super::super::writer::Job;
use super::super::{Store, Unavailable};

/// How long a candidate waits for room in the queue of the writer: a request is answered within 2.5 s.
const ROOM_WAIT: Duration = Duration::from_secs(2);

impl Store {
    /// Queues a rejection for the writer. Some candidates wait a moment for room, noise does not; what does not fit is
    /// counted only.
    pub async fn quarantine(&self, mut rejection: NewRejection) {
        let intake = &self.inner.intake;
        let deadline = Instant::now() + ROOM_WAIT;
        let mut waiting = None;
        loop {
            let mut space = std::pin::pin!(intake.space.notified());
            space.as_mut().enable();
            rejection = match intake.offer(rejection) {
                Offer::Taken(is_first) => {
                    if is_first {
                        let _ = self.inner.send(Job::Wake);
                    }
                    return;
                }
                Offer::Full(rejection) => rejection,
            };
            if waiting.is_none() {
                waiting = intake.wait_for_room(&rejection);
            }
            // On a full disk nothing is written that would make room. That takes a system call, which most of a flood is spared.
            if waiting.is_none()
                || self.inner.files.is_low()
                || tokio::time::timeout_at(deadline.into(), space).await.is_err()
            {
                intake.count_dropped(&rejection);
                return;
            }
        }
    }

    /// What the quarantine may take at most, for all sources together.
    pub fn limit_quarantine(&self, max_bytes: u64) {
        self.inner.intake.limit_bytes(max_bytes);
    }

    /// Has what the senders of recent verified messages send given up after what strangers send.
    pub async fn learn_senders(&self) -> Result<(), Unavailable> {
        let senders = self.read(quarantined::recent_senders).await?;
        self.inner.intake.learn_senders(senders.into_iter());
        Ok(())
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

    /// How many fit, by cause, up to the id `through`.
    pub async fn count_rejections(
        &self,
        filter: RejectionFilter,
        through: i64,
    ) -> Result<Vec<CauseCount>, Unavailable> {
        self.read(move |connection| quarantined::count(connection, &filter, through)).await
    }

    /// The next ones in the order of arrival, up to the id `through`.
    pub async fn next_rejections(
        &self,
        filter: RejectionFilter,
        after: RejectionPosition,
        through: i64,
        limit: usize,
    ) -> Result<Vec<RejectionHead>, Unavailable> {
        self.read(move |connection| quarantined::next_in_order(connection, &filter, &after, through, limit))
            .await
    }

    /// The id of the newest one; 0 if there is none.
    pub async fn newest_rejection(&self) -> Result<i64, Unavailable> {
        self.read(quarantined::newest).await
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
        let kept = self.keep_prepared(prepared.released(rejection), None, deadline).await?;
        Ok((kept != Kept::RejectionGone).then_some(kept))
    }

    /// As `release`, for many in their order: one after the other is queued, and none is waited for before the next.
    pub async fn release_in_order(
        &self,
        messages: Vec<(i64, NewMessage)>,
        deadline: Instant,
    ) -> Vec<Result<Option<Kept>, Unavailable>> {
        let mut prepared = Vec::with_capacity(messages.len());
        for (rejection, message) in messages {
            prepared.push(self.prepare(message, deadline).await.map(|message| message.released(rejection)));
        }
        let mut queued = Vec::with_capacity(prepared.len());
        for message in prepared {
            queued.push(message.and_then(|message| self.enqueue(message, None, deadline)));
        }
        let mut outcomes = Vec::with_capacity(queued.len());
        for answer in queued {
            let kept = match answer {
                Ok(answer) => Self::outcome(answer, deadline).await,
                Err(why) => Err(why),
            };
            outcomes.push(kept.map(|kept| (kept != Kept::RejectionGone).then_some(kept)));
        }
        outcomes
    }

    /// By the name of the source; sources without any are not among them.
    pub async fn source_numbers(&self) -> Result<BTreeMap<String, SourceNumbers>, Unavailable> {
        self.read(quarantined::source_numbers).await
    }
}
