//! Finds the boundaries of heads and bodies as the bytes of a connection arrive. actix-http panics
//! on a header name that the `http` crate cannot hold (above 64 KiB), so such a head must be
//! rejected before actix-http parses it. The scanner also removes upgrade offers (`upgrade`). Its
//! framing rules are those of actix-http; if actix-http stops reading a connection, the scanner
//! stops following it.

mod upgrade;

use upgrade::UpgradeOffer;

use memchr::{memchr, memchr2};

/// Longest header name that is passed on. No client or proxy sends one of even a tenth of this.
pub const MAX_HEADER_NAME_BYTES: usize = 8 << 10;
/// Number of leading bytes of a header name that are compared; more than in any name that matters
/// here.
const NAME_PREFIX_BYTES: usize = 20;
/// Number of leading bytes of a header value that are compared: a 64-bit length, or a coding.
const VALUE_PREFIX_BYTES: usize = 24;
/// Lengths of `upgrade`, `connection`, `content-length` and `transfer-encoding`: lines with names
/// of other lengths are skipped.
const NAME_LENGTHS: [usize; 4] = [7, 10, 14, 17];

/// The part of a request to which the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The gap between two requests.
    Between,
    Head,
    Body,
}

/// A header name is longer than `MAX_HEADER_NAME_BYTES`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NameTooLong {
    /// Index of the first excess byte in the given bytes.
    pub at: usize,
}

#[derive(Debug, Default)]
pub struct Scanner {
    phase: Phase,
    framing: Framing,
    line: Line,
    heads: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Between,
    RequestLine,
    Name,
    Value,
    Sized(u64),
    Chunk(Chunk, u64),
    /// The rest of the connection belongs to one request, or is not read by actix-http.
    Opaque,
}

/// The states of a chunked body, as in actix-http.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    SizeStart,
    Size,
    Extension,
    SizeEnd,
    Data,
    DataCr,
    DataLf,
    EndCr,
    EndLf,
    Trailer,
    TrailerLf,
}

/// The framing of the body, according to the head of the current request.
#[derive(Clone, Copy, Debug, Default)]
struct Framing {
    length: Option<u64>,
    is_chunked: bool,
    is_connect: bool,
}

/// The current line of a head.
#[derive(Clone, Copy, Debug, Default)]
struct Line {
    name: [u8; NAME_PREFIX_BYTES],
    name_bytes: usize,
    value: [u8; VALUE_PREFIX_BYTES],
    /// Length of the value so far, without leading white space (and, in a `content-length`, leading
    /// zeros). Not limited to the prefix.
    value_bytes: usize,
    /// Length as in `value_bytes`, up to the last byte that is not white space.
    value_end: usize,
    has_leading_zero: bool,
    offer: UpgradeOffer,
}

impl Scanner {
    pub fn stage(&self) -> Stage {
        match self.phase {
            Phase::Between => Stage::Between,
            Phase::RequestLine | Phase::Name | Phase::Value => Stage::Head,
            Phase::Sized(_) | Phase::Chunk(..) | Phase::Opaque => Stage::Body,
        }
    }

    /// Number of whole heads that have arrived.
    pub fn heads(&self) -> u64 {
        self.heads
    }

    /// Scans bytes of the connection up to the end of a request, and removes offers to upgrade from
    /// them. Returns the number of scanned bytes.
    ///
    /// # Errors
    /// If a header name is too long: the bytes from there on must not reach the parser.
    pub fn read(&mut self, bytes: &mut [u8]) -> Result<usize, NameTooLong> {
        let mut at = 0;
        while at < bytes.len() {
            let was_between = self.phase == Phase::Between;
            let rest = &mut bytes[at..];
            at += match self.phase {
                Phase::Opaque => rest.len(),
                Phase::Sized(left) => self.skip_sized(left, rest.len()),
                Phase::Chunk(Chunk::Data, left) => self.skip_chunk(left, rest.len()),
                Phase::Chunk(state, size) => {
                    self.phase = next_in_chunks(state, size, rest[0]);
                    1
                }
                Phase::Between => self.begin(rest[0]),
                Phase::RequestLine => self.request_line(rest),
                Phase::Name => self.name(rest).map_err(|over| NameTooLong { at: at + over.at })?,
                Phase::Value => self.value(rest),
            };
            if self.phase == Phase::Between && !was_between {
                break;
            }
        }
        Ok(at)
    }

    fn begin(&mut self, byte: u8) -> usize {
        if !matches!(byte, b'\r' | b'\n') {
            self.phase = Phase::RequestLine;
            self.framing = Framing::default();
            self.line.clear();
            return 0;
        }
        1
    }

    fn request_line(&mut self, rest: &[u8]) -> usize {
        let end = line_end(rest);
        self.line.add_name(&rest[..end.unwrap_or(rest.len())]);
        let Some(end) = end else { return rest.len() };
        self.framing.is_connect = self.line.name_prefix().starts_with(b"CONNECT ");
        self.next_line();
        end + 1
    }

    fn name(&mut self, rest: &[u8]) -> Result<usize, NameTooLong> {
        let end = memchr2(b':', b'\n', rest);
        let part = &rest[..end.unwrap_or(rest.len())];
        if let Some(skipped) = self.skip_line(rest, end) {
            return Ok(skipped);
        }
        if self.line.name_bytes + part.len() > MAX_HEADER_NAME_BYTES {
            let at = MAX_HEADER_NAME_BYTES - self.line.name_bytes;
            self.phase = Phase::Opaque;
            return Err(NameTooLong { at });
        }
        self.line.add_name(part);
        let Some(end) = end else { return Ok(rest.len()) };
        if rest[end] == b':' {
            self.phase = Phase::Value;
        } else if self.line.is_empty() {
            self.end_head();
        } else {
            // A line without a colon: actix-http rejects it.
            self.phase = Phase::Opaque;
        }
        Ok(end + 1)
    }

    /// Returns the length of a line that can be skipped because it affects neither the body nor the
    /// connection; `None` for any other or incomplete line. Nearly all lines of a head can be
    /// skipped.
    fn skip_line(&self, rest: &[u8], name_end: Option<usize>) -> Option<usize> {
        let end = name_end.filter(|end| rest[*end] == b':')?;
        let matters = self.line.name_bytes > 0 || NAME_LENGTHS.contains(&end) || end > MAX_HEADER_NAME_BYTES;
        if matters {
            return None;
        }
        Some(end + line_end(&rest[end..])? + 1)
    }

    fn value(&mut self, rest: &mut [u8]) -> usize {
        let end = line_end(rest);
        let length = end.unwrap_or(rest.len());
        let part = &mut rest[..length];
        self.line.blank_upgrade(part);
        self.line.add_value(part);
        let Some(end) = end else { return length };
        self.framing.note(&self.line);
        self.next_line();
        end + 1
    }

    fn next_line(&mut self) {
        self.line.clear();
        self.phase = Phase::Name;
    }

    fn end_head(&mut self) {
        let framing = self.framing;
        self.heads += 1;
        self.phase = match framing.length {
            _ if framing.is_chunked => Phase::Chunk(Chunk::SizeStart, 0),
            Some(length) if length > 0 => Phase::Sized(length),
            _ if framing.is_connect => Phase::Opaque,
            _ => Phase::Between,
        };
    }

    fn skip_sized(&mut self, left: u64, available: usize) -> usize {
        let taken = left.min(available as u64);
        self.phase = if taken == left { Phase::Between } else { Phase::Sized(left - taken) };
        usize::try_from(taken).unwrap_or(available)
    }

    fn skip_chunk(&mut self, left: u64, available: usize) -> usize {
        let taken = left.min(available as u64);
        let state = if taken == left { Chunk::DataCr } else { Chunk::Data };
        self.phase = Phase::Chunk(state, left - taken);
        usize::try_from(taken).unwrap_or(available)
    }
}

fn line_end(bytes: &[u8]) -> Option<usize> {
    memchr(b'\n', bytes)
}

fn next_in_chunks(state: Chunk, size: u64, byte: u8) -> Phase {
    let digit = char::from(byte).to_digit(16).map(u64::from);
    let (next, size) = match (state, byte) {
        (Chunk::SizeStart, _) => match digit {
            Some(digit) => (Chunk::Size, digit),
            None => return Phase::Opaque,
        },
        (Chunk::Size, b' ' | b'\t' | b';') => (Chunk::Extension, size),
        (Chunk::Size | Chunk::Extension, b'\r') => (Chunk::SizeEnd, size),
        (Chunk::Size, _) => match digit.and_then(|digit| size.checked_mul(16)?.checked_add(digit)) {
            Some(size) => (Chunk::Size, size),
            None => return Phase::Opaque,
        },
        (Chunk::Extension, _) => (Chunk::Extension, size),
        (Chunk::SizeEnd, b'\n') if size == 0 => (Chunk::EndCr, 0),
        (Chunk::SizeEnd, b'\n') => (Chunk::Data, size),
        (Chunk::DataCr, b'\r') => (Chunk::DataLf, 0),
        (Chunk::DataLf, b'\n') => (Chunk::SizeStart, 0),
        (Chunk::EndCr, b'\r') => (Chunk::EndLf, 0),
        (Chunk::EndLf, b'\n') => return Phase::Between,
        // The first byte of a trailer line is consumed here, as in actix-http.
        (Chunk::EndCr, _) => (Chunk::Trailer, 0),
        (Chunk::Trailer, b'\r') => (Chunk::TrailerLf, 0),
        (Chunk::Trailer, _) => (Chunk::Trailer, 0),
        (Chunk::TrailerLf, b'\n') => (Chunk::EndCr, 0),
        _ => return Phase::Opaque,
    };
    Phase::Chunk(next, size)
}

impl Framing {
    fn note(&mut self, line: &Line) {
        if line.is_named(b"content-length") {
            // actix-http rejects a value that is not a number.
            let number = |value| std::str::from_utf8(value).ok()?.parse().ok();
            self.length = line.value().and_then(number).or(line.has_leading_zero.then_some(0));
        } else if line.is_named(b"transfer-encoding") {
            self.is_chunked = line.value().is_some_and(|value| value.eq_ignore_ascii_case(b"chunked"));
        }
    }
}

impl Line {
    fn clear(&mut self) {
        self.name_bytes = 0;
        self.value_bytes = 0;
        self.value_end = 0;
        self.has_leading_zero = false;
        self.offer = UpgradeOffer::default();
    }

    fn add_name(&mut self, part: &[u8]) {
        copy_prefix(&mut self.name, self.name_bytes, part);
        self.name_bytes += part.len();
    }

    fn add_value(&mut self, part: &[u8]) {
        let mut part = if self.value_bytes == 0 { part.trim_ascii_start() } else { part };
        if self.value_bytes == 0 && self.is_named(b"content-length") {
            while let Some((b'0', rest)) = part.split_first() {
                self.has_leading_zero = true;
                part = rest;
            }
        }
        copy_prefix(&mut self.value, self.value_bytes, part);
        let end = part.trim_ascii_end().len();
        if end > 0 {
            self.value_end = self.value_bytes + end;
        }
        self.value_bytes += part.len();
    }

    fn name_prefix(&self) -> &[u8] {
        &self.name[..self.name_bytes.min(NAME_PREFIX_BYTES)]
    }

    fn blank_upgrade(&mut self, part: &mut [u8]) {
        if self.name_bytes <= NAME_PREFIX_BYTES
            && let Some(word) = UpgradeOffer::word_in(self.name_prefix())
        {
            self.offer.blank(word, part);
        }
    }

    fn is_named(&self, name: &[u8]) -> bool {
        self.name_bytes == name.len() && self.name_prefix().eq_ignore_ascii_case(name)
    }

    /// Whether the line is empty, so that it ends the head.
    fn is_empty(&self) -> bool {
        self.name_bytes == 0 || (self.name_bytes == 1 && self.name[0] == b'\r')
    }

    /// Returns the value without surrounding white space; `None` if it is longer than any compared
    /// value.
    fn value(&self) -> Option<&[u8]> {
        self.value.get(..self.value_end)
    }
}

fn copy_prefix(prefix: &mut [u8], filled: usize, part: &[u8]) {
    if let Some(free) = prefix.get_mut(filled..) {
        let copied = free.len().min(part.len());
        free[..copied].copy_from_slice(&part[..copied]);
    }
}

#[cfg(test)]
mod tests;
