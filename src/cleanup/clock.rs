//! Whether the clock can be believed: wall time against a clock that nobody sets.

use std::time::Duration;

use time::OffsetDateTime;

/// Wall time may move this far away from the time since boot. Half a day, so that a jump of just one day is noticed.
const JUMP: Duration = Duration::from_secs(12 * 3_600);
/// A clock that was set back over a restart by less than this is a correction, not a jump.
const SET_BACK: Duration = Duration::from_secs(300);
/// After a jump the clock must be right for this long before anything is deleted again.
const AGREES_FOR: Duration = Duration::from_secs(3_600);

/// Time since boot, with the time in which the machine slept.
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

/// Compares each look at the clock with the first one.
#[derive(Clone, Debug)]
pub struct ClockGuard {
    wall: OffsetDateTime,
    uptime: Duration,
    is_first: bool,
    /// A clock set back over a restart agrees again from here on.
    not_before: Option<OffsetDateTime>,
    is_paused: bool,
    agrees_since: Option<Duration>,
}

impl ClockGuard {
    pub fn new(wall: OffsetDateTime, uptime: Duration) -> Self {
        Self { wall, uptime, is_first: true, not_before: None, is_paused: false, agrees_since: None }
    }

    /// After a restart during a pause: `expected` is what the time should have been then.
    pub fn paused(expected: OffsetDateTime, uptime: Duration) -> Self {
        Self { is_first: false, is_paused: true, ..Self::new(expected, uptime) }
    }

    /// What the time should be.
    pub fn expected(&self, uptime: Duration) -> OffsetDateTime {
        self.not_before.unwrap_or(self.wall + uptime.saturating_sub(self.uptime))
    }

    /// `last_seen`: the wall time of the last clean-up before this process, if there was one.
    pub fn observe(
        &mut self,
        wall: OffsetDateTime,
        uptime: Duration,
        last_seen: Option<OffsetDateTime>,
    ) -> ClockVerdict {
        if std::mem::take(&mut self.is_first)
            && let Some(last_seen) = last_seen
            && wall + SET_BACK < last_seen
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
            && wall + SET_BACK < not_before
        {
            return Some(format!("the clock was set back over a restart, it was {not_before} before"));
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
        if uptime.saturating_sub(since) < AGREES_FOR {
            return ClockVerdict::Paused(
                "the clock had jumped and has been right for less than an hour".to_owned(),
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
    fn a_clock_that_runs_along_is_believed_for_weeks() {
        let mut guard = guard();
        for hour in 0..500 {
            assert_eq!(guard.observe(START + HOUR * hour, HOUR * hour, None), ClockVerdict::Go);
        }
    }

    #[test]
    fn jumps_of_a_day_and_of_ten_years_pause_and_one_of_an_hour_does_not() {
        for (jump_hours, pauses) in [(-1, false), (1, false), (24, true), (-24, true), (24 * 365 * 10, true)]
        {
            let jumped = START + time::Duration::hours(jump_hours);
            assert_eq!(is_paused(&guard().observe(jumped, Duration::ZERO, None)), pauses, "{jump_hours} h");
        }
    }

    #[test]
    fn after_a_jump_the_clock_must_agree_for_an_hour() {
        let mut guard = guard();
        assert!(is_paused(&guard.observe(START + HOUR * 48, HOUR, None)));
        assert!(is_paused(&guard.observe(START + HOUR * 2, HOUR * 2, None)));
        assert!(is_paused(&guard.observe(START + HOUR * 2 + HOUR / 2, HOUR * 2 + HOUR / 2, None)));
        assert_eq!(guard.observe(START + HOUR * 3, HOUR * 3, None), ClockVerdict::Go);
    }

    #[test]
    fn a_jump_that_stays_keeps_the_pause() {
        let mut guard = guard();
        for hour in 1..100 {
            assert!(is_paused(&guard.observe(START + HOUR * (48 + hour), HOUR * hour, None)));
        }
    }

    #[test]
    fn a_clock_set_back_over_a_restart_pauses_until_it_has_caught_up_for_an_hour() {
        let mut guard = guard();
        let last_seen = Some(START + HOUR * 2);
        assert!(is_paused(&guard.observe(START, Duration::ZERO, last_seen)));
        assert!(is_paused(&guard.observe(START + HOUR, HOUR, last_seen)));
        assert!(is_paused(&guard.observe(START + HOUR * 2, HOUR * 2, last_seen)));
        assert_eq!(guard.observe(START + HOUR * 3, HOUR * 3, last_seen), ClockVerdict::Go);
    }

    #[test]
    fn a_restart_during_a_pause_does_not_end_it_unless_the_clock_is_right_again() {
        let mut still_wrong = ClockGuard::paused(START, Duration::ZERO);
        assert!(is_paused(&still_wrong.observe(START + HOUR * 48, Duration::ZERO, None)));
        assert!(is_paused(&still_wrong.observe(START + HOUR * 50, HOUR * 2, None)));
        let mut right_again = ClockGuard::paused(START, Duration::ZERO);
        assert!(is_paused(&right_again.observe(START + HOUR, Duration::ZERO, None)));
        assert_eq!(right_again.observe(START + HOUR * 2, HOUR, None), ClockVerdict::Go);
    }

    #[test]
    fn a_restart_with_a_clock_that_has_gone_on_does_not_pause() {
        assert_eq!(guard().observe(START, Duration::ZERO, Some(START - HOUR * 200)), ClockVerdict::Go);
        assert_eq!(guard().observe(START, Duration::ZERO, Some(START + SET_BACK)), ClockVerdict::Go);
    }
}
