//! The outcome of the last checkpoint, for the writer.

use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, Default)]
pub struct CheckpointSignal {
    is_blocked: AtomicBool,
}

impl CheckpointSignal {
    /// Whether the last checkpoint left frames that it could not copy, e.g. because a reader still
    /// reads an older state of the database.
    pub fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::Acquire)
    }

    pub fn set_blocked(&self, is_blocked: bool) {
        self.is_blocked.store(is_blocked, Ordering::Release);
    }
}
