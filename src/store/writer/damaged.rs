//! Writing to a damaged database: a job that needs a damaged page fails alone, and unreadable old
//! messages do not block new ones.

use crate::store::damage;
use crate::store::error::Unavailable;
use crate::store::writer::Writer;
use crate::store::writer::job::Job;
use crate::store::writer::trouble::Trouble;

impl Writer {
    /// Writes each job in its own transaction after a damaged page caused a rollback, so that only
    /// the affected job fails.
    pub(super) fn write_individually(&mut self, mut batch: Vec<Job>) {
        if batch.len() > 1 {
            batch.into_iter().for_each(|job| self.write(vec![job]));
            return;
        }
        match batch.pop() {
            // Perhaps only the records of the message's delivery id are unreadable. So it is
            // written as new: a duplicate is better than a loss.
            Some(Job::Keep(mut keep))
                if !keep.message.is_taken_as_new() && !keep.message.is_content_dropped() =>
            {
                keep.message.take_as_new();
                self.write(vec![Job::Keep(keep)]);
            }
            Some(job) => {
                if matches!(&job, Job::Keep(keep) if keep.message.rejection().is_none()) {
                    self.shared.set_blocked_by_damage(true);
                }
                job.reject(Unavailable::Damaged);
            }
            None => {}
        }
    }

    pub(super) fn note_damage(&self, place: &str, error: &rusqlite::Error) {
        self.shared.note_damage(format!("{place}: {error}"));
    }

    /// Stops merging keys if the error indicates damage. The keys then stay in memory, and their
    /// messages are retained, until the next start.
    pub(super) fn slice_failed(&mut self, error: &rusqlite::Error) -> Trouble {
        if !damage::is_damage(error) {
            return self.classify(error);
        }
        self.note_damage("delivery_keys", error);
        self.keys.stop_merging();
        Trouble::MergeStopped
    }

    pub(super) fn background_failed(&self, error: &rusqlite::Error) -> Trouble {
        if damage::is_damage(error) {
            self.note_damage("rejections", error);
        }
        self.classify(error)
    }
}
