//! How fast a body arrives, and whether that is enough for the memory that it holds.

use std::time::Duration;

use tokio::time::Instant;

/// Rates are measured over at least this time.
const WINDOW: Duration = Duration::from_secs(1);
/// Below this a body never counts as arriving.
const MIN_BYTES_PER_SECOND: f64 = 1_024.0;
/// What a body holds must at its present rate arrive within this time: the longest that a whole body may take.
const HELD_AT_MOST_SECONDS: f64 = 60.0;

#[derive(Clone, Copy, Debug)]
pub struct Pace {
    window_began: Instant,
    window_bytes: usize,
    /// Bytes per second in the window before.
    rate: Option<f64>,
    last_arrival: Instant,
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Self { window_began: now, window_bytes: 0, rate: None, last_arrival: now }
    }

    pub fn arrived(&mut self, bytes: usize, now: Instant) {
        let age = now.saturating_duration_since(self.window_began);
        if age >= WINDOW {
            self.rate = Some(self.window_bytes as f64 / age.as_secs_f64());
            self.window_began = now;
            self.window_bytes = 0;
        }
        self.window_bytes += bytes;
        self.last_arrival = now;
    }

    /// Progress as a share of what is needed: below 1 the body is too slow, the lowest is the slowest. `None` while
    /// that cannot be told.
    pub fn progress(&self, held_bytes: usize, now: Instant) -> Option<f64> {
        let silent = now.saturating_duration_since(self.last_arrival);
        if silent >= WINDOW {
            return Some(-silent.as_secs_f64());
        }
        let needed = (held_bytes as f64 / HELD_AT_MOST_SECONDS).max(MIN_BYTES_PER_SECOND);
        self.rate.map(|rate| rate / needed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(began: Instant, milliseconds: u64) -> Instant {
        began + Duration::from_millis(milliseconds)
    }

    #[test]
    fn stalled_body_is_slow_however_much_it_sent_before() {
        let began = Instant::now();
        let mut pace = Pace::new(began);
        pace.arrived(16 << 20, after(began, 500));
        assert_eq!(pace.progress(16 << 20, after(began, 1_400)), None);
        let early = pace.progress(16 << 20, after(began, 1_500)).unwrap();
        let late = pace.progress(16 << 20, after(began, 9_000)).unwrap();
        assert!(late < early && early < 0.0, "{late} {early}");
    }

    #[test]
    fn trickle_is_slow_for_what_it_holds_and_fast_enough_for_a_small_body() {
        let began = Instant::now();
        let mut pace = Pace::new(began);
        pace.arrived(16 << 20, began);
        for step in 1..=10 {
            pace.arrived(2_000, after(began, step * 500));
        }
        let now = after(began, 5_100);
        assert!(pace.progress(16 << 20, now).unwrap() < 1.0);
        assert!(pace.progress(100 << 10, now).unwrap() >= 1.0);
    }

    #[test]
    fn fast_body_makes_progress() {
        let began = Instant::now();
        let mut pace = Pace::new(began);
        for step in 1..=30 {
            pace.arrived(50_000, after(began, step * 100));
        }
        assert!(pace.progress(1_500_000, after(began, 3_050)).unwrap() > 1.0);
    }
}
