//! The monotonic clock of deliveries: a function that tests replace.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Monotonic clock with an arbitrary start, which never jumps.
pub type Uptime = fn() -> Duration;

/// Time since the first call.
pub fn monotonic() -> Duration {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}
