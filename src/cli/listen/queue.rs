//! Deliveries from the service that are not acknowledged yet, in order and without duplicates. The
//! queue is used on one thread only.

use std::cell::RefCell;
use std::collections::{HashSet, VecDeque};

use tokio::sync::Notify;

use crate::api::types::listener::{ListenerDelivery, ProgramAnswer};
use crate::store::DeliveryId;

/// Above the service's limit of 64 unacknowledged deliveries, which are sent again after a lost
/// connection.
const MAX_PENDING: usize = 256;
/// Number of acknowledged deliveries to remember: the service may have sent one again before it
/// received the acknowledgement.
const MAX_REMEMBERED: usize = 4_096;
/// Limit per acknowledgement; each entry includes the start of the answer.
const MAX_ACKNOWLEDGEMENTS: usize = 100;

#[derive(Debug, Default)]
pub struct Queue {
    state: RefCell<State>,
    arrived: Notify,
    answered: Notify,
    room: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<ListenerDelivery>,
    /// Answered by the program, but not acknowledged yet.
    answered: VecDeque<ProgramAnswer>,
    /// Acknowledged, newest last.
    settled: VecDeque<DeliveryId>,
    /// Ids of all deliveries above, and of the one that is being forwarded.
    known: HashSet<DeliveryId>,
    /// Number of earlier services: the ids of each service start at 1.
    service: usize,
}

impl Queue {
    /// Prepares the state for a new connection. Acknowledged deliveries are forgotten, because the
    /// service does not send them again. If the service has just created the listener, any earlier
    /// state belongs to a removed listener or to another service, e.g. to the one before the
    /// database was replaced. The earlier ids are not valid here, so all state is dropped.
    pub fn connected(&self, is_new: bool) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        for delivery in state.settled.drain(..) {
            state.known.remove(&delivery);
        }
        if is_new {
            *state = State { service: state.service + 1, ..State::default() };
        }
    }

    /// Adds a delivery unless it is a duplicate; waits while the queue is full.
    pub async fn add(&self, delivered: ListenerDelivery) {
        while self.state.borrow().waiting.len() >= MAX_PENDING {
            self.room.notified().await;
        }
        let mut state = self.state.borrow_mut();
        if state.known.insert(delivered.delivery) {
            state.waiting.push_back(delivered);
            self.arrived.notify_one();
        }
    }

    /// Returns the oldest delivery, and the number of its service.
    pub async fn take(&self) -> (ListenerDelivery, usize) {
        loop {
            if let Some(taken) = self.try_take() {
                self.room.notify_one();
                return taken;
            }
            self.arrived.notified().await;
        }
    }

    fn try_take(&self) -> Option<(ListenerDelivery, usize)> {
        let mut state = self.state.borrow_mut();
        state.waiting.pop_front().map(|delivered| (delivered, state.service))
    }

    /// Records the program's answer to a delivery, unless the service has changed since the
    /// delivery was taken.
    pub fn answered(&self, answered: ProgramAnswer, service: usize) {
        let mut state = self.state.borrow_mut();
        if state.service == service {
            state.answered.push_back(answered);
            self.answered.notify_one();
        }
    }

    /// Returns the deliveries to acknowledge; waits until at least one is ready.
    pub async fn next_unacknowledged_answers(&self) -> Vec<ProgramAnswer> {
        loop {
            let answered = self.unacknowledged_answers();
            if !answered.is_empty() {
                return answered;
            }
            self.answered.notified().await;
        }
    }

    pub fn unacknowledged_answers(&self) -> Vec<ProgramAnswer> {
        self.state.borrow().answered.iter().take(MAX_ACKNOWLEDGEMENTS).cloned().collect()
    }

    /// Removes deliveries whose acknowledgement the service has stored.
    pub fn acknowledged(&self, deliveries: &[DeliveryId]) {
        let mut state = self.state.borrow_mut();
        let state = &mut *state;
        state.answered.retain(|answered| !deliveries.contains(&answered.delivery));
        state.settled.extend(deliveries);
        while state.settled.len() > MAX_REMEMBERED {
            if let Some(oldest) = state.settled.pop_front() {
                state.known.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::send::block_on;

    fn delivered(delivery: i64) -> ListenerDelivery {
        let text = format!(
            r#"{{"delivery":{delivery},"body_base64":"","message":{{"id":1,"received_at":"t","source":"s","event":"s.e",
                "method":"POST","remote_ip":"192.0.2.7","body_bytes":0,"not_json":false,"body_unsigned":false,
                "unverified":false,"duplicates":0,"headers":{{}}}}}}"#
        );
        serde_json::from_str(&text).expect("a delivery")
    }

    fn answered(delivery: i64) -> ProgramAnswer {
        ProgramAnswer { delivery: delivery.into(), status: 200, took_ms: 1, excerpt: None }
    }

    fn ids(answered: &[ProgramAnswer]) -> Vec<DeliveryId> {
        answered.iter().map(|one| one.delivery).collect()
    }

    #[test]
    fn duplicate_delivery_is_not_forwarded() {
        let queue = Queue::default();
        block_on(async {
            for delivery in [1, 2, 1] {
                queue.add(delivered(delivery)).await;
            }
            assert_eq!(queue.take().await.0.delivery, 1);
            queue.add(delivered(1)).await;
            queue.answered(answered(1), 0);
            queue.add(delivered(1)).await;
            assert_eq!(ids(&queue.next_unacknowledged_answers().await), [1]);
            queue.acknowledged(&[1.into()]);
            queue.add(delivered(1)).await;
            queue.add(delivered(3)).await;
            assert_eq!([queue.take().await.0.delivery, queue.take().await.0.delivery], [2, 3]);
            assert!(queue.unacknowledged_answers().is_empty());
        })
        .expect("a runtime");
    }

    #[test]
    fn queue_is_reset_for_new_service_with_same_ids() {
        let queue = Queue::default();
        block_on(async {
            queue.connected(false);
            for delivery in [1, 2, 3] {
                queue.add(delivered(delivery)).await;
            }
            let (first, service) = queue.take().await;
            queue.answered(answered(first.delivery.get()), service);
            let (second, service) = queue.take().await;
            queue.connected(false);
            queue.add(delivered(1)).await;
            queue.add(delivered(2)).await;
            assert_eq!(queue.take().await.0.delivery, 3, "only the connection was lost");
            queue.connected(true);
            queue.answered(answered(second.delivery.get()), service);
            assert!(queue.unacknowledged_answers().is_empty(), "the answers are about other messages");
            queue.add(delivered(1)).await;
            assert_eq!(queue.take().await.0.delivery, 1);
        })
        .expect("a runtime");
    }

    #[test]
    fn pending_and_settled_deliveries_are_bounded() {
        let queue = Queue::default();
        block_on(async {
            for delivery in 0..2 * MAX_REMEMBERED as i64 {
                queue.add(delivered(delivery)).await;
                queue.take().await;
                queue.answered(answered(delivery), 0);
                queue.acknowledged(&ids(&queue.unacknowledged_answers()));
            }
            assert_eq!(queue.state.borrow().known.len(), MAX_REMEMBERED);
            for delivery in 0..MAX_PENDING as i64 {
                queue.add(delivered(-1 - delivery)).await;
            }
            let more = queue.add(delivered(-9_999));
            let late = tokio::time::timeout(std::time::Duration::from_millis(20), more).await;
            assert!(late.is_err(), "the queue is full");
        })
        .expect("a runtime");
    }
}
