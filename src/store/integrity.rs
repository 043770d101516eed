//! Re-hashes stored messages: reports any flipped bit in a body, and the findings of SQLite's own
//! check.

use std::fmt;
use std::path::Path;

use ring::digest::{SHA256, digest};
use rusqlite::Connection;

use crate::store::error::OpenError;
use crate::store::id::MessageId;
use crate::store::{continuity, damage, schema};

/// Findings of `creel verify`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct IntegrityReport {
    pub checked: u64,
    /// Messages whose body does not match its SHA-256.
    pub flipped: Vec<MessageId>,
    /// Lines of SQLite's integrity check other than "ok", and errors of reading the file.
    pub integrity: Vec<String>,
}

impl IntegrityReport {
    pub fn is_sound(&self) -> bool {
        self.flipped.is_empty() && self.integrity.is_empty()
    }
}

impl fmt::Display for IntegrityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_sound() {
            return write!(f, "{} messages: every body matches its SHA-256, the file is sound", self.checked);
        }
        writeln!(f, "{} messages read", self.checked)?;
        for id in &self.flipped {
            writeln!(f, "message {id}: the body does not match its SHA-256")?;
        }
        for line in &self.integrity {
            writeln!(f, "integrity check: {line}")?;
        }
        write!(f, "restore the damaged data from a backup")
    }
}

/// Reads every message; safe while the service runs.
///
/// # Errors
/// If the file cannot be opened, is not creel's, was written by a newer creel, does not match the
/// last run, or is so damaged that its version cannot be read. Other damage is not an error: it is
/// part of the report.
pub fn verify(path: &Path) -> Result<IntegrityReport, OpenError> {
    continuity::check_together(path)?;
    let connection = schema::read_only(path)?;
    schema::check_ours_with(&connection, damage::advice_of_verify)
        .map_err(|OpenError(why)| OpenError(format!("{}: {why}", path.display())))?;
    let mut report = IntegrityReport::default();
    if let Err(error) = check_integrity(&connection, &mut report) {
        report.integrity.push(error.to_string());
    }
    if let Err(error) = check_bodies(&connection, &mut report) {
        report.integrity.push(format!("after {} messages: {error}", report.checked));
    }
    Ok(report)
}

fn check_integrity(connection: &Connection, report: &mut IntegrityReport) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA integrity_check")?;
    let lines: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    report.integrity.extend(lines.into_iter().filter(|line| line != "ok"));
    Ok(())
}

fn check_bodies(connection: &Connection, report: &mut IntegrityReport) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(
        "SELECT id, body_sha256, coalesce(body, CAST(payload AS BLOB), x'') FROM messages ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        report.checked += 1;
        if digest(&SHA256, row.get_ref(2)?.as_blob()?).as_ref() != row.get_ref(1)?.as_blob()? {
            report.flipped.push(row.get(0)?);
        }
    }
    Ok(())
}
