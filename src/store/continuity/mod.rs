//! Checks at start whether the files match the state after the last run: the database, its WAL, and
//! the mark in the lock file.
//!
//! All comparisons run before the store opens the database, because opening would already apply any
//! WAL, even a foreign one. Only contents are compared, never inodes or times, so that the files
//! can be moved to another directory.

pub mod database;
pub mod ledger;
pub mod loss;
pub mod mark;
pub mod marker;
pub mod sound;
#[cfg(test)]
mod tests;
pub mod wal;

use std::path::Path;

use ring::digest::{SHA256, digest};

use crate::store::continuity::database::{DatabaseFile, FileContent, FileHeader};
use crate::store::continuity::loss::{Loss, LossFinding};
use crate::store::continuity::mark::Mark;
use crate::store::continuity::wal::WalContent;
use crate::store::error::OpenError;
use crate::store::files::lock::InstanceLock;
use crate::store::files::modes::owner_advice;
use crate::store::files::paths::{has_journal, sibling_path, wal_of};
use crate::store::schema;

/// Compares the files with each other and with the mark; `None` if they match the last run. Changes
/// nothing, unless there is a rollback journal.
///
/// # Errors
/// If the files cannot be read, or if the database is damaged after a crash and has no WAL.
pub fn inspect(path: &Path, mark: Option<&Mark>) -> Result<Option<Loss>, OpenError> {
    let seen = compare_files(path, mark)?;
    if seen.finding.is_none() && seen.is_without_wal && mark.is_some_and(|mark| !mark.is_clean) {
        // Another program has recovered the file, or a checkpoint was interrupted and its WAL
        // deleted.
        sound::check_without_wal(path)?;
    }
    Ok(seen.loss(path, mark))
}

/// Inspects the files for a command that runs next to the service.
///
/// # Errors
/// As for `inspect`, and if the files do not match the last run.
pub fn check(path: &Path) -> Result<(), OpenError> {
    check_with(path, inspect)
}

/// Inspects the files for a command that runs next to the service, without the check for damage.
///
/// # Errors
/// If the files cannot be read, or do not match the last run.
pub fn check_together(path: &Path) -> Result<(), OpenError> {
    check_with(path, |path, mark| Ok(compare_files(path, mark)?.loss(path, mark)))
}

fn check_with(
    path: &Path,
    inspect: impl FnOnce(&Path, Option<&Mark>) -> Result<Option<Loss>, OpenError>,
) -> Result<(), OpenError> {
    // The caller opens the file next, and reports it if it is missing.
    let Ok(path) = std::fs::canonicalize(path) else { return Ok(()) };
    let mark = match sibling_path(&path, "lock").exists() {
        true => match InstanceLock::try_take(&path)? {
            Some(lock) => lock.mark(),
            // A running instance checks its files itself.
            None => return Ok(()),
        },
        false => None,
    };
    inspect(&path, mark.as_ref())?.map_or(Ok(()), |loss| Err(OpenError(loss.to_string())))
}

struct FileFinding {
    finding: Option<LossFinding>,
    /// Whether creel's database exists, without a WAL that has a commit.
    is_without_wal: bool,
}

impl FileFinding {
    fn loss(self, path: &Path, mark: Option<&Mark>) -> Option<Loss> {
        self.finding.map(|finding| Loss { path: path.to_owned(), finding, mark: mark.copied() })
    }
}

fn compare_files(path: &Path, mark: Option<&Mark>) -> Result<FileFinding, OpenError> {
    let seen = compare_files_once(path, mark)?;
    if seen.finding.is_none() || !seen.is_without_wal || !has_journal(path) {
        return Ok(seen);
    }
    // The file is in the middle of a transaction: only the state after SQLite's rollback can be
    // compared.
    schema::apply_journal(path)?;
    compare_files_once(path, mark)
}

fn compare_files_once(path: &Path, mark: Option<&Mark>) -> Result<FileFinding, OpenError> {
    let problem = |path: &Path, error: std::io::Error| {
        OpenError(format!("cannot read {}: {error}{}", path.display(), owner_advice(&error)))
    };
    let database = DatabaseFile::read(path).map_err(|error| problem(path, error))?;
    let header = match &database {
        DatabaseFile::Creel { header, .. } => Some(&**header),
        DatabaseFile::Missing | DatabaseFile::Empty | DatabaseFile::Unknown => None,
    };
    let wal = wal::read(&wal_of(path), header).map_err(|error| problem(&wal_of(path), error))?;
    let mut finding = compare(&database, wal.as_ref(), mark);
    if finding.is_none() && matches!(database, DatabaseFile::Missing) {
        warn_of_deleted(path, mark);
    }
    let is_creel_database = header.is_some();
    // Without a mark, only the commit counter links the WAL to this file, and the counter of a copy
    // made while the WAL was in use matches too.
    if finding.is_none()
        && is_creel_database
        && wal.is_some()
        && mark.is_none()
        && sound::is_damaged_by_wal(path)
    {
        finding = Some(LossFinding::ForeignWal);
    }
    Ok(FileFinding { finding, is_without_wal: is_creel_database && wal.is_none() })
}

fn warn_of_deleted(path: &Path, mark: Option<&Mark>) {
    if let Some(mark) = mark.filter(|mark| mark.ledger.messages > 0) {
        log::warn!(
            "{} was deleted, with messages up to {}: starting with an empty database",
            path.display(),
            mark.ledger.messages
        );
    }
}

fn compare(database: &DatabaseFile, wal: Option<&WalContent>, mark: Option<&Mark>) -> Option<LossFinding> {
    let (header, alone) = match database {
        DatabaseFile::Missing if wal.is_none() => return None,
        DatabaseFile::Empty if wal.is_none() && mark.is_none_or(|mark| mark.ledger.messages == 0) => {
            return None;
        }
        DatabaseFile::Missing | DatabaseFile::Empty => return Some(LossFinding::NoDatabase),
        DatabaseFile::Unknown => return None,
        DatabaseFile::Creel { header, ledger } => (header, ledger),
    };
    if let Some(wal) = wal
        && !(continues(alone, wal) && has_base(alone, header, wal, mark))
    {
        return Some(LossFinding::ForeignWal);
    }
    let mark = mark?;
    let together = match (wal.and_then(|wal| wal.last), alone) {
        (Some(last), _) => Some(last),
        (None, FileContent::Ledger(ledger)) => Some(*ledger),
        (None, FileContent::NoLedger) => None,
        // The caller opens the file next, and reports it if it is unreadable.
        (None, FileContent::Unreadable) => return None,
    };
    match together {
        Some(found) if found.timeline != mark.ledger.timeline && found.timeline != 0 => {
            Some(LossFinding::OtherHistory)
        }
        Some(found) if found.commits >= mark.ledger.commits => None,
        found => Some(LossFinding::Older { found }),
    }
}

/// Whether the WAL continues the file. Each commit increments the counter and is in the WAL, so the
/// counter of the file is at least that of the commit before the WAL's first, and at most that of
/// its last. A timeline begins with its own commit, which has the number 1 if there was no ledger.
fn continues(alone: &FileContent, wal: &WalContent) -> bool {
    let (Some(first), Some(last)) = (wal.first, wal.last) else { return true };
    match alone {
        FileContent::Ledger(file) => {
            let is_base = file.commits <= first.commits;
            let is_known = file.timeline == 0 || wal.timelines.contains(&file.timeline);
            (first.commits - 1..=last.commits).contains(&file.commits) && (is_base || is_known)
        }
        FileContent::NoLedger => first.commits <= 1,
        FileContent::Unreadable => true,
    }
}

/// Whether the database file can be the base of the WAL according to the mark; true if the mark is
/// for another WAL. The file must contain all commits that the mark counts as copied. The first
/// bytes of the file must be the same as when the WAL was started, or come from the WAL; tools that
/// copy a database (`.backup`, `VACUUM INTO`) change these bytes.
fn has_base(alone: &FileContent, header: &FileHeader, wal: &WalContent, mark: Option<&Mark>) -> bool {
    let Some(mark) = mark.filter(|mark| mark.wal == Some(wal.salts)) else { return true };
    let has_copied = match alone {
        FileContent::Ledger(file) => file.commits >= mark.copied || file.timeline != mark.ledger.timeline,
        FileContent::NoLedger | FileContent::Unreadable => true,
    };
    has_copied && (wal.has_header || mark.header == header_digest(header))
}

fn header_digest(header: &FileHeader) -> u64 {
    let digest = digest(&SHA256, header);
    digest.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
