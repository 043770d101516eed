//! The clean-up: drops old messages, deliveries, keys and rejections in short steps between the messages, and gives the
//! space back. It must never delete on the word of a clock that has jumped, nor a message that something still waits for.

mod clock;
mod deliveries;
mod drops;
mod guard;
mod messages;
mod policy;
mod quarantine;
mod size;
mod targets;

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::config::Config;
use crate::store::{
    self, OpenError, Position, RetainedSince, Step, Store, StoreOptions, Unavailable, Yielding, timestamp,
};

pub use clock::{ClockGuard, Verdict, uptime};
pub use drops::DropReport;
pub use policy::Policy;

use guard::CONFIRMED;
use size::SizeWalk;

/// A step of deleting is followed by a pause of this many times its length, so that messages hardly notice.
const PAUSE_FACTOR: u32 = 4;
/// What a step itself takes at most, with its commit.
const LONGEST_STEP: Duration = Duration::from_millis(4);
/// How often everything is looked at again, not only what has become old or is over since the last time. That takes the
/// longer the more messages wait for something.
const WHOLE_LOOK_EVERY: Duration = Duration::from_secs(86_400);
/// Replays that are over are remembered so long.
const REPLAYS_KEPT: Duration = Duration::from_secs(30 * 86_400);

/// Whether the clean-up leaves room for messages between its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    BesideMessages,
    Alone,
}

/// What one clean-up did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    pub messages: usize,
    /// Deliveries that had ended long ago.
    pub deliveries: usize,
    /// Deliveries that died because their target takes nothing any more.
    pub buried: usize,
    pub rejections: usize,
    /// The database is above its limit, and more can be deleted.
    pub is_unfinished: bool,
    /// Why nothing was deleted.
    pub paused: Option<String>,
}

impl Outcome {
    pub fn is_nothing(&self) -> bool {
        self.messages + self.deliveries + self.buried + self.rejections == 0
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { messages, deliveries, rejections, .. } = self;
        write!(f, "{messages} messages, {deliveries} finished deliveries, {rejections} rejections")?;
        match self.buried {
            0 => Ok(()),
            buried => write!(f, "; {buried} deliveries to inactive targets have died"),
        }
    }
}

/// The clean-up with what it remembers between its runs.
#[derive(Debug)]
pub struct Cleaner {
    policy: Policy,
    pace: Pace,
    guard: ClockGuard,
    /// Up to where each group of sources was looked at: what is older has been deleted already, or something keeps it.
    looked_at: HashMap<(usize, RetainedSince), String>,
    /// The newest message that was looked at: what keeps one up to here may end, see `finished_seen`.
    looked_through: i64,
    /// Up to where was looked at deliveries that have ended, for the messages that they have kept.
    finished_seen: Option<Position>,
    /// Wall time and uptime of that look, to notice a clock that was set back.
    finished_looked_at: Option<(OffsetDateTime, Duration)>,
    /// Passed messages whose confirmation is settled, to be looked at for their age.
    settled: Vec<i64>,
    /// Up to where deliveries that have ended were looked at for their own sake.
    attempts_at: String,
    dead_at: String,
    size_walk: SizeWalk,
    is_out_of_room: bool,
    drops_for_size: DropReport,
    drops_for_disk: DropReport,
    /// What yields old messages in this run, and the targets that it is about.
    old_yielding: Yielding,
    absent: BTreeSet<(i64, String)>,
    /// Since when targets that were made for a replay have had nothing to do.
    idle_since: HashMap<i64, Duration>,
    whole_look: Option<Duration>,
    confirmed: Option<String>,
    was_paused: bool,
    is_first_run: bool,
}

impl Cleaner {
    /// `uptime`: a clock that nobody sets, see [`uptime`].
    pub fn new(policy: Policy, pace: Pace, now: OffsetDateTime, uptime: Duration) -> Self {
        Self {
            policy,
            pace,
            guard: ClockGuard::new(now, uptime),
            looked_at: HashMap::new(),
            looked_through: 0,
            finished_seen: None,
            finished_looked_at: None,
            settled: Vec::new(),
            attempts_at: String::new(),
            dead_at: String::new(),
            size_walk: SizeWalk::default(),
            is_out_of_room: false,
            drops_for_size: DropReport::new("the database is above CREEL_MAX_DATABASE_SIZE"),
            drops_for_disk: DropReport::new("the disk is close to CREEL_MIN_FREE"),
            old_yielding: Yielding::NoTargets,
            absent: BTreeSet::new(),
            idle_since: HashMap::new(),
            whole_look: None,
            confirmed: None,
            was_paused: false,
            is_first_run: true,
        }
    }

    /// What a stop has still to log.
    pub fn drop_reports(&self) -> [DropReport; 2] {
        [self.drops_for_size.clone(), self.drops_for_disk.clone()]
    }

    /// One whole clean-up.
    ///
    /// # Errors
    /// When the store cannot be read or written now; the next run goes on.
    pub async fn run_once(
        &mut self,
        store: &Store,
        now: OffsetDateTime,
        uptime: Duration,
    ) -> Result<Outcome, Unavailable> {
        store.make_room();
        past_damage(store.learn_senders().await)?;
        let yielded = past_damage(self.trim_quarantine(store).await)?;
        if let Some(paused) = self.check_clock(store, now, uptime).await? {
            return Ok(Outcome { paused: Some(paused), rejections: yielded, ..Outcome::default() });
        }
        let is_whole = self.whole_look.is_none_or(|last| uptime.saturating_sub(last) >= WHOLE_LOOK_EVERY);
        if is_whole {
            self.look_at_everything();
            self.whole_look = Some(uptime);
        }
        let buried = past_damage(self.bury_waiting(store, now).await)?;
        let mut outcome = Outcome { buried, rejections: yielded, ..Outcome::default() };
        past_damage(self.look_at_finished(store, now, uptime, &mut outcome).await)?;
        past_damage(self.yield_old(store).await)?;
        past_damage(self.delete_old(store, now, &mut outcome).await)?;
        past_damage(self.delete_refused(store, now, &mut outcome).await)?;
        // Most have gone with their messages.
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

    /// Replays that are over, keys, and rejections.
    async fn delete_small_rows(
        &self,
        store: &Store,
        now: OffsetDateTime,
        outcome: &mut Outcome,
    ) -> Result<(), Unavailable> {
        let before = timestamp::to_text(now - REPLAYS_KEPT);
        while past_damage(self.step(store.delete_replays(before.clone())).await)? > 0 {}
        if let Some(kept) = self.policy.keys_kept() {
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

    /// Between two runs, when the database has grown beyond its limit: the oldest finished messages go.
    ///
    /// # Errors
    /// As for [`Self::run_once`].
    pub async fn make_room(
        &mut self,
        store: &Store,
        now: OffsetDateTime,
        uptime: Duration,
    ) -> Result<Outcome, Unavailable> {
        let rejections = past_damage(self.trim_quarantine(store).await)?;
        let mut outcome = Outcome { rejections, ..Outcome::default() };
        // The first run comes at once, and knows whether the clock can be believed.
        if !self.is_first_run && !self.was_paused {
            past_damage(self.look_at_finished(store, now, uptime, &mut outcome).await)?;
            self.keep_within_size(store, now, &mut outcome).await?;
        }
        Ok(outcome)
    }

    /// From the beginning, as after a start.
    fn look_at_everything(&mut self) {
        self.looked_at.clear();
        self.attempts_at.clear();
        self.dead_at.clear();
        self.size_walk = SizeWalk::default();
    }

    /// One step, and the pause after it.
    async fn step<T>(&self, step: impl Future<Output = Result<T, Unavailable>>) -> Result<T, Unavailable> {
        let began = Instant::now();
        let done = step.await?;
        if self.pace == Pace::BesideMessages {
            // Most of a long step was waiting for its turn.
            tokio::time::sleep(began.elapsed().min(LONGEST_STEP) * PAUSE_FACTOR).await;
        }
        Ok(done)
    }

    /// As many steps as all of `ids` need; how many rows they have changed.
    async fn in_steps(
        &self,
        mut ids: Vec<i64>,
        step: impl AsyncFn(Vec<i64>) -> Result<Step, Unavailable>,
    ) -> Result<usize, Unavailable> {
        let mut changed = 0;
        let mut most = usize::MAX;
        while !ids.is_empty() {
            let some = ids[..ids.len().min(most)].to_vec();
            match self.step(step(some)).await {
                Ok(done) => {
                    ids.drain(..done.taken.min(ids.len()));
                    changed += done.changed;
                }
                // One of them is damaged, and stays: it must not keep the others.
                Err(Unavailable::Damaged) if most > 1 => most = 1,
                Err(Unavailable::Damaged) => drop(ids.remove(0)),
                Err(why) => return Err(why),
            }
        }
        Ok(changed)
    }
}

/// What meets damage ends, and the rest of the clean-up goes on. The store logs the damage.
fn past_damage<T: Default>(result: Result<T, Unavailable>) -> Result<T, Unavailable> {
    match result {
        Err(Unavailable::Damaged) => Ok(T::default()),
        result => result,
    }
}

/// `creel cleanup`: one clean-up at once, or, while the service runs, what it should know of it.
///
/// # Errors
/// When the database cannot be opened or written.
pub async fn run_now(
    config: &Config,
    options: &StoreOptions,
    confirm: bool,
    now: OffsetDateTime,
) -> Result<String, OpenError> {
    if store::is_in_use(&options.path)? {
        if confirm {
            store::set_beside_the_service(&options.path, CONFIRMED, &timestamp::to_text(now), now)?;
            return Ok("Confirmed: the running service goes on with its next clean-up.".to_owned());
        }
        return Ok("The running service cleans up by itself, every CREEL_CLEANUP_INTERVAL.".to_owned());
    }
    if confirm && options.path.exists() {
        store::set_beside_the_service(&options.path, CONFIRMED, &timestamp::to_text(now), now)?;
    }
    let store = Store::open(options)?;
    store.limit_quarantine(config.quarantine_bytes);
    let mut cleaner = Cleaner::new(Policy::from_config(config), Pace::Alone, now, uptime());
    let outcome = cleaner.run_once(&store, now, uptime()).await;
    for report in cleaner.drop_reports() {
        report.finish(&store).await;
    }
    store.close(Duration::from_secs(30)).await;
    match outcome {
        Ok(Outcome { paused: Some(why), .. }) => Err(OpenError(format!(
            "nothing was deleted: {why}. If the clock is right, run `creel cleanup --confirm`"
        ))),
        Ok(outcome) => Ok(format!("Deleted {outcome}.")),
        Err(why) => Err(OpenError(format!("the clean-up stopped: {why}"))),
    }
}

#[cfg(test)]
mod tests;
