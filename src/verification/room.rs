//! Memory for decoded bodies. The service that owns the budget implements both traits.

use std::fmt;

use crate::providers::DecodeBudget;

/// Memory reserved for one decoded body; dropping it frees the memory.
pub trait DecodingReservation: fmt::Debug + Send {
    /// Reserves `bytes` in total; `false` if the budget has no room for them now.
    fn grow_to(&mut self, bytes: usize) -> bool;
}

/// The budget that decoded bodies count against.
pub trait DecodingBudget: fmt::Debug + Send + Sync {
    fn room(&self) -> DecodingRoom;
}

/// Memory limit for one decoded body.
#[derive(Debug)]
pub struct DecodingRoom {
    pub max_bytes: usize,
    /// `None` if the body does not count against a budget.
    pub reservation: Option<Box<dyn DecodingReservation>>,
}

impl DecodeBudget for DecodingRoom {
    fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    fn grow_to(&mut self, bytes: usize) -> bool {
        self.reservation.as_mut().is_none_or(|reservation| reservation.grow_to(bytes))
    }
}
