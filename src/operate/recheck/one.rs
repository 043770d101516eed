//! Re-verification and release of one rejection.

use std::time::Instant;

use super::super::operator::Operator;
use super::super::problem::{MissingObject, Problem};
use super::restored::{RestoredRequest, VERIFICATION_TIMEOUT, Verification, unverified};
use crate::providers::Cause;
use crate::store::{IngestError, NewMessage, Receipt, RejectionId};
use crate::verification::Proof;

/// The result of re-verifying a rejection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecheckOutcome {
    /// A verified request that became a message, or was counted as a duplicate of one.
    Message(Receipt),
    /// A verified request that cannot become a message without its body.
    WithoutBody,
    /// A verified handshake, which is answered and not stored.
    Handshake,
    /// Verification failed again; the rejection stays.
    Rejected(Cause),
}

impl Operator {
    /// Re-verifies a rejection, e.g. after a secret was corrected. A verified request immediately
    /// becomes a message with its original arrival time.
    ///
    /// # Errors
    /// If verification is impossible, temporarily or permanently.
    pub async fn recheck(&self, id: RejectionId) -> Result<RecheckOutcome, Problem> {
        let request = RestoredRequest::of(&self.sources, self.rejection(id).await?)?;
        if !request.has_body() && request.needs_body() {
            return Err(Problem::BodyNotKept);
        }
        Ok(match request.verify(Proof::NeedsBody).await? {
            Verification::Rejected(cause) => RecheckOutcome::Rejected(cause),
            Verification::Handshake => RecheckOutcome::Handshake,
            Verification::Message(_) if !request.has_body() => RecheckOutcome::WithoutBody,
            Verification::Message(message) => RecheckOutcome::Message(self.release_as(id, *message).await?),
        })
    }

    /// Releases a rejection as a message without verifying its sender. The message is marked
    /// `unverified`, and delivered like any other.
    ///
    /// # Errors
    /// If it cannot become a message.
    pub async fn release(&self, id: RejectionId) -> Result<Receipt, Problem> {
        let request = RestoredRequest::of(&self.sources, self.rejection(id).await?)?;
        if !request.has_body() {
            return Err(Problem::BodyNotKept);
        }
        match request.verify(Proof::Authenticated).await? {
            Verification::Message(message) => self.release_as(id, unverified(*message)).await,
            Verification::Handshake | Verification::Rejected(_) => Err(Problem::NoMessage),
        }
    }

    async fn release_as(&self, id: RejectionId, message: NewMessage) -> Result<Receipt, Problem> {
        let deadline = Instant::now() + VERIFICATION_TIMEOUT;
        self.store.ingest().release(id, message, deadline).await.map_err(|error| match error {
            IngestError::RejectionGone => MissingObject::Rejection(id).into(),
            error => error.into(),
        })
    }
}
