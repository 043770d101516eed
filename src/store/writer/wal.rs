//! Maintenance of the files by the writer: it bounds the WAL, and never writes to files that were
//! moved or truncated.

use std::time::{Duration, Instant};

use crate::store::error::Unavailable;
use crate::store::files::FileChange;
use crate::store::files::roots::RootPages;
use crate::store::writer::trouble::Trouble;
use crate::store::writer::{PAUSE_BETWEEN_STOPS, WAL_FRAMES, Writer};
use crate::store::{checkpoint, rescue, wal_size};

/// Limit on the wait for a reset, so that a message still meets its deadline after the wait and its
/// own batch.
pub const MAX_STOP: Duration = Duration::from_secs(1);
/// Limit on frames that the writer copies itself: 32 MiB. More is left to the checkpointer.
const MAX_FRAMES_LEFT: i32 = 8_192;
/// WAL length that is logged as a warning. Litestream truncates the WAL well below it.
const GROWTH_WORTH_A_WARNING: u64 = 256 << 20;

impl Writer {
    pub(super) fn begin(&mut self) -> Result<(), Trouble> {
        self.execute("BEGIN IMMEDIATE").map_err(|error| self.classify(&error))?;
        self.changes_before = self.connection.total_changes();
        Ok(())
    }

    /// Counts the commit in its transaction, commits, and writes the mark. This all precedes any
    /// answer, so that the mark covers every acknowledged message.
    pub(super) fn commit(&mut self) -> Result<(), Trouble> {
        let mut ledger = self.marker.ledger();
        if self.connection.total_changes() != self.changes_before {
            ledger = ledger.advance(&self.connection).map_err(|error| self.classify(&error))?;
        }
        self.execute("COMMIT").map_err(|error| self.classify(&error))?;
        self.files.expect_wal(wal_size::wal_length(WAL_FRAMES.get()));
        self.shared.set_wal_frames(WAL_FRAMES.get());
        if ledger != self.marker.ledger() {
            self.shared.set_commits_written(ledger.commits);
            self.marker.committed(ledger, self.shared.commits_copied());
        }
        Ok(())
    }

    /// Runs the last checkpoint, unless another process checkpoints.
    pub(super) fn copy_wal_before_stop(&self) {
        if !self.shared.checkpoints() {
            return;
        }
        let _alone = self.shared.wait_for_checkpoint();
        self.files.expect_wal(0);
        let _ = self.files.database_may_change(checkpoint::content_bytes(&self.connection));
        match checkpoint::truncate(&self.connection) {
            Ok(true) => {}
            Ok(false) => log::info!(
                "a reader prevents emptying the WAL: it stays a part of the database, and the next start copies it"
            ),
            Err(error) => log::warn!("the last checkpoint failed, the next start retries it: {error}"),
        }
    }

    pub(super) fn bound_wal(&mut self) {
        if self.files.must_leave_room(|| checkpoint::content_bytes(&self.connection)) {
            return;
        }
        if self.shared.take_reset_request()
            && let Some(alone) = self.shared.checkpoint_alone()
        {
            let is_reset = self.reset_wal();
            drop(alone);
            self.follow_up(is_reset);
        } else if self.shared.checkpoints()
            && wal_size::must_stop(WAL_FRAMES.get())
            && self.next_stop <= Instant::now()
        {
            self.stop_for_reset();
        } else if !self.shared.checkpoints() {
            self.warn_of_growth();
        }
        if self.files.has_lost_pages() {
            // Stops the store even if no message arrives.
            let _ = self.check_files();
        }
    }

    /// Stops writing until the checkpointer has copied nearly all frames, for at most `MAX_STOP`,
    /// and resets the WAL. After a long read there may be gigabytes to copy, and messages must not
    /// time out meanwhile: the writer then stops again after each batch, so that the checkpointer
    /// catches up. It does not wait for a reader.
    fn stop_for_reset(&mut self) {
        let is_reset = match self.shared.wait_for_few_frames(MAX_FRAMES_LEFT, MAX_STOP) {
            Some(alone) => {
                let is_reset = self.reset_wal();
                drop(alone);
                self.follow_up(is_reset)
            }
            None if self.shared.checkpoint_signal.is_blocked() => false,
            None => return,
        };
        if !is_reset {
            self.next_stop = Instant::now() + PAUSE_BETWEEN_STOPS;
        }
    }

    /// Warns about a growing WAL. If another process must checkpoint but does not, nothing else
    /// indicates it.
    fn warn_of_growth(&mut self) {
        let bytes = wal_size::wal_length(WAL_FRAMES.get());
        if bytes < GROWTH_WORTH_A_WARNING {
            self.next_warning_at = GROWTH_WORTH_A_WARNING;
        } else if bytes >= self.next_warning_at {
            self.next_warning_at = bytes * 2;
            log::warn!(
                "the WAL has grown to {} MiB: with CREEL_CHECKPOINT=off another process must checkpoint it. Is Litestream running?",
                bytes >> 20
            );
        }
    }

    /// Runs the last step of a checkpoint, which only succeeds without concurrent writes: so the
    /// writer runs it between two batches, when few frames remain.
    fn reset_wal(&self) -> rusqlite::Result<bool> {
        self.files.expect_wal(0);
        let baseline = self.files.database_may_change(checkpoint::content_bytes(&self.connection));
        let is_reset = checkpoint::reset(&self.connection, self.files.wal_bytes(), self.files.is_low());
        self.files.detect_lost_pages(Some(baseline), || RootPages::read(&self.connection));
        self.files.update_min_bytes();
        is_reset
    }

    /// Updates the state after an attempt to reset the WAL; returns whether it was reset.
    fn follow_up(&self, is_reset: rusqlite::Result<bool>) -> bool {
        match is_reset {
            Ok(true) => {
                WAL_FRAMES.set(0);
                self.shared.wal_was_reset();
                self.shared.set_reset_blocked(false);
                self.shared.set_commits_copied(self.marker.ledger().commits);
                return true;
            }
            Ok(false) => {
                self.files.expect_wal(wal_size::wal_length(WAL_FRAMES.get()));
                self.shared.set_reset_blocked(true);
            }
            Err(error) => match self.classify(&error) {
                Trouble::Fatal(line) => self.shared.fail(Unavailable::Failed, line),
                Trouble::DiskFull => self.files.note_full(),
                Trouble::Damaged => self.note_damage("a checkpoint", &error),
                Trouble::Locked | Trouble::Lost | Trouble::MergeStopped => {}
            },
        }
        false
    }

    /// Checks the files, because SQLite does not notice when they are moved or truncated, and would
    /// continue writing.
    pub(super) fn check_files(&mut self) -> Result<(), Unavailable> {
        if let Some(why) = self.shared.stopped() {
            return Err(why);
        }
        let change = match self.files.check() {
            Ok(()) => return Ok(()),
            Err(FileChange::Truncated("WAL")) if self.was_reset_by_another() => return Ok(()),
            Err(FileChange::Truncated("database")) if self.was_shrunk_by_another() => return Ok(()),
            Err(change) => change,
        };
        // Stop acknowledging before anything else.
        self.shared.stop(Unavailable::FileChanged);
        let _alone = self.shared.wait_for_checkpoint();
        let line = rescue::rescue(&self.connection, &self.files, change);
        self.shared.fail(Unavailable::FileChanged, line);
        Err(Unavailable::FileChanged)
    }

    /// Whether another process has vacuumed: SQLite then reports smaller content, and no page is
    /// lost.
    fn was_shrunk_by_another(&self) -> bool {
        self.files.detect_lost_pages(None, || RootPages::read(&self.connection));
        let content_bytes = checkpoint::content_bytes(&self.connection);
        let is_whole =
            !self.files.has_lost_pages() && content_bytes > 0 && content_bytes <= self.files.database_bytes();
        if is_whole {
            self.files.database_may_shrink_to(content_bytes);
        }
        is_whole
    }

    /// Whether another process has checkpointed and truncated the WAL, as the sqlite3 shell and
    /// Litestream do: SQLite then reports fewer frames.
    fn was_reset_by_another(&self) -> bool {
        let Ok(frames) = checkpoint::frames_in_wal(&self.connection) else { return false };
        let length = wal_size::wal_length(frames);
        // If SQLite still counts all frames of the last commit, there was no reset, and the file
        // was truncated.
        if frames >= WAL_FRAMES.get() || length > self.files.wal_bytes() {
            return false;
        }
        WAL_FRAMES.set(frames);
        self.files.expect_wal(0);
        self.files.expect_wal(length);
        true
    }
}
