//! Charges decoded bodies to the memory budget for request bodies.

use std::sync::Arc;

use crate::http::budget::{Budget, Reservation};
use crate::http::network::Network;
use crate::verification::{DecodingBudget, DecodingReservation, DecodingRoom};

/// The address to which the body budget charges all decoded bodies. No real client has it.
const DECODED: Network = Network::V4([0; 4]);

/// The part of the body budget that decoded bodies may use. They are charged to one pseudo client,
/// so that a body is not counted twice against its sender.
#[derive(Debug)]
pub struct DecodedBodies {
    budget: Arc<Budget>,
    max_bytes: usize,
}

impl DecodedBodies {
    pub fn new(budget: Arc<Budget>, max_body_bytes: usize) -> Self {
        Self { max_bytes: max_body_bytes.min(budget.max_decoded_bytes()), budget }
    }
}

impl DecodingBudget for DecodedBodies {
    fn room(&self) -> DecodingRoom {
        DecodingRoom {
            max_bytes: self.max_bytes,
            reservation: Some(Box::new(self.budget.reservation(DECODED))),
        }
    }
}

impl DecodingReservation for Reservation {
    fn grow_to(&mut self, bytes: usize) -> bool {
        Self::grow_to(self, bytes).is_ok()
    }
}
