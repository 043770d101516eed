//! Root pages of tables and indexes. They reveal that the database file was truncated and extended
//! again: the pages of the old file that are not in the WAL are then zero.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use rusqlite::{Connection, ErrorCode};

/// Length of the file header, which precedes the b-tree on the first page.
const HEADER_BYTES: u64 = 100;

/// Root pages at one version of the schema; empty until they are read.
#[derive(Debug, Default)]
pub struct RootPages {
    /// Changes with every statement that moves root pages, including `VACUUM`.
    schema_version: i64,
    pages: Vec<RootPage>,
}

#[derive(Debug)]
struct RootPage {
    /// Offset in bytes of the page's type, which is never zero.
    offset: u64,
    /// Whether the page was found in the file. A new root page may still be only in the WAL.
    was_in_file: bool,
}

impl RootPages {
    /// Reads the positions of all root pages in one statement, so that they belong to the same
    /// schema version.
    pub fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection.prepare_cached(
            "SELECT rootpage, page_size, schema_version FROM sqlite_schema, pragma_page_size, pragma_schema_version
             WHERE rootpage > 1 ORDER BY rootpage",
        )?;
        let mut rows = statement.query([])?;
        let mut roots = Self::default();
        roots.pages.push(RootPage { offset: HEADER_BYTES, was_in_file: false });
        while let Some(row) = rows.next()? {
            let (number, page_bytes): (u64, u64) = (row.get(0)?, row.get(1)?);
            roots.pages.push(RootPage { offset: (number - 1) * page_bytes, was_in_file: false });
            roots.schema_version = row.get(2)?;
        }
        Ok(roots)
    }

    /// Whether a root page that was in `file` is missing now. Another process may have moved the
    /// root pages, so `read_again` reads their positions from SQLite; if they have changed, the new
    /// ones are used from then on. An unreadable schema counts as a loss.
    pub fn are_lost(&mut self, file: &File, read_again: impl FnOnce() -> rusqlite::Result<Self>) -> bool {
        if !self.find_missing(file) {
            return false;
        }
        match read_again() {
            Ok(mut now) if now.schema_version != self.schema_version && now.has_tables() => {
                now.find_missing(file);
                *self = now;
                false
            }
            // Another process has locked the file: the next check decides.
            Err(error)
                if [Some(ErrorCode::DatabaseBusy), Some(ErrorCode::DatabaseLocked)]
                    .contains(&error.sqlite_error_code()) =>
            {
                false
            }
            Ok(_) | Err(_) => true,
        }
    }

    #[cfg(test)]
    pub fn pages_in_file(&self) -> usize {
        self.pages.iter().filter(|page| page.was_in_file).count()
    }

    fn has_tables(&self) -> bool {
        self.pages.len() > 1
    }

    /// Checks each page. Returns true if a page that was in the file is now zero or beyond the end
    /// of the file.
    pub fn find_missing(&mut self, file: &File) -> bool {
        let mut is_any_missing = false;
        for page in &mut self.pages {
            let mut kind = [0];
            if file.read_at(&mut kind, page.offset).is_err() {
                continue;
            }
            let is_in_file = kind != [0];
            is_any_missing |= page.was_in_file && !is_in_file;
            page.was_in_file |= is_in_file;
        }
        is_any_missing
    }
}
