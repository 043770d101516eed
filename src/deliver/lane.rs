//! One target's queue: its loaded deliveries, those in flight, and whether the next one can begin.
//! Lanes share only the limit on bodies in memory, so that a slow target does not delay the others.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::num::NonZeroU32;
use time::OffsetDateTime;
use tokio::sync::OwnedSemaphorePermit;

use super::attempt::AttemptVerdict;
use super::breaker::{Breaker, Permit};
use super::route::Route;
use crate::store::{
    DeliveryId, DeliveryOrdering, DeliveryRate, DueDelivery, DuePage, DueQuery, StoredTarget, TargetState,
    Timestamp,
};

/// Limit on started deliveries whose outcome is not stored yet, including those in flight, as a
/// multiple of the target's concurrency.
const MAX_IN_FLIGHT_PER_SLOT: usize = 3;
/// Limit on deliveries loaded in advance.
const MAX_PRELOADED: usize = 128;
/// Number of message bytes after which a read loads no further message.
const BYTES_PER_PAGE: usize = 2 << 20;
/// Limit on loaded large forms that wait for their permit. Below it, the lane loads further
/// deliveries, which can overtake them.
const MAX_WAITING_LARGE: usize = 4;

/// Memory available for the bodies of all lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryPressure {
    Free,
    /// An empty lane may load one message.
    Scarce,
    Full,
}

/// Whether a delivery can begin now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Now,
    /// Begins after this time.
    In(Duration),
    /// Begins after an event, e.g. a message or an outcome.
    Later,
}

pub struct Lane {
    pub target: StoredTarget,
    pub route: Option<Route>,
    ready: VecDeque<DueDelivery>,
    /// Started deliveries whose outcome is not stored yet. After a crash, at most these are
    /// repeated.
    in_flight: HashSet<DeliveryId>,
    /// Number of deliveries in `in_flight` that the target has not answered yet.
    unanswered: usize,
    /// Pending deliveries whose message was deleted, until they are ended.
    orphans: Vec<DeliveryId>,
    /// Deliveries that cannot be read or written. They are skipped until the next start, so that
    /// none is delivered repeatedly.
    pub damaged: Vec<DeliveryId>,
    is_loading: bool,
    may_have_more: bool,
    next_due: Option<OffsetDateTime>,
    breaker: Breaker,
    rate: Option<DefaultDirectRateLimiter>,
    /// The target answered 410, and is about to be disabled.
    answered_gone: bool,
}

impl Lane {
    pub fn new(target: StoredTarget, route: Option<Route>) -> Self {
        Self {
            rate: target.settings.rate.map(limiter),
            target,
            route,
            ready: VecDeque::new(),
            in_flight: HashSet::new(),
            unanswered: 0,
            orphans: Vec::new(),
            damaged: Vec::new(),
            is_loading: false,
            may_have_more: true,
            next_due: None,
            breaker: Breaker::default(),
            answered_gone: false,
        }
    }

    /// Applies a change of the target, which takes effect with the next delivery.
    pub fn change(&mut self, target: StoredTarget, route: Option<Route>) {
        // Changed secrets are noticed too, because they change `updated_at`.
        if target == self.target && route.is_some() == self.route.is_some() {
            return;
        }
        if target.settings.rate != self.target.settings.rate {
            self.rate = target.settings.rate.map(limiter);
        }
        let was_asleep = !self.is_served();
        self.answered_gone = false;
        let has_moved = target.settings.url != self.target.settings.url;
        self.target = target;
        self.route = route;
        if !self.is_served() {
            self.forget_ready();
        } else if was_asleep || has_moved {
            self.breaker = Breaker::default();
        }
        self.may_have_more = true;
    }

    /// Whether the engine delivers to this target.
    pub fn is_served(&self) -> bool {
        self.target.state == TargetState::Active && self.route.is_some() && !self.answered_gone
    }

    pub fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && !self.is_loading
    }

    /// Whether the breaker is open or probing.
    pub fn is_failing(&self) -> bool {
        self.breaker.is_open()
    }

    pub fn reload(&mut self) {
        self.may_have_more = true;
    }

    /// Records that orphans were ended. If that failed, the next read finds them again.
    pub fn discarded(&mut self) {
        self.orphans.clear();
        self.may_have_more = true;
    }

    /// Records that the target is still active, although it answered 410.
    pub fn not_disabled(&mut self) {
        self.answered_gone = false;
        self.may_have_more = true;
    }

    fn is_strict(&self) -> bool {
        self.target.settings.ordering == DeliveryOrdering::Strict
    }

    fn concurrency(&self) -> usize {
        if self.is_strict() { 1 } else { self.target.settings.concurrency as usize }
    }

    /// Drops the loaded deliveries, which are still pending in the database.
    fn forget_ready(&mut self) {
        self.ready.clear();
        self.may_have_more = true;
    }

    /// Returns the next read that the lane needs. Only one read is in progress at a time.
    pub fn query(
        &mut self,
        now: OffsetDateTime,
        memory: MemoryPressure,
        uptime: Duration,
    ) -> Option<DueQuery> {
        if let Some(due) = self.next_due.filter(|due| *due <= now) {
            self.next_due = None;
            log::trace!("target={}: due since {due}", self.target.settings.name);
            self.may_have_more = true;
        }
        let waiting = self.ready.iter().filter(|delivery| !self.can_begin(delivery)).count();
        let has_enough = self.ready.len() - waiting >= (self.concurrency() / 2).clamp(1, MAX_PRELOADED / 2)
            || waiting >= MAX_WAITING_LARGE;
        let holds = !self.ready.is_empty() || !self.in_flight.is_empty();
        let is_held_back = holds && (memory != MemoryPressure::Free || self.is_strict());
        let must_wait = has_enough || is_held_back || memory == MemoryPressure::Full;
        if !self.may_have_more || self.is_loading || !self.is_served() || must_wait {
            return None;
        }
        let limit = match self.breaker.permit(uptime) {
            Permit::Free if self.is_strict() => 1,
            Permit::Free => (2 * self.concurrency()).clamp(8, MAX_PRELOADED),
            Permit::Probe => 1,
            Permit::Wait(_) => return None,
        };
        self.is_loading = true;
        self.may_have_more = false;
        let known = self.ready.iter().map(|delivery| delivery.id).chain(self.orphans.iter().copied());
        let known = known.chain(self.damaged.iter().copied());
        Some(DueQuery {
            target: self.target.id,
            ordering: self.target.settings.ordering,
            now: Timestamp::from(now),
            held: self.in_flight.iter().copied().chain(known).collect(),
            limit: if memory == MemoryPressure::Free { limit } else { 1 },
            bytes: BYTES_PER_PAGE,
        })
    }

    /// Adds a page; `None` if it could not be read.
    pub fn loaded(&mut self, page: Option<DuePage>) {
        self.is_loading = false;
        let Some(page) = page else {
            self.may_have_more = true;
            return;
        };
        self.may_have_more |= page.is_full;
        // A retry that was recorded while the page was read is missing from the page.
        let next = page.next_due.map(Timestamp::to_time);
        self.next_due = [self.next_due, next].into_iter().flatten().min();
        self.ready.extend(page.deliveries);
        self.orphans.extend(page.orphans);
        self.damaged.extend(page.damaged);
        if !self.is_served() {
            self.forget_ready();
        }
    }

    /// Whether the next loaded delivery can begin. `uptime` is a monotonic clock.
    pub fn turn(&mut self, uptime: Duration) -> Turn {
        if self.ready.is_empty() || !self.is_served() || !self.has_room() {
            return self.breaker_turn(uptime);
        }
        // The attempt that holds the permit for large forms must end first.
        if self.next().is_none() {
            return Turn::Later;
        }
        match self.breaker.permit(uptime) {
            Permit::Wait(Some(until)) => return Turn::In(until.saturating_sub(uptime)),
            Permit::Wait(None) => return Turn::Later,
            // Attempts that started before the breaker opened must end first.
            Permit::Probe if !self.in_flight.is_empty() => return Turn::Later,
            Permit::Free | Permit::Probe => {}
        }
        match self.rate.as_ref().map(|rate| rate.check()) {
            Some(Err(not_yet)) => Turn::In(not_yet.wait_time_from(DefaultClock::default().now())),
            Some(Ok(())) | None => Turn::Now,
        }
    }

    /// Returns when a lane without a startable delivery must be checked again. With an open breaker
    /// the lane has loaded nothing, so it must be checked when it can probe.
    fn breaker_turn(&self, uptime: Duration) -> Turn {
        match self.breaker.permit(uptime) {
            Permit::Wait(Some(until)) if self.is_served() && self.may_have_more => {
                Turn::In(until.saturating_sub(uptime))
            }
            _ => Turn::Later,
        }
    }

    /// Whether the delivery can begin without waiting for the permit for large forms.
    fn can_begin(&self, delivery: &DueDelivery) -> bool {
        let permit = self.route.as_ref().and_then(|route| route.large_form(&delivery.message));
        permit.is_none_or(|permit| permit.available_permits() > 0)
    }

    /// Returns the first loaded delivery that can begin. Small ones overtake a waiting large form.
    fn next(&self) -> Option<usize> {
        self.ready.iter().position(|delivery| self.can_begin(delivery))
    }

    /// Takes the next delivery after `turn` returned `Now`. The permit is held during the attempt.
    pub fn begin(&mut self, uptime: Duration) -> Option<(DueDelivery, Option<OwnedSemaphorePermit>)> {
        let delivery = self.ready.remove(self.next()?)?;
        let permit = self.route.as_ref().and_then(|route| route.large_form(&delivery.message));
        let permit = permit.and_then(|permit| permit.clone().try_acquire_owned().ok());
        if self.breaker.permit(uptime) == Permit::Probe {
            self.breaker.probe_began();
            // No other delivery can begin before the outcome of the probe.
            self.forget_ready();
        }
        self.in_flight.insert(delivery.id);
        self.unanswered += 1;
        Some((delivery, permit))
    }

    /// Whether another delivery may start. The disk must not slow down a target that answers
    /// immediately, but the number of repeats after a crash must stay limited. A strict target
    /// receives the next delivery only after the outcome of the previous one is stored.
    fn has_room(&self) -> bool {
        let max_in_flight = if self.is_strict() { 1 } else { MAX_IN_FLIGHT_PER_SLOT * self.concurrency() };
        self.unanswered < self.concurrency() && self.in_flight.len() < max_in_flight
    }

    /// Records the end of an attempt, whose outcome is not stored yet.
    pub fn ended(&mut self, verdict: AttemptVerdict, uptime: Duration) {
        self.unanswered = self.unanswered.saturating_sub(1);
        match verdict {
            AttemptVerdict::Delivered => {
                if self.breaker.is_open() {
                    log::info!("target={}: responds again", self.target.settings.name);
                    self.may_have_more = true;
                }
                self.breaker.succeeded();
            }
            AttemptVerdict::Failed { is_target_failing: true, .. } => {
                if self.breaker.failed(uptime) {
                    log::warn!(
                        "target={}: failed several times without a success; pausing deliveries, then probing with one",
                        self.target.settings.name
                    );
                }
                if self.breaker.is_open() {
                    self.forget_ready();
                }
            }
            AttemptVerdict::Failed { .. } | AttemptVerdict::Final => self.breaker.answered(),
            AttemptVerdict::Gone => {
                self.breaker.answered();
                self.answered_gone = true;
                self.forget_ready();
            }
        }
    }

    /// Frees the slot of a delivery whose outcome is stored. `due`: time of its retry.
    pub fn recorded(&mut self, delivery: DeliveryId, due: Option<OffsetDateTime>) {
        self.in_flight.remove(&delivery);
        if let Some(due) = due {
            self.next_due = Some(self.next_due.map_or(due, |next| next.min(due)));
        }
        if self.is_strict() {
            self.may_have_more = true;
        }
    }

    /// Returns the time at which the lane must be checked even without an event.
    pub fn next_due(&self) -> Option<OffsetDateTime> {
        self.next_due.filter(|_| self.is_served() && !self.may_have_more)
    }
}

fn limiter(rate: DeliveryRate) -> DefaultDirectRateLimiter {
    let count = NonZeroU32::new(rate.count).unwrap_or(NonZeroU32::MIN);
    let period = rate.per / count.get();
    let quota = Quota::with_period(period).unwrap_or_else(|| Quota::per_second(count));
    // Spreads deliveries evenly: the limit must also prevent bursts of a whole minute's or hour's
    // quota.
    let burst = NonZeroU32::new(count.get() / u32::try_from(rate.per.as_secs()).unwrap_or(1).max(1));
    RateLimiter::direct(quota.allow_burst(burst.unwrap_or(NonZeroU32::MIN)))
}
