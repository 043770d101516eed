//! The scanner against well-formed, malformed and pipelined requests.

use actix_web::http::header::HeaderName;
use proptest::prelude::*;

use super::*;

/// Scans all bytes, for any number of requests in them.
fn scan(scanner: &mut Scanner, bytes: &mut [u8]) -> Result<(), NameTooLong> {
    let mut at = 0;
    while at < bytes.len() {
        at += scanner.read(&mut bytes[at..]).map_err(|over| NameTooLong { at: at + over.at })?;
    }
    Ok(())
}

/// Feeds a connection in pieces and returns the stage after each piece.
fn stages(bytes: &[u8], piece: usize) -> Vec<Stage> {
    let mut scanner = Scanner::default();
    let mut bytes = bytes.to_vec();
    let parts = bytes.chunks_mut(piece.max(1));
    parts
        .map(|part| {
            scan(&mut scanner, part).unwrap();
            scanner.stage()
        })
        .collect()
}

fn long_name(bytes: usize) -> Vec<u8> {
    let mut head = b"x".repeat(bytes);
    head.extend_from_slice(b": 1\r\n\r\n");
    head
}

fn find_too_long(bytes: &[u8], piece: usize) -> Option<usize> {
    let mut scanner = Scanner::default();
    let mut before = 0;
    for part in bytes.to_vec().chunks_mut(piece) {
        if let Err(over) = scan(&mut scanner, part) {
            return Some(before + over.at);
        }
        before += part.len();
    }
    None
}

#[test]
fn name_limit_is_below_the_limit_of_the_library() {
    let longest = b"x".repeat(MAX_HEADER_NAME_BYTES);
    assert!(HeaderName::from_bytes(&longest).is_ok());
}

#[test]
fn stage_follows_head_and_body() {
    let rows: [(&str, Stage); 12] = [
        ("", Stage::Between),
        ("\r\n", Stage::Between),
        ("G", Stage::Head),
        ("GET / HTTP/1.1\r\nHost: a\r\n", Stage::Head),
        ("GET / HTTP/1.1\nHost: a\n\n", Stage::Between),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Stage::Between),
        ("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n1", Stage::Body),
        ("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n12", Stage::Between),
        ("POST / HTTP/1.1\r\nContent-Length:\t 02 \r\n\r\n12", Stage::Between),
        ("POST / HTTP/1.1\r\ntransfer-encoding: Chunked \r\n\r\n2;a=b\r\n12\r\n0\r\nT: x\r\n\r", Stage::Body),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: Chunked \r\n\r\n2;a=b\r\n12\r\n0\r\nT: x\r\n\r\n",
            Stage::Between,
        ),
        ("GET / HTTP/1.1\r\nUpgrade: WebSocket\r\nContent-Length: 1\r\n\r\n1", Stage::Between),
    ];
    for (sent, expected) in rows {
        for piece in [1, 2, 3, 7, 1_000] {
            let last = stages(sent.as_bytes(), piece).pop().unwrap_or(Stage::Between);
            assert_eq!(last, expected, "{sent:?} in pieces of {piece}");
        }
    }
}

#[test]
fn scan_stops_after_each_request() {
    let mut sent = b"GET / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 1\r\n\r\n1\r\nGET".to_vec();
    let mut scanner = Scanner::default();
    assert_eq!(scanner.read(&mut sent), Ok(18));
    assert_eq!(scanner.read(&mut sent[18..]), Ok(39));
    assert_eq!(scanner.read(&mut sent[57..]), Ok(5), "empty lines belong to the next request");
}

#[test]
fn upgrade_offers_are_blanked_only_in_their_headers() {
    let sent = "POST /?upgrade HTTP/1.1\r\nHost: upgrade\r\nconnection: Upgrade, HTTP2-Settings\r\nUPGRADE: websocket\r\n\
                Upgrade: h2c\r\nConnection-Id: upgrade\r\nContent-Length: 19\r\n\r\nConnection: upgrade";
    let mut bytes = sent.as_bytes().to_vec();
    scan(&mut Scanner::default(), &mut bytes).unwrap();
    let expected = sent.replace("Upgrade, HTTP2", "       , HTTP2").replace("websocket", "         ");
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
}

#[test]
fn long_name_is_found_in_any_head() {
    let padded =
        format!("POST / HTTP/1.1\r\nContent-Length: {}3{}\r\n\r\nabc", "0".repeat(40), " ".repeat(40));
    let before = [
        "".to_owned(),
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\na\nc".to_owned(),
        padded,
        format!("POST / HTTP/1.1\r\nTransfer-Encoding:{}chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", " ".repeat(40)),
        "\r\n\r\nGET / HTTP/1.1\nHost: a\n\n\r\n".to_owned(),
    ];
    for first in before {
        let mut bytes = first.into_bytes();
        bytes.extend_from_slice(b"GET / HTTP/1.1\r\nHost: a\r\n");
        let start = bytes.len();
        bytes.extend(long_name(MAX_HEADER_NAME_BYTES + 1));
        for piece in [1, 13, 4_096, bytes.len()] {
            let shown = String::from_utf8_lossy(&bytes[..start]);
            assert_eq!(find_too_long(&bytes, piece), Some(start + MAX_HEADER_NAME_BYTES), "{shown}");
        }
    }
}

#[test]
fn long_lines_without_names_pass() {
    let long = "x".repeat(3 * MAX_HEADER_NAME_BYTES);
    let rows = [
        format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
        format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n"),
        format!("POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n\r\n\r\n{long}", long.len() + 4),
        format!(
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n0\r\n\r\n",
            long.len()
        ),
        format!("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n\n{long}"),
    ];
    for row in rows {
        for piece in [1_000, row.len()] {
            assert_eq!(find_too_long(row.as_bytes(), piece), None, "{}", &row[..60]);
        }
    }
}

/// One well-formed request.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let offer = Just(b"\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_vec());
    let body = prop_oneof![proptest::collection::vec(any::<u8>(), 0..40), offer];
    (body, any::<bool>(), 1..9_usize, any::<bool>()).prop_map(|(body, is_chunked, size, has_trailer)| {
        let mut bytes = b"POST /webhooks/a HTTP/1.1\r\nHost: a\r\n".to_vec();
        if is_chunked {
            bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for chunk in body.chunks(size) {
                bytes.extend(format!("{:X};x=y\r\n", chunk.len()).bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(if has_trailer { b"0\r\nA: b\r\n\r\n" } else { b"0\r\n\r\n" });
        } else {
            bytes.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
            bytes.extend_from_slice(&body);
        }
        bytes
    })
}

proptest! {
    #[test]
    fn scanner_finds_the_end_of_each_request(requests in proptest::collection::vec(request(), 1..6), piece in 1..200_usize) {
        let mut scanner = Scanner::default();
        for request in &requests {
            let mut sent = request.clone();
            let end = sent.len() - 1;
            let (most, last) = sent.split_at_mut(end);
            for part in most.chunks_mut(piece) {
                prop_assert!(scan(&mut scanner, part).is_ok());
            }
            prop_assert_ne!(scanner.stage(), Stage::Between);
            prop_assert!(scan(&mut scanner, last).is_ok());
            prop_assert_eq!(scanner.stage(), Stage::Between);
            prop_assert_eq!(&sent, request, "only heads are changed");
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), piece in 1..50_usize) {
        let mut scanner = Scanner::default();
        for part in bytes.chunks_mut(piece) {
            let _ = scan(&mut scanner, part);
        }
    }
}
