//! Whether anything may be deleted now: what the clock guard says, over restarts and until a person confirms the clock.

use std::time::Duration;

use time::OffsetDateTime;

use super::cleaner::Cleaner;
use super::clock::{ClockGuard, ClockVerdict};
use crate::store::{Cleanup, Sealing, Unavailable, timestamp};

/// A confirmation is about the clock as it is now: an older one, left from another jump, does not count.
const MAX_CONFIRMATION_AGE: time::Duration = time::Duration::HOUR;
/// The setting with the last time that the clean-up saw, to notice a clock set back over a restart.
const LAST_SEEN: &str = "clock_last_seen";
/// The setting with the time that it should have been when clean-up was last paused; empty while it is not.
const PAUSED: &str = "clock_paused";
/// The setting with the time at which a person said that the clock is right.
pub const CONFIRMED: &str = "clock_confirmed_at";

impl Cleaner {
    /// Why nothing may be deleted now, if so.
    pub(super) async fn check_clock(
        &mut self,
        store: &Cleanup,
        now: OffsetDateTime,
        uptime: Duration,
    ) -> Result<Option<String>, Unavailable> {
        let paused_at = store.settings().setting(PAUSED).await?.filter(|text| !text.is_empty());
        if std::mem::take(&mut self.is_first_run)
            && let Some(expected) = paused_at.as_deref().and_then(timestamp::from_text)
        {
            // A restart must not make a clock right that was wrong before it.
            self.guard = ClockGuard::paused(expected, uptime);
        }
        let confirmed = store.settings().setting(CONFIRMED).await?;
        let is_news = confirmed != self.confirmed;
        let confirmed_at = confirmed.as_deref().and_then(timestamp::from_text);
        let is_confirmed = is_news && confirmed_at.is_some_and(|at| (now - at).abs() < MAX_CONFIRMATION_AGE);
        self.confirmed = confirmed;
        if is_confirmed {
            self.guard = ClockGuard::new(now, uptime);
        }
        let last_seen = store.settings().setting(LAST_SEEN).await?.as_deref().and_then(timestamp::from_text);
        let verdict = self.guard.observe(now, uptime, if is_confirmed { None } else { last_seen });
        let ClockVerdict::Paused(why) = verdict else {
            if std::mem::take(&mut self.was_paused) {
                log::info!("the clock agrees again: clean-up goes on");
            }
            if paused_at.is_some() {
                store.settings().set_setting(PAUSED, "", Sealing::Plain, now).await?;
            }
            store.settings().set_setting(LAST_SEEN, &timestamp::to_text(now), Sealing::Plain, now).await?;
            return Ok(None);
        };
        let expected = timestamp::to_text(self.guard.expected(uptime));
        store.settings().set_setting(PAUSED, &expected, Sealing::Plain, now).await?;
        if !std::mem::replace(&mut self.was_paused, true) {
            log::warn!("clean-up is paused: {why}. If the clock is right now, run `creel cleanup --confirm`");
        }
        Ok(Some(why))
    }
}
