//! Replays: walks the requested messages and creates their deliveries, at a limited rate, in steps
//! that continue after a restart.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::store::{
    Clock, DeliveryQueue, Direction, MessageRow, ReplayId, ReplayStep, StoredReplay, StoredTarget, TargetId,
    Unavailable,
};

/// Steps per second, each with a tenth of the rate. A step has 1 to 100 messages, so rates below 10
/// have fewer steps, and rates above 1,000 have more.
const STEPS_PER_SECOND: u32 = 10;
/// A step is one transaction, and incoming messages wait for it.
const MAX_MESSAGES_PER_STEP: u32 = 100;
const MAX_DELIVERIES_PER_STEP: usize = 500;
/// Pause while the store is unavailable.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs until `stop` changes.
pub async fn run(store: DeliveryQueue, clock: Clock, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            () = run_pending(&store, clock) => {}
        }
        tokio::select! {
            biased;
            _ = stop.changed() => return,
            () = store.replay_created() => {}
        }
    }
}

/// Runs the steps of all running replays in turn, until none is left.
async fn run_pending(store: &DeliveryQueue, clock: Clock) {
    let mut not_before: HashMap<ReplayId, Instant> = HashMap::new();
    loop {
        let running = match store.reads().running_replays().await {
            Ok(running) if running.is_empty() => return,
            Ok(running) => running,
            Err(why) => {
                log::warn!("cannot read the replays, retrying: {why}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let now = Instant::now();
        for replay in &running {
            if not_before.get(&replay.id).is_some_and(|at| *at > now) {
                continue;
            }
            not_before.insert(replay.id, now + pause(replay.rate));
            if let Err(why) = step(store, clock, replay).await {
                log::warn!("replay={}: cannot write the next step, retrying: {why}", replay.id);
                tokio::time::sleep(PAUSE).await;
            }
        }
        let pauses = running.iter().map(|replay| pause(replay.rate));
        tokio::time::sleep(pauses.min().unwrap_or(PAUSE).min(PAUSE)).await;
    }
}

fn messages_per_step(rate: u32) -> u32 {
    (rate / STEPS_PER_SECOND).clamp(1, MAX_MESSAGES_PER_STEP)
}

fn pause(rate: u32) -> Duration {
    Duration::from_secs(1) * messages_per_step(rate) / rate.max(1)
}

/// Runs one step of a replay. Returns true after the last step.
///
/// # Errors
/// The store is unavailable.
pub async fn step(store: &DeliveryQueue, clock: Clock, replay: &StoredReplay) -> Result<bool, Unavailable> {
    let limit = messages_per_step(replay.rate) as usize;
    let from = Some(replay.position);
    let page = store.reads().messages(replay.filter.clone(), Direction::OldestFirst, from, limit).await?;
    let target = match replay.target {
        Some(id) => store.reads().target(id).await?,
        None => None,
    };
    let mut messages = Vec::new();
    let mut deliveries = 0;
    let mut next = page.next;
    let within: Vec<&MessageRow> =
        page.messages.iter().filter(|message| message.id <= replay.through).collect();
    let only_dead_letters = replay.filter.replays_only_dead_letters(replay.target);
    let mut dead_targets = match only_dead_letters {
        true => {
            let ids = within.iter().map(|message| message.id).collect();
            store.reads().dead_targets(ids, replay.filter.dead_at).await?
        }
        false => BTreeMap::new(),
    };
    for message in within {
        let targets = match replay.target {
            _ if only_dead_letters && is_deliverable(message) => {
                dead_targets.remove(&message.id).unwrap_or_default()
            }
            _ if only_dead_letters => Vec::new(),
            Some(_) => match &target {
                Some(target)
                    if may_receive(target, message) && passes_filter(store, target, message).await? =>
                {
                    vec![target.id]
                }
                _ => Vec::new(),
            },
            None if is_deliverable(message) && message.conflict_of.is_none() => {
                current_targets(store, message).await?
            }
            None => Vec::new(),
        };
        deliveries += targets.len();
        if !targets.is_empty() {
            messages.push((message.id, targets));
        }
        if deliveries >= MAX_DELIVERIES_PER_STEP {
            next = Some(message.id);
            break;
        }
    }
    let to = match next {
        Some(next) => next.min(replay.through),
        None => replay.through,
    };
    let to = to.max(replay.position);
    let is_last = next.is_none_or(|next| next >= replay.through);
    let step =
        ReplayStep { replay: replay.id, from: replay.position, to, messages, only_dead_letters, is_last };
    store.step_replay(step, clock()).await?;
    Ok(is_last)
}

/// Whether the message may be delivered: it is confirmed, or does not need confirmation.
fn is_deliverable(message: &MessageRow) -> bool {
    message.confirmation.as_deref().is_none_or(|state| state == "confirmed")
}

/// A target with an owner receives only events emitted for that owner, even in a replay.
fn may_receive(target: &StoredTarget, message: &MessageRow) -> bool {
    let is_owners = target.settings.owner.is_none() || target.settings.owner == message.owner;
    is_owners && is_deliverable(message)
}

/// Whether the message passes the filter of the target.
async fn passes_filter(
    store: &DeliveryQueue,
    target: &StoredTarget,
    head: &MessageRow,
) -> Result<bool, Unavailable> {
    let Some(filter) = &target.settings.filter else { return Ok(true) };
    match store.reads().message(head.id).await {
        Ok(Some(message)) => Ok(filter.passes(message.payload())),
        Ok(None) | Err(Unavailable::Damaged) => Ok(false),
        Err(why) => Err(why),
    }
}

/// Returns the targets that would receive the message if it arrived now.
async fn current_targets(store: &DeliveryQueue, head: &MessageRow) -> Result<Vec<TargetId>, Unavailable> {
    let message = match store.reads().message(head.id).await {
        Ok(Some(message)) => message,
        // A damaged message must not block the rest of the replay.
        Ok(None) | Err(Unavailable::Damaged) => return Ok(Vec::new()),
        Err(why) => return Err(why),
    };
    Ok(store.reads().targets_for(&head.event, head.owner.as_deref(), message.payload()))
}
