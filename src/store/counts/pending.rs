//! The counts that are not in the tables yet, shared by the writer, the receivers of rejections,
//! and readers.

use std::sync::Arc;

use parking_lot::Mutex;
use time::OffsetDateTime;

use crate::store::counts::period::CountMinute;
use crate::store::counts::tally::Tally;

/// Counts in memory.
#[derive(Debug, Default)]
pub struct PendingCounts {
    state: Mutex<PendingState>,
}

#[derive(Debug, Default)]
struct PendingState {
    tally: Tally,
    /// Counts of the current flush, or of a failed one, which is repeated.
    in_flush: Option<Arc<Tally>>,
    /// Number of finished flushes, as in the table `count_progress`.
    flushes: u64,
}

/// The counts in memory after a number of flushes. Together with the tables after the same number
/// of flushes, these are all counts.
#[derive(Clone, Debug, Default)]
pub struct PendingSnapshot {
    pub tally: Tally,
    pub in_flush: Option<Arc<Tally>>,
    pub flushes: u64,
}

impl PendingCounts {
    /// Sets the number of earlier flushes after the start.
    pub fn resume(&self, flushes: u64) {
        self.state.lock().flushes = flushes;
    }

    /// Calls `count` with the tally of new messages. Other threads wait meanwhile.
    pub fn add_messages(&self, count: impl FnOnce(&mut Tally)) {
        count(&mut self.state.lock().tally);
    }

    pub fn add_rejection(&self, source: &Arc<str>, received_at: OffsetDateTime) {
        self.state.lock().tally.add_rejection(CountMinute::of(received_at), source);
    }

    /// Returns the number of entries to write; `None` if there are no counts.
    pub fn entries(&self) -> Option<usize> {
        let state = self.state.lock();
        let is_empty = state.tally.is_empty() && state.in_flush.is_none();
        (!is_empty).then(|| state.tally.entries())
    }

    /// Starts a flush, or repeats a failed one: returns its counts and its number.
    pub fn begin_flush(&self) -> (Arc<Tally>, u64) {
        let mut state = self.state.lock();
        let PendingState { tally, in_flush, flushes } = &mut *state;
        let counts = in_flush.get_or_insert_with(|| {
            let mut counts = std::mem::take(tally);
            counts.settle();
            // A flush of rejections alone keeps the newest counted message.
            tally.counted_through = counts.counted_through;
            Arc::new(counts)
        });
        (counts.clone(), *flushes + 1)
    }

    /// Records the commit of a flush.
    pub fn end_flush(&self) {
        let mut state = self.state.lock();
        state.in_flush = None;
        state.flushes += 1;
    }

    pub fn snapshot(&self) -> PendingSnapshot {
        let PendingState { tally, in_flush, flushes } = &*self.state.lock();
        PendingSnapshot { tally: tally.clone(), in_flush: in_flush.clone(), flushes: *flushes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_flush_is_repeated_with_the_same_counts() {
        let (pending, source) = (PendingCounts::default(), Arc::from("github"));
        let count = |id: i64| {
            pending.add_messages(|tally| {
                tally.add_message(id.into(), CountMinute::of_number(0), &source, "a", 1);
            });
        };
        assert_eq!(pending.entries(), None);
        count(1);
        let (first, number) = pending.begin_flush();
        count(2);
        assert_eq!(pending.begin_flush(), (first.clone(), number));
        assert_eq!(first.counted_through, 1);
        pending.end_flush();
        let (second, next) = pending.begin_flush();
        assert_eq!((second.counted_through, next), (2.into(), number + 1));
        pending.end_flush();
        assert_eq!(pending.entries(), None);
    }
}
