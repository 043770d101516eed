//! Keeps the mark of a running instance up to date.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Weak};

use rusqlite::Connection;

use crate::store::continuity::ledger::Ledger;
use crate::store::continuity::mark::Mark;
use crate::store::continuity::{header_digest, wal};
use crate::store::error::OpenError;
use crate::store::files::Files;
use crate::store::files::lock::InstanceLock;
use crate::store::files::paths::wal_of;

/// Writes the mark after each commit: one `pread` and one `pwrite`.
#[derive(Debug)]
pub struct Marker {
    /// Weak, because a mark may only be written while the store holds the lock.
    lock: Weak<InstanceLock>,
    files: Arc<Files>,
    wal: File,
    mark: Mark,
    has_failed: bool,
}

impl Marker {
    /// Writes the first mark of this instance. `number` is the number of the previous mark; for
    /// `copied`, see `Mark`.
    pub fn start(
        lock: &Arc<InstanceLock>,
        files: Arc<Files>,
        database: &Path,
        connection: &Connection,
        (number, copied): (u64, i64),
    ) -> Result<Self, OpenError> {
        let problem =
            |error: &dyn std::fmt::Display| OpenError(format!("cannot read {}: {error}", database.display()));
        let wal = File::open(wal_of(database)).map_err(|error| problem(&error))?;
        // A power cut could still undo pages that a crashed run copied without a sync.
        files.sync_database().map_err(|error| problem(&error))?;
        let ledger = Ledger::read(connection).map_err(|error| problem(&error))?.unwrap_or_default();
        let inode = files.database_inode();
        let mark = Mark { number, is_clean: false, ledger, copied, wal: None, header: 0, inode };
        let mut marker = Self { lock: Arc::downgrade(lock), files, wal, mark, has_failed: false };
        marker.committed(ledger, copied);
        lock.sync();
        Ok(marker)
    }

    pub fn ledger(&self) -> Ledger {
        self.mark.ledger
    }

    /// Updates the mark after a commit.
    pub fn committed(&mut self, ledger: Ledger, copied: i64) {
        let salts = wal::salts(&self.wal);
        if salts != self.mark.wal || self.mark.header == 0 {
            // Without a readable header, nothing links the database file to this WAL.
            match self.files.database_header() {
                Ok(header) => (self.mark.wal, self.mark.header) = (salts, header_digest(&header)),
                Err(_) => (self.mark.wal, self.mark.header) = (None, 0),
            }
        }
        self.mark.ledger = ledger;
        self.mark.copied = self.mark.copied.max(copied);
        self.write();
    }

    /// Writes the final mark, after the last commit and the last checkpoint. Frames may remain in
    /// the WAL, e.g. if a reader prevented copying them.
    pub fn stopped(&mut self) {
        self.mark.is_clean = true;
        self.write();
        if let Some(lock) = self.lock.upgrade() {
            lock.sync();
        }
    }

    fn write(&mut self) {
        let Some(lock) = self.lock.upgrade() else { return };
        self.mark.number += 1;
        match lock.write_mark(&self.mark) {
            Ok(()) => self.has_failed = false,
            Err(error) if !self.has_failed => {
                self.has_failed = true;
                log::warn!("cannot write the mark into the lock file, lost files may go unnoticed: {error}");
            }
            Err(_) => {}
        }
    }
}
