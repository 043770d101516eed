//! The cleaner: its state between runs, and the order of the steps in a run.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use super::clock::ClockGuard;
use super::drops::DeliveryDropReport;
use super::policy::Policy;
use super::size_walk::SizeWalk;
use crate::store::{
    Cleanup, MessageId, RetainedSince, StepResult, TargetId, TimePosition, Timestamp, Unavailable,
    YieldingTargets,
};

/// Pause after a deletion step, as a multiple of its duration, so that ingest is barely delayed.
const PAUSE_FACTOR: u32 = 4;
/// Expected maximum duration of a step with its commit; time above it was spent in the queue.
const MAX_STEP: Duration = Duration::from_millis(4);
/// Interval of full scans. Other runs check only messages that expired since the previous run, or
/// whose delivery or confirmation ended since then. The duration of a full scan grows with the
/// number of retained messages.
const FULL_SCAN_INTERVAL: Duration = Duration::from_secs(86_400);
/// Retention of finished replays.
const REPLAY_RETENTION: Duration = Duration::from_secs(30 * 86_400);

/// Whether the cleanup pauses between its steps to let ingest proceed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CleanupPace {
    WhileServing,
    Alone,
}

/// The result of one cleanup run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CleanupOutcome {
    pub messages: usize,
    /// Finished deliveries past their retention.
    pub deliveries: usize,
    /// Deliveries that became dead because their target is inactive.
    pub discarded: usize,
    pub rejections: usize,
    /// Whether the run reached its deadline before the database was within its size limit.
    pub is_unfinished: bool,
    /// Reason for a pause, in which only rejections above their limits are deleted.
    pub paused: Option<String>,
}

impl CleanupOutcome {
    pub fn is_nothing(&self) -> bool {
        self.messages + self.deliveries + self.discarded + self.rejections == 0
    }
}

impl std::fmt::Display for CleanupOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { messages, deliveries, rejections, .. } = self;
        write!(f, "{messages} messages, {deliveries} finished deliveries, {rejections} rejections")?;
        match self.discarded {
            0 => Ok(()),
            discarded => write!(f, "; {discarded} deliveries to inactive targets became dead"),
        }
    }
}

/// The cleanup and its state between runs.
#[derive(Debug)]
pub struct Cleaner {
    pub(super) policy: Policy,
    pub(super) pace: CleanupPace,
    pub(super) guard: ClockGuard,
    /// End of the scan for each group of sources: older messages were deleted, or a delivery or
    /// confirmation retains them.
    pub(super) scanned_until: HashMap<(usize, RetainedSince), Timestamp>,
    /// The newest scanned message. Messages up to here that were retained are checked again later,
    /// see `finished_seen` and `settled`.
    pub(super) scanned_through: MessageId,
    /// End of the scan of finished deliveries. Each of them was possibly the last delivery that
    /// retained its message, so these messages are checked again.
    pub(super) finished_seen: Option<TimePosition>,
    /// Wall time and uptime of that scan, to detect a clock that was set back.
    pub(super) finished_checked_at: Option<(OffsetDateTime, Duration)>,
    /// Scanned messages whose confirmation was settled later, and which must be checked against
    /// their retention.
    pub(super) settled: Vec<MessageId>,
    /// End of the scan for finished deliveries past their own retention.
    pub(super) attempts_at: Timestamp,
    pub(super) dead_at: Timestamp,
    pub(super) size_walk: SizeWalk,
    pub(super) is_out_of_room: bool,
    pub(super) drops_for_size: DeliveryDropReport,
    pub(super) drops_for_disk: DeliveryDropReport,
    /// Targets whose pending deliveries do not retain old messages in this run.
    pub(super) old_yielding: YieldingTargets,
    /// Removed targets and listeners without a connection, as of the last check, with the start of
    /// that state.
    pub(super) absent: BTreeSet<(TargetId, Timestamp)>,
    /// Start of the idle time of each target that was created for a replay.
    pub(super) idle_since: HashMap<TargetId, Duration>,
    /// Uptime of the last full scan.
    pub(super) full_scan: Option<Duration>,
    /// Value of the setting `CONFIRMED` at the last check.
    pub(super) confirmed: Option<String>,
    pub(super) was_paused: bool,
    pub(super) is_first_run: bool,
}

impl Cleaner {
    /// `uptime`: a monotonic clock, see `cleanup::uptime`.
    pub fn new(policy: Policy, pace: CleanupPace, now: OffsetDateTime, uptime: Duration) -> Self {
        Self {
            policy,
            pace,
            guard: ClockGuard::new(now, uptime),
            scanned_until: HashMap::new(),
            scanned_through: MessageId::START,
            finished_seen: None,
            finished_checked_at: None,
            settled: Vec::new(),
            attempts_at: Timestamp::MIN,
            dead_at: Timestamp::MIN,
            size_walk: SizeWalk::default(),
            is_out_of_room: false,
            drops_for_size: DeliveryDropReport::new("the database is above CREEL_MAX_DATABASE_SIZE"),
            drops_for_disk: DeliveryDropReport::new("the disk is close to CREEL_MIN_FREE"),
            old_yielding: YieldingTargets::NoTargets,
            absent: BTreeSet::new(),
            idle_since: HashMap::new(),
            full_scan: None,
            confirmed: None,
            was_paused: false,
            is_first_run: true,
        }
    }

    /// Reports that must be logged before a stop.
    pub fn drop_reports(&self) -> [DeliveryDropReport; 2] {
        [self.drops_for_size.clone(), self.drops_for_disk.clone()]
    }

    /// Runs one complete cleanup.
    ///
    /// # Errors
    /// If the store cannot be read or written now; the next run continues.
    pub async fn run_once(
        &mut self,
        store: &Cleanup,
        now: OffsetDateTime,
        uptime: Duration,
    ) -> Result<CleanupOutcome, Unavailable> {
        store.make_room();
        past_damage(store.learn_senders().await)?;
        let yielded = past_damage(self.trim_quarantine(store).await)?;
        if let Some(paused) = self.check_clock(store, now, uptime).await? {
            return Ok(CleanupOutcome {
                paused: Some(paused),
                rejections: yielded,
                ..CleanupOutcome::default()
            });
        }
        let is_whole = self.full_scan.is_none_or(|last| uptime.saturating_sub(last) >= FULL_SCAN_INTERVAL);
        if is_whole {
            self.restart_scans();
            self.full_scan = Some(uptime);
        }
        let discarded = past_damage(self.discard_pending(store, now).await)?;
        let mut outcome = CleanupOutcome { discarded, rejections: yielded, ..CleanupOutcome::default() };
        past_damage(self.revisit_finished(store, now, uptime, &mut outcome).await)?;
        past_damage(self.yield_old(store).await)?;
        past_damage(self.delete_old(store, now, &mut outcome).await)?;
        past_damage(self.delete_refused(store, now, &mut outcome).await)?;
        // Most finished deliveries were already deleted with their messages.
        past_damage(self.delete_finished(store, now, &mut outcome).await)?;
        past_damage(self.keep_within_size(store, now, &mut outcome).await)?;
        past_damage(self.retire_targets(store, now, uptime).await)?;
        if is_whole {
            past_damage(self.delete_removed_targets(store, now).await)?;
        }
        past_damage(self.delete_small_rows(store, now, &mut outcome).await)?;
        while past_damage(self.step(store.vacuum()).await.map(|is_done| !is_done))? {}
        store.settle();
        Ok(outcome)
    }

    /// Deletes expired counts, replays, keys and rejections.
    async fn delete_small_rows(
        &self,
        store: &Cleanup,
        now: OffsetDateTime,
        outcome: &mut CleanupOutcome,
    ) -> Result<(), Unavailable> {
        while past_damage(self.step(store.expire_counts(now)).await)? > 0 {}
        let before = Timestamp::from(now - REPLAY_RETENTION);
        while past_damage(self.step(store.delete_replays(before)).await)? > 0 {}
        if let Some(kept) = self.policy.key_retention() {
            while past_damage(self.step(store.forget_keys(now - kept)).await.map(|is_done| !is_done))? {}
        }
        loop {
            let dropped = self.step(store.expire_rejections(now, self.policy.quarantine)).await?;
            outcome.rejections += dropped;
            if dropped == 0 {
                return Ok(());
            }
        }
    }

    /// Brings the quarantine and the database within their limits between two runs: deletes
    /// rejections, then the oldest finished messages, then those that only expendable targets
    /// retain.
    ///
    /// # Errors
    /// See [`Self::run_once`].
    pub async fn make_room(
        &mut self,
        store: &Cleanup,
        now: OffsetDateTime,
        uptime: Duration,
    ) -> Result<CleanupOutcome, Unavailable> {
        let rejections = past_damage(self.trim_quarantine(store).await)?;
        let mut outcome = CleanupOutcome { rejections, ..CleanupOutcome::default() };
        // The first run starts immediately, and checks the clock before it deletes messages.
        if !self.is_first_run && !self.was_paused {
            past_damage(self.revisit_finished(store, now, uptime, &mut outcome).await)?;
            self.keep_within_size(store, now, &mut outcome).await?;
        }
        Ok(outcome)
    }

    /// Restarts the scans of expired messages, of expired deliveries and for the size limit, as
    /// after a start. The scan of finished deliveries (`finished_seen`) continues.
    pub(super) fn restart_scans(&mut self) {
        self.scanned_until.clear();
        self.attempts_at = Timestamp::MIN;
        self.dead_at = Timestamp::MIN;
        self.size_walk = SizeWalk::default();
    }

    /// Runs one step and the pause after it.
    pub(super) async fn step<T>(
        &self,
        step: impl Future<Output = Result<T, Unavailable>>,
    ) -> Result<T, Unavailable> {
        let began = Instant::now();
        let done = step.await?;
        if self.pace == CleanupPace::WhileServing {
            // The rest of a long step was time in the queue.
            tokio::time::sleep(began.elapsed().min(MAX_STEP) * PAUSE_FACTOR).await;
        }
        Ok(done)
    }

    /// Runs steps until all `ids` are processed. Returns the number of changed rows.
    pub(super) async fn in_steps<Id: Copy>(
        &self,
        mut ids: Vec<Id>,
        step: impl AsyncFn(Vec<Id>) -> Result<StepResult, Unavailable>,
    ) -> Result<usize, Unavailable> {
        let mut changed = 0;
        let mut max_rows = usize::MAX;
        while !ids.is_empty() {
            let some = ids[..ids.len().min(max_rows)].to_vec();
            match self.step(step(some)).await {
                Ok(done) => {
                    ids.drain(..done.taken.min(ids.len()));
                    changed += done.changed;
                }
                // One row is damaged and stays: it must not block the others.
                Err(Unavailable::Damaged) if max_rows > 1 => max_rows = 1,
                Err(Unavailable::Damaged) => drop(ids.remove(0)),
                Err(why) => return Err(why),
            }
        }
        Ok(changed)
    }
}

/// Turns damage into an empty result, so that the rest of the cleanup continues. The store logs the
/// damage.
pub fn past_damage<T: Default>(result: Result<T, Unavailable>) -> Result<T, Unavailable> {
    match result {
        Err(Unavailable::Damaged) => Ok(T::default()),
        result => result,
    }
}
