//! The commit counter, the timeline and the highest ids of the database: rows of `sqlite_sequence`.
//!
//! Each new message changes `sqlite_sequence` anyway, so counting commits there adds no page to a
//! batch. The table has a single page, so it can also be found in the frames of a WAL without
//! SQLite.

use rusqlite::{Connection, params};

const COMMITS: &str = "creel_commits";
const TIMELINE: &str = "creel_timeline";
const MESSAGES: &str = "messages";
const DELIVERIES: &str = "deliveries";

/// The b-tree page type of a table's leaf.
const TABLE_LEAF: u8 = 0x0d;
const LEAF_HEADER_BYTES: usize = 8;
/// Limit on rows, above the number of tables that `sqlite_sequence` counts.
const MAX_ROWS: usize = 64;

/// Position of a database in its history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Commits of the writer.
    pub commits: i64,
    /// A random number that changes whenever the history of the database forks. 0: unknown.
    pub timeline: i64,
    /// The highest ids ever assigned.
    pub messages: i64,
    pub deliveries: i64,
}

impl Ledger {
    /// Reads the ledger; `None` for a database without a commit counter.
    pub fn read(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        let mut statement = connection.prepare_cached("SELECT name, seq FROM sqlite_sequence")?;
        let mut rows = statement.query([])?;
        let mut found = LedgerState::default();
        while let Some(row) = rows.next()? {
            if let (Ok(name), Ok(value)) = (row.get_ref(0)?.as_bytes(), row.get_ref(1)?.as_i64()) {
                found.add(name, value);
            }
        }
        Ok(found.ledger())
    }

    /// Reads the ledger from a page of the database file, if it is the page of `sqlite_sequence`.
    pub fn in_page(page: &[u8]) -> Option<Self> {
        let rows = usize::from(big_endian_u16(page, 3)?);
        if page.first() != Some(&TABLE_LEAF) || rows == 0 || rows > MAX_ROWS {
            return None;
        }
        let mut found = LedgerState::default();
        for row in 0..rows {
            let cell = usize::from(big_endian_u16(page, LEAF_HEADER_BYTES + 2 * row)?);
            let (name, value) = name_and_number(page.get(cell..)?)?;
            found.add(name, value);
        }
        found.ledger()
    }

    /// Counts one more commit, in its transaction; returns the ledger with that commit.
    pub fn advance(self, connection: &Connection) -> rusqlite::Result<Self> {
        let commits = self.commits + 1;
        set(connection, COMMITS, commits)?;
        Ok(Self { commits, ..Self::read(connection)?.unwrap_or(self) })
    }

    /// Starts another timeline after the current state.
    pub fn begin(connection: &Connection, timeline: i64) -> rusqlite::Result<Self> {
        let commits = Self::read(connection)?.map_or(0, |ledger| ledger.commits);
        set(connection, COMMITS, commits)?;
        set(connection, TIMELINE, timeline)?;
        Ok(Self::read(connection)?.unwrap_or_default())
    }

    /// Raises the id counters to those of `lost`, so that the ids of lost rows are not reused.
    pub fn skip_ids_through(connection: &Connection, lost: &Self) -> rusqlite::Result<()> {
        let now = Self::read(connection)?.unwrap_or_default();
        for (table, now, lost) in
            [(MESSAGES, now.messages, lost.messages), (DELIVERIES, now.deliveries, lost.deliveries)]
        {
            if lost > now {
                set(connection, table, lost)?;
            }
        }
        Ok(())
    }
}

fn set(connection: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    let changed = connection
        .prepare_cached("UPDATE sqlite_sequence SET seq = ?2 WHERE name = ?1")?
        .execute(params![name, value])?;
    if changed == 0 {
        connection
            .prepare_cached("INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)")?
            .execute(params![name, value])?;
    }
    Ok(())
}

#[derive(Default)]
struct LedgerState {
    commits: Option<i64>,
    ledger: Ledger,
}

impl LedgerState {
    fn add(&mut self, name: &[u8], value: i64) {
        match name {
            name if name == COMMITS.as_bytes() => self.commits = Some(value),
            name if name == TIMELINE.as_bytes() => self.ledger.timeline = value,
            name if name == MESSAGES.as_bytes() => self.ledger.messages = value,
            name if name == DELIVERIES.as_bytes() => self.ledger.deliveries = value,
            _ => {}
        }
    }

    fn ledger(self) -> Option<Ledger> {
        self.commits.map(|commits| Ledger { commits, ..self.ledger })
    }
}

fn big_endian_u16(page: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(page.get(at..at + 2)?.try_into().ok()?))
}

/// Parses a row `(TEXT, INTEGER)`; `None` for any other. See "Record Format" in SQLite's file
/// format.
fn name_and_number(cell: &[u8]) -> Option<(&[u8], i64)> {
    let (_payload_bytes, cell) = varint(cell)?;
    let (_rowid, record) = varint(cell)?;
    let (header_bytes, rest) = varint(record)?;
    let (name_type, rest) = varint(rest)?;
    let (number_type, rest) = varint(rest)?;
    let header_end = record.len() - rest.len();
    if header_bytes != header_end as u64 || name_type < 13 || name_type.is_multiple_of(2) {
        return None;
    }
    let name_bytes = usize::try_from((name_type - 13) / 2).ok()?;
    let (name, rest) = rest.split_at_checked(name_bytes)?;
    let number_bytes = match number_type {
        8 => return Some((name, 0)),
        9 => return Some((name, 1)),
        1..=4 => number_type as usize,
        5 => 6,
        6 => 8,
        _ => return None,
    };
    let bytes = rest.get(..number_bytes)?;
    let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
    Some((name, bytes.iter().fold(sign, |number, byte| (number << 8) | i64::from(*byte))))
}

/// Parses SQLite's variable-length integer; returns the remaining bytes too.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(9) {
        if index == 8 {
            return Some((value << 8 | u64::from(*byte), &bytes[9..]));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(path: &std::path::Path) -> Connection {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT);
                 CREATE TABLE deliveries (id INTEGER PRIMARY KEY AUTOINCREMENT);
                 CREATE TABLE targets (id INTEGER PRIMARY KEY AUTOINCREMENT);
                 INSERT INTO targets DEFAULT VALUES",
            )
            .unwrap();
        connection
    }

    #[test]
    fn ledger_in_page_equals_ledger_from_sql() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let connection = database(&path);
        assert_eq!(Ledger::read(&connection).unwrap(), None);
        for value in [0, 1, 127, 128, 32_767, 8_388_608, 2_147_483_648, 1 << 40, i64::MAX - 1] {
            set(&connection, COMMITS, value).unwrap();
            Ledger::begin(&connection, i64::MAX - value).unwrap();
            set(&connection, MESSAGES, value / 2).unwrap();
            let ledger = Ledger::read(&connection).unwrap().unwrap();
            assert_eq!(
                (ledger.commits, ledger.timeline, ledger.messages),
                (value, i64::MAX - value, value / 2)
            );
            let bytes = std::fs::read(&path).unwrap();
            let found: Vec<Ledger> = bytes.chunks(4096).filter_map(Ledger::in_page).collect();
            assert_eq!(found, [ledger], "{value}");
            assert_eq!(ledger.advance(&connection).unwrap().commits, value.saturating_add(1));
        }
    }

    #[test]
    fn damaged_pages_have_no_ledger_and_never_panic() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.db");
        let connection = database(&path);
        Ledger::begin(&connection, 7).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let page = bytes.chunks(4096).find(|page| Ledger::in_page(page).is_some()).unwrap().to_vec();
        for length in [0, 3, 5, 8, 9, 100, 4000] {
            assert_eq!(Ledger::in_page(&page[..length]), None);
        }
        for at in (0..40).chain(3900..4096) {
            for value in [0, 0x7f, 0xff] {
                let mut changed = page.clone();
                changed[at] = value;
                let _ = Ledger::in_page(&changed);
            }
        }
    }

    #[test]
    fn lost_ids_are_skipped_and_higher_ones_stay() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT)").unwrap();
        Ledger::begin(&connection, 1).unwrap();
        Ledger::skip_ids_through(&connection, &Ledger { messages: 40, deliveries: 7, ..Ledger::default() })
            .unwrap();
        Ledger::skip_ids_through(&connection, &Ledger { messages: 3, ..Ledger::default() }).unwrap();
        let ledger = Ledger::read(&connection).unwrap().unwrap();
        assert_eq!((ledger.messages, ledger.deliveries), (40, 7));
        connection.execute("INSERT INTO messages DEFAULT VALUES", []).unwrap();
        assert_eq!(connection.last_insert_rowid(), 41);
    }
}
