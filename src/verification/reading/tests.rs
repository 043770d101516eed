//! Reading bodies of every kind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use miniz_oxide::deflate::{compress_to_vec, compress_to_vec_zlib};
use time::OffsetDateTime;

use super::*;
use crate::providers::{Headers, Settings, recipe};

const FORM_TYPE: &str = "application/x-www-form-urlencoded";
const MAX_BYTES: usize = 8 << 20;

fn room() -> DecodingRoom {
    DecodingRoom { max_bytes: MAX_BYTES, reservation: None }
}

type WithReservation = (MessageContent, Option<Box<dyn DecodingReservation>>);

fn read_with(room: DecodingRoom, body: &[u8], headers: &[(&str, &str)]) -> Result<WithReservation, NoRoom> {
    let verifier = Verifier::bind(recipe("none").unwrap(), &Settings::default()).unwrap();
    let fields: Vec<(&str, &[u8])> = headers.iter().map(|(name, value)| (*name, value.as_bytes())).collect();
    let body = Bytes::copy_from_slice(body);
    let request = Request {
        method: "POST",
        target: "/",
        query: "",
        url: "",
        headers: Headers(&fields),
        body: &body,
        now: OffsetDateTime::UNIX_EPOCH,
    };
    let (content, _, reservation) = super::read(&verifier, &request, &body, room)?;
    let kept = match &content {
        MessageContent::Json(kept)
        | MessageContent::Decoded { body: kept, .. }
        | MessageContent::Unreadable { body: kept, .. } => kept,
    };
    assert_eq!(*kept, body, "the bytes are unchanged");
    Ok((content, reservation))
}

/// The payload and whether it is the body itself, or the reason why the body is unreadable.
type ReadOutcome = Result<(String, bool), UnreadableReason>;

fn read(body: &[u8], headers: &[(&str, &str)]) -> ReadOutcome {
    match read_with(room(), body, headers).unwrap().0 {
        MessageContent::Json(body) => Ok((String::from_utf8(body.to_vec()).unwrap(), true)),
        MessageContent::Decoded { payload, .. } => Ok((payload, false)),
        MessageContent::Unreadable { reason, .. } => Err(reason),
    }
}

fn decoded(text: &str) -> ReadOutcome {
    Ok((text.to_owned(), false))
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut member = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    member.extend(compress_to_vec(data, 6));
    member.extend(crc32fast::hash(data).to_le_bytes());
    member.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    member
}

#[test]
fn json_is_recognized_with_any_headers() {
    let body = r#" {"a":1}"#;
    for headers in [
        [("content-type", "application/json")],
        [("content-type", "text/plain")],
        [("content-type", FORM_TYPE)],
        [("content-type", "application/json; charset=utf-16")],
        [("content-type", "")],
        [("content-encoding", "gzip")],
        [("content-encoding", "br")],
        [("content-encoding", "utf-8")],
    ] {
        assert_eq!(read(body.as_bytes(), &headers), Ok((body.to_owned(), true)), "{headers:?}");
    }
    assert_eq!(read(b"1", &[("content-type", "application/json")]), Ok(("1".to_owned(), true)));
}

#[test]
fn byte_order_mark_is_skipped_for_the_payload() {
    for content_type in ["application/json", FORM_TYPE, "text/plain; charset=iso-8859-1"] {
        let body = b"\xef\xbb\xbf{\"draft\":true}";
        assert_eq!(
            read(body, &[("content-type", content_type)]),
            decoded("{\"draft\":true}"),
            "{content_type}"
        );
    }
    assert_eq!(read(b"\xef\xbb\xbf", &[]), Err(UnreadableReason::NotJson));
}

#[test]
fn form_is_decoded_and_keeps_its_bytes() {
    for content_type in [FORM_TYPE, "Application/X-WWW-Form-URLencoded ; charset=utf-8"] {
        let read = read(b"a=1&b=x+y", &[("content-type", content_type)]);
        assert_eq!(read, decoded(r#"{"a":"1","b":"x y"}"#), "{content_type}");
    }
    assert_eq!(read(b"1", &[("content-type", FORM_TYPE)]), decoded(r#"{"1":""}"#));
    let rows: [(&[u8], &str, ReadOutcome); 9] = [
        (b"n=%E9", "iso-8859-1", decoded("{\"n\":\"é\"}")),
        (b"n=\xe9", "windows-1252", decoded("{\"n\":\"é\"}")),
        (b"n=%83e", "shift_jis", decoded("{\"n\":\"テ\"}")),
        (b"n=%E9", "utf-8", Err(UnreadableReason::MalformedText)),
        (b"{\"n\":\"\xe9\"}", "latin1", decoded("{\"n\":\"é\"}")),
        (b"{\"n\":\"\x83e\"}", "shift_jis", decoded("{\"n\":\"テ\"}")),
        (b"{\"n\":\"\xff\"}", "euc-kr", Err(UnreadableReason::MalformedText)),
        (b"n=1", "klingon", Err(UnreadableReason::UnknownCharset)),
        (b"n=1", "utf-16", Err(UnreadableReason::UnknownCharset)),
    ];
    for (body, charset, expected) in rows {
        let content_type = format!("{FORM_TYPE}; charset={charset}");
        assert_eq!(read(body, &[("content-type", &content_type)]), expected, "{charset}");
    }
}

#[test]
fn json_in_another_charset_is_read_or_flagged() {
    let utf16 = |mark: &[u8]| -> Vec<u8> {
        let text = "{\"a\":\"é\"}".encode_utf16().flat_map(u16::to_le_bytes);
        mark.iter().copied().chain(text).collect()
    };
    let json = decoded("{\"a\":\"é\"}");
    let rows: [(Vec<u8>, &str, ReadOutcome); 8] = [
        (utf16(b"\xff\xfe"), "application/json", json.clone()),
        (utf16(b""), "application/json; charset=utf-16", json.clone()),
        (utf16(b""), "application/json; charset=utf-16le", json.clone()),
        (utf16(b""), "application/json", Err(UnreadableReason::NotJson)),
        (b"{\"a\":\"\xe9\"}".to_vec(), "application/json; charset=iso-8859-1", json),
        (b"{\"a\":\"\xe9\"}".to_vec(), "application/json; charset=utf-8", Err(UnreadableReason::NotJson)),
        (
            b"{\"a\":\"\xe9\"}".to_vec(),
            "application/json; charset=klingon",
            Err(UnreadableReason::UnknownCharset),
        ),
        (
            b"{\"a\":\"\xff\"}".to_vec(),
            "application/json; charset=euc-kr",
            Err(UnreadableReason::MalformedText),
        ),
    ];
    for (body, content_type, expected) in rows {
        assert_eq!(read(&body, &[("content-type", content_type)]), expected, "{content_type}");
    }
}

#[test]
fn compressed_body_is_read_decompressed() {
    let json = r#"{"draft":true,"n":1.10}"#;
    let marked = format!("\u{feff}{json}");
    for (body, coding) in [
        (gzip(json.as_bytes()), "gzip"),
        (gzip(json.as_bytes()), "X-GZIP"),
        (gzip(marked.as_bytes()), "gzip"),
        (compress_to_vec_zlib(json.as_bytes(), 6), "deflate"),
        (compress_to_vec(json.as_bytes(), 6), "deflate"),
        (gzip(&compress_to_vec_zlib(json.as_bytes(), 6)), "deflate, gzip"),
    ] {
        assert_eq!(read(&body, &[("content-encoding", coding)]), decoded(json), "{coding}");
    }
    let form =
        [("content-encoding", "gzip"), ("content-type", "application/x-www-form-urlencoded; charset=latin1")];
    assert_eq!(read(&gzip(b"n=%E9"), &form), decoded("{\"n\":\"é\"}"));
}

type UnreadableRow<'a> = (&'a [u8], &'a [(&'a str, &'a str)], UnreadableReason);

#[test]
fn unreadable_body_has_reason() {
    let deep = format!("{}{}", "[".repeat(128), "]".repeat(128));
    let many = "a&".repeat(20_000);
    let bomb = gzip(&vec![b' '; MAX_BYTES + 1]);
    let form = ("content-type", FORM_TYPE);
    let coding = |name: &'static str| ("content-encoding", name);
    use UnreadableReason::*;
    let rows: [UnreadableRow<'_>; 13] = [
        (b"", &[], Empty),
        (b"", &[form], Empty),
        (b"", &[coding("gzip")], Empty),
        (b"{", &[], NotJson),
        (b"hello", &[("content-type", "text/plain; charset=iso-8859-1")], NotJson),
        (deep.as_bytes(), &[], TooDeep),
        (&gzip(deep.as_bytes()), &[coding("gzip")], TooDeep),
        (many.as_bytes(), &[form], FormTooLarge),
        (b"no JSON", &[coding("br")], UnknownCoding),
        (b"no JSON", &[coding("gzip")], MalformedCoding),
        (&[&gzip(b"{}")[..], b"x"].concat(), &[coding("gzip")], MalformedCoding),
        (&gzip(b"no JSON"), &[coding("gzip")], NotJson),
        (&bomb, &[coding("gzip")], ExpandsTooMuch),
    ];
    for (number, (body, headers, reason)) in rows.iter().enumerate() {
        assert_eq!(read(body, headers), Err(*reason), "row {number}");
    }
}

/// A budget of 1 MiB.
#[derive(Clone, Debug, Default)]
struct SmallBudget(Arc<AtomicUsize>);

#[derive(Debug)]
struct SmallReservation {
    budget: SmallBudget,
    bytes: usize,
}

impl Drop for SmallReservation {
    fn drop(&mut self) {
        self.budget.0.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

impl DecodingReservation for SmallReservation {
    fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        if self.budget.0.load(Ordering::SeqCst) + more > 1 << 20 {
            return false;
        }
        self.budget.0.fetch_add(more, Ordering::SeqCst);
        self.bytes += more;
        true
    }
}

#[test]
fn decoded_body_is_in_the_budget_until_it_is_dropped() {
    let budget = SmallBudget::default();
    let room = || {
        let reservation = SmallReservation { budget: budget.clone(), bytes: 0 };
        DecodingRoom { max_bytes: MAX_BYTES, reservation: Some(Box::new(reservation)) }
    };
    let json = gzip(format!("[\"{}\"]", "x".repeat(600_000)).as_bytes());
    let content = read_with(room(), &json, &[("content-encoding", "gzip")]).unwrap();
    assert!(budget.0.load(Ordering::SeqCst) > 500_000);
    assert_eq!(read_with(room(), &json, &[("content-encoding", "gzip")]).unwrap_err(), NoRoom);
    drop(content);
    assert_eq!(budget.0.load(Ordering::SeqCst), 0);
    assert!(read_with(room(), &json, &[("content-encoding", "gzip")]).is_ok());
}
