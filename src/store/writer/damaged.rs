//! The writer among damaged pages: what needs one fails alone, and no message is refused because of old ones that cannot be
//! read.

use super::{Job, Trouble, Writer};
use crate::store::damage;
use crate::store::unavailable::Unavailable;

impl Writer {
    /// A job has met a damaged page, and the transaction is undone. Each job gets a transaction of its own, so that only that
    /// one fails.
    pub(super) fn write_apart(&mut self, mut batch: Vec<Job>) {
        if batch.len() > 1 {
            batch.into_iter().for_each(|job| self.write(vec![job]));
            return;
        }
        match batch.pop() {
            // Perhaps only what is known of its id cannot be read: better twice than never.
            Some(Job::Keep(mut keep)) if !keep.message.is_taken_as_new() && !keep.message.is_released() => {
                keep.message.take_as_new();
                self.write(vec![Job::Keep(keep)]);
            }
            Some(job) => {
                if matches!(&job, Job::Keep(keep) if keep.message.rejection().is_none()) {
                    self.shared.set_blocked_by_damage(true);
                }
                job.refuse(Unavailable::Damaged);
            }
            None => {}
        }
    }

    pub(super) fn note_damage(&self, place: &str, error: &rusqlite::Error) {
        self.shared.note_damage(format!("{place}: {error}"));
    }

    /// Keys that cannot be merged stay in memory, and their messages on disk, until the next start.
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
