//! Content codings.

use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
use proptest::prelude::*;

use super::*;

const TEXT: &[u8] = br#"{"draft":true,"text":"aaaaaaaaaaaaaaaaaaaa"}"#;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    member.extend(compress_to_vec(data, 6));
    member.extend(crc32fast::hash(data).to_le_bytes());
    member.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    member
}

fn read(body: &[u8], codings: &[Coding]) -> Result<Vec<u8>, CodingProblem> {
    decode(body, codings, &mut ByteLimit(8 << 20))
}

#[test]
fn each_coding_is_decoded() {
    let rows: [(Vec<u8>, &[Coding]); 7] = [
        (gzip(TEXT), &[Coding::Gzip]),
        (compress_to_vec_zlib(TEXT, 6), &[Coding::Deflate]),
        (compress_to_vec(TEXT, 6), &[Coding::Deflate]),
        (compress_to_vec(TEXT, 0), &[Coding::Deflate]),
        (gzip(&compress_to_vec_zlib(TEXT, 6)), &[Coding::Deflate, Coding::Gzip]),
        ([gzip(&TEXT[..9]), gzip(b""), gzip(&TEXT[9..])].concat(), &[Coding::Gzip]),
        (TEXT.to_vec(), &[]),
    ];
    for (number, (body, codings)) in rows.iter().enumerate() {
        assert_eq!(read(body, codings).as_deref(), Ok(TEXT), "row {number}");
    }
    let large: String = (0..500_000).map(|number| format!("{number},")).collect();
    assert!(large.len() > MIN_DECODE_LIMIT_BYTES);
    assert!(read(&gzip(large.as_bytes()), &[Coding::Gzip]) == Ok(large.into_bytes()));
}

#[test]
fn gzip_header_may_have_every_field() {
    let plain = gzip(TEXT);
    let mut member = plain[..3].to_vec();
    member.push(0b1_1110);
    member.extend_from_slice(&plain[4..10]);
    member.extend_from_slice(b"\x03\x00abcname\0comment\0\x12\x34");
    member.extend_from_slice(&plain[10..]);
    assert_eq!(read(&member, &[Coding::Gzip]).as_deref(), Ok(TEXT));
}

#[test]
fn damaged_body_is_malformed() {
    for (whole, coding) in [(gzip(TEXT), Coding::Gzip), (compress_to_vec_zlib(TEXT, 6), Coding::Deflate)] {
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length], &[coding]), Err(CodingProblem::Malformed), "{length} bytes");
        }
        let padding = if coding == Coding::Gzip { &b"\0\0\x01"[..] } else { b"\0" };
        for trailing in [padding, b"garbage", &whole[..whole.len() - 1]] {
            let long = [&whole[..], trailing].concat();
            assert_eq!(read(&long, &[coding]), Err(CodingProblem::Malformed));
        }
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert_eq!(read(&flipped, &[coding]), Err(CodingProblem::Malformed));
    }
    let padded = [gzip(TEXT), vec![0; 512]].concat();
    assert_eq!(read(&padded, &[Coding::Gzip]).as_deref(), Ok(TEXT));
    assert_eq!(read(TEXT, &[Coding::Gzip]), Err(CodingProblem::Malformed));
    assert_eq!(read(b"", &[Coding::Deflate]), Err(CodingProblem::Malformed));
    assert_eq!(read(&gzip(TEXT), &[Coding::Deflate]), Err(CodingProblem::Malformed));
}

#[test]
fn bomb_stops_at_the_limits() {
    let bomb = gzip(&vec![0; 32 << 20]);
    assert!(bomb.len() * MAX_RATIO < 8 << 20);
    assert_eq!(read(&bomb, &[Coding::Gzip]), Err(CodingProblem::TooLarge));
    assert_eq!(decode(&bomb, &[Coding::Gzip], &mut ByteLimit(1 << 10)), Err(CodingProblem::TooLarge));
    let twice = gzip(&bomb);
    assert_eq!(read(&twice, &[Coding::Gzip, Coding::Gzip]), Err(CodingProblem::TooLarge));
    let largest = gzip(&vec![b' '; MIN_DECODE_LIMIT_BYTES]);
    assert_eq!(read(&largest, &[Coding::Gzip]).map(|text| text.len()), Ok(MIN_DECODE_LIMIT_BYTES));
}

#[test]
fn members_are_limited() {
    let members = |count: usize| [gzip(b"").repeat(count), gzip(TEXT)].concat();
    assert_eq!(read(&members(MAX_GZIP_MEMBERS - 1), &[Coding::Gzip]).as_deref(), Ok(TEXT));
    assert_eq!(read(&members(MAX_GZIP_MEMBERS), &[Coding::Gzip]), Err(CodingProblem::TooLarge));
}

#[test]
fn memory_is_requested_before_use() {
    struct ChunkCount(usize, usize);
    impl DecodeBudget for ChunkCount {
        fn max_bytes(&self) -> usize {
            usize::MAX
        }

        fn grow_to(&mut self, bytes: usize) -> bool {
            self.1 = bytes;
            bytes <= self.0
        }
    }
    let body = gzip(&vec![b'x'; 600_000]);
    let mut enough = ChunkCount(1 << 20, 0);
    let decoded = decode(&body, &[Coding::Gzip], &mut enough).unwrap();
    assert!((decoded.len()..=1 << 20).contains(&enough.1) && decoded.capacity() <= enough.1);
    assert_eq!(decode(&body, &[Coding::Gzip], &mut ChunkCount(500_000, 0)), Err(CodingProblem::NoRoom));
}

#[test]
fn codings_are_those_of_all_header_lines() {
    use Coding::{Deflate, Gzip};
    let of = |values: &[&str]| {
        let fields: Vec<_> = values.iter().map(|value| ("content-encoding", value.as_bytes())).collect();
        codings(Headers(&fields))
    };
    assert_eq!(of(&[]), Ok(vec![]));
    assert_eq!(of(&["GZIP"]), Ok(vec![Gzip]));
    assert_eq!(of(&["deflate , identity,,x-gzip", "gzip"]), Ok(vec![Deflate, Gzip, Gzip]));
    assert_eq!(of(&["utf-8"]), Ok(vec![]));
    assert_eq!(of(&["gzip, br"]), Err(CodingProblem::Unknown));
    assert_eq!(of(&["zstd"]), Err(CodingProblem::Unknown));
    assert_eq!(of(&["gzip,gzip,gzip,gzip"]), Err(CodingProblem::Unknown));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_decoded_or_rejected(body in prop::collection::vec(any::<u8>(), 0..200), flips in any::<u16>()) {
        let mut member = gzip(&body);
        prop_assert_eq!(read(&member, &[Coding::Gzip]), Ok(body.clone()));
        let at = usize::from(flips) % member.len();
        member[at] ^= 1 << (flips % 8);
        let _ = (read(&member, &[Coding::Gzip]), read(&body, &[Coding::Deflate]), read(&body, &[Coding::Gzip]));
    }
}
