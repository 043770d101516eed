//! What the clean-up does to the tables, in steps that are short enough to stand between two batches of messages.
//!
//! What is to go is looked for on a reader, a bounded page at a time. What may go is decided once more by the writer, in
//! the transaction that deletes it: a replay that was asked for in between keeps its message.

mod deliveries;
mod keys;
mod messages;
mod replays;
mod space;
mod targets;

use std::time::Duration;

pub use deliveries::{
    Burial, Finished, FinishedPage, bury, delete_dead, delete_finished, finished, messages_finished, waiting,
};
pub use keys::{forget_keys, merge_keys};
pub use messages::{
    AnyAge, Candidate, Keeping, Page, Refused, Selection, Sources, candidates, delete, oldest, refused,
    select,
};
pub use replays::delete_replays;
pub use space::{is_anything_pending, used_and_free_bytes, vacuum};
pub use targets::{InactiveTarget, delete_removed, in_use, inactive, retire_listeners, retire_replay_target};

/// A step stops after this: what is left is the next step's.
const STEP_TIME: Duration = Duration::from_millis(2);
const LOOKED_AT_A_PAGE: usize = 1_000;

/// What one step has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// So many of those that were asked for are done with.
    pub taken: usize,
    /// So many rows of what it was about were changed or deleted.
    pub changed: usize,
}

/// A place in the order of time: when something was received or finished, and its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    pub at: String,
    pub id: i64,
}

impl Position {
    /// Before everything that has this time.
    pub fn before(at: String) -> Self {
        Self { at, id: i64::MIN }
    }
}
