//! The database file alone, without its WAL: its first bytes and its ledger.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::store::continuity::ledger::Ledger;
use crate::store::continuity::wal::DATABASE_HEADER_BYTES;
use crate::store::schema::APPLICATION_ID;

pub type FileHeader = [u8; DATABASE_HEADER_BYTES];

/// The database file alone, without its WAL.
pub enum DatabaseFile {
    Missing,
    Empty,
    /// A foreign or damaged file: other checks report it in more detail.
    Unknown,
    Creel {
        header: Box<FileHeader>,
        ledger: FileContent,
    },
}

pub enum FileContent {
    Ledger(Ledger),
    NoLedger,
    /// An unreadable file, possibly in the middle of an interrupted checkpoint.
    Unreadable,
}

impl DatabaseFile {
    pub fn read(path: &Path) -> std::io::Result<Self> {
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
        // An application id of 0 may mean that the first start was interrupted before its first
        // checkpoint.
        if application != APPLICATION_ID && application != 0 {
            return Ok(Self::Unknown);
        }
        let ledger = match read_alone(path) {
            Ok(Some(ledger)) => FileContent::Ledger(ledger),
            Ok(None) => FileContent::NoLedger,
            Err(_) => FileContent::Unreadable,
        };
        match (application, &ledger) {
            (0, FileContent::Ledger(_) | FileContent::Unreadable) => Ok(Self::Unknown),
            _ => Ok(Self::Creel { header, ledger }),
        }
    }
}

/// Opens the file without locks and without the WAL. Does not change it.
pub fn open_alone(path: &Path) -> rusqlite::Result<Connection> {
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
