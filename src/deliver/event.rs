//! Events from reads, writes and attempts for the engine's loop.

use crate::store::{AttemptRecord, DuePage, StoredTarget, TargetId, TargetSecrets};

/// The outcome of an attempt at a target's delivery.
#[derive(Debug)]
pub struct DeliveryOutcome {
    pub target: TargetId,
    pub record: AttemptRecord,
    /// The row of the delivery is damaged: the outcome is lost.
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
    /// A target that answered 410 is still active: it has moved, or the change could not be
    /// written.
    NotDisabled(TargetId),
    /// All targets, each with its sealed secrets; `None` if they could not be read.
    Targets(Option<Vec<(StoredTarget, Option<TargetSecrets>)>>),
}
