//! Reads the pages of due deliveries that lanes request.

use std::time::Duration;

use tokio::sync::mpsc;

use super::event::EngineEvent;
use crate::store::{DeliveryQueue, DueQuery};

/// Limit on the pages of one read: pages of several targets share the messages that they have in
/// common, but the last page waits for the others.
const PAGES_PER_READ: usize = 4;
/// Pause before a failed read is retried.
pub const READ_PAUSE: Duration = Duration::from_millis(500);

/// Reads the pages concurrently with the engine's loop, and sends them to it.
pub fn load(store: &DeliveryQueue, mut queries: Vec<DueQuery>, events: &mpsc::UnboundedSender<EngineEvent>) {
    while !queries.is_empty() {
        let some = queries.split_off(queries.len().saturating_sub(PAGES_PER_READ));
        tokio::spawn(load_some(store.clone(), some, events.clone()));
    }
}

async fn load_some(store: DeliveryQueue, queries: Vec<DueQuery>, events: mpsc::UnboundedSender<EngineEvent>) {
    let sender = events.clone();
    let send = move |target, page| {
        let _ = sender.send(EngineEvent::Loaded(target, Some(page)));
    };
    let unread = store.due_pages(queries, send).await;
    if !unread.is_empty() {
        tokio::time::sleep(READ_PAUSE).await;
    }
    for target in unread {
        let _ = events.send(EngineEvent::Loaded(target, None));
    }
}
