//! The messages that deliveries hold in memory. Targets of the same message share one copy, so it
//! is read from the database once. Its head can be older than the row: the counts of duplicates may
//! have changed.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::store::id::MessageId;
use crate::store::message::read::StoredMessage;

/// Minimum number of entries before those of dropped messages are removed.
const MIN_ENTRIES_TO_PURGE: usize = 1_024;

#[derive(Debug, Default)]
pub struct LoadedMessages(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    all: HashMap<MessageId, Weak<StoredMessage>>,
    /// Number of entries after the last removal of dropped messages.
    purged: usize,
}

impl LoadedMessages {
    pub fn get(&self, id: MessageId) -> Option<Arc<StoredMessage>> {
        self.0.lock().all.get(&id).and_then(Weak::upgrade)
    }

    /// Returns the bytes of the messages in memory. Each counts once.
    pub fn bytes(&self) -> usize {
        let mut entries = self.0.lock();
        let mut bytes = 0;
        entries.all.retain(|_, message| {
            message.upgrade().is_some_and(|message| {
                bytes += message.bytes();
                true
            })
        });
        entries.purged = entries.all.len();
        bytes
    }

    /// Adds a message; returns the copy that another thread added after `get`, if there is one.
    pub fn add(&self, message: StoredMessage) -> Arc<StoredMessage> {
        let id = message.head.id;
        let mut entries = self.0.lock();
        if let Some(other) = entries.all.get(&id).and_then(Weak::upgrade) {
            return other;
        }
        if entries.all.len() >= MIN_ENTRIES_TO_PURGE.max(2 * entries.purged) {
            entries.all.retain(|_, message| message.strong_count() > 0);
            entries.purged = entries.all.len();
        }
        let message = Arc::new(message);
        entries.all.insert(id, Arc::downgrade(&message));
        message
    }
}
