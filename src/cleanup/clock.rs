//! Detection of clock jumps by comparing the wall time with a monotonic clock.

use std::time::Duration;

use time::OffsetDateTime;

/// Largest accepted drift of the wall time against the time since boot. Half a day, so that a jump
/// of just one day is detected.
const JUMP: Duration = Duration::from_secs(12 * 3_600);
/// A clock that was set back by at most this during a restart counts as corrected, not as a jump.
const MAX_CORRECTED_SETBACK: Duration = Duration::from_secs(300);
/// Time for which the clock must be correct after a jump before deletion resumes.
const MIN_CORRECT_TIME: Duration = Duration::from_secs(3_600);

/// Returns the time since boot, including time in suspend.
pub fn uptime() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Whether messages may be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClockVerdict {
    Go,
    Paused(String),
}

/// Compares each reading of the clock with the first one.
#[derive(Clone, Debug)]
pub struct ClockGuard {
    wall: OffsetDateTime,
    uptime: Duration,
    is_first: bool,
    /// The last time seen before a restart during which the clock was set back. The clock is
    /// accepted again from `MAX_CORRECTED_SETBACK` before this time.
    not_before: Option<OffsetDateTime>,
    is_paused: bool,
    agrees_since: Option<Duration>,
}

impl ClockGuard {
    pub fn new(wall: OffsetDateTime, uptime: Duration) -> Self {
        Self { wall, uptime, is_first: true, not_before: None, is_paused: false, agrees_since: None }
    }

    /// Continues a pause after a restart. `expected`: the correct time, as stored at the last check
    /// before the restart.
    pub fn paused(expected: OffsetDateTime, uptime: Duration) -> Self {
        Self { is_first: false, is_paused: true, ..Self::new(expected, uptime) }
    }

    /// Returns the correct time; for a clock that was set back during a restart, the last time seen
    /// before that.
    pub fn expected(&self, uptime: Duration) -> OffsetDateTime {
        self.not_before.unwrap_or(self.wall + uptime.saturating_sub(self.uptime))
    }

    /// Checks the clock. `last_seen`: the wall time of the last cleanup before this process, if
    /// any; used only by the first check.
    pub fn observe(
        &mut self,
        wall: OffsetDateTime,
        uptime: Duration,
        last_seen: Option<OffsetDateTime>,
    ) -> ClockVerdict {
        if std::mem::take(&mut self.is_first)
            && let Some(last_seen) = last_seen
            && wall + MAX_CORRECTED_SETBACK < last_seen
        {
            self.not_before = Some(last_seen);
        }
        let Some(why) = self.disagreement(wall, uptime) else {
            return self.agree(uptime);
        };
        self.is_paused = true;
        self.agrees_since = None;
        ClockVerdict::Paused(why)
    }

    fn disagreement(&self, wall: OffsetDateTime, uptime: Duration) -> Option<String> {
        if let Some(not_before) = self.not_before
            && wall + MAX_CORRECTED_SETBACK < not_before
        {
            return Some(format!("the clock was set back during a restart, from {not_before}"));
        }
        let drift = wall - (self.wall + uptime.saturating_sub(self.uptime));
        (drift.unsigned_abs() > JUMP)
            .then(|| format!("the clock has jumped by {} hours", drift.whole_hours()))
    }

    fn agree(&mut self, uptime: Duration) -> ClockVerdict {
        if !self.is_paused {
            return ClockVerdict::Go;
        }
        let since = *self.agrees_since.get_or_insert(uptime);
        if uptime.saturating_sub(since) < MIN_CORRECT_TIME {
            return ClockVerdict::Paused(
                "the clock jumped, and has been correct for less than an hour".to_owned(),
            );
        }
        self.is_paused = false;
        self.agrees_since = None;
        ClockVerdict::Go
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    const START: OffsetDateTime = datetime!(2026-11-22 12:00 UTC);
    const HOUR: Duration = Duration::from_secs(3_600);

    fn guard() -> ClockGuard {
        ClockGuard::new(START, Duration::ZERO)
    }

    fn is_paused(verdict: &ClockVerdict) -> bool {
        matches!(verdict, ClockVerdict::Paused(_))
    }

    #[test]
    fn steady_clock_is_accepted_for_weeks() {
        let mut guard = guard();
        for hour in 0..500 {
            assert_eq!(guard.observe(START + HOUR * hour, HOUR * hour, None), ClockVerdict::Go);
        }
    }

    #[test]
    fn jumps_of_a_day_or_more_pause_cleanup() {
        for (jump_hours, pauses) in [(-1, false), (1, false), (24, true), (-24, true), (24 * 365 * 10, true)]
        {
            let jumped = START + time::Duration::hours(jump_hours);
            assert_eq!(is_paused(&guard().observe(jumped, Duration::ZERO, None)), pauses, "{jump_hours} h");
        }
    }

    #[test]
    fn clock_must_agree_for_an_hour_after_a_jump() {
        let mut guard = guard();
        assert!(is_paused(&guard.observe(START + HOUR * 48, HOUR, None)));
        assert!(is_paused(&guard.observe(START + HOUR * 2, HOUR * 2, None)));
        assert!(is_paused(&guard.observe(START + HOUR * 2 + HOUR / 2, HOUR * 2 + HOUR / 2, None)));
        assert_eq!(guard.observe(START + HOUR * 3, HOUR * 3, None), ClockVerdict::Go);
    }

    #[test]
    fn permanent_jump_keeps_the_pause() {
        let mut guard = guard();
        for hour in 1..100 {
            assert!(is_paused(&guard.observe(START + HOUR * (48 + hour), HOUR * hour, None)));
        }
    }

    #[test]
    fn clock_set_back_over_restart_pauses_until_caught_up() {
        let mut guard = guard();
        let last_seen = Some(START + HOUR * 2);
        assert!(is_paused(&guard.observe(START, Duration::ZERO, last_seen)));
        assert!(is_paused(&guard.observe(START + HOUR, HOUR, last_seen)));
        assert!(is_paused(&guard.observe(START + HOUR * 2, HOUR * 2, last_seen)));
        assert_eq!(guard.observe(START + HOUR * 3, HOUR * 3, last_seen), ClockVerdict::Go);
    }

    #[test]
    fn restart_keeps_pause_until_clock_is_correct() {
        let mut still_wrong = ClockGuard::paused(START, Duration::ZERO);
        assert!(is_paused(&still_wrong.observe(START + HOUR * 48, Duration::ZERO, None)));
        assert!(is_paused(&still_wrong.observe(START + HOUR * 50, HOUR * 2, None)));
        let mut right_again = ClockGuard::paused(START, Duration::ZERO);
        assert!(is_paused(&right_again.observe(START + HOUR, Duration::ZERO, None)));
        assert_eq!(right_again.observe(START + HOUR * 2, HOUR, None), ClockVerdict::Go);
    }

    #[test]
    fn restart_with_steady_clock_does_not_pause() {
        assert_eq!(guard().observe(START, Duration::ZERO, Some(START - HOUR * 200)), ClockVerdict::Go);
        assert_eq!(
            guard().observe(START, Duration::ZERO, Some(START + MAX_CORRECTED_SETBACK)),
            ClockVerdict::Go
        );
    }
}
