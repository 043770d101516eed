//! The open streams. Limits their number, tracks the current stream of each listener, and ends them
//! when the service stops: a stream never ends by itself.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use crate::store::{DeliveryId, TargetId};

/// Limit on open streams. Lower than the connection limit of an operator-only address.
pub const MAX_STREAMS: usize = 48;

#[derive(Debug)]
pub struct Streams {
    places: Arc<Semaphore>,
    is_ending: watch::Sender<bool>,
    /// The open stream of each listener, by its target.
    connected: Mutex<HashMap<TargetId, Arc<ListenerConnection>>>,
}

/// The stream that a listener is connected to.
#[derive(Debug, Default)]
pub struct ListenerConnection {
    state: Mutex<StreamState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct StreamState {
    /// Deliveries that were sent and are not acknowledged yet.
    in_flight: BTreeSet<DeliveryId>,
    over: Option<StreamEnd>,
}

/// Reason for ending a stream before its client disconnects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// The same listener has connected again.
    Replaced,
    /// The listener was deleted.
    Removed,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(MAX_STREAMS)),
            is_ending: watch::Sender::new(false),
            connected: Mutex::default(),
        }
    }
}

impl Streams {
    /// Reserves a place for one more stream; `None` if the limit is reached.
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// Ends all streams, and makes new ones end immediately.
    pub fn end(&self) {
        self.is_ending.send_replace(true);
    }

    pub fn is_ending(&self) -> bool {
        *self.is_ending.borrow()
    }

    pub fn ending(&self) -> watch::Receiver<bool> {
        self.is_ending.subscribe()
    }

    /// Registers a new stream of the listener; an earlier one ends.
    pub fn connect(&self, target: TargetId) -> Arc<ListenerConnection> {
        let new = Arc::new(ListenerConnection::default());
        if let Some(old) = self.connected.lock().insert(target, new.clone()) {
            old.end(StreamEnd::Replaced);
        }
        new
    }

    /// Removes the stream of the listener, unless a newer stream has replaced it.
    pub fn disconnect(&self, target: TargetId, stream: &Arc<ListenerConnection>) {
        let mut connected = self.connected.lock();
        if connected.get(&target).is_some_and(|current| Arc::ptr_eq(current, stream)) {
            connected.remove(&target);
        }
    }

    pub fn is_connected(&self, target: TargetId) -> bool {
        self.connected.lock().contains_key(&target)
    }

    pub fn acknowledged(&self, target: TargetId, deliveries: &[DeliveryId]) {
        let connected = self.connected.lock().get(&target).cloned();
        if let Some(connected) = connected {
            let mut state = connected.state.lock();
            state.in_flight.retain(|delivery| !deliveries.contains(delivery));
            drop(state);
            connected.changed.notify_one();
        }
    }

    pub fn remove(&self, target: TargetId) {
        if let Some(removed) = self.connected.lock().remove(&target) {
            removed.end(StreamEnd::Removed);
        }
    }
}

impl ListenerConnection {
    pub fn over(&self) -> Option<StreamEnd> {
        self.state.lock().over
    }

    pub fn in_flight(&self) -> Vec<DeliveryId> {
        self.state.lock().in_flight.iter().copied().collect()
    }

    pub fn sent(&self, delivery: DeliveryId) {
        self.state.lock().in_flight.insert(delivery);
    }

    /// Resolves after an acknowledgement, or at the end of the stream. For a single waiter.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    fn end(&self, over: StreamEnd) {
        self.state.lock().over = Some(over);
        self.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reconnect_takes_over_despite_end_of_old_stream() {
        let streams = Streams::default();
        let (target, others) = (TargetId::from(1), TargetId::from(2));
        let old = streams.connect(target);
        let other = streams.connect(others);
        let new = streams.connect(target);
        assert_eq!((old.over(), new.over(), other.over()), (Some(StreamEnd::Replaced), None, None));
        streams.disconnect(target, &old);
        assert!(streams.is_connected(target));
        streams.disconnect(target, &new);
        assert!(!streams.is_connected(target) && streams.is_connected(others));
    }

    #[test]
    fn acknowledged_delivery_is_no_longer_in_flight() {
        let streams = Streams::default();
        let target = TargetId::from(1);
        let stream = streams.connect(target);
        [5, 6, 7].into_iter().for_each(|delivery| stream.sent(DeliveryId::from(delivery)));
        streams.acknowledged(target, &[6, 99].map(DeliveryId::from));
        streams.acknowledged(TargetId::from(2), &[DeliveryId::from(5)]);
        assert_eq!(stream.in_flight(), [5, 7]);
        streams.remove(target);
        assert_eq!(stream.over(), Some(StreamEnd::Removed));
    }

    #[test]
    fn stream_places_are_limited_and_released() {
        let streams = Streams::default();
        let places: Vec<_> = (0..MAX_STREAMS).map_while(|_| streams.place()).collect();
        assert_eq!(places.len(), MAX_STREAMS);
        assert!(streams.place().is_none());
        drop(places);
        assert!(streams.place().is_some());
    }
}
