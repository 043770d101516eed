//! State shared by the store's threads: whether it accepts messages, and its metrics.

use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, watch};

use crate::store::checkpoint_signal::CheckpointSignal;
use crate::store::confirmation::settlements::SettledMessages;
use crate::store::delivery::signal::DueSignal;
use crate::store::error::Unavailable;
use crate::store::id::TargetId;
use crate::store::target::audience::Audience;
use crate::store::{damage, wal_size};

/// Pause between attempts to take a lock.
const LOCK_PAUSE: Duration = Duration::from_millis(5);
const OPEN: u8 = 0;
const FILE_CHANGED: u8 = 1;
const FAILED: u8 = 2;

/// Called after each committed batch with its number of messages.
pub type BatchObserver = Box<dyn Fn(usize) + Send + Sync>;

pub struct SharedState {
    state: AtomicU8,
    failure: watch::Sender<Option<String>>,
    queued: AtomicUsize,
    queued_bytes: AtomicUsize,
    keys: AtomicUsize,
    keys_bytes: AtomicUsize,
    batches: AtomicU64,
    batched_messages: AtomicU64,
    observer: OnceLock<BatchObserver>,
    /// Frames in the WAL, and how many of them are copied into the database.
    wal_frames: AtomicI32,
    copied_frames: AtomicI32,
    /// Commits of the writer, and how many of them are in the database file without its WAL.
    commits_written: AtomicI64,
    commits_copied: AtomicI64,
    reset_requested: AtomicBool,
    reset_blocked: AtomicBool,
    wal_pinned_seconds: AtomicU64,
    checkpoint_requested: AtomicBool,
    pub checkpoint_signal: CheckpointSignal,
    checkpointing: Mutex<()>,
    checkpointer: OnceLock<Thread>,
    pub audience: Audience,
    pub due: Arc<DueSignal>,
    /// Notified when confirmations may be due.
    pub confirmations: Notify,
    pub settled: SettledMessages,
    /// Notified of a new replay.
    pub replays: Notify,
    commits: watch::Sender<u64>,
    /// Successful attempts, failed attempts, and dead deliveries.
    attempts: [AtomicU64; 3],
    /// In bytes; `u64::MAX` without a limit.
    size_limit: AtomicU64,
    /// Notified when the used bytes exceed the limit.
    pub beyond_size: Notify,
    out_of_room: AtomicBool,
    /// The first damage found.
    damage: OnceLock<String>,
    /// Whether the last message could not be stored because of damage.
    is_blocked_by_damage: AtomicBool,
}

impl SharedState {
    pub fn new() -> Self {
        Self {
            state: AtomicU8::new(OPEN),
            failure: watch::Sender::new(None),
            queued: AtomicUsize::new(0),
            queued_bytes: AtomicUsize::new(0),
            keys: AtomicUsize::new(0),
            keys_bytes: AtomicUsize::new(0),
            batches: AtomicU64::new(0),
            batched_messages: AtomicU64::new(0),
            observer: OnceLock::new(),
            wal_frames: AtomicI32::new(0),
            copied_frames: AtomicI32::new(0),
            commits_written: AtomicI64::new(0),
            commits_copied: AtomicI64::new(0),
            reset_requested: AtomicBool::new(false),
            reset_blocked: AtomicBool::new(false),
            wal_pinned_seconds: AtomicU64::new(0),
            checkpoint_requested: AtomicBool::new(false),
            checkpoint_signal: CheckpointSignal::default(),
            checkpointing: Mutex::new(()),
            checkpointer: OnceLock::new(),
            audience: Audience::new(),
            due: Arc::default(),
            confirmations: Notify::new(),
            settled: SettledMessages::default(),
            replays: Notify::new(),
            commits: watch::Sender::new(0),
            attempts: Default::default(),
            size_limit: AtomicU64::new(u64::MAX),
            beyond_size: Notify::new(),
            out_of_room: AtomicBool::new(false),
            damage: OnceLock::new(),
            is_blocked_by_damage: AtomicBool::new(false),
        }
    }

    /// Logs the first damage as an error. Later damage is only logged for debugging, because each
    /// read of a damaged place finds it again.
    pub fn note_damage(&self, what: String) {
        log::debug!("damage in the database: {what}");
        if self.damage.set(what.clone()).is_ok() {
            let advice = damage::ADVICE;
            log::error!("the database is damaged ({what}): {advice}. Readable data is still served");
        }
    }

    pub fn is_damaged(&self) -> bool {
        self.damage.get().is_some()
    }

    pub fn is_blocked_by_damage(&self) -> bool {
        self.is_blocked_by_damage.load(Ordering::Relaxed)
    }

    pub fn set_blocked_by_damage(&self, is_blocked: bool) {
        self.is_blocked_by_damage.store(is_blocked, Ordering::Relaxed);
    }

    pub fn limit_size(&self, bytes: u64) {
        self.size_limit.store(bytes, Ordering::Relaxed);
    }

    /// Returns the size limit in bytes; `u64::MAX` without a limit.
    pub fn size_limit(&self) -> u64 {
        self.size_limit.load(Ordering::Relaxed)
    }

    pub fn is_out_of_room(&self) -> bool {
        self.out_of_room.load(Ordering::Relaxed)
    }

    /// Returns the previous value.
    pub fn set_out_of_room(&self, is_out_of_room: bool) -> bool {
        self.out_of_room.swap(is_out_of_room, Ordering::Relaxed)
    }

    /// Returns why messages are rejected; `None` in normal operation.
    pub fn stopped(&self) -> Option<Unavailable> {
        match self.state.load(Ordering::Acquire) {
            OPEN => None,
            FILE_CHANGED => Some(Unavailable::FileChanged),
            _ => Some(Unavailable::Failed),
        }
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped().is_some()
    }

    /// Stops accepting messages.
    pub fn stop(&self, why: Unavailable) {
        let state = if why == Unavailable::FileChanged { FILE_CHANGED } else { FAILED };
        // The first reason stays.
        let _ = self.state.compare_exchange(OPEN, state, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Records a permanent failure of the store, with a one-line reason.
    pub fn fail(&self, why: Unavailable, line: String) {
        self.stop(why);
        self.failure.send_if_modified(|failure| {
            let is_first = failure.is_none();
            if is_first {
                *failure = Some(line);
            }
            is_first
        });
    }

    pub fn failure(&self) -> watch::Receiver<Option<String>> {
        self.failure.subscribe()
    }

    pub fn job_queued(&self, bytes: usize) {
        self.queued.fetch_add(1, Ordering::Relaxed);
        self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn job_taken(&self, bytes: usize) {
        self.queued.fetch_sub(1, Ordering::Relaxed);
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Announces committed deliveries to these targets; does nothing for an empty list.
    pub fn work_committed(&self, targets: Vec<TargetId>) {
        if !targets.is_empty() {
            self.due.add(targets);
            self.wake_followers();
        }
    }

    pub fn attempts_recorded(&self, delivered: u64, failed: u64, dead: u64) {
        for (counter, more) in self.attempts.iter().zip([delivered, failed, dead]) {
            counter.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Successful attempts, failed attempts, and dead deliveries.
    pub fn attempts(&self) -> [u64; 3] {
        self.attempts.each_ref().map(|counter| counter.load(Ordering::Relaxed))
    }

    pub fn wake_followers(&self) {
        self.commits.send_modify(|number| *number += 1);
    }

    pub fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    pub fn queued_bytes(&self) -> usize {
        self.queued_bytes.load(Ordering::Relaxed)
    }

    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    pub fn observe_batches(&self, observer: BatchObserver) {
        if self.observer.set(observer).is_err() {
            log::warn!("the observer of batches is already set");
        }
    }

    pub fn batch_written(&self, messages: usize) {
        if messages == 0 {
            return;
        }
        self.batches.fetch_add(1, Ordering::Relaxed);
        self.batched_messages.fetch_add(messages as u64, Ordering::Relaxed);
        if let Some(observer) = self.observer.get() {
            observer(messages);
        }
    }

    pub fn batches(&self) -> (u64, u64) {
        (self.batches.load(Ordering::Relaxed), self.batched_messages.load(Ordering::Relaxed))
    }

    pub fn set_keys(&self, keys: usize, bytes: usize) {
        self.keys.store(keys, Ordering::Relaxed);
        self.keys_bytes.store(bytes, Ordering::Relaxed);
    }

    pub fn keys(&self) -> (usize, usize) {
        (self.keys.load(Ordering::Relaxed), self.keys_bytes.load(Ordering::Relaxed))
    }

    pub fn set_checkpointer(&self, thread: Thread) {
        if self.checkpointer.set(thread).is_err() {
            log::warn!("the checkpointer is already set");
        }
    }

    /// Whether this process checkpoints at all.
    pub fn checkpoints(&self) -> bool {
        self.checkpointer.get().is_some()
    }

    /// Takes the checkpoint lock; `None` while a checkpoint is running.
    pub fn checkpoint_alone(&self) -> Option<MutexGuard<'_, ()>> {
        self.checkpointing.try_lock()
    }

    /// Takes the checkpoint lock after any running checkpoint has finished.
    pub fn wait_for_checkpoint(&self) -> MutexGuard<'_, ()> {
        self.checkpointing.lock()
    }

    /// Takes the checkpoint lock once at most `max_frames` remain to be copied; `None` after
    /// `limit`, or if the last checkpoint could not copy more.
    pub fn wait_for_few_frames(&self, max_frames: i32, limit: Duration) -> Option<MutexGuard<'_, ()>> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(alone) = self.checkpoint_alone() {
                if self.frames_to_copy() <= max_frames {
                    return Some(alone);
                }
                let is_blocked = self.checkpoint_signal.is_blocked();
                drop(alone);
                self.wake_checkpointer();
                if is_blocked {
                    return None;
                }
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(LOCK_PAUSE);
        }
    }

    pub fn set_wal_frames(&self, frames: i32) {
        // SQLite restarts a WAL by itself once all of it is copied.
        if frames < self.wal_frames.swap(frames, Ordering::AcqRel) {
            self.copied_frames.store(0, Ordering::Release);
        }
    }

    pub fn wal_frames(&self) -> i32 {
        self.wal_frames.load(Ordering::Acquire)
    }

    pub fn set_copied_frames(&self, frames: i32) {
        self.copied_frames.store(frames, Ordering::Release);
        // The writer has restarted the WAL since the checkpoint.
        if self.wal_frames() < frames {
            self.copied_frames.store(0, Ordering::Release);
        }
    }

    pub fn set_commits_written(&self, commits: i64) {
        self.commits_written.store(commits, Ordering::Release);
    }

    pub fn commits_written(&self) -> i64 {
        self.commits_written.load(Ordering::Acquire)
    }

    /// Sets the number of commits synced into the database file.
    pub fn set_commits_copied(&self, commits: i64) {
        self.commits_copied.store(commits, Ordering::Release);
    }

    pub fn commits_copied(&self) -> i64 {
        self.commits_copied.load(Ordering::Acquire)
    }

    pub fn frames_to_copy(&self) -> i32 {
        self.wal_frames() - self.copied_frames.load(Ordering::Acquire)
    }

    pub fn wal_was_reset(&self) {
        self.set_copied_frames(0);
        self.set_wal_frames(0);
    }

    pub fn wake_checkpointer_if_due(&self) {
        if let Some(checkpointer) = self.checkpointer.get()
            && self.frames_to_copy() >= wal_size::MIN_FRAMES_TO_CHECKPOINT
        {
            checkpointer.unpark();
        }
    }

    pub fn wake_checkpointer(&self) {
        if let Some(checkpointer) = self.checkpointer.get() {
            checkpointer.unpark();
        }
    }

    /// Requests a checkpoint regardless of the WAL's size: only a checkpoint returns the space that
    /// a vacuum freed.
    pub fn request_checkpoint(&self) {
        self.checkpoint_requested.store(true, Ordering::Release);
        self.wake_checkpointer();
    }

    pub fn take_checkpoint_request(&self) -> bool {
        self.checkpoint_requested.swap(false, Ordering::AcqRel)
    }

    /// Whether a reader blocked the last reset of the WAL.
    pub fn is_reset_blocked(&self) -> bool {
        self.reset_blocked.load(Ordering::Relaxed)
    }

    pub fn set_reset_blocked(&self, is_blocked: bool) {
        self.reset_blocked.store(is_blocked, Ordering::Relaxed);
    }

    pub fn wal_pinned_seconds(&self) -> u64 {
        self.wal_pinned_seconds.load(Ordering::Relaxed)
    }

    pub fn set_wal_pinned(&self, pinned_for: Option<Duration>) {
        self.wal_pinned_seconds.store(pinned_for.map_or(0, |time| time.as_secs()), Ordering::Relaxed);
    }

    pub fn request_reset(&self) {
        self.reset_requested.store(true, Ordering::Release);
    }

    pub fn take_reset_request(&self) -> bool {
        self.reset_requested.load(Ordering::Relaxed) && self.reset_requested.swap(false, Ordering::AcqRel)
    }
}
