//! The clean-up: drops old messages, keys and rejections in short steps between the messages, and gives the space
//! back. It must never delete on the word of a clock that has jumped.

mod clock;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use time::OffsetDateTime;

use crate::config::{Config, Retention};
use crate::store::{
    self, OpenError, Position, Selection, Sources, Store, StoreOptions, Unavailable, timestamp,
};

pub use clock::{ClockGuard, Verdict, uptime};

/// Keys are remembered this long at least, whatever the retention: Stripe sends again for three days.
const KEYS_KEPT_AT_LEAST: Duration = Duration::from_secs(7 * 86_400);
/// Keys outlive the messages by a day, so that a message at the very end of its retention has its key.
const KEYS_OUTLIVE_BY: Duration = Duration::from_secs(86_400);
/// A step of deleting is followed by a pause of this many times its length, so that messages hardly notice.
const PAUSE_FACTOR: u32 = 4;
/// What a step itself takes at most, with its commit.
const LONGEST_STEP: Duration = Duration::from_millis(4);
/// How often everything is looked at again, not only what has become old since the last time.
const WHOLE_LOOK_EVERY: Duration = Duration::from_secs(3_600);
/// The size limit is reached again only after this share of it was freed.
const SIZE_MARGIN_PERCENT: u64 = 5;

/// As many messages as go between two looks at the size.
const DELETED_FOR_SIZE_AT_ONCE: usize = 64;

/// A confirmation is about the clock as it is now: an older one, left from another jump, does not count.
const CONFIRMED_WITHIN: time::Duration = time::Duration::HOUR;
/// The setting with the last time that the clean-up saw, to notice a clock set back over a restart.
const LAST_SEEN: &str = "clock_last_seen";
/// The setting with the time that it should have been when clean-up was last paused; empty while it is not.
const PAUSED: &str = "clock_paused";
/// The setting with the time at which a person said that the clock is right.
const CONFIRMED: &str = "clock_confirmed_at";

/// What is old, and how large the database may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    pub retention: Retention,
    /// Sources with a retention of their own.
    pub of_sources: Vec<(String, Retention)>,
    pub max_database_bytes: Option<u64>,
}

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
    pub rejections: usize,
    /// Why nothing was deleted.
    pub paused: Option<String>,
}

impl Policy {
    pub fn from_config(config: &Config) -> Self {
        let of_source =
            |source: &crate::config::Source| source.retention.map(|own| (source.name.clone(), own));
        Self {
            retention: config.retention,
            of_sources: config.sources.iter().filter_map(of_source).collect(),
            max_database_bytes: config.max_database_bytes,
        }
    }

    /// The groups of sources that share a retention, with their age limit; those that keep everything are left out.
    fn groups(&self) -> Vec<(Sources, Duration)> {
        let mut groups = Vec::new();
        if let Retention::For(age) = self.retention {
            groups
                .push((Sources::AllBut(self.of_sources.iter().map(|(name, _)| name.clone()).collect()), age));
        }
        for (name, retention) in &self.of_sources {
            if let Retention::For(age) = retention {
                groups.push((Sources::Only(name.clone()), *age));
            }
        }
        groups
    }

    /// How long keys are remembered; `None`: for ever, because some messages are.
    fn keys_kept(&self) -> Option<Duration> {
        let retentions = self.of_sources.iter().map(|(_, retention)| *retention).chain([self.retention]);
        let mut longest = KEYS_KEPT_AT_LEAST;
        for retention in retentions {
            match retention {
                Retention::Keep => return None,
                Retention::For(age) => longest = longest.max(age),
            }
        }
        Some(longest + KEYS_OUTLIVE_BY)
    }
}

/// The clean-up with what it remembers between its runs.
#[derive(Debug)]
pub struct Cleaner {
    policy: Policy,
    pace: Pace,
    guard: ClockGuard,
    /// Up to where each group was looked at: what is older has been deleted already.
    looked_at: HashMap<usize, String>,
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
            whole_look: None,
            confirmed: None,
            was_paused: false,
            is_first_run: true,
        }
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
        if let Some(paused) = self.check_clock(store, now, uptime).await? {
            return Ok(Outcome { paused: Some(paused), ..Outcome::default() });
        }
        if self.whole_look.is_none_or(|last| uptime.saturating_sub(last) >= WHOLE_LOOK_EVERY) {
            self.looked_at.clear();
            self.whole_look = Some(uptime);
        }
        let mut outcome = Outcome::default();
        for (number, (sources, age)) in self.policy.groups().into_iter().enumerate() {
            outcome.messages += self.delete_old(store, number, sources, now - age).await?;
        }
        outcome.messages += self.delete_beyond_size(store).await?;
        if let Some(kept) = self.policy.keys_kept() {
            while !self.step(store.forget_keys(now - kept)).await? {}
        }
        loop {
            let dropped = self.step(store.expire_rejections(now)).await?;
            outcome.rejections += dropped;
            if dropped == 0 {
                break;
            }
        }
        while !self.step(store.vacuum()).await? {}
        store.settle();
        Ok(outcome)
    }

    /// Why nothing may be deleted now, if so.
    async fn check_clock(
        &mut self,
        store: &Store,
        now: OffsetDateTime,
        uptime: Duration,
    ) -> Result<Option<String>, Unavailable> {
        let paused_at = store.setting(PAUSED).await?.filter(|text| !text.is_empty());
        if std::mem::take(&mut self.is_first_run)
            && let Some(expected) = paused_at.as_deref().and_then(timestamp::from_text)
        {
            // A restart must not make a clock right that was wrong before it.
            self.guard = ClockGuard::paused(expected, uptime);
        }
        let confirmed = store.setting(CONFIRMED).await?;
        let is_news = confirmed != self.confirmed;
        let confirmed_at = confirmed.as_deref().and_then(timestamp::from_text);
        let is_confirmed = is_news && confirmed_at.is_some_and(|at| (now - at).abs() < CONFIRMED_WITHIN);
        self.confirmed = confirmed;
        if is_confirmed {
            self.guard = ClockGuard::new(now, uptime);
        }
        let last_seen = store.setting(LAST_SEEN).await?.as_deref().and_then(timestamp::from_text);
        let verdict = self.guard.observe(now, uptime, if is_confirmed { None } else { last_seen });
        let Verdict::Paused(why) = verdict else {
            if std::mem::take(&mut self.was_paused) {
                log::info!("the clock agrees again: clean-up goes on");
            }
            if paused_at.is_some() {
                store.set_setting(PAUSED, "", store::Sealing::Plain, now).await?;
            }
            store.set_setting(LAST_SEEN, &timestamp::to_text(now), store::Sealing::Plain, now).await?;
            return Ok(None);
        };
        let expected = timestamp::to_text(self.guard.expected(uptime));
        store.set_setting(PAUSED, &expected, store::Sealing::Plain, now).await?;
        if !std::mem::replace(&mut self.was_paused, true) {
            log::warn!("clean-up is paused: {why}. If the clock is right now, run `creel cleanup --confirm`");
        }
        Ok(Some(why))
    }

    async fn delete_old(
        &mut self,
        store: &Store,
        group: usize,
        sources: Sources,
        cut_off: OffsetDateTime,
    ) -> Result<usize, Unavailable> {
        let before = timestamp::to_text(cut_off);
        let received_at = self.looked_at.get(&group).cloned().unwrap_or_default();
        let mut next = Some(Position { received_at, id: i64::MIN });
        let mut deleted = 0;
        while let Some(after) = next {
            let selection = Selection { after, before: before.clone(), sources: sources.clone() };
            let page = self.step(store.old_messages(selection)).await?;
            if !page.ids.is_empty() {
                deleted += self.delete(store, page.ids).await?;
            }
            next = page.next;
        }
        self.looked_at.insert(group, before);
        Ok(deleted)
    }

    async fn delete_beyond_size(&self, store: &Store) -> Result<usize, Unavailable> {
        let Some(limit) = self.policy.max_database_bytes else { return Ok(0) };
        let mut deleted = 0;
        let mut goal = limit;
        while store.used_and_free_bytes().await?.0 > goal {
            goal = limit - limit * SIZE_MARGIN_PERCENT / 100;
            let ids = store.oldest_messages(DELETED_FOR_SIZE_AT_ONCE).await?;
            if ids.is_empty() {
                break;
            }
            deleted += self.delete(store, ids).await?;
        }
        Ok(deleted)
    }

    /// Deletes all of `ids`, their keys having been merged first.
    async fn delete(&self, store: &Store, mut ids: Vec<i64>) -> Result<usize, Unavailable> {
        let newest = ids.iter().copied().max().unwrap_or(0);
        while !self.step(store.merge_keys(newest)).await? {}
        let count = ids.len();
        while !ids.is_empty() {
            let taken = self.step(store.delete_messages(ids.clone())).await?;
            ids.drain(..taken.min(ids.len()));
        }
        Ok(count)
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
    let mut cleaner = Cleaner::new(Policy::from_config(config), Pace::Alone, now, uptime());
    let outcome = cleaner.run_once(&store, now, uptime()).await;
    store.close(Duration::from_secs(30)).await;
    match outcome {
        Ok(Outcome { paused: Some(why), .. }) => Err(OpenError(format!(
            "nothing was deleted: {why}. If the clock is right, run `creel cleanup --confirm`"
        ))),
        Ok(outcome) => {
            Ok(format!("Deleted {} messages and {} rejections.", outcome.messages, outcome.rejections))
        }
        Err(why) => Err(OpenError(format!("the clean-up stopped: {why}"))),
    }
}

#[cfg(test)]
mod tests;
