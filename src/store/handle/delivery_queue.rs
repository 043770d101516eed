//! Pending deliveries, their outcomes, replays and confirmations.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;
use time::OffsetDateTime;

use crate::store::confirmation::{self, ConfirmationOutcome, DueConfirmation, Settlement};
use crate::store::delivery;
use crate::store::delivery::due::{self, DuePage, DueQuery};
use crate::store::delivery::expire::DiscardRequest;
use crate::store::delivery::loaded::LoadedMessages;
use crate::store::delivery::outcome::{AttemptRecord, Disposition};
use crate::store::delivery::signal::DueSignal;
use crate::store::error::Unavailable;
use crate::store::handle::core::{self, Core};
use crate::store::handle::reads::Reads;
use crate::store::id::{DeliveryId, MessageId, ReplayId, TargetId};
use crate::store::message::read::StoredMessage;
use crate::store::replay::{self, NewReplay, ReplayStep};
use crate::store::timestamp::Timestamp;
use crate::store::walk::StepResult;
use crate::store::writer::job::Database;
use crate::store::{message, target};

/// Pause between pages of discarded deliveries, so that incoming messages can be written.
const PAUSE_BETWEEN_PAGES: Duration = Duration::from_millis(20);

/// Pending deliveries, their outcomes, replays and confirmations.
#[derive(Clone, Debug)]
pub struct DeliveryQueue {
    pub(super) core: Arc<Core>,
}

impl DeliveryQueue {
    pub fn reads(&self) -> Reads {
        Reads { core: self.core.clone() }
    }

    /// Returns the signal for targets with new work. It has a single receiver, the delivery engine.
    pub fn due_signal(&self) -> Arc<DueSignal> {
        self.core.shared.due.clone()
    }

    pub async fn due_deliveries(&self, query: DueQuery) -> Result<DuePage, Unavailable> {
        // Without the copies of other lanes: their counts of duplicates may be outdated.
        let read = move |connection: &Connection| due::due(connection, &LoadedMessages::default(), &query);
        self.core.read(read).await
    }

    /// Reads the pages of several targets on one thread, so that a message for several of them is
    /// read once. Passes each page to `send` as soon as it is read, and returns the targets whose
    /// page could not be read.
    pub async fn due_pages(
        &self,
        queries: Vec<DueQuery>,
        send: impl Fn(TargetId, DuePage) + Send + 'static,
    ) -> Vec<TargetId> {
        let all: Vec<TargetId> = queries.iter().map(|query| query.target).collect();
        let loaded = self.core.loaded.clone();
        let read = move |connection: &Connection| {
            let is_unread = |query: &DueQuery| {
                // A page must not take the others with it.
                match catch_unwind(AssertUnwindSafe(|| due::due(connection, &loaded, query))) {
                    Ok(Ok(page)) => {
                        send(query.target, page);
                        return false;
                    }
                    Ok(Err(error)) => drop(core::failed_read(&error)),
                    Err(_) => log::error!("a bug in creel: reading the deliveries of a target panicked"),
                }
                true
            };
            let unread = queries.iter().filter(|query| is_unread(query));
            Ok(unread.map(|query| query.target).collect())
        };
        self.core.read(read).await.unwrap_or(all)
    }

    /// Returns the bytes of the messages that `due_pages` has read and that are still in memory.
    pub fn loaded_bytes(&self) -> usize {
        self.core.loaded.bytes()
    }

    /// Writes the outcomes of attempts in one step.
    pub async fn record_attempts(
        &self,
        records: Arc<Vec<AttemptRecord>>,
        now: OffsetDateTime,
    ) -> Result<(), Unavailable> {
        let now = Timestamp::from(now);
        let written = records.clone();
        self.core
            .write(move |database| delivery::outcome::record(database.connection, &written, now))
            .await?;
        let count = |next: fn(&Disposition) -> bool| {
            records.iter().filter(|record| next(&record.next)).count() as u64
        };
        let delivered = count(|next| *next == Disposition::Delivered);
        self.core.shared.attempts_recorded(
            delivered,
            records.len() as u64 - delivered,
            count(|next| *next == Disposition::Dead),
        );
        Ok(())
    }

    /// Discards the requested deliveries, in steps short enough to run between two batches of
    /// messages.
    pub async fn discard_deliveries(
        &self,
        mut request: DiscardRequest,
        now: OffsetDateTime,
    ) -> Result<(), Unavailable> {
        while !request.deliveries.is_empty() {
            let done = self.discard_some(request.clone(), now).await?;
            request.deliveries.drain(..done.taken.min(request.deliveries.len()));
        }
        Ok(())
    }

    /// Creates new deliveries of one message in one commit; returns their ids. Targets that must
    /// not receive the message are skipped. `None` if the message does not exist.
    pub async fn deliver_again(
        &self,
        message: MessageId,
        targets: Vec<TargetId>,
        now: OffsetDateTime,
    ) -> Result<Option<Vec<DeliveryId>>, Unavailable> {
        let now = Timestamp::from(now);
        let (signalled, shared) = (targets.clone(), self.core.shared.clone());
        let work = move |database: &mut Database<'_>| {
            // Cleanup may have deleted the message.
            if !message::read::exists(database.connection, message)? {
                return Ok(None);
            }
            let insert = |target: &TargetId| {
                delivery::insert::insert_again(database.connection, message, *target, None, now)
            };
            let made = targets.iter().map(insert).collect::<rusqlite::Result<Vec<Option<DeliveryId>>>>()?;
            Ok(Some(made.into_iter().flatten().collect()))
        };
        self.core.write_then(work, move |_| shared.work_committed(signalled)).await
    }

    /// Resolves when new confirmations may be due.
    pub async fn confirmation_due(&self) {
        self.core.shared.confirmations.notified().await;
    }

    /// Returns the sources with messages that await confirmation.
    pub async fn sources_awaiting_confirmation(&self) -> Result<Vec<String>, Unavailable> {
        self.core.read(confirmation::sources).await
    }

    /// Returns the due confirmations of a source, and the due time of the next one.
    pub async fn due_confirmations(
        &self,
        source: Arc<str>,
        now: OffsetDateTime,
        limit: usize,
    ) -> Result<(Vec<DueConfirmation>, Option<OffsetDateTime>), Unavailable> {
        let now = Timestamp::from(now);
        let (found, next) =
            self.core.read(move |connection| confirmation::due(connection, &source, now, limit)).await?;
        let open = |(due, sealed): (DueConfirmation, Option<String>)| {
            let plain =
                sealed.and_then(|sealed| self.core.sealer.open(confirmation::SEALED_AS, &sealed).ok());
            DueConfirmation { request: plain.and_then(|plain| String::from_utf8(plain).ok()), ..due }
        };
        let next = next.map(Timestamp::to_time);
        Ok((found.into_iter().map(open).collect(), next))
    }

    /// Stores the result of a query to the provider's API; a confirmed message is queued for its
    /// targets in the same commit.
    pub async fn settle_confirmation(
        &self,
        outcome: ConfirmationOutcome,
        now: OffsetDateTime,
    ) -> Result<(), Unavailable> {
        let now = Timestamp::from(now);
        let mut targets = Vec::new();
        let id = outcome.message;
        if outcome.settlement == Settlement::Confirmed
            && let Some(message) = self.message_to_deliver(id).await?
        {
            targets = self.reads().targets_for(
                &message.head.event,
                message.head.owner.as_deref(),
                message.payload(),
            );
        }
        let signalled = targets.clone();
        let shared = self.core.shared.clone();
        let settled_at = now;
        let is_final = !matches!(outcome.settlement, Settlement::Again { .. });
        let work = move |database: &mut Database<'_>| {
            confirmation::settle(database.connection, database.keys, &outcome, &targets, settled_at)
        };
        let committed = move |is_changed: &bool| {
            if is_final && *is_changed {
                shared.settled.add(id);
            }
            shared.work_committed(signalled);
        };
        match self.core.write_then(work, committed).await {
            // The row of the message cannot be written. Its confirmation counts as failed, so that
            // it does not delay others.
            Err(Unavailable::Damaged) => {
                self.core
                    .write(move |database| confirmation::reject_damaged(database.connection, id, now))
                    .await
            }
            settled => settled.map(drop),
        }
    }

    /// Schedules another run of the stored query about a message whose confirmation failed. Returns
    /// false if the confirmation has not failed, or its query is not stored.
    pub async fn requeue_refused(
        &self,
        message: MessageId,
        now: OffsetDateTime,
    ) -> Result<bool, Unavailable> {
        let now = Timestamp::from(now);
        let shared = self.core.shared.clone();
        let requeue = move |database: &mut Database<'_>| {
            confirmation::requeue_refused(database.connection, message, now)
        };
        self.core.write_then(requeue, move |_| shared.confirmations.notify_one()).await
    }

    /// Returns the message; `None` if it was deleted, or if it is damaged, because damaged messages
    /// are not delivered.
    async fn message_to_deliver(&self, id: MessageId) -> Result<Option<StoredMessage>, Unavailable> {
        match self.reads().message(id).await {
            Err(Unavailable::Damaged) => {
                log::error!("message={id}: confirmed, but damaged, so it is not delivered");
                Ok(None)
            }
            message => message,
        }
    }

    /// Creates a replay, which runs in steps; returns its id.
    pub async fn create_replay(&self, new: NewReplay, now: OffsetDateTime) -> Result<ReplayId, Unavailable> {
        let now = Timestamp::from(now);
        let shared = self.core.shared.clone();
        let insert = move |database: &mut Database<'_>| replay::insert(database.connection, &new, now);
        self.core.write_then(insert, move |_| shared.replays.notify_one()).await
    }

    /// Resolves when there may be a new replay.
    pub async fn replay_created(&self) {
        self.core.shared.replays.notified().await;
    }

    /// Cancels a replay; true if it was running.
    pub async fn cancel_replay(&self, id: ReplayId, now: OffsetDateTime) -> Result<bool, Unavailable> {
        let now = Timestamp::from(now);
        self.core.write(move |database| replay::cancel(database.connection, id, now)).await
    }

    /// Writes a step of a replay. Returns false if the replay was cancelled or has advanced in the
    /// meantime.
    pub async fn step_replay(&self, step: ReplayStep, now: OffsetDateTime) -> Result<bool, Unavailable> {
        let now = Timestamp::from(now);
        let targets: Vec<TargetId> =
            step.messages.iter().flat_map(|(_, targets)| targets.iter().copied()).collect();
        let shared = self.core.shared.clone();
        let work = move |database: &mut Database<'_>| replay::step(database.connection, &step, now);
        self.core.write_then(work, move |_| shared.work_committed(targets)).await
    }

    /// Disables the target after its endpoint at `url` answered 410 Gone. Returns false if the
    /// target is not active, or has another URL now.
    pub async fn disable_target(
        &self,
        id: TargetId,
        url: String,
        reason: &'static str,
        now: OffsetDateTime,
    ) -> Result<bool, Unavailable> {
        let now = Timestamp::from(now);
        let disable =
            move |connection: &Connection| Ok(target::change::disable(connection, id, &url, reason, now)?);
        self.core.change_targets_where(disable, |disabled| *disabled).await
    }

    /// Returns one page of a target's pending deliveries that were created before `before` and are
    /// due before it; `Timestamp::MAX` selects all.
    pub async fn pending_before(
        &self,
        target: TargetId,
        before: Timestamp,
    ) -> Result<Vec<DeliveryId>, Unavailable> {
        self.core.read(move |connection| delivery::expire::pending_before(connection, target, before)).await
    }

    /// Discards some deliveries in one short step.
    pub async fn discard_some(
        &self,
        request: DiscardRequest,
        now: OffsetDateTime,
    ) -> Result<StepResult, Unavailable> {
        let now = Timestamp::from(now);
        self.core.write(move |database| delivery::expire::discard(database, &request, now)).await
    }

    /// Discards the pending deliveries of a removed target in short steps; returns their number.
    pub async fn drop_pending_of_removed(
        &self,
        target: TargetId,
        now: OffsetDateTime,
    ) -> Result<usize, Unavailable> {
        let request = |deliveries| DiscardRequest {
            deliveries,
            inactive_since: Some(Timestamp::MAX),
            why: "the target was removed".to_owned(),
        };
        let mut dropped = 0;
        loop {
            let mut pending = self.pending_before(target, Timestamp::MAX).await?;
            let before = dropped;
            while !pending.is_empty() {
                let step = self.discard_some(request(pending.clone()), now).await?;
                pending.drain(..step.taken.min(pending.len()));
                dropped += step.changed;
            }
            if dropped == before {
                return Ok(dropped);
            }
            tokio::time::sleep(PAUSE_BETWEEN_PAGES).await;
        }
    }
}
