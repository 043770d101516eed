//! Events from reads, writes and attempts for the engine's loop.

use crate::store::{AttemptRecord, DuePage, StoredTarget, TargetId, TargetSecrets};

/// The outcome of an attempt at a target's delivery.
#[derive(Debug)]
pub struct DeliveryOutcome {
    pub target: TargetId,
    pub record: AttemptRecord,
    /// The row of the delivery is damaged, so the outcome could not be stored.
    pub is_damaged: bool,
}

/// Completion of an operation that ran concurrently with the loop.
#[derive(Debug)]
pub enum EngineEvent {
    /// A page of due deliveries for a target; `None` if it could not be read.
    Loaded(TargetId, Option<DuePage>),
    Recorded(Vec<DeliveryOutcome>),
    /// Deliveries of a target were ended without an attempt, or ending them failed.
    Discarded(TargetId),
    /// A target that answered 410 is still active: its URL has changed meanwhile, or the change of
    /// its state could not be written.
    NotDisabled(TargetId),
    /// All targets with their secrets (`None` if the secrets cannot be decrypted); `None` if the
    /// targets could not be read.
    Targets(Option<Vec<(StoredTarget, Option<TargetSecrets>)>>),
}
