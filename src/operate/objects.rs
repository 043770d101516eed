//! Stored objects by id or name; a missing one is a problem.

use super::operator::Operator;
use super::problem::{MissingObject, Problem};
use crate::store::{
    DeliveryId, MessageId, RejectionId, ReplayId, StoredDelivery, StoredMessage, StoredRejection,
    StoredReplay, StoredTarget, TargetId,
};

impl Operator {
    /// # Errors
    /// If the message does not exist or cannot be read.
    pub async fn message(&self, id: MessageId) -> Result<StoredMessage, Problem> {
        self.store.reads().message(id).await?.ok_or_else(|| Problem::no_message(id))
    }

    /// # Errors
    /// If the delivery does not exist or cannot be read.
    pub async fn delivery(&self, id: DeliveryId) -> Result<StoredDelivery, Problem> {
        Ok(self.store.reads().delivery(id).await?.ok_or(MissingObject::Delivery(id))?)
    }

    /// # Errors
    /// If the replay does not exist or cannot be read.
    pub async fn replay(&self, id: ReplayId) -> Result<StoredReplay, Problem> {
        Ok(self.store.reads().replay(id).await?.ok_or(MissingObject::Replay(id))?)
    }

    /// # Errors
    /// If the rejection does not exist or cannot be read.
    pub async fn rejection(&self, id: RejectionId) -> Result<StoredRejection, Problem> {
        Ok(self.store.reads().rejection(id).await?.ok_or(MissingObject::Rejection(id))?)
    }

    /// Returns a target in any state.
    ///
    /// # Errors
    /// If the target does not exist or cannot be read.
    pub async fn target(&self, id: TargetId) -> Result<StoredTarget, Problem> {
        self.store.reads().target(id).await?.ok_or_else(|| Problem::no_target(id))
    }

    /// Finds a target by id or name.
    ///
    /// # Errors
    /// If the target does not exist or cannot be read.
    pub async fn target_named(&self, text: &str) -> Result<StoredTarget, Problem> {
        let by_id = match text.parse::<TargetId>() {
            Ok(id) => self.store.reads().target(id).await?,
            Err(_) => None,
        };
        let found = match by_id {
            Some(target) => Some(target),
            None => self.store.reads().target_named(text).await?,
        };
        found.ok_or_else(|| Problem::no_target(text))
    }

    /// Returns the target of a listener.
    ///
    /// # Errors
    /// If the listener does not exist or cannot be read.
    pub async fn listener(&self, name: &str) -> Result<StoredTarget, Problem> {
        let found = self.store.reads().listener_named(name).await?;
        Ok(found.ok_or_else(|| MissingObject::Listener(name.to_owned()))?)
    }
}
