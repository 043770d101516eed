//! Counts the bytes of the messages that lanes and attempts hold. Targets share the copies of
//! messages, so each counts once.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::store::{DuePage, MessageId, StoredMessage};

/// Interval between exact counts of the bytes in memory, as long as they stay below `exact_from`.
const COUNT_INTERVAL: Duration = Duration::from_millis(100);

pub struct Bodies {
    all: HashMap<MessageId, Weak<StoredMessage>>,
    /// The last count, plus the bytes loaded since.
    bytes: usize,
    counted_at: Instant,
    /// Number of bytes from which the count must be exact.
    exact_from: usize,
}

impl Bodies {
    pub fn new(exact_from: usize) -> Self {
        Self { all: HashMap::new(), bytes: 0, counted_at: Instant::now(), exact_from }
    }

    /// Adds the messages of a page. Those of several lanes count once.
    pub fn add(&mut self, page: &DuePage) {
        for delivery in &page.deliveries {
            let id = delivery.message.head.id;
            if self.all.get(&id).is_none_or(|known| known.strong_count() == 0) {
                self.bytes += size(&delivery.message);
                self.all.insert(id, Arc::downgrade(&delivery.message));
            }
        }
    }

    pub fn bytes(&mut self) -> usize {
        // From `exact_from` on, decisions depend on the number, so it must be exact.
        if self.bytes >= self.exact_from || self.counted_at.elapsed() >= COUNT_INTERVAL {
            let mut bytes = 0;
            self.all.retain(|_, message| {
                message.upgrade().is_some_and(|message| {
                    bytes += size(&message);
                    true
                })
            });
            (self.bytes, self.counted_at) = (bytes, Instant::now());
        }
        self.bytes
    }
}

fn size(message: &StoredMessage) -> usize {
    message.body.len() + message.decoded.as_ref().map_or(0, String::len) + message.head.headers.len()
}
