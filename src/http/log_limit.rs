//! Limits the log lines that unauthenticated clients can cause.

use std::fmt;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Lets one line through in each interval, and counts the others.
#[derive(Debug)]
pub struct LogLimit {
    interval: Duration,
    state: Mutex<LogLimitState>,
}

#[derive(Debug, Default)]
struct LogLimitState {
    last: Option<Instant>,
    omitted: u64,
}

/// Number of lines omitted since the last written one. Displayed as the end of a line; empty for
/// zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OmittedLines(u64);

impl LogLimit {
    pub fn new(interval: Duration) -> Self {
        Self { interval, state: Mutex::default() }
    }

    /// Returns `None` if the line must not be written.
    pub fn take(&self, now: Instant) -> Option<OmittedLines> {
        let mut state = self.state.lock();
        if state.last.is_some_and(|last| now.saturating_duration_since(last) < self.interval) {
            state.omitted += 1;
            return None;
        }
        state.last = Some(now);
        Some(OmittedLines(std::mem::take(&mut state.omitted)))
    }
}

impl fmt::Display for OmittedLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            omitted => write!(f, " ({omitted} more lines like this omitted)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_passes_in_each_interval() {
        let limit = LogLimit::new(Duration::from_secs(10));
        let start = Instant::now();
        let take = |seconds| limit.take(start + Duration::from_secs(seconds)).map(|quiet| quiet.to_string());
        assert_eq!(take(0).as_deref(), Some(""));
        assert_eq!(take(1), None);
        assert_eq!(take(9), None);
        assert_eq!(take(10).as_deref(), Some(" (2 more lines like this omitted)"));
        assert_eq!(take(25).as_deref(), Some(""));
    }
}
