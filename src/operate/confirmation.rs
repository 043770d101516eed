//! Confirmation of a message by its provider's API.

use super::operator::Operator;
use super::problem::Problem;
use crate::store::{ConfirmationState, MessageId, StoredConfirmation};

impl Operator {
    /// Schedules another query of the provider's API about a rejected message, with the stored
    /// values.
    ///
    /// # Errors
    /// `ConfirmationNotRefused`, `ConfirmationNotNeeded` or `ConfirmQueryNotStored`, or the store
    /// accepts no writes.
    pub async fn confirm_again(&self, id: MessageId) -> Result<StoredConfirmation, Problem> {
        let head = self.message(id).await?.head;
        let is_requeued = self.store.delivery_queue().requeue_refused(id, self.now()).await?;
        let confirmation = self.store.reads().confirmation(id).await?;
        if let (Some(confirmation), true) = (confirmation, is_requeued) {
            return Ok(confirmation);
        }
        Err(match head.confirmation {
            Some(state) if state == ConfirmationState::Refused.name() => Problem::ConfirmQueryNotStored(id),
            Some(state) => Problem::ConfirmationNotRefused { message: id, state },
            None => Problem::ConfirmationNotNeeded(id),
        })
    }
}
