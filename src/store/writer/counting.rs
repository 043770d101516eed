//! Counts the messages of committed batches in memory, and writes the counts to their tables.

use std::time::{Duration, Instant};

use crate::store::counts::write;
use crate::store::damage;
use crate::store::error::Unavailable;
use crate::store::message::insert::{InsertOutcome, Receipt};
use crate::store::writer::Writer;
use crate::store::writer::job::{Job, JobOutcome};
use crate::store::writer::trouble::Trouble;

/// Interval at which counts are written. After a crash, the messages of this time are counted
/// again, and its rejections are not counted.
pub const FLUSH_INTERVAL: Duration = Duration::from_secs(10);
/// Interval at which counts are written while there are more than `MAX_WAITING_ENTRIES`.
const MIN_FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// Number of counts above which they are written early. They are written in one transaction.
const MAX_WAITING_ENTRIES: usize = 1_024;

impl Writer {
    /// Counts the new messages of a committed batch. Duplicates are not messages.
    pub(super) fn count_messages(&self, outcomes: &[JobOutcome], batch: &[Job]) {
        self.counts.add_messages(|tally| {
            for (outcome, job) in outcomes.iter().zip(batch) {
                if let (JobOutcome::Insert(InsertOutcome::Stored(receipt)), Job::Keep(keep)) = (outcome, job)
                    && let Receipt::New { id } | Receipt::Conflict { id, .. } = receipt
                {
                    keep.message.count(*id, tally);
                }
            }
        });
    }

    /// Returns the time of the next flush; `None` if there are no counts in memory.
    pub(super) fn flush_at(&self) -> Option<Instant> {
        let entries = self.counts.entries()?;
        let is_early = entries > MAX_WAITING_ENTRIES;
        let earlier = self.next_flush.checked_sub(FLUSH_INTERVAL - MIN_FLUSH_INTERVAL);
        Some(earlier.filter(|_| is_early).unwrap_or(self.next_flush))
    }

    /// Writes the counts in memory, if they are due, in a separate transaction. After a failure
    /// they stay in memory until the next interval. Returns false after a failure.
    pub(super) fn flush_counts(&mut self) -> bool {
        if self.flush_at().is_none_or(|at| at > Instant::now()) {
            return true;
        }
        self.next_flush = Instant::now() + FLUSH_INTERVAL;
        let (tally, flushes) = self.counts.begin_flush();
        let written = self.begin().and_then(|()| {
            let now = (self.clock)();
            write::flush(&self.connection, &tally, flushes, now).map_err(|error| {
                if damage::is_damage(&error) {
                    self.note_damage("hourly_counts", &error);
                }
                self.classify(&error)
            })?;
            self.commit()
        });
        let Err(trouble) = written else {
            self.counts.end_flush();
            return true;
        };
        self.roll_back();
        match trouble {
            Trouble::Fatal(line) => self.shared.fail(Unavailable::Failed, line),
            Trouble::DiskFull => self.files.note_full(),
            Trouble::Lost => {
                log::error!("cannot write the counts of messages, retrying in {FLUSH_INTERVAL:?}")
            }
            Trouble::Locked | Trouble::Damaged | Trouble::MergeStopped => {}
        }
        false
    }
}
