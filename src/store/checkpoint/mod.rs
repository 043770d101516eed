//! Copies the WAL into the database outside the writer's commits, and limits the size of the WAL.
//!
//! A passive checkpoint on a separate connection does nearly all the work without stopping the
//! writer, but it cannot reset a WAL that is in use. Once the WAL has grown, the writer runs the
//! last, short step itself.

pub mod wal_watch;

use std::cell::Cell;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::store::checkpoint::wal_watch::{Notice, WalState, WalWatch};
use crate::store::error::Unavailable;
use crate::store::files::roots::RootPages;
use crate::store::files::{CheckpointBaseline, Files};
use crate::store::shared::SharedState;
use crate::store::wal_size::{MIN_FRAMES_TO_CHECKPOINT, wal_length};
use crate::store::writer::job::Job;
use crate::store::writer::trouble::Trouble;

const PAUSE_BETWEEN: Duration = Duration::from_millis(200);
/// Interval at which a pause checks for a fast-growing WAL.
const PAUSE_STEP: Duration = Duration::from_millis(10);
/// Pause between checks while a reader prevents a reset of the WAL.
const PAUSE_WHILE_HELD: Duration = Duration::from_secs(1);
/// WAL size at which the writer resets it. Above `LIMIT_BYTES` the file is truncated as well.
const RESET_BYTES: u64 = 24 << 20;
const LIMIT_BYTES: u64 = 64 << 20;
/// Number of uncopied frames from which the thread checkpoints without a pause: 8 MiB.
const MIN_FRAMES_WITHOUT_PAUSE: i32 = 2048;
/// Maximum number of uncopied frames for a reset, because the writer has to copy them: 4 MiB.
const MAX_UNCOPIED_FRAMES_FOR_RESET: i32 = 1024;
/// Number of remaining frames below which another checkpoint costs more than it saves.
const MIN_FRAMES_TO_REPEAT: i32 = 256;
/// Maximum number of passive checkpoints in a row to get down to `MIN_FRAMES_TO_REPEAT`.
const CATCH_UPS: usize = 4;

/// The checkpoint thread. It sleeps until the writer has written enough to copy.
pub struct Checkpointer {
    pub connection: Connection,
    pub files: Arc<Files>,
    pub shared: Arc<SharedState>,
    pub writer: SyncSender<Job>,
    pub is_closing: Arc<AtomicBool>,
    pub watch: WalWatch,
    /// Frames in the WAL, and copied frames, after the last passive checkpoint.
    pub last_progress: Cell<(i32, i32)>,
    /// Path of the database.
    pub path: PathBuf,
}

impl Checkpointer {
    pub fn run(mut self) {
        let mut last = Instant::now();
        loop {
            // A reader that ends its transaction does not wake this thread, so it has to poll.
            if self.watch.is_held() {
                std::thread::park_timeout(PAUSE_WHILE_HELD);
            } else {
                std::thread::park();
            }
            if self.is_closing.load(Ordering::Acquire) || self.shared.is_stopped() {
                return;
            }
            pause(&self.shared, last, std::thread::sleep);
            let is_requested = self.shared.take_checkpoint_request();
            let has_enough_frames = self.shared.frames_to_copy() >= MIN_FRAMES_TO_CHECKPOINT;
            if is_requested || has_enough_frames || self.watch.is_held() {
                self.checkpoint(is_requested);
                self.report_readers();
            }
            last = Instant::now();
        }
    }

    fn report_readers(&mut self) {
        let (frames, copied) = self.last_progress.get();
        // The flag may be outdated, because SQLite also restarts a WAL by itself.
        let is_reset_blocked = self.shared.is_reset_blocked() && wal_length(frames) >= RESET_BYTES;
        let wal = WalState { frames, copied, is_reset_blocked };
        let now = Instant::now();
        let notice = self.watch.observe(now, wal);
        self.shared.set_wal_pinned(self.watch.pinned_for(now));
        match notice {
            Some(Notice::Pinned(time)) => log::warn!(
                "a reader has kept the WAL from being reset for {} s: the WAL has {} MiB and grows with each message until the \
                 reader ends its transaction. Reading now: {}",
                time.as_secs(),
                self.files.wal_bytes() >> 20,
                wal_watch::readers(&self.path)
            ),
            Some(Notice::Released(time)) => {
                log::info!("the WAL can be reset again: a reader prevented this for {} s", time.as_secs());
            }
            None => {}
        }
    }

    fn checkpoint(&self, is_requested: bool) {
        let Some(alone) = self.shared.checkpoint_alone() else { return };
        if self.files.check().is_err() {
            drop(alone);
            // The writer determines what kind of change it is. Copying from or to a changed file
            // would do further damage.
            self.wake_writer();
            return;
        }
        if self.files.must_leave_room(|| content_bytes(&self.connection)) {
            return;
        }
        let copied = self.copy(self.files.database_may_change(content_bytes(&self.connection)));
        self.files.update_min_bytes();
        drop(alone);
        let is_changed = self.files.check().is_err();
        if is_changed {
            self.wake_writer();
        }
        match copied {
            Ok(SyncOutcome::Yes) => self.request_reset_if_due(is_requested),
            Ok(SyncOutcome::No(error)) => {
                self.shared.fail(Unavailable::Failed, format!("cannot sync the database: {error}"))
            }
            // The changed files are the cause, and the writer reports them.
            Err(_) if is_changed => {}
            Err(error) => match Trouble::of(&error, || self.files.free_bytes()) {
                Trouble::DiskFull => self.files.note_full(),
                Trouble::Locked => {}
                Trouble::Lost | Trouble::Damaged | Trouble::MergeStopped | Trouble::Fatal(_) => {
                    self.shared.fail(Unavailable::Failed, format!("a checkpoint failed: {error}"));
                }
            },
        }
    }

    fn copy(&self, baseline: CheckpointBaseline) -> rusqlite::Result<SyncOutcome> {
        for _ in 0..CATCH_UPS {
            let commits = self.shared.commits_written();
            let progress = checkpoint(&self.connection, "PASSIVE");
            // Runs before the sync: the sync may take long, and the writer acknowledges messages
            // meanwhile, which it must not do after a loss of pages. Only the sign of a hole needs
            // a sync to confirm it.
            self.files.detect_lost_pages(Some(baseline), || RootPages::read(&self.connection));
            if self.files.has_lost_pages() {
                return Ok(SyncOutcome::Yes);
            }
            let CheckpointProgress { frames, copied, .. } = match progress {
                Ok(progress) if progress.frames >= 0 => progress,
                // Both numbers are -1 while another process checkpoints.
                Ok(_) => {
                    self.shared.checkpoint_signal.set_blocked(true);
                    break;
                }
                Err(error) => {
                    self.shared.checkpoint_signal.set_blocked(true);
                    return Err(error);
                }
            };
            self.shared.set_copied_frames(copied);
            self.last_progress.set((frames, copied));
            if let Err(error) = self.files.sync_database() {
                return Ok(SyncOutcome::No(error));
            }
            // Readers may hold frames back: then another checkpoint has no effect.
            let is_held_back = copied < frames;
            if !is_held_back {
                self.shared.set_commits_copied(commits);
            }
            self.shared.checkpoint_signal.set_blocked(is_held_back);
            let is_due = wal_length(self.shared.wal_frames()) >= RESET_BYTES;
            if is_held_back || !is_due || self.shared.frames_to_copy() <= MIN_FRAMES_TO_REPEAT {
                break;
            }
        }
        Ok(SyncOutcome::Yes)
    }

    fn request_reset_if_due(&self, is_requested: bool) {
        let is_long = wal_length(self.shared.wal_frames()) >= RESET_BYTES;
        let is_due = is_long || (is_requested && self.files.is_low());
        if is_due && self.shared.frames_to_copy() <= MAX_UNCOPIED_FRAMES_FOR_RESET {
            self.shared.request_reset();
            self.wake_writer();
        }
    }

    fn wake_writer(&self) {
        let _ = self.writer.try_send(Job::Wake).inspect(|()| self.shared.job_queued(0));
    }
}

/// Waits until `PAUSE_BETWEEN` after `last`, or until the WAL has grown much: the writer can add
/// tens of MiB during a pause.
fn pause(shared: &SharedState, last: Instant, sleep: impl Fn(Duration)) {
    while shared.frames_to_copy() < MIN_FRAMES_WITHOUT_PAUSE {
        let left = PAUSE_BETWEEN.saturating_sub(last.elapsed());
        if left.is_zero() {
            return;
        }
        sleep(left.min(PAUSE_STEP));
    }
}

/// Whether the copied pages are synced.
enum SyncOutcome {
    Yes,
    No(std::io::Error),
}

struct CheckpointProgress {
    is_busy: bool,
    frames: i32,
    copied: i32,
}

fn checkpoint(connection: &Connection, mode: &str) -> rusqlite::Result<CheckpointProgress> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
        Ok(CheckpointProgress { is_busy: row.get(0)?, frames: row.get(1)?, copied: row.get(2)? })
    })
}

/// Copies the remaining frames and restarts the WAL. Returns false if another connection prevented
/// this, e.g. a reader that still uses the WAL. The file keeps its length, because overwriting is
/// cheaper than growing; it is truncated only above `LIMIT_BYTES` or when disk space is low.
pub fn reset(connection: &Connection, wal_bytes: u64, is_disk_low: bool) -> rusqlite::Result<bool> {
    connection.busy_timeout(Duration::ZERO)?;
    let mode = if wal_bytes > LIMIT_BYTES || is_disk_low { "TRUNCATE" } else { "RESTART" };
    let result = checkpoint(connection, mode);
    connection.busy_timeout(crate::store::connection::WRITER_BUSY)?;
    match result {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy) => Ok(false),
        progress => Ok(!progress?.is_busy),
    }
}

/// Copies all frames and truncates the WAL. Returns false if another connection prevented it.
pub fn truncate(connection: &Connection) -> rusqlite::Result<bool> {
    Ok(!checkpoint(connection, "TRUNCATE")?.is_busy)
}

/// Copies frames without waiting for readers. Returns false if readers held some frames back, or if
/// another connection is checkpointing.
pub fn copy_all(connection: &Connection) -> rusqlite::Result<bool> {
    let CheckpointProgress { is_busy, frames, copied } = checkpoint(connection, "PASSIVE")?;
    Ok(!is_busy && copied >= frames)
}

/// Returns the length in bytes of the database once all frames are copied; 0 if unknown.
pub fn content_bytes(connection: &Connection) -> u64 {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0)).unwrap_or(0);
    pragma("page_count") * pragma("page_size")
}

/// Returns SQLite's count of the frames in the WAL, without copying any.
pub fn frames_in_wal(connection: &Connection) -> rusqlite::Result<i32> {
    Ok(checkpoint(connection, "NOOP")?.frames.max(0))
}

#[cfg(test)]
mod tests;
