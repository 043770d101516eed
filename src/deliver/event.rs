//! What reads, writes and attempts report to the engine's loop.

use super::recorder::Done;
use crate::store::{DuePage, Target, TargetSecrets};

/// The end of something that ran next to the loop.
#[derive(Debug)]
pub enum Event {
    /// A page of what is due for a target; `None` if it could not be read.
    Loaded(i64, Option<DuePage>),
    Recorded(Vec<Done>),
    /// Deliveries of a target have been ended without an attempt, or could not be.
    Buried(i64),
    /// A target that answered 410 is still active: it has moved, or the change could not be written.
    NotDisabled(i64),
    /// All targets, each with what is sealed of it; `None` if they could not be read.
    Targets(Option<Vec<(Target, Option<TargetSecrets>)>>),
}
