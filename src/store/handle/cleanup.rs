//! Pages of what may be deleted, and short writes that delete it.

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
use crate::store::message::expire::{
    ExpiryCandidate, ExpiryPage, ExpirySelection, OldestPage, RefusedPage, RetentionRule,
};
use crate::store::space::{self, RoomHolder};
use crate::store::target::expire::InactiveTarget;
use crate::store::walk::{StepResult, TimePosition};
use crate::store::{delivery, keys, message, quarantine, replay, target, timestamp};

/// Pages of what may be deleted, and short writes that delete it.
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

    /// Messages whose confirmation was settled since the last call, for the clean-up.
    pub fn take_settlements(&self) -> Settlements {
        self.core.shared.settled.take()
    }

    /// Has what the senders of recent verified messages send given up after what strangers send.
    pub async fn learn_senders(&self) -> Result<(), Unavailable> {
        let senders = self.core.read(quarantine::read::recent_senders).await?;
        self.core.intake.learn_senders(senders.into_iter());
        Ok(())
    }

    /// One page of messages that are old and that nothing keeps, oldest first.
    pub async fn old_messages(&self, selection: ExpirySelection) -> Result<ExpiryPage, Unavailable> {
        self.core.read(move |connection| message::expire::select(connection, &selection)).await
    }

    /// The oldest messages behind `after` that nothing keeps, whatever their age.
    pub async fn oldest_messages(
        &self,
        after: i64,
        limit: usize,
        keeping: RetentionRule,
    ) -> Result<OldestPage, Unavailable> {
        self.core.read(move |connection| message::expire::oldest(connection, after, limit, &keeping)).await
    }

    /// Those of `ids` that nothing keeps.
    pub async fn messages_not_kept(
        &self,
        ids: Vec<i64>,
        keeping: RetentionRule,
    ) -> Result<Vec<ExpiryCandidate>, Unavailable> {
        self.core.read(move |connection| message::expire::candidates(connection, &ids, &keeping)).await
    }

    /// One page of messages that were refused before `before`.
    pub async fn refused_messages(
        &self,
        after: TimePosition,
        before: String,
    ) -> Result<RefusedPage, Unavailable> {
        self.core.read(move |connection| message::expire::refused(connection, &after, &before)).await
    }

    /// Deletes some of `ids` in one short step, with their deliveries.
    pub async fn delete_messages(
        &self,
        ids: Vec<i64>,
        keeping: RetentionRule,
    ) -> Result<StepResult, Unavailable> {
        self.core.write(move |database| message::expire::delete(database, &ids, &keeping)).await
    }

    /// One page of deliveries that ended before `before`.
    pub async fn finished_deliveries(
        &self,
        after: TimePosition,
        before: String,
    ) -> Result<FinishedPage, Unavailable> {
        self.core.read(move |connection| delivery::expire::finished(connection, &after, &before)).await
    }

    /// The messages up to `through` of which a delivery has ended behind `after`; and where the next page begins.
    pub async fn messages_finished(
        &self,
        after: TimePosition,
        through: i64,
    ) -> Result<(Vec<i64>, Option<TimePosition>), Unavailable> {
        self.core
            .read(move |connection| delivery::expire::messages_finished(connection, &after, through))
            .await
    }

    /// Deletes the attempts of some deliveries that have ended, and the delivered ones themselves, in one short step.
    pub async fn delete_finished(&self, ids: Vec<i64>) -> Result<StepResult, Unavailable> {
        self.core.write(move |database| delivery::expire::delete_finished(database, &ids)).await
    }

    /// Deletes some dead deliveries in one short step.
    pub async fn delete_dead(&self, ids: Vec<i64>) -> Result<StepResult, Unavailable> {
        self.core.write(move |database| delivery::expire::delete_dead(database, &ids)).await
    }

    /// Targets that are not served, and those that were made for a replay.
    pub async fn inactive_targets(&self) -> Result<Vec<InactiveTarget>, Unavailable> {
        self.core.read(target::expire::inactive).await
    }

    /// Pending deliveries of these messages, by target.
    pub async fn pending_of_messages(&self, ids: Vec<i64>) -> Result<BTreeMap<i64, u64>, Unavailable> {
        self.core.read(move |connection| message::expire::pending_of(connection, &ids)).await
    }

    /// The targets that keep most messages from being deleted, whatever the size. Those that were paused before
    /// `paused_before` do not.
    pub async fn room_holders(&self, paused_before: String) -> Result<Vec<RoomHolder>, Unavailable> {
        self.core.read(move |connection| space::room_holders(connection, &paused_before)).await
    }

    /// Removes a target that was made for a replay, unless it has something to do; true where it did.
    pub async fn retire_replay_target(&self, target: i64, now: OffsetDateTime) -> Result<bool, Unavailable> {
        let now = timestamp::to_text(now);
        self.core
            .change_targets_where(
                move |database| target::expire::retire_replay_target(database.connection, target, &now),
                |is_retired| *is_retired,
            )
            .await
    }

    /// Removes the listeners that nobody has connected to since `before`; how many.
    pub async fn retire_listeners(&self, before: String, now: OffsetDateTime) -> Result<usize, Unavailable> {
        let now = timestamp::to_text(now);
        self.core
            .change_targets_where(
                move |database| target::expire::retire_listeners(database.connection, &before, &now),
                |retired| *retired > 0,
            )
            .await
    }

    /// The targets of a page of deliveries; and where the next page begins.
    pub async fn targets_in_use(&self, after: i64) -> Result<(Vec<i64>, Option<i64>), Unavailable> {
        self.core.read(move |connection| target::expire::in_use(connection, after)).await
    }

    /// Deletes the row of a target that was removed before `before`; true where it did.
    pub async fn delete_removed_target(&self, target: i64, before: String) -> Result<bool, Unavailable> {
        self.core
            .write(move |database| target::expire::delete_removed(database.connection, target, &before))
            .await
    }

    /// Deletes some replays that were over before `before`; how many.
    pub async fn delete_replays(&self, before: String) -> Result<usize, Unavailable> {
        self.core.write(move |database| replay::expire::delete_replays(database.connection, &before)).await
    }

    /// Bytes of the file that hold data, and those that are free inside it.
    pub async fn used_and_free_bytes(&self) -> Result<(u64, u64), Unavailable> {
        self.core.read(space::used_and_free_bytes).await
    }

    /// Upper bounds of the bytes that each of `ids` takes, with its deliveries; 0 for a message that is gone.
    pub async fn message_sizes(&self, ids: Vec<i64>) -> Result<Vec<u64>, Unavailable> {
        self.core.read(move |connection| space::message_sizes(connection, &ids)).await
    }

    /// Whether any message is kept whatever the size, see [`Self::room_holders`].
    pub async fn is_room_held(&self, paused_before: String) -> Result<bool, Unavailable> {
        self.core.read(move |connection| space::is_room_held(connection, &paused_before)).await
    }

    /// From now on [`Self::beyond_size_limit`] tells when more of the file than this is used.
    pub fn limit_size(&self, bytes: u64) {
        self.core.shared.limit_size(bytes);
    }

    /// Resolves when the file has been found beyond its limit, soon after the write that made it so.
    pub async fn beyond_size_limit(&self) {
        self.core.shared.beyond_size.notified().await;
    }

    /// Whether messages are refused because there is no room for them, and none can be made. `holders`: who has it.
    pub fn set_out_of_room(&self, is_out_of_room: bool, holders: &str) {
        if self.core.shared.set_out_of_room(is_out_of_room) == is_out_of_room {
            return;
        }
        if is_out_of_room {
            log::error!(
                "the database is larger than CREEL_MAX_DATABASE_SIZE, and its messages are kept by pending deliveries: {holders}. \
                 New messages get 503 until some of them are delivered or dead. Repair or remove these targets, or raise the limit"
            );
        } else {
            log::info!("there is room in the database again");
        }
    }

    /// One step of writing the keys that are only in memory, up to the message `through`; true when it is done.
    pub async fn merge_keys(&self, through: i64) -> Result<bool, Unavailable> {
        self.core.write(move |database| Ok(keys::expire::merge_keys(database, through))).await
    }

    /// One step of dropping keys that were last added to before `cut_off`; true when it is done.
    pub async fn forget_keys(&self, cut_off: OffsetDateTime) -> Result<bool, Unavailable> {
        let cut_off = timestamp::to_text(cut_off);
        self.core.write(move |database| keys::expire::forget_keys(database, &cut_off)).await
    }

    /// One step of deleting old rejections; how many went, 0 when it is done.
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

    /// One step of giving up rejections for lack of space, until `bytes` are free; how many rows and bytes went.
    pub async fn shrink_quarantine(&self, bytes: u64) -> Result<(usize, u64), Unavailable> {
        self.core
            .write(move |database| {
                let deleted = database.quarantine.shrink(database.connection, database.intake, bytes)?;
                Ok((deleted.rows, deleted.bytes))
            })
            .await
    }

    /// What the quarantine should give up: as much as the disk lacks of `CREEL_MIN_FREE`, and what it holds beyond its own
    /// limit, which may be lower than before.
    pub fn quarantine_excess_bytes(&self) -> u64 {
        let intake = &self.core.intake;
        self.core.files.missing_bytes().max(intake.stats().bytes.saturating_sub(intake.max_bytes()))
    }

    /// Whether the disk has little more free space than the low-water mark, below which messages are refused.
    pub fn is_disk_nearly_low(&self) -> bool {
        self.core.files.is_nearly_low()
    }

    /// One step of giving free pages back; true when nothing more is worth it.
    pub async fn vacuum(&self) -> Result<bool, Unavailable> {
        self.core.write(space::vacuum).await
    }

    /// Has the space that a vacuum freed given back to the file system, and the ballast laid out again.
    pub fn settle(&self) {
        self.core.shared.request_checkpoint();
        self.core.files.lay_ballast();
    }

    /// Releases the ballast when the disk is nearly full, so that clean-up can write.
    pub fn make_room(&self) {
        if self.core.files.is_full() || self.core.files.free_bytes() < 1 << 20 {
            self.core.files.note_full();
        }
    }
}
