//! Reads pages of expired rows, and deletes rows in short writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;

use crate::store::confirmation::settlements::Settlements;
use crate::store::delivery::expire::FinishedPage;
use crate::store::error::Unavailable;
use crate::store::handle::core::Core;
use crate::store::handle::delivery_queue::DeliveryQueue;
use crate::store::handle::reads::Reads;
use crate::store::handle::settings::ServiceSettings;
use crate::store::id::{DeliveryId, MessageId, TargetId};
use crate::store::message::expire::{
    ExpiryCandidate, ExpiryPage, ExpirySelection, OldestPage, RefusedPage, RetentionRule,
};
use crate::store::space::{self, RoomHolder};
use crate::store::target::expire::InactiveTarget;
use crate::store::timestamp::Timestamp;
use crate::store::walk::{StepResult, TimePosition};
use crate::store::{counts, delivery, keys, message, quarantine, replay, target};

/// Reads pages of expired rows, and deletes rows in short writes.
#[derive(Clone, Debug)]
pub struct Cleanup {
    pub(super) core: Arc<Core>,
}

impl Cleanup {
    pub fn reads(&self) -> Reads {
        Reads { core: self.core.clone() }
    }

    pub fn delivery_queue(&self) -> DeliveryQueue {
        DeliveryQueue { core: self.core.clone() }
    }

    pub fn settings(&self) -> ServiceSettings {
        ServiceSettings { core: self.core.clone() }
    }

    /// Returns the messages whose confirmation was settled since the last call.
    pub fn take_settlements(&self) -> Settlements {
        self.core.shared.settled.take()
    }

    /// Marks the senders of recent verified messages as known. Their candidates are not evicted
    /// while unknown networks hold more than their share of the quarantine.
    pub async fn learn_senders(&self) -> Result<(), Unavailable> {
        let senders = self.core.read(quarantine::read::recent_senders).await?;
        self.core.intake.learn_senders(senders.into_iter());
        Ok(())
    }

    /// Returns one page of old messages that nothing retains, oldest first.
    pub async fn old_messages(&self, selection: ExpirySelection) -> Result<ExpiryPage, Unavailable> {
        self.core.read(move |connection| message::expire::select(connection, &selection)).await
    }

    /// Returns the oldest messages after `after` that nothing retains, regardless of age, at most
    /// `limit`.
    pub async fn oldest_messages(
        &self,
        after: MessageId,
        limit: usize,
        retention: RetentionRule,
    ) -> Result<OldestPage, Unavailable> {
        self.core.read(move |connection| message::expire::oldest(connection, after, limit, &retention)).await
    }

    /// Returns the messages in `ids` that nothing retains.
    pub async fn unretained_messages(
        &self,
        ids: Vec<MessageId>,
        retention: RetentionRule,
    ) -> Result<Vec<ExpiryCandidate>, Unavailable> {
        self.core.read(move |connection| message::expire::candidates(connection, &ids, &retention)).await
    }

    /// Returns one page of messages whose confirmation failed before `before`.
    pub async fn refused_messages(
        &self,
        after: TimePosition,
        before: Timestamp,
    ) -> Result<RefusedPage, Unavailable> {
        self.core.read(move |connection| message::expire::refused(connection, &after, before)).await
    }

    /// Deletes some of `ids` with their deliveries, in one short step.
    pub async fn delete_messages(
        &self,
        ids: Vec<MessageId>,
        retention: RetentionRule,
    ) -> Result<StepResult, Unavailable> {
        self.core.write(move |database| message::expire::delete(database, &ids, &retention)).await
    }

    /// Returns one page of deliveries that finished before `before`.
    pub async fn finished_deliveries(
        &self,
        after: TimePosition,
        before: Timestamp,
    ) -> Result<FinishedPage, Unavailable> {
        self.core.read(move |connection| delivery::expire::finished(connection, &after, before)).await
    }

    /// Returns one page of messages up to `through` with a delivery that finished after the
    /// position `after`, and the position of the next page.
    pub async fn messages_finished(
        &self,
        after: TimePosition,
        through: MessageId,
    ) -> Result<(Vec<MessageId>, Option<TimePosition>), Unavailable> {
        self.core
            .read(move |connection| delivery::expire::messages_finished(connection, &after, through))
            .await
    }

    /// Deletes the attempts of some of the finished deliveries `ids`, and also these deliveries
    /// themselves, unless they are dead letters, in one short step.
    pub async fn delete_finished(&self, ids: Vec<DeliveryId>) -> Result<StepResult, Unavailable> {
        self.core.write(move |database| delivery::expire::delete_finished(database, &ids)).await
    }

    /// Deletes some dead letters in one short step.
    pub async fn delete_dead(&self, ids: Vec<DeliveryId>) -> Result<StepResult, Unavailable> {
        self.core.write(move |database| delivery::expire::delete_dead(database, &ids)).await
    }

    /// Returns inactive targets and targets created for a replay.
    pub async fn inactive_targets(&self) -> Result<Vec<InactiveTarget>, Unavailable> {
        self.core.read(target::expire::inactive).await
    }

    /// Counts the pending deliveries of these messages by target.
    pub async fn pending_of_messages(
        &self,
        ids: Vec<MessageId>,
    ) -> Result<BTreeMap<TargetId, u64>, Unavailable> {
        self.core.read(move |connection| message::expire::pending_of(connection, &ids)).await
    }

    /// Returns the targets and sources that retain the most messages even above the size limit.
    /// Targets that were paused before `paused_before` and other expendable targets retain none.
    pub async fn room_holders(&self, paused_before: Timestamp) -> Result<Vec<RoomHolder>, Unavailable> {
        self.core.read(move |connection| space::room_holders(connection, paused_before)).await
    }

    /// Removes an idle target that was created for a replay; true if it was removed.
    pub async fn retire_replay_target(
        &self,
        target: TargetId,
        now: OffsetDateTime,
    ) -> Result<bool, Unavailable> {
        let now = Timestamp::from(now);
        self.core
            .change_targets_where(
                move |connection| Ok(target::expire::retire_replay_target(connection, target, now)?),
                |is_retired| *is_retired,
            )
            .await
    }

    /// Removes listeners without a connection since `before`; returns their number.
    pub async fn retire_listeners(
        &self,
        before: Timestamp,
        now: OffsetDateTime,
    ) -> Result<usize, Unavailable> {
        let now = Timestamp::from(now);
        self.core
            .change_targets_where(
                move |connection| Ok(target::expire::retire_listeners(connection, before, now)?),
                |retired| *retired > 0,
            )
            .await
    }

    /// Returns the targets of a page of deliveries, and the position of the next page.
    pub async fn targets_in_use(
        &self,
        after: DeliveryId,
    ) -> Result<(Vec<TargetId>, Option<DeliveryId>), Unavailable> {
        self.core.read(move |connection| target::expire::in_use(connection, after)).await
    }

    /// Deletes the row of a target removed before `before`; true if it was deleted.
    pub async fn delete_removed_target(
        &self,
        target: TargetId,
        before: Timestamp,
    ) -> Result<bool, Unavailable> {
        self.core
            .write(move |database| target::expire::delete_removed(database.connection, target, before))
            .await
    }

    /// Deletes some replays that finished before `before`; returns their number.
    pub async fn delete_replays(&self, before: Timestamp) -> Result<usize, Unavailable> {
        self.core.write(move |database| replay::expire::delete_replays(database.connection, before)).await
    }

    /// Returns the used and the free bytes of the database file.
    pub async fn used_and_free_bytes(&self) -> Result<(u64, u64), Unavailable> {
        self.core.read(space::used_and_free_bytes).await
    }

    /// Returns an upper bound of the bytes of each message and its deliveries; 0 for a deleted
    /// message.
    pub async fn message_sizes(&self, ids: Vec<MessageId>) -> Result<Vec<u64>, Unavailable> {
        self.core.read(move |connection| space::message_sizes(connection, &ids)).await
    }

    /// Whether any message is retained even above the size limit, see [`Self::room_holders`].
    pub async fn is_room_held(&self, paused_before: Timestamp) -> Result<bool, Unavailable> {
        self.core.read(move |connection| space::is_room_held(connection, paused_before)).await
    }

    /// Sets the size limit of the database, in used bytes.
    pub fn limit_size(&self, bytes: u64) {
        self.core.shared.limit_size(bytes);
    }

    /// Resolves soon after a write takes the database over its size limit, or leaves the disk below
    /// `CREEL_MIN_FREE` while the quarantine has rows, or after a message was rejected for lack of
    /// room.
    pub async fn beyond_size_limit(&self) {
        self.core.shared.beyond_size.notified().await;
    }

    /// Sets whether messages are rejected because no space can be freed. `holders` lists the
    /// targets and sources whose pending deliveries and confirmations retain messages, for the log.
    pub fn set_out_of_room(&self, is_out_of_room: bool, holders: &str) {
        if self.core.shared.set_out_of_room(is_out_of_room) == is_out_of_room {
            return;
        }
        if is_out_of_room {
            log::error!(
                "the database is larger than CREEL_MAX_DATABASE_SIZE, and its messages are retained by pending deliveries or \
                 confirmations: {holders}. New messages get 503 until enough of these have finished. Repair or remove \
                 the targets, restore access to the APIs that confirm messages, or raise the limit"
            );
        } else {
            log::info!("there is room in the database again");
        }
    }

    /// Requests that keys in memory are written to the table. Returns true if the keys of messages
    /// up to `through` are already there, or if keys stay in memory because the table is damaged.
    pub async fn merge_keys(&self, through: MessageId) -> Result<bool, Unavailable> {
        self.core.write(move |database| Ok(keys::expire::merge_keys(database, through))).await
    }

    /// Deletes some keys of generations whose newest key is older than `cut_off`; returns true when
    /// no such generation remains.
    pub async fn forget_keys(&self, cut_off: OffsetDateTime) -> Result<bool, Unavailable> {
        let cut_off = Timestamp::from(cut_off);
        self.core.write(move |database| keys::expire::forget_keys(database, cut_off)).await
    }

    /// Deletes some old rejections; returns their number, 0 when done.
    pub async fn expire_rejections(
        &self,
        now: OffsetDateTime,
        retention: Duration,
    ) -> Result<usize, Unavailable> {
        let retention = time::Duration::try_from(retention).unwrap_or(time::Duration::MAX);
        self.core
            .write(move |database| {
                database.quarantine.expire(database.connection, database.intake, now, retention)
            })
            .await
    }

    /// Deletes some counts past their retention; returns their number, 0 when done.
    pub async fn expire_counts(&self, now: OffsetDateTime) -> Result<usize, Unavailable> {
        self.core.write(move |database| counts::expire::delete(database.connection, now)).await
    }

    /// Evicts rejections until `bytes` are freed or the limit of a step is reached; returns the
    /// rows and bytes deleted.
    pub async fn shrink_quarantine(&self, bytes: u64) -> Result<(usize, u64), Unavailable> {
        self.core
            .write(move |database| {
                let deleted = database.quarantine.shrink(database.connection, database.intake, bytes)?;
                Ok((deleted.rows, deleted.bytes))
            })
            .await
    }

    /// Returns the bytes to evict from the quarantine: the shortfall of free disk space below
    /// `CREEL_MIN_FREE` or the excess over the quarantine's limit (e.g. after a start with a lower
    /// limit), whichever is greater.
    pub fn quarantine_excess_bytes(&self) -> u64 {
        let intake = &self.core.intake;
        self.core.files.missing_bytes().max(intake.stats().bytes.saturating_sub(intake.max_bytes()))
    }

    /// Whether free space is close to the low-water mark, below which messages are rejected.
    pub fn is_disk_nearly_low(&self) -> bool {
        self.core.files.is_nearly_low()
    }

    /// Releases some free pages of the database; returns true when the rest is not worth releasing.
    pub async fn vacuum(&self) -> Result<bool, Unavailable> {
        self.core.write(space::vacuum).await
    }

    /// Requests a checkpoint, because only a checkpoint returns the space that a vacuum freed to
    /// the file system. Also writes a released ballast file again, if there is room.
    pub fn settle(&self) {
        self.core.shared.request_checkpoint();
        self.core.files.write_ballast_if_room();
    }

    /// Deletes the ballast file if the disk is full or nearly full, so that cleanup can write.
    pub fn make_room(&self) {
        if self.core.files.is_full() || self.core.files.free_bytes() < 1 << 20 {
            self.core.files.note_full();
        }
    }
}
