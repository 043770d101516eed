//! Space limits of the writer: the free space of the disk, and the size limit of the database.

use std::time::{Duration, Instant};

use crate::store::error::Unavailable;
use crate::store::space;
use crate::store::writer::Writer;
use crate::store::writer::job::Job;

const PAUSE_BETWEEN_CHECKS: Duration = Duration::from_millis(100);

impl Writer {
    /// Rejects messages on a full disk or below the low-water mark. Other jobs, such as cleanup and
    /// settings, are still written.
    pub(super) fn reject_without_space(&self, batch: Vec<Job>) -> Vec<Job> {
        let why = match () {
            () if !batch.iter().any(Job::is_message) => return batch,
            () if self.files.is_full() => Unavailable::DiskFull,
            () if self.files.is_low() => Unavailable::DiskLow,
            () => return batch,
        };
        let (messages, others): (Vec<_>, Vec<_>) = batch.into_iter().partition(Job::is_message);
        messages.into_iter().for_each(|job| job.reject(why));
        others
    }

    /// Checks the used space, because cleanup only runs at intervals: messages in between must not
    /// fill the disk.
    pub(super) fn check_size(&mut self) {
        let limit = self.shared.size_limit();
        let now = Instant::now();
        let has_quarantine = self.intake.stats().rows > 0;
        if (limit == u64::MAX && !has_quarantine) || now < self.next_check {
            return;
        }
        self.next_check = now + PAUSE_BETWEEN_CHECKS;
        if has_quarantine && self.files.is_low() {
            self.shared.beyond_size.notify_one();
        }
        if limit == u64::MAX {
            return;
        }
        match space::used_and_free_bytes(&self.connection) {
            Ok((used, _)) if used > limit => self.shared.beyond_size.notify_one(),
            Ok(_) => {}
            Err(error) => log::warn!("cannot read the size of the database: {error}"),
        }
    }
}
