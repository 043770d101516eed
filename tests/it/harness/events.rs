//! A reader of server-sent events with direct control of its connection: it can stop reading or
//! disconnect immediately.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::wire::Request;

/// Timeout for an expected event.
const TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub kind: String,
    pub id: Option<i64>,
    pub data: Value,
}

pub struct EventStream {
    reader: BufReader<TcpStream>,
    pub status: u16,
    head: String,
    /// Received bytes of the body that do not form an event yet.
    pending: String,
    /// The received part of the line with the size of the next chunk.
    size: Vec<u8>,
    /// The number of comments so far.
    pub comments: usize,
}

impl EventStream {
    #[track_caller]
    pub fn open(address: SocketAddr, request: &Request) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.write_all(&request.bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).unwrap(), 0, "the head ends: {head}");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self {
            reader,
            status,
            head: head.to_ascii_lowercase(),
            pending: String::new(),
            size: Vec::new(),
            comments: 0,
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }

    #[track_caller]
    pub fn next(&mut self) -> Event {
        self.next_within(TIMEOUT).expect("an event arrives").expect("the stream continues")
    }

    /// Returns the next event, `Ok(None)` at the end of the stream, and `Err` after `limit`.
    pub fn next_within(&mut self, limit: Duration) -> Result<Option<Event>, ErrorKind> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some((event, rest)) = self.pending.split_once("\n\n") {
                let event = parse(event);
                self.pending = rest.to_owned();
                match event {
                    Some(event) => return Ok(Some(event)),
                    None => self.comments += 1,
                }
                continue;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut);
            }
            self.reader.get_ref().set_read_timeout(Some(left)).unwrap();
            match self.chunk() {
                Ok(Some(text)) => self.pending.push_str(&text),
                Ok(None) => return Ok(None),
                Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Err(ErrorKind::TimedOut),
                Err(_) => return Ok(None),
            }
        }
    }

    fn chunk(&mut self) -> Result<Option<String>, ErrorKind> {
        // The bytes that arrived before a timeout are kept.
        let read = self.reader.read_until(b'\n', &mut self.size).map_err(|error| error.kind())?;
        if read == 0 {
            return Ok(None);
        }
        let line = String::from_utf8(std::mem::take(&mut self.size)).unwrap();
        let size = usize::from_str_radix(line.trim(), 16).unwrap_or_else(|_| panic!("no chunk: {line:?}"));
        if size == 0 {
            return Ok(None);
        }
        let mut chunk = vec![0; size + 2];
        self.reader.get_ref().set_read_timeout(Some(TIMEOUT)).map_err(|error| error.kind())?;
        self.reader.read_exact(&mut chunk).map_err(|error| error.kind())?;
        chunk.truncate(size);
        Ok(Some(String::from_utf8(chunk).unwrap()))
    }

    /// Skips events until one of the given kind, and returns its data.
    #[track_caller]
    pub fn until(&mut self, kind: &str) -> Event {
        loop {
            let event = self.next();
            if event.kind == kind {
                return event;
            }
        }
    }

    /// Whether the service ends the stream within `limit`.
    pub fn ends_within(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            match self.next_within(deadline.saturating_duration_since(Instant::now())) {
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
    }
}

fn parse(text: &str) -> Option<Event> {
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let data = field("data")?;
    Some(Event {
        kind: field("event").unwrap_or("message").to_owned(),
        id: field("id").map(|id| id.parse().unwrap()),
        data: serde_json::from_str(data).unwrap(),
    })
}
