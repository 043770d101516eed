//! The thread that writes the index.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rusqlite::ErrorCode;

use crate::store::index::feed::{self, IndexFeed};
use crate::store::index::file;
use crate::store::index::search_index::{IndexState, is_damage};
use crate::store::index::session::{IDLE_PAUSE, IndexerParts, Session, StepOutcome, UNREADABLE};

/// Pause after an error of the file, doubled for each further one.
const MIN_RETRY: Duration = Duration::from_millis(500);
const MAX_RETRY: Duration = Duration::from_secs(60);

pub struct Indexer {
    parts: IndexerParts,
    path: PathBuf,
    feed: IndexFeed,
}

impl Indexer {
    /// Starts the threads that read. `run` does the work.
    pub fn new(parts: IndexerParts) -> std::io::Result<Self> {
        Ok(Self { path: parts.index.path.clone(), feed: IndexFeed::start(parts.readers.clone())?, parts })
    }

    /// Runs until the store closes.
    pub fn run(self) {
        self.run_until_closed();
        self.feed.close();
    }

    fn run_until_closed(&self) {
        *self.parts.index.thread.lock() = Some(std::thread::current());
        feed::lower_priority();
        let mut retry = MIN_RETRY;
        while !self.is_closing() {
            let began = Instant::now();
            let result = self.work();
            self.parts.index.replace_file();
            if self.is_closing() {
                return;
            }
            if let Err(error) = result {
                if began.elapsed() > MAX_RETRY {
                    retry = MIN_RETRY;
                }
                self.note_failure(&error);
                self.sleep(retry);
                retry = (retry * 2).min(MAX_RETRY);
            }
        }
    }

    fn note_failure(&self, error: &rusqlite::Error) {
        let is_full = error.sqlite_error_code() == Some(ErrorCode::DiskFull);
        if is_full {
            self.parts.index.set_state(IndexState::Waiting("the disk is full".to_owned()));
        } else {
            log::warn!("cannot write the search index {}: {error}", self.path.display());
            self.parts.index.set_state(IndexState::Failed(error.to_string()));
        }
        if is_damage(error) {
            file::remove(&self.path);
        }
    }

    fn work(&self) -> rusqlite::Result<()> {
        let mut session = loop {
            match Session::open(&self.parts, &self.feed, &self.path)? {
                Some(session) => break session,
                None if self.is_closing() => return Ok(()),
                None => {
                    self.parts.index.set_state(IndexState::Waiting(UNREADABLE.to_owned()));
                    self.sleep(IDLE_PAUSE);
                }
            }
        };
        *self.parts.index.interrupt.lock() = Some(session.file.connection.get_interrupt_handle());
        loop {
            let began = Instant::now();
            if self.is_closing() {
                return session.commit();
            }
            match session.step()? {
                StepOutcome::Worked => self.sleep(self.parts.pressure.pause_after(began.elapsed())),
                StepOutcome::Idle(pause) => self.sleep(pause),
                StepOutcome::Replace => {
                    drop(session);
                    file::remove(&self.path);
                    return Ok(());
                }
            }
        }
    }

    fn is_closing(&self) -> bool {
        self.parts.is_closing.load(Ordering::Acquire) || self.parts.pressure.shared.is_stopped()
    }

    /// Sleeps, but for less when the store closes.
    fn sleep(&self, pause: Duration) {
        if !pause.is_zero() && !self.is_closing() {
            std::thread::park_timeout(pause);
        }
    }
}
