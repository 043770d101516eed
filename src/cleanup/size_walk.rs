//! Progress of the scan for the size limit.

use crate::store::{MessageId, TargetId};
use std::collections::BTreeSet;

/// Number of passed messages above which the scan restarts.
const MAX_PASSED: usize = 100_000;
/// No target yields, absent targets yield, all expendable targets yield.
pub const LEVELS: usize = 3;

/// Progress of the scan for the size limit, for each level of yielding targets.
#[derive(Debug, Default)]
pub struct SizeWalk {
    pub levels: [LevelWalk; LEVELS],
    /// Expendable targets at the last start of the levels above the first.
    expendable: Vec<(TargetId, usize)>,
}

#[derive(Debug, Default)]
pub struct LevelWalk {
    /// All messages up to here were deleted or retained when they were scanned.
    pub walked: MessageId,
    /// Messages up to `walked` that may be deletable now. A message stays here until its deletion
    /// has succeeded.
    pub passed: BTreeSet<MessageId>,
}

impl SizeWalk {
    pub fn walked(&self) -> MessageId {
        self.levels.iter().map(|level| level.walked).max().unwrap_or_default()
    }

    /// Adds messages whose delivery ended or whose confirmation is settled.
    pub fn pass(&mut self, messages: &[MessageId]) {
        for level in &mut self.levels {
            level.passed.extend(messages.iter().filter(|message| **message <= level.walked));
            if level.passed.len() > MAX_PASSED {
                *level = LevelWalk::default();
            }
        }
    }

    /// Removes messages that are deleted or still retained: `pass` adds the latter again.
    pub fn forget(&mut self, level: usize, messages: &[MessageId]) {
        for message in messages {
            self.levels[level].passed.remove(message);
        }
    }

    /// Restarts the levels if other targets have become expendable, because their messages were
    /// skipped.
    pub fn use_expendable(&mut self, expendable: Vec<(TargetId, usize)>) {
        if self.expendable != expendable {
            self.expendable = expendable;
            self.levels[1..].iter_mut().for_each(|level| *level = LevelWalk::default());
        }
    }
}
