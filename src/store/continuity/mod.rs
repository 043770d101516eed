//! Whether the files at start are those that the last run left: the database, its WAL, and the mark in the lock file.
//!
//! Everything is compared before SQLite opens the database for writing, because opening would already apply the WAL,
//! whichever file it belongs to. Only contents are compared, never inodes or times, so that a directory may be moved.

pub mod ledger;
pub mod mark;
mod marker;
#[cfg(test)]
mod tests;
mod wal;

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};
use rusqlite::{Connection, OpenFlags};

use super::OpenError;
use super::files::{InstanceLock, beside, owner_advice, wal_of};
use super::schema::{self, APPLICATION_ID};
use ledger::Ledger;
use mark::Mark;
pub use marker::Marker;
use wal::{DATABASE_HEADER_BYTES, WalContent};

type Header = [u8; DATABASE_HEADER_BYTES];

/// What is wrong with the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    /// The WAL was written for another database file.
    ForeignWal,
    /// The database lacks commits that the mark has.
    Older { found: Option<Ledger> },
    /// The history of the database is not that of the mark.
    OtherHistory,
    /// The database file is missing or empty.
    NoDatabase,
}

/// Acknowledged messages that starting would lose; says what to do, in four lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Loss {
    path: PathBuf,
    finding: Finding,
    mark: Option<Mark>,
}

impl Loss {
    /// Goes on with what is there. A WAL of another file is moved aside.
    pub fn accept(&self) -> Result<(), OpenError> {
        let path = self.path.display();
        if matches!(self.finding, Finding::ForeignWal | Finding::NoDatabase) && wal_of(&self.path).exists() {
            let aside = free_name_beside(&wal_of(&self.path));
            std::fs::rename(wal_of(&self.path), &aside).map_err(|error| {
                OpenError(format!("cannot move {} aside: {error}", wal_of(&self.path).display()))
            })?;
            log::warn!("--accept-loss: moved the WAL that does not belong to {path} to {}", aside.display());
        }
        match self.mark {
            Some(mark) => log::warn!(
                "--accept-loss: going on with {path} as it is; the last run had stored messages up to {}",
                mark.ledger.messages
            ),
            None => log::warn!("--accept-loss: going on with {path} as it is"),
        }
        // A file that a checkpoint had written in part is damaged without its WAL.
        schema::check_sound(&self.path)
    }

    fn found(&self) -> String {
        let (path, wal) = (self.path.display(), wal_of(&self.path));
        let wal = wal.display();
        match (self.finding, self.mark) {
            (Finding::ForeignWal, _) => {
                format!("{wal} does not belong to {path}: it was written for another state of the database")
            }
            (Finding::Older { found: None }, Some(mark)) => format!(
                "{path} is older than what creel last stored here: the last run ended at message {} (commit {})",
                mark.ledger.messages, mark.ledger.commits
            ),
            (Finding::Older { found: Some(found) }, Some(mark)) => {
                format!(
                    "{path} is older than what creel last stored here: it ends at message {} (commit {}), \
                     the last run at message {} (commit {})",
                    found.messages, found.commits, mark.ledger.messages, mark.ledger.commits
                )
            }
            (Finding::NoDatabase, Some(mark)) => {
                format!(
                    "{path} is missing or empty, but the last run stored messages up to {}",
                    mark.ledger.messages
                )
            }
            (Finding::NoDatabase, None) => {
                format!("{path} is missing or empty, but its WAL {wal} has commits")
            }
            (Finding::OtherHistory | Finding::Older { .. }, _) => {
                format!("{path} is not the database that creel last ran on here, but another one")
            }
        }
    }

    fn meaning(&self) -> &'static str {
        match self.finding {
            Finding::ForeignWal => {
                "A copy was probably put over the database after a crash. Opened together, the two would be mixed or damaged."
            }
            Finding::Older { .. } => {
                "An older copy was put in its place, or its WAL was deleted after a crash. \
                 Acknowledged messages would be lost."
            }
            Finding::OtherHistory => "The messages that were stored here last are not in it.",
            Finding::NoDatabase => {
                "The database file was deleted or emptied. Acknowledged messages would be lost."
            }
        }
    }

    fn newest(&self) -> String {
        format!(
            "For the newest state: put back {} and {} as they were when creel stopped, both of them, and start again.",
            self.path.display(),
            wal_of(&self.path).display()
        )
    }

    fn accepting(&self) -> String {
        let extra = match self.finding {
            Finding::ForeignWal => {
                format!(", which moves the WAL to {}", free_name_beside(&wal_of(&self.path)).display())
            }
            Finding::NoDatabase if wal_of(&self.path).exists() => {
                format!(
                    " with an empty database, which moves the WAL to {}",
                    free_name_beside(&wal_of(&self.path)).display()
                )
            }
            Finding::NoDatabase => " with an empty database".to_owned(),
            Finding::Older { .. } | Finding::OtherHistory => String::new(),
        };
        format!("To go on without what is lost: creel serve --accept-loss{extra}")
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  {}\n  {}\n  {}", self.found(), self.meaning(), self.newest(), self.accepting())
    }
}

/// Compares the files with each other and with the mark; `None` if they are what the last run left. Changes nothing.
pub fn inspect(path: &Path, mark: Option<&Mark>) -> Result<Option<Loss>, OpenError> {
    let problem = |path: &Path, error: std::io::Error| {
        OpenError(format!("cannot read {}: {error}{}", path.display(), owner_advice(&error)))
    };
    let database = DatabaseFile::read(path).map_err(|error| problem(path, error))?;
    let header = match &database {
        DatabaseFile::Ours { header, .. } => Some(&**header),
        DatabaseFile::Missing | DatabaseFile::Empty | DatabaseFile::Unknown => None,
    };
    let wal = wal::read(&wal_of(path), header).map_err(|error| problem(&wal_of(path), error))?;
    let finding = compare(&database, wal.as_ref(), mark);
    match &database {
        DatabaseFile::Missing if finding.is_none() => warn_of_deleted(path, mark),
        DatabaseFile::Ours { ledger: Content::Ledger(ledger), .. }
            if finding.is_none() && wal.is_none() && mark.is_some_and(|mark| !mark.is_clean) =>
        {
            check_whole(path, ledger)?;
        }
        _ => {}
    }
    Ok(finding.map(|finding| Loss { path: path.to_owned(), finding, mark: mark.copied() }))
}

/// What `inspect` finds, for a command that runs next to the service.
///
/// # Errors
/// Also when the files are not those that the last run left.
pub fn check(path: &Path) -> Result<(), OpenError> {
    // A missing file is reported by whoever opens it.
    let Ok(path) = std::fs::canonicalize(path) else { return Ok(()) };
    let mark = match beside(&path, "lock").exists() {
        true => match InstanceLock::try_take(&path)? {
            Some(lock) => lock.mark(),
            // While an instance runs, it watches its files itself.
            None => return Ok(()),
        },
        false => None,
    };
    inspect(&path, mark.as_ref())?.map_or(Ok(()), |loss| Err(OpenError(loss.to_string())))
}

/// After a crash without a WAL: another program has recovered the file, or a checkpoint was cut off and its WAL deleted.
/// A checkpoint copies the counters early and the newest messages late.
fn check_whole(path: &Path, ledger: &Ledger) -> Result<(), OpenError> {
    let newest = open_alone(path)
        .and_then(|alone| alone.query_row("SELECT coalesce(max(id), 0) FROM messages", [], |row| row.get(0)));
    match newest {
        Ok(newest) if ledger.messages == newest => Ok(()),
        Ok::<i64, _>(_) | Err(_) => schema::check_sound(path),
    }
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

fn compare(database: &DatabaseFile, wal: Option<&WalContent>, mark: Option<&Mark>) -> Option<Finding> {
    let (header, alone) = match database {
        DatabaseFile::Missing if wal.is_none() => return None,
        DatabaseFile::Empty if wal.is_none() && mark.is_none_or(|mark| mark.ledger.messages == 0) => {
            return None;
        }
        DatabaseFile::Missing | DatabaseFile::Empty => return Some(Finding::NoDatabase),
        DatabaseFile::Unknown => return None,
        DatabaseFile::Ours { header, ledger } => (header, ledger),
    };
    if let Some(wal) = wal
        && !(continues(alone, wal) && has_base(alone, header, wal, mark))
    {
        return Some(Finding::ForeignWal);
    }
    let mark = mark?;
    let together = match (wal.and_then(|wal| wal.last), alone) {
        (Some(last), _) => Some(last),
        (None, Content::Ledger(ledger)) => Some(*ledger),
        (None, Content::NoLedger) => None,
        // What cannot be read is reported when it is opened.
        (None, Content::Unreadable) => return None,
    };
    match together {
        Some(found) if found.timeline != mark.ledger.timeline && found.timeline != 0 => {
            Some(Finding::OtherHistory)
        }
        Some(found) if found.commits >= mark.ledger.commits => None,
        found => Some(Finding::Older { found }),
    }
}

/// Each commit counts up by one, and is in the WAL: so the file is at the commit before the WAL's first at least, and at
/// its last at most.
fn continues(alone: &Content, wal: &WalContent) -> bool {
    let (Some(first), Some(last)) = (wal.first, wal.last) else { return true };
    match alone {
        Content::Ledger(file) => {
            let same_timeline =
                [first.timeline, last.timeline].contains(&file.timeline) || file.timeline == 0;
            (first.commits - 1..=last.commits).contains(&file.commits)
                && (same_timeline || file.commits == first.commits)
        }
        Content::NoLedger => first.commits == 0,
        Content::Unreadable => true,
    }
}

/// Where the mark is of the same WAL: the first bytes of the file are those that it had when the WAL began, or come from the
/// WAL, because tools that copy a database (`.backup`, `VACUUM INTO`) change them; and the file has what checkpoints have
/// copied into it.
fn has_base(alone: &Content, header: &Header, wal: &WalContent, mark: Option<&Mark>) -> bool {
    let Some(mark) = mark.filter(|mark| mark.wal == Some(wal.salts)) else { return true };
    let has_copied = match alone {
        Content::Ledger(file) => file.commits >= mark.copied || file.timeline != mark.ledger.timeline,
        Content::NoLedger | Content::Unreadable => true,
    };
    has_copied && (wal.has_header || mark.header == header_digest(header))
}

fn header_digest(header: &Header) -> u64 {
    let digest = digest(&SHA256, header);
    digest.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The database file by itself, without its WAL.
enum DatabaseFile {
    Missing,
    Empty,
    /// Not creel's, or damaged: other checks have the better words for it.
    Unknown,
    Ours {
        header: Box<Header>,
        ledger: Content,
    },
}

enum Content {
    Ledger(Ledger),
    NoLedger,
    /// A checkpoint may have been cut off in its middle.
    Unreadable,
}

impl DatabaseFile {
    fn read(path: &Path) -> std::io::Result<Self> {
        let mut header = Box::new([0; DATABASE_HEADER_BYTES]);
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::Missing),
            Err(error) => return Err(error),
        };
        if file.metadata()?.len() == 0 {
            return Ok(Self::Empty);
        }
        if file.read_exact(&mut *header).is_err() || !header.starts_with(b"SQLite format 3\0") {
            return Ok(Self::Unknown);
        }
        let application = i32::from_be_bytes([header[68], header[69], header[70], header[71]]);
        // 0: a first start was cut off before its first checkpoint.
        if application != APPLICATION_ID && application != 0 {
            return Ok(Self::Unknown);
        }
        let ledger = match read_alone(path) {
            Ok(Some(ledger)) => Content::Ledger(ledger),
            Ok(None) => Content::NoLedger,
            Err(_) => Content::Unreadable,
        };
        match (application, &ledger) {
            (0, Content::Ledger(_) | Content::Unreadable) => Ok(Self::Unknown),
            _ => Ok(Self::Ours { header, ledger }),
        }
    }
}

/// Without locks, without the WAL, and without a trace.
fn open_alone(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let name: String =
        path.as_os_str().as_encoded_bytes().iter().map(|byte| format!("%{byte:02x}")).collect();
    Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)
}

fn read_alone(path: &Path) -> rusqlite::Result<Option<Ledger>> {
    let connection = open_alone(path)?;
    let has_table: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_sequence')",
        [],
        |row| row.get(0),
    )?;
    if has_table { Ledger::read(&connection) } else { Ok(None) }
}

/// `creel.db-wal.aside-1`, or with the first number that is free.
fn free_name_beside(path: &Path) -> PathBuf {
    let name = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".aside-{number}"));
        PathBuf::from(name)
    };
    (1..).map(name).find(|name| !name.exists()).unwrap_or_else(|| name(0))
}
