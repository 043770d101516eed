//! The one loop that decides which delivery begins when. It owns the lanes; attempts, reads and writes run beside it and
//! come back as events, so that it never waits for any of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_local};

use super::attempt::{Attempt, Attempted, Verdict};
use super::lane::{self, Lane, Turn};
use super::recorder::{self, Done};
use super::route::{Route, Routes};
use super::{Clock, Uptime, schedule};
use crate::store::{
    AttemptOutcome, AttemptRecord, DueDelivery, DuePage, Next, Store, Target, TargetState, timestamp,
};

/// Bodies that all lanes together hold; above it a lane gets its next message when it has none.
const BYTES_IN_MEMORY: usize = 64 << 20;
/// What could not be read is asked for again after this.
const READ_PAUSE: Duration = Duration::from_millis(500);
/// The wall clock may be set while we wait for one of its times.
const LONGEST_SLEEP: Duration = Duration::from_secs(10 * 60);
/// At the end, attempts under way have so long.
const FINISHED_WITHIN: Duration = Duration::from_secs(3);

/// What comes back to the loop.
#[derive(Debug)]
pub enum Event {
    /// A page of what is due for a target; `None` if it could not be read.
    Loaded(i64, Option<DuePage>),
    Recorded(Vec<Done>),
}

/// An attempt that has ended.
struct Ended {
    target: i64,
    bytes: usize,
    verdict: Verdict,
    record: AttemptRecord,
}

pub struct Engine {
    store: Store,
    clock: Clock,
    routes: Routes,
    /// `msg_<instance id>_`
    id_prefix: Arc<str>,
    uptime: Uptime,
    lanes: BTreeMap<i64, Lane>,
    /// Bytes of the messages whose attempts have ended, until that is on disk.
    unrecorded: HashMap<i64, usize>,
    attempts: JoinSet<Ended>,
    events: mpsc::UnboundedSender<Event>,
    outcomes: mpsc::UnboundedSender<Done>,
}

impl Engine {
    /// Delivers until `stop` changes; then finishes what is under way, as far as there is time. Must run in a `LocalSet`.
    pub async fn run(
        store: Store,
        clock: Clock,
        uptime: Uptime,
        routes: Routes,
        instance_id: &str,
        mut stop: watch::Receiver<bool>,
    ) {
        let (events, mut incoming) = mpsc::unbounded_channel();
        let (outcomes, to_record) = mpsc::unbounded_channel();
        let recording = spawn_local(recorder::run(store.clone(), clock, to_record, events.clone()));
        let (due, mut changes) = (store.due_signal(), store.target_changes());
        let mut engine = Self {
            id_prefix: format!("msg_{instance_id}_").into(),
            store,
            clock,
            routes,
            uptime,
            lanes: BTreeMap::new(),
            unrecorded: HashMap::new(),
            attempts: JoinSet::new(),
            events,
            outcomes,
        };
        engine.read_targets().await;
        loop {
            let sleep = engine.work();
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                Some(ended) = engine.attempts.join_next() => engine.ended(ended),
                Some(event) = incoming.recv() => engine.handle(event),
                () = due.wait() => engine.mark(due.take()),
                _ = changes.changed() => engine.read_targets().await,
                () = tokio::time::sleep(sleep) => {}
            }
            // All lanes are looked at after this: rather once than for each of them.
            while let Some(ended) = engine.attempts.try_join_next() {
                engine.ended(ended);
            }
            while let Ok(event) = incoming.try_recv() {
                engine.handle(event);
            }
        }
        engine.finish().await;
        // Nothing more can be sent: the recorder writes what it has, and ends.
        drop(engine);
        let _ = recording.await;
    }

    fn mark(&mut self, targets: impl IntoIterator<Item = i64>) {
        for id in targets {
            if let Some(lane) = self.lanes.get_mut(&id) {
                lane.look_again();
            }
        }
    }

    /// Begins what may begin, asks for what may be due, and says how long nothing else is to be done.
    fn work(&mut self) -> Duration {
        let now = (self.clock)();
        let uptime = (self.uptime)();
        let mut sleep = LONGEST_SLEEP;
        let mut bytes: usize = self.lanes.values().map(Lane::bytes).sum();
        let ids: Vec<i64> = self.lanes.keys().copied().collect();
        for id in ids {
            while let Some(lane) = self.lanes.get_mut(&id) {
                match lane.turn(uptime) {
                    Turn::Now => match (lane.begin(uptime), lane.route.clone()) {
                        (Some(delivery), Some(route)) => self.begin(id, delivery, route),
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
            if let Some(query) = lane.query(now, bytes > BYTES_IN_MEMORY, uptime) {
                // As much as the page may bring.
                bytes += query.bytes;
                let (store, events) = (self.store.clone(), self.events.clone());
                spawn_local(async move {
                    let page = store.due_deliveries(query).await.ok();
                    if page.is_none() {
                        tokio::time::sleep(READ_PAUSE).await;
                    }
                    let _ = events.send(Event::Loaded(id, page));
                });
            }
            if let Some(due) = lane.next_due() {
                sleep = sleep.min(Duration::try_from(due - now).unwrap_or_default());
            }
        }
        // A timer that is due a moment too early would only spin.
        sleep.max(Duration::from_millis(1))
    }

    fn begin(&mut self, target: i64, delivery: DueDelivery, route: Route) {
        let Some(lane) = self.lanes.get(&target) else { return };
        let settings = &lane.target.settings;
        let (name, timeout, ordering) = (settings.name.clone(), settings.timeout, settings.ordering);
        let (clock, prefix) = (self.clock, self.id_prefix.clone());
        self.attempts.spawn_local(async move {
            let (began_at, began) = (clock(), Instant::now());
            let number = delivery.attempts + 1;
            let webhook_id = format!("{prefix}{}", delivery.message.head.id);
            let attempt = Attempt {
                message: &delivery.message,
                delivery: delivery.id,
                number,
                webhook_id: &webhook_id,
                target: &name,
                timeout,
            };
            let attempted = route.deliver(&attempt, began_at).await;
            let next = next(&attempted.verdict, number, clock(), ordering);
            let record = record(&delivery, number, began_at, began.elapsed(), attempted.clone(), next);
            Ended { target, bytes: lane::size(&delivery), verdict: attempted.verdict, record }
        });
    }

    fn ended(&mut self, ended: Result<Ended, tokio::task::JoinError>) {
        // A panic would leave its delivery held, and so tried again after the next start.
        let Ok(Ended { target, bytes, verdict, record }) = ended else {
            log::error!("an attempt has panicked: this is a bug in creel");
            return;
        };
        let uptime = (self.uptime)();
        if let Some(lane) = self.lanes.get_mut(&target) {
            lane.ended(verdict, uptime);
            tell(&lane.target, &record);
        }
        if verdict == Verdict::Gone {
            self.disable(target);
        }
        self.unrecorded.insert(record.delivery, bytes);
        let _ = self.outcomes.send(Done { target, record });
    }

    /// The target has answered that it wants nothing any more.
    fn disable(&self, target: i64) {
        let (store, clock) = (self.store.clone(), self.clock);
        spawn_local(async move {
            let reason = Some("it answered 410 Gone".to_owned());
            if let Err(why) = store.set_target_state(target, TargetState::Disabled, reason, clock()).await {
                log::warn!("target {target} answered 410 Gone and could not be disabled: {why}");
            }
        });
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Loaded(target, page) => {
                if let Some(orphans) = page.as_ref().map(|page| page.orphans.clone())
                    && !orphans.is_empty()
                {
                    let (store, clock) = (self.store.clone(), self.clock);
                    spawn_local(async move {
                        let _ = store.bury_deliveries(orphans, "its message is gone", clock()).await;
                    });
                }
                if let Some(lane) = self.lanes.get_mut(&target) {
                    lane.loaded(page);
                }
            }
            Event::Recorded(all) => {
                for Done { target, record } in all {
                    let bytes = self.unrecorded.remove(&record.delivery).unwrap_or_default();
                    let due = match &record.next {
                        Next::Again { at, .. } => timestamp::from_text(at),
                        Next::Delivered | Next::Dead => None,
                    };
                    if let Some(lane) = self.lanes.get_mut(&target) {
                        lane.recorded(record.delivery, bytes, due);
                    }
                }
            }
        }
    }

    /// Makes the lanes what the table of targets says.
    async fn read_targets(&mut self) {
        let targets = loop {
            match self.store.targets().await {
                Ok(targets) => break targets,
                Err(why) => {
                    log::warn!("the targets cannot be read, and are asked for again: {why}");
                    tokio::time::sleep(READ_PAUSE).await;
                }
            }
        };
        let known: Vec<i64> = targets.iter().map(|target| target.id).collect();
        for target in targets {
            let secrets = self.store.target_secrets(target.id).await.unwrap_or_else(|_| {
                log::warn!("the secrets of target {} cannot be read", target.settings.name);
                Default::default()
            });
            let route = self.routes.of(&target, &secrets);
            match self.lanes.get_mut(&target.id) {
                Some(lane) => lane.change(target, route),
                None => drop(self.lanes.insert(target.id, Lane::new(target, route))),
            }
        }
        for (id, lane) in &mut self.lanes {
            if !known.contains(id) && lane.target.state != TargetState::Removed {
                let removed = Target { state: TargetState::Removed, ..lane.target.clone() };
                lane.change(removed, None);
            }
        }
        self.lanes.retain(|id, lane| known.contains(id) || !lane.is_idle());
    }

    /// Attempts under way have a little time; what is cut off stays pending.
    async fn finish(&mut self) {
        let deadline = tokio::time::Instant::now() + FINISHED_WITHIN;
        while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, self.attempts.join_next()).await {
            self.ended(ended);
        }
        let cut_off: usize = self.attempts.len();
        if cut_off > 0 {
            log::info!(
                "{cut_off} deliveries were cut off by the stop: they are tried again after the next start"
            );
        }
        self.attempts.shutdown().await;
    }
}

fn next(
    verdict: &Verdict,
    number: u32,
    now: OffsetDateTime,
    ordering: crate::store::DeliveryOrdering,
) -> Next {
    let asked_for = match verdict {
        Verdict::Delivered => return Next::Delivered,
        Verdict::Final => return Next::Dead,
        Verdict::Gone => None,
        Verdict::Failed { retry_after, .. } => *retry_after,
    };
    match schedule::next_try_after(number, schedule::random_jitter(), asked_for) {
        Some(pause) => Next::Again { at: timestamp::to_text(now + pause), ordering },
        None => Next::Dead,
    }
}

fn record(
    delivery: &DueDelivery,
    number: u32,
    began_at: OffsetDateTime,
    took: Duration,
    attempted: Attempted,
    next: Next,
) -> AttemptRecord {
    AttemptRecord {
        delivery: delivery.id,
        number,
        began_at: timestamp::to_text(began_at),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        outcome: match attempted.verdict {
            Verdict::Delivered => AttemptOutcome::Delivered,
            Verdict::Gone => AttemptOutcome::Gone,
            Verdict::Failed { .. } | Verdict::Final => AttemptOutcome::Failed,
        },
        status: attempted.status,
        error: attempted.error,
        excerpt: attempted.excerpt,
        next,
    }
}

fn tell(target: &Target, record: &AttemptRecord) {
    let name = &target.settings.name;
    let what = record.error.clone().or_else(|| record.status.map(|status| status.to_string()));
    let what = what.unwrap_or_default();
    match &record.next {
        Next::Delivered => log::debug!("delivery {} to {name}: delivered ({what})", record.delivery),
        Next::Again { at, .. } => {
            log::info!(
                "delivery {} to {name}: attempt {} failed ({what}); the next one is at {at}",
                record.delivery,
                record.number
            );
        }
        Next::Dead => {
            log::warn!(
                "delivery {} to {name}: dead after attempt {} ({what})",
                record.delivery,
                record.number
            );
        }
    }
}
