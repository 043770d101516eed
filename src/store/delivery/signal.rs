//! Signal from the writer to the delivery engine that targets have new work.

use crate::store::id::TargetId;
use std::collections::BTreeSet;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Set of targets with new work, for the delivery engine. It has only target ids, so its size is
/// limited by the number of targets.
#[derive(Debug, Default)]
pub struct DueSignal {
    targets: Mutex<BTreeSet<TargetId>>,
    notify: Notify,
}

impl DueSignal {
    pub fn add(&self, targets: impl IntoIterator<Item = TargetId>) {
        let mut waiting = self.targets.lock();
        let before = waiting.len();
        waiting.extend(targets);
        let has_new = waiting.len() > before;
        drop(waiting);
        if has_new {
            self.notify.notify_one();
        }
    }

    /// Resolves when there may be new work.
    pub async fn wait(&self) {
        self.notify.notified().await;
    }

    pub fn take(&self) -> BTreeSet<TargetId> {
        std::mem::take(&mut *self.targets.lock())
    }
}
