//! Accepts verified messages and rejected requests. No message is acknowledged before the sync.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::spawn_blocking;

use crate::json::OFFLOAD_BYTES_MIN;
use crate::request_id;
use crate::store::error::{IngestError, Unavailable};
use crate::store::handle::core::Core;
use crate::store::id::RejectionId;
use crate::store::message::insert::{InsertOutcome, PreparedMessage, Receipt};
use crate::store::message::new::NewMessage;
use crate::store::quarantine::intake::OfferOutcome;
use crate::store::quarantine::rejection::NewRejection;
use crate::store::writer::job::{Job, Keep, Memory};
use crate::store::writer::mailbox::{self, PendingAnswer};

/// Maximum time that a rejected candidate waits for room in the intake: every request is answered
/// within 2.5 s.
const ROOM_TIMEOUT: Duration = Duration::from_secs(2);

/// Accepts verified messages and rejected requests. No message is acknowledged before the sync.
#[derive(Clone, Debug)]
pub struct Ingest {
    pub(super) core: Arc<Core>,
}

impl Ingest {
    /// Stores a message. Resolves once it is committed and synced, or when `deadline` has passed.
    ///
    /// # Errors
    /// After any error, the message must not be acknowledged. After `Unavailable::Deadline` it may
    /// still have been stored.
    pub async fn keep(&self, message: NewMessage, deadline: Instant) -> Result<Receipt, IngestError> {
        self.keep_accounted(message, None, deadline).await
    }

    /// Stores a message as `keep` does; drops `memory` once the message is written or discarded.
    ///
    /// # Errors
    /// See `keep`.
    pub async fn keep_accounted(
        &self,
        message: NewMessage,
        memory: Option<Memory>,
        deadline: Instant,
    ) -> Result<Receipt, IngestError> {
        if let Some(why) = self.core.shared.stopped() {
            return Err(why.into());
        }
        let prepared = match self.prepare_here(message) {
            Ok(prepared) => prepared,
            Err(message) => Box::pin(self.prepare_elsewhere(message, deadline)).await?,
        };
        self.keep_prepared(prepared, memory, deadline).await
    }

    pub(in crate::store) async fn keep_prepared(
        &self,
        message: Box<PreparedMessage>,
        memory: Option<Memory>,
        deadline: Instant,
    ) -> Result<Receipt, IngestError> {
        let answer = self.enqueue(message, memory, deadline)?;
        Self::outcome(answer, deadline).await
    }

    fn enqueue(
        &self,
        message: Box<PreparedMessage>,
        memory: Option<Memory>,
        deadline: Instant,
    ) -> Result<PendingAnswer, Unavailable> {
        if self.core.shared.is_out_of_room() {
            // Wakes cleanup, which may have run before the last write that made room. Another write
            // that would wake it may never follow.
            self.core.shared.beyond_size.notify_one();
            return Err(Unavailable::DatabaseFull);
        }
        let (reply, answer) = mailbox::channel();
        self.core.send(Job::Keep(Keep { message, deadline, reply, _memory: memory }))?;
        Ok(answer)
    }

    async fn outcome(answer: PendingAnswer, deadline: Instant) -> Result<Receipt, IngestError> {
        match tokio::time::timeout_at(deadline.into(), answer).await {
            Ok(Ok(InsertOutcome::Stored(receipt))) => Ok(receipt),
            Ok(Ok(InsertOutcome::KeyReused { of })) => Err(IngestError::KeyReused { of }),
            Ok(Ok(InsertOutcome::RejectionGone)) => Err(IngestError::RejectionGone),
            Ok(Ok(InsertOutcome::TooManyAwaiting)) => Err(Unavailable::TooManyAwaiting.into()),
            Ok(Err(why)) => Err(why.into()),
            Err(_) => Err(Unavailable::Deadline.into()),
        }
    }

    /// Matches the message to targets.
    pub(in crate::store) async fn prepare(
        &self,
        message: NewMessage,
        deadline: Instant,
    ) -> Result<Box<PreparedMessage>, Unavailable> {
        match self.prepare_here(message) {
            Ok(prepared) => Ok(prepared),
            Err(message) => self.prepare_elsewhere(message, deadline).await,
        }
    }

    /// Matches the message to targets; returns it unchanged if a large payload must be read for
    /// this, which would delay other requests.
    fn prepare_here(&self, message: NewMessage) -> Result<Box<PreparedMessage>, Box<NewMessage>> {
        let subscriptions = self.core.shared.audience.current();
        let is_long = message.content.payload().is_some_and(|payload| payload.len() >= OFFLOAD_BYTES_MIN);
        if is_long && subscriptions.read_payload(&message.event, message.owner.as_deref()) {
            return Err(Box::new(message));
        }
        Ok(Box::new(PreparedMessage::new(message, &subscriptions, &self.core.sealer)))
    }

    /// Matches the message to targets on a blocking thread.
    async fn prepare_elsewhere(
        &self,
        message: Box<NewMessage>,
        deadline: Instant,
    ) -> Result<Box<PreparedMessage>, Unavailable> {
        let (subscriptions, sealer) = (self.core.shared.audience.current(), self.core.sealer.clone());
        let prepared = spawn_blocking(request_id::for_thread(move || {
            Box::new(PreparedMessage::new(*message, &subscriptions, &sealer))
        }));
        match tokio::time::timeout_at(deadline.into(), prepared).await {
            Ok(prepared) => prepared.map_err(|_| Unavailable::Refused),
            Err(_) => Err(Unavailable::Deadline),
        }
    }

    /// Queues a rejection for the writer. A limited number of candidates wait a moment for room,
    /// noise does not (see `RejectionKind`). Rejections that do not fit are only counted.
    pub async fn quarantine(&self, mut rejection: NewRejection) {
        // Before the writer is woken, so that it finds the count.
        self.core.counts.add_rejection(&rejection.source, rejection.received_at);
        let intake = &self.core.intake;
        let deadline = Instant::now() + ROOM_TIMEOUT;
        let mut waiting = None;
        loop {
            let mut space = std::pin::pin!(intake.space.notified());
            space.as_mut().enable();
            rejection = match intake.offer(rejection) {
                OfferOutcome::Taken(is_first) => {
                    if is_first {
                        let _ = self.core.send(Job::Wake);
                    }
                    return;
                }
                OfferOutcome::Full(rejection) => rejection,
            };
            if waiting.is_none() {
                waiting = intake.wait_for_room(&rejection);
            }
            // On a full disk, no write makes room. The check is a system call, so it comes after
            // the first condition, which is true for most requests of a flood.
            if waiting.is_none()
                || self.core.files.is_low()
                || tokio::time::timeout_at(deadline.into(), space).await.is_err()
            {
                intake.count_unqueued(&rejection);
                return;
            }
        }
    }

    /// Stores the rejected message, and removes the rejection in the same commit.
    ///
    /// # Errors
    /// See `keep`.
    pub async fn release(
        &self,
        rejection: RejectionId,
        message: NewMessage,
        deadline: Instant,
    ) -> Result<Receipt, IngestError> {
        let prepared = self.prepare(message, deadline).await?;
        self.keep_prepared(Box::new(prepared.released(rejection)), None, deadline).await
    }

    /// Releases many rejections in order: each is queued without waiting for the previous one.
    pub async fn release_in_order(
        &self,
        messages: Vec<(RejectionId, NewMessage)>,
        deadline: Instant,
    ) -> Vec<Result<Receipt, IngestError>> {
        let mut prepared = Vec::with_capacity(messages.len());
        for (rejection, message) in messages {
            prepared.push(
                self.prepare(message, deadline).await.map(|message| Box::new(message.released(rejection))),
            );
        }
        let mut queued = Vec::with_capacity(prepared.len());
        for message in prepared {
            queued.push(message.and_then(|message| self.enqueue(message, None, deadline)));
        }
        let mut outcomes = Vec::with_capacity(queued.len());
        for answer in queued {
            outcomes.push(match answer {
                Ok(answer) => Self::outcome(answer, deadline).await,
                Err(why) => Err(why.into()),
            });
        }
        outcomes
    }
}
