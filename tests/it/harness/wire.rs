//! A small HTTP/1.1 client that sends exactly the given bytes, unlike a client library.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const REPLY_LIMIT: Duration = Duration::from_secs(20);

/// A request under construction. `bytes` adds `Host` and `Content-Length` unless such headers
/// exist.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    pub fn method(mut self, method: &str) -> Self {
        self.method = method.to_owned();
        self
    }

    pub fn target(mut self, target: &str) -> Self {
        self.target = target.to_owned();
        self
    }

    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Replaces the header of that name.
    pub fn replace(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).header(name, value)
    }

    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(given, _)| !given.eq_ignore_ascii_case(name));
        self
    }

    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends the body in chunks of at most `size` bytes.
    pub fn chunked(self, size: usize) -> Self {
        let mut framed = Vec::new();
        for chunk in self.body.chunks(size) {
            framed.extend(format!("{:x}\r\n", chunk.len()).bytes());
            framed.extend_from_slice(chunk);
            framed.extend_from_slice(b"\r\n");
        }
        framed.extend_from_slice(b"0\r\n\r\n");
        self.header("Transfer-Encoding", "chunked").body(framed)
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name))
    }

    pub fn head(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        if !self.has("Host") {
            bytes.extend_from_slice(b"Host: hooks.example.com\r\n");
        }
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        let is_framed = self.has("Content-Length") || self.has("Transfer-Encoding");
        if !is_framed && (self.method == "POST" || !self.body.is_empty()) {
            bytes.extend_from_slice(format!("Content-Length: {}\r\n", self.body.len()).as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }

    pub fn content(&self) -> &[u8] {
        &self.body
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head();
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The type without its parameters.
    pub fn content_type(&self) -> &str {
        self.header("content-type").unwrap_or_default().split(';').next().unwrap_or_default().trim()
    }

    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.header("retry-after")?.parse().ok()
    }

    /// The reply without the date.
    pub fn timeless(&self) -> Self {
        let mut reply = self.clone();
        reply.headers.retain(|(name, _)| name != "date");
        reply
    }

    #[track_caller]
    pub fn assert_is(&self, status: u16, content_type: &str, body: &str) {
        let found = (self.status, self.content_type(), self.text());
        assert_eq!(found, (status, content_type, body.to_owned()), "{self:?}");
    }
}

/// One connection, kept alive until it is dropped.
pub struct Connection {
    stream: TcpStream,
    pending: Vec<u8>,
    /// The method of the last request: a reply to HEAD has no body, regardless of its head.
    last_is_head: bool,
}

impl Connection {
    #[track_caller]
    pub fn open(address: SocketAddr) -> Self {
        Self::try_open(address).expect("the service takes connections")
    }

    pub fn try_open(address: SocketAddr) -> io::Result<Self> {
        Self::over(TcpStream::connect_timeout(&address, Duration::from_secs(5))?)
    }

    /// Connects from another address of this machine, which owns all of 127.0.0.0/8.
    #[track_caller]
    pub fn open_from(client: Ipv4Addr, address: SocketAddr) -> Self {
        use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
        let socket =
            socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None).unwrap();
        bind(&socket, &SocketAddr::new(IpAddr::V4(client), 0)).unwrap();
        connect(&socket, &address).unwrap();
        Self::over(TcpStream::from(socket)).unwrap()
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(REPLY_LIMIT))?;
        Ok(Self { stream, pending: Vec::new(), last_is_head: false })
    }

    pub fn local_port(&self) -> u16 {
        self.stream.local_addr().unwrap().port()
    }

    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Closes the sending side; a reply can still be read.
    pub fn finish(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    #[track_caller]
    pub fn exchange(&mut self, request: &Request) -> Reply {
        // The service may reply and close before it has read the whole request; then the reply
        // counts.
        self.last_is_head = request.method == "HEAD";
        let written = self.write(&request.bytes());
        self.read_within(REPLY_LIMIT)
            .unwrap_or_else(|error| panic!("no reply: {error} (written: {written:?})"))
    }

    #[track_caller]
    pub fn read(&mut self) -> Reply {
        self.read_within(REPLY_LIMIT).expect("a reply")
    }

    /// The next reply; `UnexpectedEof` if the service closes the connection before it is complete.
    pub fn read_within(&mut self, limit: Duration) -> io::Result<Reply> {
        let deadline = Instant::now() + limit;
        loop {
            let end = find(&self.pending, b"\r\n\r\n");
            if let Some(end) = end {
                let (status, headers) = parse_head(&self.pending[..end])?;
                self.pending.drain(..end + 4);
                if status == 100 {
                    continue;
                }
                let body = self.read_body(status, &headers, deadline)?;
                return Ok(Reply { status, headers, body });
            }
            self.receive(deadline)?;
        }
    }

    fn read_body(
        &mut self,
        status: u16,
        headers: &[(String, String)],
        deadline: Instant,
    ) -> io::Result<Vec<u8>> {
        let header =
            |name: &str| headers.iter().find(|(given, _)| given == name).map(|(_, value)| value.as_str());
        if self.last_is_head || matches!(status, 204 | 304) {
            return Ok(Vec::new());
        }
        if header("transfer-encoding") == Some("chunked") {
            return self.read_chunks(deadline);
        }
        let length = header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        self.take(length, deadline)
    }

    fn read_chunks(&mut self, deadline: Instant) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            while find(&self.pending, b"\r\n").is_none() {
                self.receive(deadline)?;
            }
            let end = find(&self.pending, b"\r\n").unwrap_or(0);
            let line = String::from_utf8_lossy(&self.pending[..end]).into_owned();
            let size =
                usize::from_str_radix(&line, 16).map_err(|_| io::Error::from(ErrorKind::InvalidData))?;
            self.pending.drain(..end + 2);
            let mut chunk = self.take(size + 2, deadline)?;
            chunk.truncate(size);
            if size == 0 {
                return Ok(body);
            }
            body.append(&mut chunk);
        }
    }

    fn take(&mut self, length: usize, deadline: Instant) -> io::Result<Vec<u8>> {
        while self.pending.len() < length {
            self.receive(deadline)?;
        }
        Ok(self.pending.drain(..length).collect())
    }

    fn receive(&mut self, deadline: Instant) -> io::Result<()> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        let mut buffer = [0; 16 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                self.pending.extend_from_slice(&buffer[..read]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(ErrorKind::TimedOut.into()),
            Err(error) => Err(error),
        }
    }

    /// Whether the service closes the connection within `limit`; earlier bytes are dropped.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            match self.receive(deadline) {
                Ok(()) => {}
                Err(error) => return error.kind() != ErrorKind::TimedOut,
            }
        }
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|window| window == needle)
}

fn parse_head(head: &[u8]) -> io::Result<(u16, Vec<(String, String)>)> {
    let text = String::from_utf8_lossy(head);
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, text.to_string()))?;
    let headers = lines.filter_map(|line| line.split_once(':'));
    Ok((status, headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect()))
}
