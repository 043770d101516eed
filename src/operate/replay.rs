//! Replays of one message, of one delivery, or of many messages after a confirmed count.

use std::time::{Duration, Instant};

use super::destination::{CheckedDestination, ReplayDestination, reject_removed};
use super::operator::Operator;
use super::problem::Problem;
use crate::store::{
    ConfirmationState, DeadLetterCount, DeliveryId, MessageFilter, MessageId, NewReplay, ReplayId,
    ReplayScope, StoredDelivery, StoredMessage, StoredReplay, StoredTarget, TargetState,
};

const DEFAULT_RATE: u32 = 50;
const MAX_RATE: u32 = 10_000;
const MAX_IDS: usize = 1_000;
/// Short, because a client waits for the count.
const COUNT_TIMEOUT: Duration = Duration::from_secs(20);

/// Messages to replay.
#[derive(Debug)]
pub enum ReplaySelection {
    Filter(MessageFilter),
    /// 1 to 1,000 ids.
    Ids(Vec<MessageId>),
}

/// The messages to replay, and their destination.
#[derive(Debug)]
pub struct ReplayOrder {
    pub selection: ReplaySelection,
    pub destination: ReplayDestination,
    /// Messages per second; default: 50.
    pub rate: Option<u32>,
    /// Upper bound of the selected ids; default: the newest stored message.
    pub through: Option<MessageId>,
    /// The expected number of messages. `None`: the messages are only counted.
    pub confirm: Option<u64>,
}

/// The result of a replay order.
#[derive(Debug)]
pub enum ReplayResult {
    Counted(ReplayEstimation),
    Started(StoredReplay),
}

/// The number of messages to replay.
#[derive(Debug)]
pub struct ReplayEstimation {
    pub count: u64,
    /// Upper bound of the counted ids; newer messages are excluded.
    pub through: MessageId,
    pub filter: MessageFilter,
    /// Dead letters of each target, if the filter selects only messages with dead letters.
    pub dead_letters: Vec<DeadLetterSummary>,
}

/// Dead letters of one target.
#[derive(Debug)]
pub struct DeadLetterSummary {
    pub letters: DeadLetterCount,
    /// False if the replay would deliver them to this target, but it was removed: its dead letters
    /// are excluded.
    pub is_replayable: bool,
}

impl Operator {
    /// Counts the messages of a replay and, with a confirmed number, starts it.
    ///
    /// # Errors
    /// If the order is invalid, a name in the filter is unknown, or the count differs from the
    /// confirmed one or takes longer than 20 s.
    pub async fn start_replay(&self, order: ReplayOrder) -> Result<ReplayResult, Problem> {
        let now = self.now();
        let filter = match order.selection {
            ReplaySelection::Filter(filter) => filter,
            ReplaySelection::Ids(ids) => MessageFilter { ids: checked(ids)?, ..MessageFilter::default() },
        };
        let rate = order.rate.unwrap_or(DEFAULT_RATE);
        if !(1..=MAX_RATE).contains(&rate) {
            return Err(Problem::invalid("rate", "must be from 1 to 10000 messages per second"));
        }
        if order.through.is_some_and(|through| through < MessageId::START) {
            return Err(Problem::invalid("through", "must not be negative"));
        }
        let destination = self.check_destination(order.destination).await?;
        let newest = self.store.reads().newest_message().await?;
        let through = order.through.map_or(newest, |through| through.min(newest));
        let filter = MessageFilter { dead_at: destination.target().filter(|_| filter.dead), ..filter };
        let only_dead_letters = filter.dead && !matches!(destination, CheckedDestination::Url(_));
        let scope = ReplayScope { filter, target_owner: destination.owner(), only_dead_letters, through };
        let reads = self.store.reads();
        let counting = reads.count_to_replay(scope.clone(), Instant::now() + COUNT_TIMEOUT);
        let counted = counting.await?.ok_or(Problem::TooBroad)?;
        let (filter, count) = (scope.filter, counted.messages);
        self.check_names(&filter, count == 0).await?;
        let Some(confirmed) = order.confirm else {
            let summary = |letters: DeadLetterCount| DeadLetterSummary {
                is_replayable: !only_dead_letters || letters.state != TargetState::Removed,
                letters,
            };
            let dead_letters = counted.dead_letters.into_iter().map(summary).collect();
            return Ok(ReplayResult::Counted(ReplayEstimation { count, through, filter, dead_letters }));
        };
        if confirmed != count {
            return Err(Problem::CountChanged { confirmed, count });
        }
        let target = self.target_of(destination).await?.map(|target| target.id);
        let new = NewReplay { filter, target, rate, through: Some(through) };
        let id = self.store.delivery_queue().create_replay(new, now).await?;
        Ok(ReplayResult::Started(self.replay(id).await?))
    }

    /// Cancels a replay. Deliveries that it has already created are kept.
    ///
    /// # Errors
    /// If the replay does not exist or has ended.
    pub async fn cancel_replay(&self, id: ReplayId) -> Result<StoredReplay, Problem> {
        self.replay(id).await?;
        let was_running = self.store.delivery_queue().cancel_replay(id, self.now()).await?;
        let replay = self.replay(id).await?;
        if was_running {
            return Ok(replay);
        }
        Err(Problem::ReplayNotRunning { replay: id, state: replay.state.name() })
    }

    /// Replays one message; its deliveries are created immediately. Returns their ids.
    ///
    /// # Errors
    /// If the message is not confirmed, or the destination must not receive it.
    pub async fn replay_message(
        &self,
        id: MessageId,
        destination: ReplayDestination,
    ) -> Result<Vec<DeliveryId>, Problem> {
        let message = self.deliverable(id).await?;
        let destination = self.check_destination(destination).await?;
        let targets = match self.target_of(destination).await? {
            Some(target) => {
                reject_other_owner(&target, &message)?;
                vec![target.id]
            }
            None => {
                let head = &message.head;
                self.store.reads().targets_for(&head.event, head.owner.as_deref(), message.payload())
            }
        };
        let made = self.store.delivery_queue().deliver_again(id, targets, self.now()).await?;
        made.ok_or_else(|| Problem::no_message(id))
    }

    /// Creates a new delivery of this delivery's message to its target. The old delivery may be in
    /// any state.
    ///
    /// # Errors
    /// If the message is not confirmed, or the target is removed or has an owner to which the
    /// message does not belong.
    pub async fn retry_delivery(&self, id: DeliveryId) -> Result<StoredDelivery, Problem> {
        let old = self.delivery(id).await?;
        let message = self.deliverable(old.message).await?;
        let target = self.target(old.target).await?;
        reject_removed(&target)?;
        reject_other_owner(&target, &message)?;
        let queue = self.store.delivery_queue();
        let made = queue.deliver_again(old.message, vec![target.id], self.now()).await?;
        let new =
            made.and_then(|ids| ids.first().copied()).ok_or_else(|| Problem::no_message(old.message))?;
        self.delivery(new).await
    }

    /// Returns a message that may be delivered.
    async fn deliverable(&self, id: MessageId) -> Result<StoredMessage, Problem> {
        let message = self.message(id).await?;
        match message.head.confirmation.as_deref() {
            Some(state) if state != ConfirmationState::Confirmed.name() => {
                Err(Problem::NotConfirmed { message: id, state: state.to_owned() })
            }
            _ => Ok(message),
        }
    }
}

/// Rejects a message whose owner differs from that of the target. Webhooks have no owner, so a
/// target with an owner never accepts them.
fn reject_other_owner(target: &StoredTarget, message: &StoredMessage) -> Result<(), Problem> {
    let owner = &target.settings.owner;
    if owner.is_none() || *owner == message.head.owner {
        return Ok(());
    }
    Err(Problem::OtherOwner { target: target.settings.name.clone(), message: message.head.id })
}

fn checked(ids: Vec<MessageId>) -> Result<Vec<MessageId>, Problem> {
    if !(1..=MAX_IDS).contains(&ids.len()) || ids.iter().any(|id| *id <= MessageId::START) {
        return Err(Problem::invalid("ids", "must contain 1 to 1000 message ids"));
    }
    Ok(ids)
}
