//! The loop that schedules all deliveries. It owns the lanes; attempts, reads and writes run
//! concurrently and return events.

use std::collections::{BTreeMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::task::JoinSet;

use super::attempt::{AttemptRequest, AttemptVerdict};
use super::bodies::Bodies;
use super::clock::Uptime;
use super::event::{DeliveryOutcome, EngineEvent};
use super::lane::{Lane, MemoryPressure, Turn};
use super::loading::{self, READ_PAUSE};
use super::route::{Route, Routes};
use super::{ending, outcome, recorder};
use crate::store::{
    AttemptRecord, Clock, DeliveryId, DeliveryQueue, Disposition, DueDelivery, Instances, MAX_DELIVERY_WAIT,
    MessageId, StoredTarget, TargetId, TargetKind, TargetSecrets, TargetState, Timestamp, Unavailable,
};

/// Bytes of bodies in all lanes above which a lane loads its next message only when it is empty.
const BYTES_IN_MEMORY: usize = 64 << 20;
/// Bytes of bodies in all lanes above which no lane loads a message.
const MAX_BYTES_IN_MEMORY: usize = 256 << 20;
const MAX_SLEEP: Duration = Duration::from_secs(10 * 60); // The wall clock can be adjusted.
/// Time for storing outcomes at shutdown.
const RECORD_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause between two pages of ended deliveries, in which incoming messages can be written.
const PAUSE_BETWEEN_DISCARDS: Duration = Duration::from_millis(20);
/// Time for attempts in flight at shutdown.
const FINISH_TIMEOUT: Duration = Duration::from_secs(3);

/// Whether the table of targets is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TargetRefresh {
    No,
    Once,
    /// The table has changed since the read began.
    Again,
}

struct FinishedAttempt {
    target: TargetId,
    created_at: Timestamp,
    /// URL of the attempt; empty for commands.
    url: String,
    verdict: AttemptVerdict,
    message: MessageId,
    record: AttemptRecord,
}

pub struct Engine {
    store: DeliveryQueue,
    clock: Clock,
    routes: Routes,
    /// Instance ids of the database, which are a part of each `webhook-id`.
    instances: Arc<Instances>,
    uptime: Uptime,
    lanes: BTreeMap<TargetId, Lane>,
    bodies: Bodies,
    reading_targets: TargetRefresh,
    discarding: HashSet<TargetId>,
    attempts: JoinSet<FinishedAttempt>,
    events: mpsc::UnboundedSender<EngineEvent>,
    outcomes: mpsc::UnboundedSender<DeliveryOutcome>,
}

impl Engine {
    /// Delivers until `stop` changes, then finishes the attempts in flight within the time limit.
    /// Tasks are spawned on the runtime, in one queue with the tasks of the HTTP client: those
    /// return a connection to the client's pool, and must run before the next attempt opens another
    /// one.
    pub async fn run(
        store: DeliveryQueue,
        clock: Clock,
        uptime: Uptime,
        routes: Routes,
        mut stop: watch::Receiver<bool>,
    ) {
        let (events, mut incoming) = mpsc::unbounded_channel();
        let (outcomes, to_record) = mpsc::unbounded_channel();
        let recording = tokio::spawn(recorder::run(store.clone(), clock, to_record, events.clone()));
        let (due, mut changes) = (store.due_signal(), store.reads().target_changes());
        let mut engine = Self {
            instances: store.reads().instances(),
            bodies: Bodies::new(store.clone(), BYTES_IN_MEMORY),
            store,
            clock,
            routes,
            uptime,
            lanes: BTreeMap::new(),
            reading_targets: TargetRefresh::No,
            discarding: HashSet::new(),
            attempts: JoinSet::new(),
            events,
            outcomes,
        };
        engine.read_targets();
        loop {
            let sleep = engine.work();
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                Some(ended) = engine.attempts.join_next() => engine.ended(ended),
                Some(event) = incoming.recv() => engine.handle(event),
                () = due.wait() => engine.mark(due.take()),
                _ = changes.changed() => engine.read_targets(),
                () = tokio::time::sleep(sleep) => {}
            }
            // Handles all pending events before the next check of the lanes, instead of one per
            // check.
            while let Some(ended) = engine.attempts.try_join_next() {
                engine.ended(ended);
            }
            while let Ok(event) = incoming.try_recv() {
                engine.handle(event);
            }
        }
        engine.finish().await;
        // Closes the channel: the recorder writes the remaining outcomes, and ends.
        drop(engine);
        if tokio::time::timeout(RECORD_TIMEOUT, recording).await.is_err() {
            log::warn!("cannot store some outcomes: these deliveries are attempted again after a start");
        }
    }

    fn mark(&mut self, targets: impl IntoIterator<Item = TargetId>) {
        for id in targets {
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.reload();
            }
        }
    }

    /// Starts the deliveries that can begin, requests pages that may be due, and returns the time
    /// until the next action.
    fn work(&mut self) -> Duration {
        let now = (self.clock)();
        let uptime = (self.uptime)();
        let mut sleep = Duration::MAX;
        let mut queries = Vec::new();
        let mut bytes = self.bodies.bytes();
        let ids: Vec<TargetId> = self.lanes.keys().copied().collect();
        for id in ids {
            while let Some(lane) = self.lanes.get_mut(&id) {
                match lane.turn(uptime) {
                    Turn::Now => match (lane.begin(uptime), lane.route.clone()) {
                        (Some((delivery, place)), Some(route)) => self.begin(id, delivery, route, place),
                        _ => break,
                    },
                    Turn::In(wait) => {
                        sleep = sleep.min(wait);
                        break;
                    }
                    Turn::Later => break,
                }
            }
            let Some(lane) = self.lanes.get_mut(&id) else { continue };
            let memory = match bytes {
                bytes if bytes < BYTES_IN_MEMORY => MemoryPressure::Free,
                bytes if bytes < MAX_BYTES_IN_MEMORY => MemoryPressure::Scarce,
                _ => MemoryPressure::Full,
            };
            if let Some(query) = lane.query(now, memory, uptime) {
                // An estimate: the last message of the page can exceed it.
                bytes += query.bytes;
                queries.push(query);
            }
            if let Some(due) = lane.next_due() {
                sleep = sleep.min(Duration::try_from(due - now).unwrap_or_default()).min(MAX_SLEEP);
            }
        }
        loading::load(&self.store, queries, &self.events);
        // A timer that fires slightly early would cause a busy loop.
        sleep.max(Duration::from_millis(1))
    }

    /// `place`: a permit that the attempt holds until it ends.
    fn begin(
        &mut self,
        target: TargetId,
        delivery: DueDelivery,
        route: Route,
        place: Option<OwnedSemaphorePermit>,
    ) {
        let Some(lane) = self.lanes.get(&target) else { return };
        let settings = &lane.target.settings;
        let (name, timeout, ordering) = (settings.name.clone(), settings.timeout, settings.ordering);
        let (clock, instances) = (self.clock, self.instances.clone());
        self.attempts.spawn(async move {
            let _place = place;
            let (began_at, began) = (clock(), Instant::now());
            let (number, message) = (delivery.attempts + 1, delivery.message.head.id);
            let webhook_id = instances.webhook_id(message);
            let attempt = AttemptRequest {
                message: &delivery.message,
                delivery: delivery.id,
                number,
                webhook_id: &webhook_id,
                target: &name,
                timeout,
            };
            let delivering = AssertUnwindSafe(route.deliver(&attempt, began_at)).catch_unwind();
            let attempted =
                delivering.await.unwrap_or_else(|_| outcome::panicked(&name, message, delivery.id));
            let verdict = attempted.verdict;
            let next = outcome::next(verdict, number, clock(), ordering);
            let record = outcome::record(&delivery, number, began_at, began.elapsed(), attempted, next);
            let (created_at, url) = (delivery.created_at, route.url().to_owned());
            FinishedAttempt { target, created_at, url, verdict, message, record }
        });
    }

    fn ended(&mut self, ended: Result<FinishedAttempt, tokio::task::JoinError>) {
        // The task catches panics, and attempts are aborted only at shutdown.
        let Ok(FinishedAttempt { target, created_at, url, verdict, message, record }) = ended else { return };
        let uptime = (self.uptime)();
        if let Some(lane) = self.lanes.get_mut(&target) {
            lane.ended(verdict, uptime);
            outcome::log(&lane.target, message, &record);
        }
        if verdict == AttemptVerdict::Gone {
            self.disable(target, url);
        }
        self.drop_old(target, created_at);
        let _ = self.outcomes.send(DeliveryOutcome { target, record, is_damaged: false });
    }

    /// Disables a target that answered 410. Its lane starts no further deliveries until the
    /// changed target is read.
    fn disable(&self, target: TargetId, url: String) {
        let name = self.lanes.get(&target).map(|lane| lane.target.settings.name.clone()).unwrap_or_default();
        let (store, clock, events) = (self.store.clone(), self.clock, self.events.clone());
        tokio::spawn(async move {
            if !outcome::disable(&store, clock, target, &name, url).await {
                tokio::time::sleep(READ_PAUSE).await;
                let _ = events.send(EngineEvent::NotDisabled(target));
            }
        });
    }

    fn handle(&mut self, event: EngineEvent) {
        match event {
            EngineEvent::Loaded(target, page) => {
                if let Some(page) = &page {
                    self.bodies.add(page);
                    self.discard(target, page.orphans.clone(), "its message was deleted");
                    self.discard(target, page.damaged.clone(), "its message is damaged: see `creel verify`");
                }
                if let Some(lane) = self.lanes.get_mut(&target) {
                    lane.loaded(page);
                }
            }
            EngineEvent::Discarded(target) => {
                self.discarding.remove(&target);
                if let Some(lane) = self.lanes.get_mut(&target) {
                    lane.discarded();
                }
            }
            EngineEvent::NotDisabled(target) => {
                self.lanes.get_mut(&target).into_iter().for_each(Lane::not_disabled)
            }
            EngineEvent::Targets(targets) => {
                let again = targets.is_none() || self.reading_targets == TargetRefresh::Again;
                self.reading_targets = TargetRefresh::No;
                if let Some(targets) = targets {
                    self.use_targets(targets);
                }
                if again {
                    self.read_targets();
                }
            }
            EngineEvent::Recorded(all) => {
                for DeliveryOutcome { target, record, is_damaged } in all {
                    let due = match &record.next {
                        Disposition::Again { at, .. } => Some(at.to_time()),
                        Disposition::Delivered | Disposition::Dead => None,
                    };
                    if let Some(lane) = self.lanes.get_mut(&target) {
                        lane.recorded(record.delivery, due);
                        lane.damaged.extend(is_damaged.then_some(record.delivery));
                    }
                }
            }
        }
    }

    /// Ends deliveries without an attempt. The lane skips them until `EngineEvent::Discarded`.
    fn discard(&self, target: TargetId, deliveries: Vec<DeliveryId>, why: &'static str) {
        let Some(lane) = self.lanes.get(&target).filter(|_| !deliveries.is_empty()) else { return };
        let name = &lane.target.settings.name;
        log::warn!("target={name}: dropping {} deliveries without an attempt: {why}", deliveries.len());
        let (store, clock, events) = (self.store.clone(), self.clock, self.events.clone());
        tokio::spawn(async move {
            if ending::end(&store, deliveries, why, clock).await.is_err() {
                tokio::time::sleep(READ_PAUSE).await;
            }
            let _ = events.send(EngineEvent::Discarded(target));
        });
    }

    /// Requests the table of targets while deliveries continue. Only one read runs at a time, so
    /// that results stay in order.
    fn read_targets(&mut self) {
        if self.reading_targets != TargetRefresh::No {
            self.reading_targets = TargetRefresh::Again;
            return;
        }
        self.reading_targets = TargetRefresh::Once;
        let (store, events) = (self.store.clone(), self.events.clone());
        tokio::spawn(async move {
            let targets = store.reads().targets_with_secrets().await;
            if let Err(why) = &targets {
                // The store has already logged the damage.
                let level = if *why == Unavailable::Damaged { log::Level::Debug } else { log::Level::Warn };
                log::log!(level, "cannot read the targets, retrying: {why}");
                tokio::time::sleep(READ_PAUSE).await;
            }
            let _ = events.send(EngineEvent::Targets(targets.ok()));
        });
    }

    /// Updates the lanes to match the table of targets.
    fn use_targets(&mut self, targets: Vec<(StoredTarget, Option<TargetSecrets>)>) {
        let known: HashSet<TargetId> = targets.iter().map(|(target, _)| target.id).collect();
        // The API sends the deliveries of listeners.
        for (target, secrets) in targets.into_iter().filter(|(target, _)| target.kind != TargetKind::Listener)
        {
            // Without its secrets, the target would receive unsigned requests without credentials.
            let route = secrets.as_ref().and_then(|secrets| self.routes.of(&target, secrets));
            if secrets.is_none() {
                log::error!(
                    "target={}: no deliveries, because its secrets were sealed under another CREEL_KEY",
                    target.settings.name
                );
            }
            match self.lanes.get_mut(&target.id) {
                Some(lane) => lane.change(target, route),
                None => drop(self.lanes.insert(target.id, Lane::new(target, route))),
            }
        }
        for (id, lane) in &mut self.lanes {
            if !known.contains(id) && lane.target.state != TargetState::Removed {
                let removed = StoredTarget { state: TargetState::Removed, ..lane.target.clone() };
                lane.change(removed, None);
            }
        }
        self.lanes.retain(|id, lane| known.contains(id) || !lane.is_idle());
    }

    /// Ends deliveries older than `MAX_DELIVERY_WAIT` to a failing target in the same state for as
    /// long: its open breaker permits too few attempts for them to reach their attempt limit.
    fn drop_old(&mut self, target: TargetId, created_at: Timestamp) {
        let before = Timestamp::from((self.clock)() - MAX_DELIVERY_WAIT);
        let Some(lane) = self.lanes.get(&target).filter(|lane| lane.is_failing()) else { return };
        let is_old = created_at < before
            && lane.target.state_since.to_timestamp().is_some_and(|state_since| state_since < before);
        if !is_old || !self.discarding.insert(target) {
            return;
        }
        log::warn!("target={}: dropping deliveries pending for a week", lane.target.settings.name);
        let (store, clock, events) = (self.store.clone(), self.clock, self.events.clone());
        tokio::spawn(async move {
            let why = "pending for a week, and the target is failing";
            while let Ok(waiting) = store.pending_before(target, before).await
                && !waiting.is_empty()
                && ending::end(&store, waiting.clone(), why, clock)
                    .await
                    .is_ok_and(|left| left < waiting.len())
            {
                tokio::time::sleep(PAUSE_BETWEEN_DISCARDS).await;
            }
            let _ = events.send(EngineEvent::Discarded(target));
        });
    }

    /// Waits a limited time for attempts in flight; interrupted ones stay pending.
    async fn finish(&mut self) {
        let deadline = tokio::time::Instant::now() + FINISH_TIMEOUT;
        while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, self.attempts.join_next()).await {
            self.ended(ended);
        }
        let interrupted = self.attempts.len();
        if interrupted > 0 {
            log::info!(
                "{interrupted} attempts were interrupted by the shutdown and are retried after the next start"
            );
        }
        self.attempts.shutdown().await;
    }
}
