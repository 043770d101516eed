//! The rate at which a body arrives, compared with the rate required for the memory it holds.

use std::time::Duration;

use tokio::time::Instant;

/// Rates are measured over at least this time.
const WINDOW: Duration = Duration::from_secs(1);
/// Minimum rate of an arriving body.
const MIN_BYTES_PER_SECOND: f64 = 1_024.0;
/// At its current rate, a body must fill the memory that it holds within this time, the time limit
/// for a whole body.
const MAX_HELD_SECONDS: f64 = 60.0;

/// Time without any bytes after which a body is treated as stalled. Mobile clients pause for a few
/// seconds.
const STALL_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug)]
pub struct BodyPace {
    /// Start of the current window: the first arrival, or the end of the previous window.
    window_began: Instant,
    window_bytes: usize,
    /// Bytes and length of the previous window.
    earlier: Option<(usize, Duration)>,
    last_arrival: Instant,
}

impl BodyPace {
    pub fn new(now: Instant) -> Self {
        Self { window_began: now, window_bytes: 0, earlier: None, last_arrival: now }
    }

    pub fn arrived(&mut self, bytes: usize, now: Instant) {
        let age = now.saturating_duration_since(self.window_began);
        if !self.has_arrivals() {
            self.window_began = now;
        } else if age >= WINDOW {
            self.earlier = Some((self.window_bytes, age));
            self.window_began = now;
            self.window_bytes = 0;
        }
        self.window_bytes += bytes;
        self.last_arrival = now;
    }

    /// Returns the rate of the body as a fraction of the required rate. Below 1, the body is too
    /// slow; below 0, it is stalled. `None` until the rate has been measured for one window.
    pub fn progress(&self, held_bytes: usize, now: Instant) -> Option<f64> {
        let silent = now.saturating_duration_since(self.last_arrival);
        if silent >= STALL_TIMEOUT {
            return Some(-silent.as_secs_f64());
        }
        let (earlier_bytes, earlier_length) = self.earlier.unwrap_or_default();
        let measured = earlier_length + now.saturating_duration_since(self.window_began);
        if measured < WINDOW || !self.has_arrivals() {
            return None;
        }
        // Measures over two windows, up to now, so that chunks further apart than one window do not
        // distort the rate.
        let rate = (earlier_bytes + self.window_bytes) as f64 / measured.as_secs_f64();
        let needed = (held_bytes as f64 / MAX_HELD_SECONDS).max(MIN_BYTES_PER_SECOND);
        Some(rate / needed)
    }

    /// Returns [`Self::progress`], but 0 for a body of which no byte has arrived within one window,
    /// so that such a body counts as slower than any that is not stalled.
    pub fn progress_since_start(&self, held_bytes: usize, now: Instant) -> Option<f64> {
        let is_silent = !self.has_arrivals() && now.saturating_duration_since(self.window_began) >= WINDOW;
        self.progress(held_bytes, now).or(is_silent.then_some(0.0))
    }

    fn has_arrivals(&self) -> bool {
        self.window_bytes > 0 || self.earlier.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(began: Instant, milliseconds: u64) -> Instant {
        began + Duration::from_millis(milliseconds)
    }

    #[test]
    fn stalled_body_is_slow_after_any_amount_sent() {
        let began = Instant::now();
        let mut pace = BodyPace::new(began);
        pace.arrived(16 << 20, after(began, 500));
        assert_eq!(pace.progress(16 << 20, after(began, 1_400)), None);
        assert!(pace.progress(16 << 20, after(began, 5_400)).unwrap() >= 1.0);
        let early = pace.progress(16 << 20, after(began, 5_500)).unwrap();
        let late = pace.progress(16 << 20, after(began, 9_000)).unwrap();
        assert!(late < early && early < 0.0, "{late} {early}");
    }

    #[test]
    fn trickle_is_too_slow_only_for_large_body() {
        let began = Instant::now();
        let mut pace = BodyPace::new(began);
        pace.arrived(16 << 20, began);
        for step in 1..=10 {
            pace.arrived(2_000, after(began, step * 500));
        }
        let now = after(began, 5_100);
        assert!(pace.progress(16 << 20, now).unwrap() < 1.0);
        assert!(pace.progress(100 << 10, now).unwrap() >= 1.0);
    }

    #[test]
    fn pauses_between_chunks_leave_the_rate_unchanged() {
        let began = Instant::now();
        // The first chunk may arrive at any time within the interval.
        for first in [0, 700, 1_600, 2_500] {
            let mut pace = BodyPace::new(began);
            for at in (0..40_000).step_by(100) {
                if at >= first && (at - first) % 2_500 == 0 {
                    pace.arrived(3_500, after(began, at));
                }
                let progress = pace.progress(16 << 10, after(began, at + 99));
                assert!(progress.is_none_or(|progress| progress >= 1.0), "{first} {at} {progress:?}");
            }
        }
    }

    #[test]
    fn drip_is_slow_within_seconds_after_a_burst() {
        let began = Instant::now();
        let mut pace = BodyPace::new(began);
        pace.arrived(8 << 20, began);
        for second in 1..=3 {
            pace.arrived(1, after(began, second * 1_000));
        }
        assert!(pace.progress(8 << 20, after(began, 3_100)).unwrap() < 1.0);
    }

    #[test]
    fn body_without_arrivals_is_slowest_after_one_window() {
        let began = Instant::now();
        let pace = BodyPace::new(began);
        assert_eq!(pace.progress_since_start(1, after(began, 900)), None);
        assert_eq!(pace.progress_since_start(1, after(began, 1_100)), Some(0.0));
        assert_eq!(pace.progress(1, after(began, 1_100)), None);
        assert!(pace.progress_since_start(1, after(began, 6_000)).unwrap() < 0.0);
    }

    #[test]
    fn fast_body_makes_progress() {
        let began = Instant::now();
        let mut pace = BodyPace::new(began);
        for step in 1..=30 {
            pace.arrived(50_000, after(began, step * 100));
        }
        assert!(pace.progress(1_500_000, after(began, 3_050)).unwrap() > 1.0);
    }
}
