//! Counts the bytes of the messages that lanes and attempts hold.

use std::time::{Duration, Instant};

use crate::store::{DeliveryQueue, DuePage};

/// Interval between exact counts of the bytes in memory, as long as they stay below `exact_from`.
const COUNT_INTERVAL: Duration = Duration::from_millis(100);

pub struct Bodies {
    store: DeliveryQueue,
    /// The last exact count, plus the bytes of the pages since, whose messages may have been
    /// counted already.
    bytes: usize,
    counted_at: Instant,
    /// Number of bytes from which the count must be exact.
    exact_from: usize,
}

impl Bodies {
    pub fn new(store: DeliveryQueue, exact_from: usize) -> Self {
        Self { store, bytes: 0, counted_at: Instant::now(), exact_from }
    }

    pub fn add(&mut self, page: &DuePage) {
        self.bytes += page.deliveries.iter().map(|delivery| delivery.message.bytes()).sum::<usize>();
    }

    pub fn bytes(&mut self) -> usize {
        // From `exact_from` on, decisions depend on the number, so it must be exact.
        if self.bytes >= self.exact_from || self.counted_at.elapsed() >= COUNT_INTERVAL {
            (self.bytes, self.counted_at) = (self.store.loaded_bytes(), Instant::now());
        }
        self.bytes
    }
}
