//! Background work of the writer between batches: rejections, counts of dropped ones, counts of
//! messages, and merging keys. Small transactions keep the delay of messages low; those for
//! rejections and counts also have pauses between them.

use std::time::{Duration, Instant};

use crate::store::quarantine::drops::SpaceLimit;
use crate::store::space;
use crate::store::writer::Writer;
use crate::store::writer::trouble::Trouble;

/// Length of the pause after a transaction for rejections, as a multiple of its duration, up to a
/// limit.
const PAUSE_FACTOR: u32 = 4;
const MAX_PAUSE: Duration = Duration::from_millis(100);
/// Interval at which rejections are written even if messages arrive without a gap.
const REJECTION_WRITE_INTERVAL: Duration = Duration::from_millis(500);
const PAUSE_BETWEEN_COUNTS: Duration = Duration::from_secs(2);
/// Share of the disk's free space that the quarantine may use: one in `SHARE_OF_FREE_SPACE`.
const SHARE_OF_FREE_SPACE: u64 = 4;
/// The quarantine leaves a tenth of `CREEL_MAX_DATABASE_SIZE` free for messages.
const PERCENT_OF_DATABASE: u64 = 90;

impl Writer {
    /// Returns the time of the next background work; `None` if nothing is waiting.
    pub(super) fn background_work_at(&self) -> Option<Instant> {
        self.queued_work_at().into_iter().chain(self.flush_at()).min()
    }

    /// Returns the time of the next background work other than the flush of counts.
    fn queued_work_at(&self) -> Option<Instant> {
        let rejections = (!self.intake.is_empty()).then_some(self.next_rejections);
        let counts = self.intake.has_drops().then_some(self.next_counts);
        let merging = self.keys.is_merging().then(Instant::now);
        rejections.into_iter().chain(counts).chain(merging).min()
    }

    /// Whether work is due even if messages arrive without a gap.
    pub(super) fn background_is_overdue(&self) -> bool {
        let now = Instant::now();
        (!self.intake.is_empty() && self.next_rejections + REJECTION_WRITE_INTERVAL <= now)
            || self.flush_at().is_some_and(|at| at <= now)
    }

    /// Runs one small transaction of due work. Returns false if the work was not done: it failed,
    /// the files were changed, or the disk is nearly full.
    pub(super) fn work_in_background(&mut self) -> bool {
        if self.check_files().is_err() || self.files.is_low() {
            return false;
        }
        // After a failed sync, no further transaction must run.
        if !self.flush_counts() {
            return false;
        }
        let began = Instant::now();
        let has_rejections = !self.intake.is_empty() && self.next_rejections <= began;
        let written = self.begin().and_then(|()| {
            self.write_quarantine(began, has_rejections).map_err(|error| self.background_failed(&error))?;
            self.write_merge_slice()?;
            self.commit()
        });
        if has_rejections {
            let took = began.elapsed();
            self.next_rejections = Instant::now() + (took * PAUSE_FACTOR).min(MAX_PAUSE);
        }
        match written {
            Ok(()) => {
                self.keys.merge_committed();
                self.quarantine.committed(&self.intake);
                true
            }
            Err(trouble) => {
                self.roll_back();
                self.quarantine
                    .rolled_back(&self.intake, matches!(trouble, Trouble::Lost | Trouble::Damaged));
                match trouble {
                    Trouble::Fatal(line) => self.shared.fail(crate::store::error::Unavailable::Failed, line),
                    Trouble::DiskFull => self.files.note_full(),
                    Trouble::Locked | Trouble::Lost | Trouble::Damaged | Trouble::MergeStopped => {}
                }
                false
            }
        }
    }

    fn write_quarantine(&mut self, now: Instant, has_rejections: bool) -> rusqlite::Result<()> {
        if has_rejections {
            let max_bytes = self.quarantine_max_bytes()?;
            self.quarantine.write(&self.connection, &self.intake, &self.sealer, max_bytes)?;
        }
        if self.next_counts <= now {
            // Sets the limit named in the report of drops.
            self.quarantine_max_bytes()?;
            self.quarantine.write_counts(&self.connection, &self.intake, (self.clock)())?;
            self.next_counts = now + PAUSE_BETWEEN_COUNTS;
        }
        Ok(())
    }

    /// Returns the limit of the quarantine: the configured size, bounded by the free disk space and
    /// by the database space that messages leave.
    fn quarantine_max_bytes(&mut self) -> rusqlite::Result<u64> {
        let held = self.quarantine.bytes(&self.connection)?;
        let of_disk = self.files.free_bytes().saturating_add(held) / SHARE_OF_FREE_SPACE;
        let mut bound = (self.intake.max_bytes(), SpaceLimit::OwnSize);
        if of_disk < bound.0 {
            bound = (of_disk, SpaceLimit::FreeDisk);
        }
        let size_limit = self.shared.size_limit();
        if size_limit < u64::MAX {
            let (used, _) = space::used_and_free_bytes(&self.connection)?;
            let messages = used.saturating_sub(held);
            let of_database = (size_limit / 100 * PERCENT_OF_DATABASE).saturating_sub(messages);
            if of_database < bound.0 {
                bound = (of_database, SpaceLimit::DatabaseSize);
            }
        }
        self.quarantine.set_limit(bound.1);
        Ok(bound.0)
    }

    /// Finishes the work without pauses before the stop.
    pub(super) fn finish_background_work(&mut self) {
        self.next_flush = Instant::now();
        if self.check_files().is_ok()
            && !self.files.is_low()
            && !self.flush_counts()
            && self.shared.is_stopped()
        {
            return;
        }
        loop {
            (self.next_rejections, self.next_counts) = (Instant::now(), Instant::now());
            if self.queued_work_at().is_none() || !self.work_in_background() {
                break;
            }
        }
        self.quarantine.finish_report();
    }
}
