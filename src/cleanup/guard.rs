//! Pauses deletion after a clock jump, also over restarts, until the clock is correct again or an
//! operator confirms it.

use std::time::Duration;

use time::OffsetDateTime;

use super::cleaner::Cleaner;
use super::clock::{ClockGuard, ClockVerdict};
use crate::store::{Cleanup, Sealing, Timestamp, Unavailable};

/// Age above which a confirmation is ignored, because it belongs to an earlier jump.
const MAX_CONFIRMATION_AGE: time::Duration = time::Duration::HOUR;
/// Setting with the time of the last cleanup, to detect a clock set back over a restart.
const LAST_SEEN: &str = "clock_last_seen";
/// Setting with the correct time as of the last paused run; empty while cleanup is not paused.
const PAUSED: &str = "clock_paused";
/// Setting with the time at which an operator confirmed the clock.
pub const CONFIRMED: &str = "clock_confirmed_at";

impl Cleaner {
    /// Returns the reason for a pause, if any.
    pub(super) async fn check_clock(
        &mut self,
        store: &Cleanup,
        now: OffsetDateTime,
        uptime: Duration,
    ) -> Result<Option<String>, Unavailable> {
        let paused_at = store.settings().setting(PAUSED).await?.filter(|text| !text.is_empty());
        if std::mem::take(&mut self.is_first_run)
            && let Some(expected) = paused_at.as_deref().and_then(time_of)
        {
            // After a restart, a wrong clock must not be taken for a correct one.
            self.guard = ClockGuard::paused(expected, uptime);
        }
        let confirmed = store.settings().setting(CONFIRMED).await?;
        let is_new = confirmed != self.confirmed;
        let confirmed_at = confirmed.as_deref().and_then(time_of);
        let is_confirmed = is_new && confirmed_at.is_some_and(|at| (now - at).abs() < MAX_CONFIRMATION_AGE);
        self.confirmed = confirmed;
        if is_confirmed {
            self.guard = ClockGuard::new(now, uptime);
        }
        let last_seen = store.settings().setting(LAST_SEEN).await?.as_deref().and_then(time_of);
        let verdict = self.guard.observe(now, uptime, if is_confirmed { None } else { last_seen });
        let ClockVerdict::Paused(why) = verdict else {
            if std::mem::take(&mut self.was_paused) {
                log::info!("the clock is correct again: cleanup continues");
            }
            if paused_at.is_some() {
                store.settings().set_setting(PAUSED, "", Sealing::Plain, now).await?;
            }
            store
                .settings()
                .set_setting(LAST_SEEN, Timestamp::from(now).as_str(), Sealing::Plain, now)
                .await?;
            return Ok(None);
        };
        let expected = Timestamp::from(self.guard.expected(uptime));
        store.settings().set_setting(PAUSED, expected.as_str(), Sealing::Plain, now).await?;
        if !std::mem::replace(&mut self.was_paused, true) {
            log::warn!("cleanup paused: {why}. If the clock is correct now, run `creel cleanup --confirm`");
        }
        Ok(Some(why))
    }
}

/// Returns the time stored in a setting; `None` if it is unreadable.
fn time_of(setting: &str) -> Option<OffsetDateTime> {
    Timestamp::try_from(setting).ok().map(Timestamp::to_time)
}
