//! How far the messages were looked at for the size limit.

use std::collections::BTreeSet;

/// With more of them everything is looked at again.
const MAX_PASSED: usize = 100_000;
/// No target yields, absent targets yield, all expendable targets yield.
pub const LEVELS: usize = 3;

/// How far the messages were looked at for the size limit, for each level of what yields.
#[derive(Debug, Default)]
pub struct SizeWalk {
    pub levels: [LevelWalk; LEVELS],
    /// Expendable targets, when the levels above the first were last begun.
    expendable: Vec<(i64, usize)>,
}

#[derive(Debug, Default)]
pub struct LevelWalk {
    /// Up to here all messages were gone or kept when they were looked at.
    pub walked: i64,
    /// Those up to there that may be free by now. A message stays here until its deletion has succeeded.
    pub passed: BTreeSet<i64>,
}

impl SizeWalk {
    pub fn walked(&self) -> i64 {
        self.levels.iter().map(|level| level.walked).max().unwrap_or(0)
    }

    /// A delivery of these messages has ended, or their confirmation is settled.
    pub fn pass(&mut self, messages: &[i64]) {
        for level in &mut self.levels {
            level.passed.extend(messages.iter().filter(|message| **message <= level.walked));
            if level.passed.len() > MAX_PASSED {
                *level = LevelWalk::default();
            }
        }
    }

    /// These messages are deleted, or something keeps them: then its end passes them again.
    pub fn forget(&mut self, level: usize, messages: &[i64]) {
        for message in messages {
            self.levels[level].passed.remove(message);
        }
    }

    /// What was kept by a target that has become expendable since must be looked at again.
    pub fn use_expendable(&mut self, expendable: Vec<(i64, usize)>) {
        if self.expendable != expendable {
            self.expendable = expendable;
            self.levels[1..].iter_mut().for_each(|level| *level = LevelWalk::default());
        }
    }
}
