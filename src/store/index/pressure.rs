//! When the index waits: acknowledgements come first.

use std::sync::Arc;
use std::time::Duration;

use crate::store::files::Files;
use crate::store::shared::SharedState;

/// Number of jobs that wait for the writer from which the index pauses.
const BUSY_JOBS: usize = 8;
/// Length of the pause after a piece of work while the writer is busy, as a multiple of the time
/// that the work took: the index then uses at most a fiftieth of one processor.
const BUSY_PAUSE_FACTOR: u32 = 49;
const MAX_PAUSE: Duration = Duration::from_secs(1);

/// The load of the service, which the index must not add to.
pub struct Pressure {
    pub shared: Arc<SharedState>,
    pub files: Arc<Files>,
}

impl Pressure {
    /// Returns the pause after a piece of work that took `took`.
    pub fn pause_after(&self, took: Duration) -> Duration {
        if self.is_busy() { (took * BUSY_PAUSE_FACTOR).min(MAX_PAUSE) } else { Duration::ZERO }
    }

    pub fn is_busy(&self) -> bool {
        self.shared.queued() >= BUSY_JOBS
    }

    /// Whether the disk has too little space for the index to grow.
    pub fn is_disk_short(&self) -> bool {
        self.files.is_nearly_low()
    }

    /// Whether the index must give space back, before messages are rejected.
    pub fn must_shrink(&self) -> bool {
        self.files.is_low() || self.files.is_full()
    }
}
