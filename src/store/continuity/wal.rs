//! Reads a WAL file without SQLite: its committed frames, and the versions of the ledger and of
//! page 1 in them.
//!
//! See "The WAL File Format" in SQLite's documentation. Opening the file with SQLite would already
//! apply it.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::store::continuity::ledger::Ledger;

pub const DATABASE_HEADER_BYTES: usize = 100;
const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// The lowest bit selects checksums over big-endian words.
const MAGIC: u32 = 0x377f_0682;
const READ_BYTES: usize = 1 << 20;

/// Two numbers that identify the frames since the last restart of a WAL: SQLite changes both
/// numbers whenever it restarts the WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salts(pub u64);

/// Committed content of a WAL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WalContent {
    pub salts: Salts,
    /// Ledger in the first frame that has one, and in the last.
    pub first: Option<Ledger>,
    pub last: Option<Ledger>,
    /// Timelines of all ledgers. Each start without a matching mark begins another one.
    pub timelines: Vec<i64>,
    /// Whether a frame has page 1 with the given header.
    pub has_header: bool,
}

/// Returns the salts of a WAL that has been written to.
pub fn salts(wal: &File) -> Option<Salts> {
    use std::os::unix::fs::FileExt as _;
    let mut header = [0; HEADER_BYTES];
    wal.read_exact_at(&mut header, 0).ok()?;
    (word(&header, 0) & !1 == MAGIC).then(|| salts_of(&header))
}

/// Reads the WAL up to its last commit; `None` if there is no commit. `header` is the beginning of
/// the database file.
pub fn read(path: &Path, header: Option<&[u8; DATABASE_HEADER_BYTES]>) -> io::Result<Option<WalContent>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut reader = BufReader::with_capacity(READ_BYTES, file);
    let mut start = [0; HEADER_BYTES];
    if !fill(&mut reader, &mut start)? || word(&start, 0) & !1 != MAGIC {
        return Ok(None);
    }
    let mut checksum = Checksum { is_big_endian: word(&start, 0) & 1 == 1, state: [0, 0] };
    checksum.add(&start[..24]);
    if checksum.state != [word(&start, 24), word(&start, 28)] {
        return Ok(None);
    }
    let page_bytes = match word(&start, 8) {
        bytes if bytes.is_power_of_two() && (512..=65_536).contains(&bytes) => bytes as usize,
        _ => return Ok(None),
    };
    let mut pending = WalContent {
        salts: salts_of(&start),
        first: None,
        last: None,
        timelines: Vec::new(),
        has_header: false,
    };
    let mut committed = None;
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes];
    while fill(&mut reader, &mut frame)? {
        let (head, page) = frame.split_at(FRAME_HEADER_BYTES);
        checksum.add(&head[..8]);
        checksum.add(page);
        let is_current_frame =
            head[8..16] == start[16..24] && checksum.state == [word(head, 16), word(head, 20)];
        let number = word(head, 0);
        if !is_current_frame || number == 0 {
            break;
        }
        if number == 1 {
            pending.has_header |= header.is_some_and(|header| page.starts_with(header));
        } else if let Some(ledger) = Ledger::in_page(page) {
            pending.first.get_or_insert(ledger);
            pending.last = Some(ledger);
            if !pending.timelines.contains(&ledger.timeline) {
                pending.timelines.push(ledger.timeline);
            }
        }
        let is_commit = word(head, 4) != 0;
        if is_commit {
            committed = Some(pending.clone());
        }
    }
    Ok(committed)
}

fn salts_of(header: &[u8; HEADER_BYTES]) -> Salts {
    Salts(u64::from(word(header, 16)) << 32 | u64::from(word(header, 20)))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Fills the buffer; false at the end of the file.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

/// SQLite's checksum, chained across frames.
struct Checksum {
    is_big_endian: bool,
    state: [u32; 2],
}

impl Checksum {
    fn add(&mut self, bytes: &[u8]) {
        let [mut first, mut second] = self.state;
        for pair in bytes.as_chunks::<8>().0 {
            let [a, b, c, d, e, f, g, h] = *pair;
            let (one, two) = match self.is_big_endian {
                true => (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])),
                false => (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])),
            };
            first = first.wrapping_add(one).wrapping_add(second);
            second = second.wrapping_add(two).wrapping_add(first);
        }
        self.state = [first, second];
    }
}
