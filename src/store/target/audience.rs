//! Current subscriptions for matching messages, replaced after each commit that changes them.

use std::sync::Arc;

use parking_lot::RwLock;
use tokio::sync::watch;

use crate::store::target::subscription::Subscriptions;

pub struct Audience {
    current: RwLock<Arc<Subscriptions>>,
    changes: watch::Sender<u64>,
}

impl Audience {
    pub fn new() -> Self {
        Self { current: RwLock::default(), changes: watch::Sender::new(0) }
    }

    pub fn current(&self) -> Arc<Subscriptions> {
        self.current.read().clone()
    }

    /// Called in commit order, only by the writer's thread.
    pub fn replace(&self, subscriptions: Arc<Subscriptions>) {
        *self.current.write() = subscriptions;
        self.changes.send_modify(|number| *number += 1);
    }

    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
