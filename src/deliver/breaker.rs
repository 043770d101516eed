//! Whether a target is asked at all. A target that fails again and again is left alone for a while, then asked with a
//! single delivery; meanwhile no delivery uses up an attempt. Pure.

use std::time::Duration;

/// So many failures in a row that speak against the target open it.
const FAILURES_TO_OPEN: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(15);
const MAX_PAUSE: Duration = Duration::from_secs(5 * 60);

/// Times are durations since a start that the caller chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BreakerState {
    Closed {
        failures: u32,
    },
    Open {
        until: Duration,
        pause: Duration,
    },
    /// One delivery is on its way to find out.
    Probing {
        pause: Duration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker(BreakerState);

/// Whether a delivery may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// As many as there is room for.
    Free,
    /// One, and no other until its outcome is known.
    Probe,
    /// None before then; `None`: not before the probe has come back.
    Wait(Option<Duration>),
}

impl Default for Breaker {
    fn default() -> Self {
        Self(BreakerState::Closed { failures: 0 })
    }
}

impl Breaker {
    pub fn permit(&self, now: Duration) -> Permit {
        match self.0 {
            BreakerState::Closed { .. } => Permit::Free,
            BreakerState::Open { until, .. } if now >= until => Permit::Probe,
            BreakerState::Open { until, .. } => Permit::Wait(Some(until)),
            BreakerState::Probing { .. } => Permit::Wait(None),
        }
    }

    /// The delivery that a `Probe` allowed has begun.
    pub fn probe_began(&mut self) {
        if let BreakerState::Open { pause, .. } = self.0 {
            self.0 = BreakerState::Probing { pause };
        }
    }

    /// The target has answered as it should.
    pub fn succeeded(&mut self) {
        self.0 = BreakerState::Closed { failures: 0 };
    }

    /// The target has answered, though it did not want this message: it is there.
    pub fn answered(&mut self) {
        if let BreakerState::Probing { .. } | BreakerState::Open { .. } = self.0 {
            self.0 = BreakerState::Closed { failures: 0 };
        }
    }

    /// True when that has opened it.
    pub fn failed(&mut self, now: Duration) -> bool {
        match self.0 {
            BreakerState::Closed { failures } if failures + 1 < FAILURES_TO_OPEN => {
                self.0 = BreakerState::Closed { failures: failures + 1 };
                false
            }
            BreakerState::Closed { .. } => {
                self.0 = BreakerState::Open { until: now + FIRST_PAUSE, pause: FIRST_PAUSE };
                true
            }
            BreakerState::Probing { pause } => {
                let pause = (pause * 2).min(MAX_PAUSE);
                self.0 = BreakerState::Open { until: now + pause, pause };
                false
            }
            // Begun before it was opened.
            BreakerState::Open { .. } => false,
        }
    }

    pub fn is_open(&self) -> bool {
        !matches!(self.0, BreakerState::Closed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn opened() -> Breaker {
        let mut breaker = Breaker::default();
        let opened = (0..5).map(|_| breaker.failed(seconds(0))).collect::<Vec<_>>();
        assert_eq!(opened, [false, false, false, false, true]);
        breaker
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_between_them_does_not_let_it() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            (0..4).for_each(|_| assert!(!breaker.failed(seconds(0))));
            breaker.succeeded();
            assert_eq!(breaker.permit(seconds(0)), Permit::Free);
        }
        assert_eq!(opened().permit(seconds(0)), Permit::Wait(Some(seconds(15))));
    }

    #[test]
    fn after_a_pause_one_probe_is_let_through_and_no_other() {
        let mut breaker = opened();
        assert_eq!(breaker.permit(seconds(15)), Permit::Probe);
        breaker.probe_began();
        assert_eq!(breaker.permit(seconds(1_000)), Permit::Wait(None));
        breaker.succeeded();
        assert_eq!(breaker.permit(seconds(1_000)), Permit::Free);
    }

    #[test]
    fn a_probe_that_fails_doubles_the_pause_up_to_its_limit() {
        let mut breaker = opened();
        let mut now = seconds(15);
        let mut pauses = Vec::new();
        for _ in 0..7 {
            assert_eq!(breaker.permit(now), Permit::Probe);
            breaker.probe_began();
            assert!(!breaker.failed(now));
            let Permit::Wait(Some(until)) = breaker.permit(now) else { panic!("it is open") };
            pauses.push((until - now).as_secs());
            now = until;
        }
        assert_eq!(pauses, [30, 60, 120, 240, 300, 300, 300]);
    }

    #[test]
    fn what_was_under_way_when_it_opened_does_not_move_its_end() {
        let mut breaker = opened();
        breaker.failed(seconds(14));
        assert_eq!(breaker.permit(seconds(15)), Permit::Probe);
    }

    #[test]
    fn a_target_that_refuses_one_message_is_there() {
        let mut breaker = opened();
        breaker.probe_began();
        breaker.answered();
        assert!(!breaker.is_open());
    }
}
