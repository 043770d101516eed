//! Signal from the writer to the delivery engine that targets have new work.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Set of targets with new work, for the delivery engine. It holds only target ids, so that it
/// stays bounded.
#[derive(Debug, Default)]
pub struct DueSignal {
    targets: Mutex<BTreeSet<i64>>,
    notify: Notify,
}

impl DueSignal {
    pub fn add(&self, targets: impl IntoIterator<Item = i64>) {
        let mut waiting = self.targets.lock();
        let before = waiting.len();
        waiting.extend(targets);
        let is_news = waiting.len() > before;
        drop(waiting);
        if is_news {
            self.notify.notify_one();
        }
    }

    /// Resolves when there may be new work.
    pub async fn wait(&self) {
        self.notify.notified().await;
    }

    pub fn take(&self) -> BTreeSet<i64> {
        std::mem::take(&mut *self.targets.lock())
    }
}
