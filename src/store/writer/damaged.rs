//! The writer among damaged pages: what needs one fails alone, and no message is refused because of old ones that cannot be
//! read.

use super::job::Outcome;
use super::{Job, Trouble, Writer};
use crate::store::damage;
use crate::store::message::{Kept, Prepared};

impl Writer {
    /// Whether the job has a savepoint, which undoes what it did before it met a damaged page. A message without followers has
    /// none while nothing is known of damage: a savepoint for each would cost.
    pub(super) fn is_apart(&self, job: &Job) -> bool {
        match job {
            Job::Keep(keep) => keep.message.has_followers() || self.shared.is_damaged(),
            Job::Run(_) | Job::Wake | Job::Close => true,
        }
    }

    pub(super) fn keep(&mut self, message: &mut Prepared, now: &str) -> rusqlite::Result<Kept> {
        if !message.has_followers() && !self.shared.is_damaged() {
            return message.keep(&self.connection, &mut self.keys, now);
        }
        match self.keep_in_savepoint(message, now) {
            // Perhaps only what is known of its id cannot be read: better twice than never.
            Err(error) if damage::is_damage(&error) && !self.connection.is_autocommit() => {
                self.note_damage("a message", &error);
                message.take_as_new();
                self.keep_in_savepoint(message, now)
            }
            kept => kept,
        }
    }

    fn keep_in_savepoint(&mut self, message: &Prepared, now: &str) -> rusqlite::Result<Kept> {
        self.execute("SAVEPOINT job")?;
        let kept = message.keep(&self.connection, &mut self.keys, now).and_then(|kept| {
            match message.rejection().filter(|_| kept.is_kept()) {
                Some(id) => self.quarantine.remove(&self.connection, id).map(|()| kept),
                None => Ok(kept),
            }
        });
        self.end_savepoint(kept.is_ok())?;
        if kept.is_err() {
            self.quarantine.invalidate();
        }
        kept
    }

    /// A released rejection may fail for a page of its own, and then says nothing of other messages.
    pub(super) fn look_for_blocked(&self, outcomes: &[Outcome], batch: &[Job]) {
        let is_blocked = |(outcome, job): (&Outcome, &Job)| {
            matches!(outcome, Outcome::Damaged)
                && matches!(job, Job::Keep(keep) if keep.message.rejection().is_none())
        };
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Kept(_))) {
            self.shared.set_blocked_by_damage(false);
        } else if outcomes.iter().zip(batch).any(is_blocked) {
            self.shared.set_blocked_by_damage(true);
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
