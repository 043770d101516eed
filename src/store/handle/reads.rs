//! Reads on the pool of read-only connections.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use crate::store::confirmation::{self, StoredConfirmation};
use crate::store::delivery;
use crate::store::delivery::counts::DeliveryCounts;
use crate::store::delivery::dead::{self, DeadLetterCount};
use crate::store::delivery::read::{DeliveryFilter, StoredAttempt, StoredDelivery};
use crate::store::error::Unavailable;
use crate::store::handle::core::Core;
use crate::store::id::{DeliveryId, MessageId, RejectionId, ReplayId, TargetId};
use crate::store::index::IndexStatus;
use crate::store::instances::Instances;
use crate::store::listener::{self, StoredListener};
use crate::store::message::filter::{Direction, MessageFilter};
use crate::store::message::names::NameSample;
use crate::store::message::read::{MessagePage, ReplayEstimate, StoredMessage};
use crate::store::quarantine::read::{
    CauseCount, RejectionFilter, RejectionPosition, RejectionRow, SourceNumbers, StoredRejection,
};
use crate::store::quarantine::rejection::SEALED_AS;
use crate::store::quarantine::search::{MatchCount, RejectionPage, RejectionSearch};
use crate::store::replay::count::{self, ReplayScope};
use crate::store::replay::{self, StoredReplay};
use crate::store::target::read::TargetNumbers;
use crate::store::target::secrets::{UnopenedSecrets, open_secrets};
use crate::store::target::settings::{StoredTarget, TargetKind, TargetSecrets};
use crate::store::{message, quarantine, target};

/// Reads on the pool of read-only connections.
#[derive(Clone, Debug)]
pub struct Reads {
    pub(super) core: Arc<Core>,
}

impl Reads {
    /// Returns the instance ids from which each `webhook-id` is derived.
    pub fn instances(&self) -> Arc<Instances> {
        self.core.instances.clone()
    }

    pub async fn message(&self, id: MessageId) -> Result<Option<StoredMessage>, Unavailable> {
        self.core.read(move |connection| message::read::one(connection, id)).await
    }

    /// Returns a page of messages beyond `from` in the given direction.
    pub async fn messages(
        &self,
        filter: MessageFilter,
        direction: Direction,
        from: Option<MessageId>,
        limit: usize,
    ) -> Result<MessagePage, Unavailable> {
        let index = self.core.index.clone();
        self.core
            .read(move |connection| {
                message::read::page(connection, index.as_ref(), &filter, direction, from, limit)
            })
            .await
    }

    /// Counts the deliveries of each message by state. Messages without deliveries are left out.
    pub async fn delivery_counts(
        &self,
        messages: Vec<MessageId>,
    ) -> Result<BTreeMap<MessageId, DeliveryCounts>, Unavailable> {
        self.core.read(move |connection| delivery::counts::count_by_state(connection, &messages)).await
    }

    /// Returns sources and events that occur in the database.
    pub async fn name_sample(&self) -> Result<NameSample, Unavailable> {
        self.core.read(message::names::sample).await
    }

    /// Returns the names of all targets other than listeners, even removed ones.
    pub async fn target_names(&self) -> Result<BTreeSet<String>, Unavailable> {
        self.core.read(message::names::targets).await
    }

    /// Counts the messages that a replay selects, and their dead letters; `None` if the deadline
    /// passes first.
    pub async fn count_to_replay(
        &self,
        scope: ReplayScope,
        deadline: Instant,
    ) -> Result<Option<ReplayEstimate>, Unavailable> {
        let ids = &scope.filter.ids;
        let mut from = ids.iter().copied().min().map_or(MessageId::START, MessageId::previous);
        let through = ids.iter().copied().max().map_or(scope.through, |most| most.min(scope.through));
        let scope = ReplayScope { through, ..scope };
        let mut messages = 0;
        let mut dead_letters: BTreeMap<TargetId, DeadLetterCount> = BTreeMap::new();
        while Instant::now() < deadline {
            let scope = scope.clone();
            let index = self.core.index.clone();
            let step = self
                .core
                .read(move |connection| count::count_step(connection, index.as_ref(), &scope, from))
                .await?;
            messages += step.messages;
            for (target, more) in step.dead_letters {
                let counted =
                    dead_letters.entry(target).or_insert(DeadLetterCount { deliveries: 0, ..more.clone() });
                counted.deliveries += more.deliveries;
            }
            let Some(next) = step.next else {
                let dead_letters = dead_letters.into_values().collect();
                return Ok(Some(ReplayEstimate { messages, dead_letters }));
            };
            from = next;
        }
        Ok(None)
    }

    /// Returns the figures of the search index, given the newest message; `None` without an index.
    pub fn index_status(&self, newest: MessageId) -> Option<IndexStatus> {
        self.core.index.as_ref().map(|index| index.status(newest))
    }

    /// Returns the id of the newest message; 0 if there is no message.
    pub async fn newest_message(&self) -> Result<MessageId, Unavailable> {
        self.core.read(message::read::newest_id).await
    }

    /// Returns a counter that increases after deliveries or messages were created. The streams of
    /// clients that follow a list watch it.
    pub fn commits(&self) -> tokio::sync::watch::Receiver<u64> {
        self.core.shared.commits()
    }

    /// Returns, for each message, the targets where it is a dead letter, without removed targets
    /// and listeners; with `at`, considers only the target `at`.
    pub async fn dead_targets(
        &self,
        messages: Vec<MessageId>,
        at: Option<TargetId>,
    ) -> Result<BTreeMap<MessageId, Vec<TargetId>>, Unavailable> {
        self.core.read(move |connection| dead::targets_of(connection, &messages, at)).await
    }

    /// Returns the metrics of targets and dead letters.
    pub async fn target_numbers(&self) -> Result<TargetNumbers, Unavailable> {
        self.core
            .read(|connection| {
                Ok(TargetNumbers {
                    dead_letters: dead::count(connection)?,
                    targets: target::read::states(connection)?,
                })
            })
            .await
    }

    pub async fn delivery(&self, id: DeliveryId) -> Result<Option<StoredDelivery>, Unavailable> {
        self.core.read(move |connection| delivery::read::one(connection, id)).await
    }

    /// Returns a page of deliveries with ids below `from`, newest first, and the position of the
    /// next page.
    pub async fn deliveries(
        &self,
        filter: DeliveryFilter,
        from: Option<DeliveryId>,
        limit: usize,
    ) -> Result<(Vec<StoredDelivery>, Option<DeliveryId>), Unavailable> {
        self.core.read(move |connection| delivery::read::page(connection, &filter, from, limit)).await
    }

    pub async fn attempts(&self, delivery: DeliveryId) -> Result<Vec<StoredAttempt>, Unavailable> {
        self.core.read(move |connection| delivery::read::attempts(connection, delivery)).await
    }

    pub async fn confirmation(&self, message: MessageId) -> Result<Option<StoredConfirmation>, Unavailable> {
        self.core.read(move |connection| confirmation::one(connection, message)).await
    }

    pub async fn listener_named(&self, name: &str) -> Result<Option<StoredTarget>, Unavailable> {
        let name = name.to_owned();
        let found = self.core.read(move |connection| listener::by_name(connection, &name)).await?;
        Ok(found.filter(|target| target.kind == TargetKind::Listener))
    }

    /// Counts the unacknowledged deliveries of a listener.
    pub async fn pending_of_listener(&self, target: TargetId) -> Result<i64, Unavailable> {
        self.core.read(move |connection| listener::pending(connection, target)).await
    }

    pub async fn listeners(&self) -> Result<Vec<StoredListener>, Unavailable> {
        self.core.read(listener::all).await
    }

    /// Returns a page of rejections with ids below `from`, newest first.
    pub async fn rejections(
        &self,
        search: RejectionSearch,
        from: Option<RejectionId>,
        limit: usize,
    ) -> Result<RejectionPage, Unavailable> {
        self.core.read(move |connection| quarantine::search::page(connection, &search, from, limit)).await
    }

    /// Counts the rejections that a search matches, up to a limit.
    pub async fn count_matching_rejections(
        &self,
        search: RejectionSearch,
    ) -> Result<MatchCount, Unavailable> {
        self.core.read(move |connection| quarantine::search::count_matches(connection, &search)).await
    }

    /// Counts matching rejections by cause, up to the id `through`.
    pub async fn count_rejections(
        &self,
        filter: RejectionFilter,
        through: RejectionId,
    ) -> Result<Vec<CauseCount>, Unavailable> {
        self.core.read(move |connection| quarantine::read::count(connection, &filter, through)).await
    }

    /// Returns the next rejections after the position `after` in order of arrival, up to the id
    /// `through`.
    pub async fn next_rejections(
        &self,
        filter: RejectionFilter,
        after: RejectionPosition,
        through: RejectionId,
        limit: usize,
    ) -> Result<Vec<RejectionRow>, Unavailable> {
        self.core
            .read(move |connection| {
                quarantine::read::next_in_order(connection, &filter, &after, through, limit)
            })
            .await
    }

    /// Returns the id of the newest rejection; 0 if there is no rejection.
    pub async fn newest_rejection(&self) -> Result<RejectionId, Unavailable> {
        self.core.read(quarantine::read::newest).await
    }

    /// Returns a rejection with its credentials unsealed: for verification, never for display.
    pub async fn rejection(&self, id: RejectionId) -> Result<Option<StoredRejection>, Unavailable> {
        let found = self.core.read(move |connection| quarantine::read::one(connection, id)).await?;
        Ok(found.map(|(rejection, sealed)| {
            let sealed = sealed.and_then(|sealed| String::from_utf8(sealed).ok());
            let plain = sealed.and_then(|sealed| self.core.sealer.open(SEALED_AS, &sealed).ok());
            StoredRejection {
                credentials: plain.and_then(|plain| String::from_utf8(plain).ok()),
                ..rejection
            }
        }))
    }

    /// Returns the statistics of each source, by name. Sources with neither recent messages nor
    /// rejections are left out.
    pub async fn source_numbers(&self) -> Result<BTreeMap<String, SourceNumbers>, Unavailable> {
        self.core.read(quarantine::read::source_numbers).await
    }

    pub async fn replay(&self, id: ReplayId) -> Result<Option<StoredReplay>, Unavailable> {
        self.core.read(move |connection| replay::one(connection, id)).await
    }

    /// Returns a page of replays with ids below `from`, newest first.
    pub async fn replays(
        &self,
        from: Option<ReplayId>,
        limit: usize,
    ) -> Result<Vec<StoredReplay>, Unavailable> {
        self.core.read(move |connection| replay::page(connection, from, limit)).await
    }

    pub async fn running_replays(&self) -> Result<Vec<StoredReplay>, Unavailable> {
        self.core.read(replay::running).await
    }

    /// Returns all targets that are not removed.
    pub async fn targets(&self) -> Result<Vec<StoredTarget>, Unavailable> {
        self.core.read(target::read::all).await
    }

    /// Returns all targets that are not removed, with their secrets; `None` for secrets that cannot
    /// be unsealed.
    pub async fn targets_with_secrets(
        &self,
    ) -> Result<Vec<(StoredTarget, Option<TargetSecrets>)>, Unavailable> {
        let rows = self.core.read(target::read::all_with_sealed).await?;
        let open = |(target, sealed): (StoredTarget, Option<String>)| {
            (target, open_secrets(&self.core.sealer, sealed.as_deref()).ok())
        };
        Ok(rows.into_iter().map(open).collect())
    }

    /// Returns a target in any state.
    pub async fn target(&self, id: TargetId) -> Result<Option<StoredTarget>, Unavailable> {
        self.core.read(move |connection| target::read::one(connection, id)).await
    }

    pub async fn target_named(&self, name: &str) -> Result<Option<StoredTarget>, Unavailable> {
        let name = name.to_owned();
        self.core.read(move |connection| target::read::by_name(connection, &name)).await
    }

    /// Returns the secrets of a target; empty for targets that the environment declares.
    ///
    /// # Errors
    /// `Unavailable::Refused` also if the secrets were sealed under another key.
    pub async fn target_secrets(&self, id: TargetId) -> Result<TargetSecrets, Unavailable> {
        let sealed = self.core.read(move |connection| target::read::sealed_secrets(connection, id)).await?;
        open_secrets(&self.core.sealer, sealed.as_deref()).map_err(|UnopenedSecrets| Unavailable::Refused)
    }

    /// Returns a counter of the changes to targets. Its watchers are notified after a change.
    pub fn target_changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.core.shared.audience.changes()
    }

    /// Returns the targets whose subscriptions match an event. `payload` is its JSON text.
    pub fn targets_for(&self, event: &str, owner: Option<&str>, payload: Option<&[u8]>) -> Vec<TargetId> {
        self.core.shared.audience.current().matching(event, owner, payload)
    }
}
