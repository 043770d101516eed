//! The signal that targets have new work, from the writer to the engine.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

/// Which targets have new work, for the one who delivers. Targets are only remembered, so that nothing can pile up.
#[derive(Debug, Default)]
pub struct DueSignal {
    targets: Mutex<BTreeSet<i64>>,
    notify: Notify,
}

impl DueSignal {
    pub fn add(&self, targets: impl IntoIterator<Item = i64>) {
        let mut waiting = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        let before = waiting.len();
        waiting.extend(targets);
        let is_news = waiting.len() > before;
        drop(waiting);
        if is_news {
            self.notify.notify_one();
        }
    }

    /// Resolves when there is something to take; there may turn out to be nothing.
    pub async fn wait(&self) {
        self.notify.notified().await;
    }

    pub fn take(&self) -> BTreeSet<i64> {
        std::mem::take(&mut *self.targets.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
