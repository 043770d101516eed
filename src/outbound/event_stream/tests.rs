//! The parser with input in pieces, and streams of a real server on loopback.

use std::io::{BufReader, Write};
use std::net::TcpStream;

use proptest::prelude::*;

use super::*;
use crate::outbound::loopback::{LoopbackListener, TIMEOUT, read_bytes, reply, run};

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

fn event(kind: &str, id: Option<&str>, data: &str) -> ServerEvent {
    ServerEvent { kind: kind.to_owned(), id: id.map(str::to_owned), data: data.to_owned() }
}

fn parse(pieces: &[&[u8]]) -> Vec<ServerEvent> {
    let mut parser = Parser::default();
    pieces.iter().for_each(|piece| parser.push(piece).unwrap());
    parser.events.into()
}

#[test]
fn events_are_parsed_according_to_the_standard() {
    let rows: [(&str, Vec<ServerEvent>); 10] = [
        ("data: a\n\n", vec![event("message", None, "a")]),
        ("data:a\r\n\r\n", vec![event("message", None, "a")]),
        ("data:a\r\rdata: b\r\r", vec![event("message", None, "a"), event("message", None, "b")]),
        ("data:  a\ndata\ndata: b\n\n", vec![event("message", None, " a\n\nb")]),
        (
            "id: 7\nevent: gone\ndata: x\n\ndata: y\n\n",
            vec![event("gone", Some("7"), "x"), event("message", Some("7"), "y")],
        ),
        ("event: empty\nid: 7\n\n", vec![]),
        (": heartbeat\n\n:\n\n", vec![]),
        ("data: cut", vec![]),
        ("\u{feff}data: a\n\n", vec![event("message", None, "a")]),
        ("retry: 10\nunknown: 1\ndata: {\"a\": 1}\n\n", vec![event("message", None, "{\"a\": 1}")]),
    ];
    for (text, expected) in rows {
        assert_eq!(parse(&[text.as_bytes()]), expected, "{text:?}");
    }
}

proptest! {
    #[test]
    fn events_are_independent_of_chunk_boundaries(
        text in "(data|id|event|x)?(: ?)?[a-z\u{e4}:]{0,3}(\r\n|\n|\r)(.|\n){0,40}\n\n",
        cuts in proptest::collection::vec(0_usize..60, 0..6),
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &text.as_bytes()[cut[0]..cut[1]]).collect();
        prop_assert_eq!(parse(&pieces), parse(&[text.as_bytes()]));
    }
}

#[test]
fn endless_event_is_an_error() {
    for piece in [&b"xxxxxxxx"[..], b"data: xxxxxxxx\n"] {
        let mut parser = Parser::default();
        let piece = piece.repeat(1 << 16);
        let error = (0..).find_map(|_| parser.push(&piece).err());
        assert_eq!(error, Some(StreamError::TooLarge));
        assert!(parser.line.len() + parser.data.len() <= MAX_EVENT_BYTES);
    }
}

/// Starts a server that writes these parts and then keeps the connection open.
fn serve(parts: &'static [&'static str]) -> LoopbackListener {
    LoopbackListener::start(move |mut stream: TcpStream| {
        read_bytes(&mut BufReader::new(&stream));
        for part in parts {
            let _ = stream.write_all(part.as_bytes());
        }
        // Waits until the client closes the connection.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    })
}

async fn open(url: &str, silence: Duration) -> Result<StreamAnswer, RequestError> {
    Client::new().event_stream(url, &[("authorization".to_owned(), "Bearer t".to_owned())], silence).await
}

#[test]
fn silence_after_events_is_detected() {
    let server = serve(&[HEAD, "data: one\n\n: alive\n", "\ndata: two\n\n"]);
    run(async {
        let silence = Duration::from_millis(200);
        let StreamAnswer::Open(mut stream) = open(&server.url(), silence).await.unwrap() else {
            panic!("the stream opens")
        };
        assert_eq!(stream.next().await, Ok(Some(event("message", None, "one"))));
        assert_eq!(stream.next().await, Ok(Some(event("message", None, "two"))));
        assert_eq!(stream.next().await, Err(StreamError::Silent(silence)));
    });
}

#[test]
fn server_without_answer_is_detected() {
    let server = serve(&[]);
    let silence = Duration::from_millis(200);
    let error = run(open(&server.url(), silence)).unwrap_err();
    assert_eq!(error, RequestError::Timeout(silence));
}

#[test]
fn end_of_stream_is_not_an_event() {
    let server = LoopbackListener::start(|mut stream: TcpStream| {
        read_bytes(&mut BufReader::new(&stream));
        let _ = stream.write_all(format!("{HEAD}data: one\n\ndata: cut").as_bytes());
    });
    run(async {
        let StreamAnswer::Open(mut stream) = open(&server.url(), TIMEOUT).await.unwrap() else {
            panic!("the stream opens")
        };
        assert_eq!(stream.next().await, Ok(Some(event("message", None, "one"))));
        assert_eq!(stream.next().await, Ok(None));
    });
}

#[test]
fn other_status_is_returned_with_its_body() {
    let rejection = reply("401 Unauthorized", "", "{\"detail\":\"no\"}");
    let server = LoopbackListener::start(move |mut stream: TcpStream| {
        read_bytes(&mut BufReader::new(&stream));
        let _ = stream.write_all(&rejection);
    });
    let StreamAnswer::Rejected(response) = run(open(&server.url(), TIMEOUT)).unwrap() else {
        panic!("it is rejected")
    };
    assert_eq!((response.status, response.body.as_slice()), (401, &b"{\"detail\":\"no\"}"[..]));
}
