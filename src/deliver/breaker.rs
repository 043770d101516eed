//! Circuit breaker of a target. Repeated failures open it: no delivery starts during a pause, and
//! then a single one starts as a probe. The target's state stays `active`. No I/O; the caller
//! passes the time.

use std::time::Duration;

/// Failures of the target, without a success in between, that open the breaker.
const FAILURES_TO_OPEN: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_secs(15);
const MAX_PAUSE: Duration = Duration::from_secs(5 * 60);

/// All times are offsets from an origin that the caller chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BreakerState {
    Closed {
        failures: u32,
    },
    Open {
        until: Duration,
        pause: Duration,
    },
    /// One delivery is in flight as a probe.
    Probing {
        pause: Duration,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Breaker(BreakerState);

/// Whether a delivery can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permit {
    /// Any number of deliveries.
    Free,
    /// One delivery; the next waits for its outcome.
    Probe,
    /// No delivery before this time, or (`None`) before the outcome of the probe.
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

    /// Records the start of the delivery that `Probe` permitted.
    pub fn probe_began(&mut self) {
        if let BreakerState::Open { pause, .. } = self.0 {
            self.0 = BreakerState::Probing { pause };
        }
    }

    /// Records a successful delivery.
    pub fn succeeded(&mut self) {
        self.0 = BreakerState::Closed { failures: 0 };
    }

    /// Records a response that shows that the target is available, but is not a success. Closes an
    /// open breaker; leaves the failure count of a closed one unchanged.
    pub fn answered(&mut self) {
        if let BreakerState::Probing { .. } | BreakerState::Open { .. } = self.0 {
            self.0 = BreakerState::Closed { failures: 0 };
        }
    }

    /// Records a failure of the target. Returns true if this failure opens a closed breaker.
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
            // The attempt began before the breaker opened.
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
    fn only_failures_without_success_in_between_open_breaker() {
        let mut breaker = Breaker::default();
        for _ in 0..20 {
            (0..4).for_each(|_| assert!(!breaker.failed(seconds(0))));
            breaker.succeeded();
            assert_eq!(breaker.permit(seconds(0)), Permit::Free);
        }
        (0..4).for_each(|_| assert!(!breaker.failed(seconds(0))));
        breaker.answered();
        assert!(breaker.failed(seconds(0)), "a rejected message does not reset the count");
        assert_eq!(opened().permit(seconds(0)), Permit::Wait(Some(seconds(15))));
    }

    #[test]
    fn one_probe_is_permitted_after_pause() {
        let mut breaker = opened();
        assert_eq!(breaker.permit(seconds(15)), Permit::Probe);
        breaker.probe_began();
        assert_eq!(breaker.permit(seconds(1_000)), Permit::Wait(None));
        breaker.succeeded();
        assert_eq!(breaker.permit(seconds(1_000)), Permit::Free);
    }

    #[test]
    fn failed_probe_doubles_pause_up_to_limit() {
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
    fn earlier_attempts_do_not_extend_an_open_breaker() {
        let mut breaker = opened();
        breaker.failed(seconds(14));
        assert_eq!(breaker.permit(seconds(15)), Permit::Probe);
    }

    #[test]
    fn rejected_message_counts_as_available_target() {
        let mut breaker = opened();
        breaker.probe_began();
        breaker.answered();
        assert!(!breaker.is_open());
    }
}
