//! Decoding of content codings (RFC 9110, 8.4), with limits that stop decompression bombs.

use miniz_oxide::inflate::stream::{InflateState, ZeroReset, inflate};
use miniz_oxide::{DataFormat, MZFlush, MZStatus};

use super::request::Headers;

/// Limit on content codings. No sender compresses more than twice.
const MAX_CODINGS: usize = 3;
/// Maximum ratio of decoded to received size: text compresses about 20:1, bombs about 1000:1.
const MAX_RATIO: usize = 200;
/// Decoded size that is allowed regardless of the ratio.
const MIN_DECODE_LIMIT_BYTES: usize = 1 << 20;
/// Limit on gzip members. No sender compresses a body in more pieces.
const MAX_GZIP_MEMBERS: usize = 1_024;
/// Size of the output buffer.
const STEP_BYTES: usize = 16 << 10;

/// A supported content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952; `x-gzip` is the same.
    Gzip,
    /// RFC 1950, or raw deflate (RFC 1951), which many senders use instead.
    Deflate,
}

/// Reason why a body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodingProblem {
    /// A coding other than gzip and deflate, or too many codings.
    Unknown,
    Malformed,
    /// The decoded body, or its number of gzip members, exceeds a limit.
    TooLarge,
    /// The memory budget is used up at the moment.
    NoRoom,
}

/// Memory limit for decoding.
pub trait DecodeBudget {
    /// Maximum size of the decoded body.
    fn max_bytes(&self) -> usize;

    /// Reserves `bytes` in total; false if the memory budget is exhausted.
    fn grow_to(&mut self, bytes: usize) -> bool;
}

/// A fixed limit without a budget.
#[derive(Clone, Copy, Debug)]
pub struct ByteLimit(pub usize);

impl DecodeBudget for ByteLimit {
    fn max_bytes(&self) -> usize {
        self.0
    }

    fn grow_to(&mut self, _: usize) -> bool {
        true
    }
}

/// Returns the codings of a body in the order in which they were applied.
///
/// # Errors
/// `Unknown` for an unsupported coding, or more than `MAX_CODINGS`.
pub fn codings(headers: Headers<'_>) -> Result<Vec<Coding>, CodingProblem> {
    let mut codings = Vec::new();
    for (_, value) in headers.0.iter().filter(|(name, _)| *name == "content-encoding") {
        for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            match token.to_ascii_lowercase().as_slice() {
                b"" | b"identity" => {}
                b"gzip" | b"x-gzip" => codings.push(Coding::Gzip),
                b"deflate" => codings.push(Coding::Deflate),
                // Some senders put the charset into this header.
                label if encoding_rs::Encoding::for_label(label).is_some() => {}
                _ => return Err(CodingProblem::Unknown),
            }
        }
    }
    if codings.len() > MAX_CODINGS { Err(CodingProblem::Unknown) } else { Ok(codings) }
}

/// Removes all codings from a body.
///
/// # Errors
/// The reason why it cannot be decoded.
pub fn decode(
    body: &[u8],
    codings: &[Coding],
    room: &mut dyn DecodeBudget,
) -> Result<Vec<u8>, CodingProblem> {
    let grown = body.len().saturating_mul(MAX_RATIO).max(MIN_DECODE_LIMIT_BYTES);
    // If the input of a coding was itself decoded, the limit covers input and output together.
    let max_bytes = room.max_bytes().min(grown);
    let mut held = 0;
    let mut decoded: Option<Vec<u8>> = None;
    for coding in codings.iter().rev() {
        let left = max_bytes.saturating_sub(held);
        let mut output = DecodeOutput { bytes: Vec::new(), max_bytes: left, held, room: &mut *room };
        let input = decoded.as_deref().unwrap_or(body);
        match coding {
            Coding::Gzip => gunzip(input, &mut output)?,
            Coding::Deflate => undeflate(input, &mut output)?,
        }
        // The next coding holds this output as its input.
        held = output.bytes.capacity();
        decoded = Some(output.bytes);
    }
    Ok(decoded.unwrap_or_else(|| body.to_vec()))
}

struct DecodeOutput<'r> {
    bytes: Vec<u8>,
    max_bytes: usize,
    /// Memory held by the input, in bytes.
    held: usize,
    room: &'r mut dyn DecodeBudget,
}

impl DecodeOutput<'_> {
    fn push(&mut self, piece: &[u8]) -> Result<(), CodingProblem> {
        let needed = self.bytes.len() + piece.len();
        if needed > self.max_bytes {
            return Err(CodingProblem::TooLarge);
        }
        if needed > self.bytes.capacity() {
            let wanted = (self.bytes.capacity() * 2).clamp(needed, self.max_bytes.max(needed));
            if !self.room.grow_to(self.held + wanted) {
                return Err(CodingProblem::NoRoom);
            }
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

/// Decodes all members. Trailing data is malformed unless it is a member or zero padding.
fn gunzip(mut input: &[u8], output: &mut DecodeOutput<'_>) -> Result<(), CodingProblem> {
    let mut inflater = Inflater::new(DataFormat::Raw);
    for _ in 0..MAX_GZIP_MEMBERS {
        let start = output.bytes.len();
        let data = input.get(gzip_header_bytes(input).ok_or(CodingProblem::Malformed)?..);
        let data = data.ok_or(CodingProblem::Malformed)?;
        let taken = inflater.inflate_all(data, output)?;
        let (trailer, rest) = data[taken..].split_first_chunk::<8>().ok_or(CodingProblem::Malformed)?;
        let member = &output.bytes[start..];
        let length = u32::try_from(member.len() % (1 << 32)).unwrap_or_default();
        let [a, b, c, d, e, f, g, h] = *trailer;
        let is_whole = u32::from_le_bytes([a, b, c, d]) == crc32fast::hash(member)
            && u32::from_le_bytes([e, f, g, h]) == length;
        if !is_whole {
            return Err(CodingProblem::Malformed);
        }
        // Some writers pad to whole blocks, and readers such as GNU gzip ignore that.
        if rest.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        input = rest;
    }
    Err(CodingProblem::TooLarge)
}

/// Returns the length of a member header (RFC 1952, 2.3); `None` if it is invalid.
fn gzip_header_bytes(member: &[u8]) -> Option<usize> {
    const FIXED_BYTES: usize = 10;
    let [0x1f, 0x8b, 8, flags, ..] = *member.get(..FIXED_BYTES)? else { return None };
    let mut at = FIXED_BYTES;
    if flags & 0b1110_0000 != 0 {
        return None;
    }
    if flags & 0b100 != 0 {
        let length = member.get(at..at + 2)?;
        at += 2 + usize::from(u16::from_le_bytes([length[0], length[1]]));
    }
    // File name and comment, zero-terminated.
    for flag in [0b1000, 0b1_0000] {
        if flags & flag != 0 {
            at += member.get(at..)?.iter().position(|byte| *byte == 0)? + 1;
        }
    }
    Some(at + if flags & 0b10 == 0 { 0 } else { 2 })
}

fn undeflate(input: &[u8], output: &mut DecodeOutput<'_>) -> Result<(), CodingProblem> {
    let formats: &[DataFormat] = match input {
        [first, second, ..] if is_zlib_header(*first, *second) => &[DataFormat::Zlib, DataFormat::Raw],
        _ => &[DataFormat::Raw],
    };
    let mut problem = CodingProblem::Malformed;
    for format in formats {
        output.bytes.clear();
        match Inflater::new(*format).inflate_all(input, output) {
            Ok(taken) if taken == input.len() => return Ok(()),
            Ok(_) => problem = CodingProblem::Malformed,
            Err(CodingProblem::Malformed) => {}
            Err(other) => return Err(other),
        }
    }
    Err(problem)
}

const fn is_zlib_header(first: u8, second: u8) -> bool {
    first & 0x0f == 8 && (first as u16 * 256 + second as u16).is_multiple_of(31)
}

/// Decompressor state and output buffer, reused for consecutive streams.
struct Inflater {
    state: Box<InflateState>,
    step: Vec<u8>,
}

impl Inflater {
    fn new(format: DataFormat) -> Self {
        Self { state: InflateState::new_boxed(format), step: vec![0; STEP_BYTES] }
    }

    /// Decompresses one stream; returns the number of input bytes consumed.
    fn inflate_all(&mut self, input: &[u8], output: &mut DecodeOutput<'_>) -> Result<usize, CodingProblem> {
        // Without the reset, a stream could refer to bytes of the previous stream.
        self.state.reset_as(ZeroReset);
        let mut taken = 0;
        loop {
            let result = inflate(&mut self.state, &input[taken..], &mut self.step, MZFlush::None);
            taken += result.bytes_consumed;
            output.push(&self.step[..result.bytes_written])?;
            match result.status {
                Ok(MZStatus::StreamEnd) => return Ok(taken),
                Ok(MZStatus::Ok) if result.bytes_consumed > 0 || result.bytes_written > 0 => {}
                _ => return Err(CodingProblem::Malformed),
            }
        }
    }
}

#[cfg(test)]
mod tests;
