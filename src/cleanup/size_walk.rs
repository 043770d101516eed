//! Progress of the scan for the size limit.

use crate::store::{MessageId, TargetId};
use std::collections::BTreeSet;

/// Limit on passed messages of a level, above which its scan restarts.
const MAX_PASSED: usize = 100_000;
/// Number of levels. At level 0, no targets yield; at level 1, absent targets yield; at level 2,
/// all expendable targets yield.
pub const LEVELS: usize = 3;

/// Progress of the scan for the size limit, for each level of yielding targets.
#[derive(Debug, Default)]
pub struct SizeWalk {
    pub levels: [LevelWalk; LEVELS],
    /// The inactive targets and their levels, when the scans of the levels above 0 last restarted.
    expendable: Vec<(TargetId, usize)>,
}

#[derive(Debug, Default)]
pub struct LevelWalk {
    /// The newest scanned message. All messages up to here were deleted, were retained, or are in
    /// `passed`.
    pub walked: MessageId,
    /// Messages up to `walked` that may be deletable now. A message stays here until its deletion
    /// has succeeded.
    pub passed: BTreeSet<MessageId>,
}

impl SizeWalk {
    pub fn walked(&self) -> MessageId {
        self.levels.iter().map(|level| level.walked).max().unwrap_or_default()
    }

    /// Adds scanned messages after their delivery ended or their confirmation was settled.
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

    /// Restarts the levels above 0 if targets have changed their level, because the messages of
    /// newly expendable targets were skipped.
    pub fn use_expendable(&mut self, expendable: Vec<(TargetId, usize)>) {
        if self.expendable != expendable {
            self.expendable = expendable;
            self.levels[1..].iter_mut().for_each(|level| *level = LevelWalk::default());
        }
    }
}
