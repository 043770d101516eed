//! A real HTTP server that plays a delivery target and records each request as received.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// Timeout for an expected request.
const TIMEOUT: Duration = Duration::from_secs(30);
static CHUNK: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// The reaction to a request.
#[derive(Clone, Debug)]
pub enum Behaviour {
    Answer(Answer),
    /// No reply until the next order, which then applies to the request.
    Hang,
    /// Closes the connection without a reply.
    Close,
    /// Closes the connection with a TCP reset.
    Reset,
    /// Sends these bytes and closes the connection.
    Raw(Vec<u8>),
    /// A 200 whose body arrives one byte at a time.
    Drip {
        every: Duration,
    },
    /// A 200 with a body of the given size.
    Flood {
        bytes: u64,
    },
}

#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// The delay before the first byte of the reply.
    pub after: Duration,
}

impl Behaviour {
    pub fn status(status: u16) -> Self {
        Self::Answer(Answer { status, headers: Vec::new(), body: Vec::new(), after: Duration::ZERO })
    }

    /// Adds a header to a reply.
    pub fn header(self, name: &str, value: &str) -> Self {
        self.with(|answer| answer.headers.push((name.to_owned(), value.to_owned())))
    }

    pub fn body(self, body: impl Into<Vec<u8>>) -> Self {
        self.with(|answer| answer.body = body.into())
    }

    pub fn after(self, wait: Duration) -> Self {
        self.with(|answer| answer.after = wait)
    }

    fn with(mut self, change: impl FnOnce(&mut Answer)) -> Self {
        if let Self::Answer(answer) = &mut self {
            change(answer);
        }
        self
    }
}

/// A request as received.
#[derive(Clone, Debug)]
pub struct Received {
    pub at: Instant,
    /// The head up to and including the empty line; bytes that are not UTF-8 are replaced.
    pub head: String,
    /// The head, byte for byte.
    pub raw_head: Vec<u8>,
    /// The exact bytes; for a chunked body, the contents of the chunks.
    pub body: Vec<u8>,
    /// The number of the connection, counted from 1.
    pub connection: usize,
}

impl Received {
    pub fn method(&self) -> &str {
        self.head.split(' ').next().unwrap_or_default()
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The first header of that name, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().into_iter().find(|(given, _)| given.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The headers in the received order and case.
    pub fn headers(&self) -> Vec<(&str, &str)> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.map(|(name, value)| (name, value.trim())).collect()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    /// The behaviours of the next requests, one each, before `usual`.
    script: VecDeque<Behaviour>,
    usual: Option<Behaviour>,
    /// The number of orders, so that a hanging request notices a new one.
    orders: usize,
    connections: Vec<TcpStream>,
    /// The number of connections so far.
    accepted: usize,
    is_listening: bool,
}

#[derive(Default)]
struct Shared(Mutex<State>, Condvar);

/// A target that answers 200 until it receives another order, and refuses connections once it is
/// dropped.
pub struct Target {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Mutex<Option<JoinHandle<()>>>,
    /// Keeps the port while the target does not listen, so that no other program gets it.
    reserved: Mutex<Option<Socket>>,
}

impl Target {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let target =
            Self { address, shared: Arc::default(), acceptor: Mutex::default(), reserved: Mutex::default() };
        target.serve(listener);
        target
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Sets the behaviour from now on, including that of hanging requests.
    pub fn behave(&self, behaviour: Behaviour) {
        let mut state = self.shared.lock();
        state.usual = Some(behaviour);
        state.orders += 1;
        self.shared.1.notify_all();
    }

    pub fn answers(&self, status: u16) {
        self.behave(Behaviour::status(status));
    }

    /// Sets the behaviours of the next requests, one each, before the usual one.
    pub fn script(&self, behaviours: impl IntoIterator<Item = Behaviour>) {
        self.shared.lock().script.extend(behaviours);
    }

    /// Refuses new connections and closes the open ones.
    pub fn stop_listening(&self) {
        self.close();
        let socket = Socket::new(Domain::for_address(self.address), Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        socket.bind(&self.address.into()).unwrap();
        *self.reserved.lock().unwrap() = Some(socket);
    }

    fn close(&self) {
        let mut state = self.shared.lock();
        state.is_listening = false;
        state.orders += 1;
        for connection in state.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.1.notify_all();
        let Some(acceptor) = self.acceptor.lock().unwrap().take() else { return };
        let _ = TcpStream::connect(self.address);
        acceptor.join().unwrap();
    }

    /// Listens again at the same address.
    pub fn listen_again(&self) {
        let socket = self.reserved.lock().unwrap().take().expect("it does not listen");
        socket.listen(128).unwrap();
        self.serve(socket.into());
    }

    /// The number of connections so far.
    pub fn accepted(&self) -> usize {
        self.shared.lock().accepted
    }

    pub fn received(&self) -> Vec<Received> {
        self.shared.lock().received.clone()
    }

    /// The bodies so far, as text.
    pub fn bodies(&self) -> Vec<String> {
        self.shared.lock().received.iter().map(Received::text).collect()
    }

    /// Waits for at least `count` requests, and returns all of them.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Received> {
        let deadline = Instant::now() + TIMEOUT;
        let mut state = self.shared.lock();
        while state.received.len() < count {
            let left = deadline.saturating_duration_since(Instant::now());
            let bodies: Vec<String> = state.received.iter().map(Received::text).collect();
            assert!(!left.is_zero(), "{} of {count} requests arrived: {bodies:?}", bodies.len());
            state = self.shared.1.wait_timeout(state, left).unwrap().0;
        }
        state.received.clone()
    }

    fn serve(&self, listener: TcpListener) {
        self.shared.lock().is_listening = true;
        let shared = self.shared.clone();
        let acceptor = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Some(number) = shared.admit(&stream) else { return };
                let shared = shared.clone();
                std::thread::spawn(move || {
                    // The client may close the connection at any time, as some tests do.
                    let _ = shared.converse(&stream, number);
                });
            }
        });
        *self.acceptor.lock().unwrap() = Some(acceptor);
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The connection's number; `None` if the target accepts no connections.
    fn admit(&self, stream: &TcpStream) -> Option<usize> {
        let mut state = self.lock();
        if !state.is_listening {
            return None;
        }
        state.connections.extend(stream.try_clone());
        state.accepted += 1;
        Some(state.accepted)
    }

    fn converse(&self, stream: &TcpStream, connection: usize) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some((head, body)) = read_request(&mut reader)? {
            let text = String::from_utf8_lossy(&head).into_owned();
            let received = Received { at: Instant::now(), head: text, raw_head: head, body, connection };
            if !self.react(stream, received)? {
                return stream.shutdown(Shutdown::Both);
            }
        }
        Ok(())
    }

    /// Returns true if the connection stays open.
    fn react(&self, mut stream: &TcpStream, received: Received) -> io::Result<bool> {
        let is_head = received.method() == "HEAD";
        match self.order(received) {
            None | Some(Behaviour::Hang | Behaviour::Close) => return Ok(false),
            Some(Behaviour::Reset) => {
                socket_linger_zero(stream)?;
                return Ok(false);
            }
            Some(Behaviour::Raw(bytes)) => {
                stream.write_all(&bytes)?;
                return Ok(false);
            }
            Some(Behaviour::Drip { every }) => drip(stream, every)?,
            Some(Behaviour::Flood { bytes }) => flood(stream, bytes)?,
            Some(Behaviour::Answer(answer)) => {
                std::thread::sleep(answer.after);
                stream.write_all(&answer.bytes(is_head))?;
            }
        }
        Ok(true)
    }

    /// Records the request and returns its behaviour; `None` if the target refuses connections.
    fn order(&self, received: Received) -> Option<Behaviour> {
        let mut state = self.lock();
        let behaviour = state.script.pop_front();
        let mut behaviour =
            behaviour.or_else(|| state.usual.clone()).unwrap_or_else(|| Behaviour::status(200));
        state.received.push(received);
        self.1.notify_all();
        let seen = state.orders;
        while matches!(behaviour, Behaviour::Hang) && state.is_listening {
            state = self.1.wait(state).unwrap();
            if state.orders != seen {
                behaviour = state.usual.clone().unwrap_or_else(|| Behaviour::status(200));
            }
        }
        state.is_listening.then_some(behaviour)
    }
}

impl Answer {
    fn bytes(&self, is_head: bool) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Answer\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !matches!(self.status, 204 | 304) {
            head.push_str(&format!("content-length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        if !is_head {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

fn drip(mut stream: &TcpStream, every: Duration) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")?;
    loop {
        stream.write_all(b"x")?;
        std::thread::sleep(every);
    }
}

fn flood(mut stream: &TcpStream, bytes: u64) -> io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n")?;
    let mut left = bytes;
    while left > 0 {
        let size = left.min(CHUNK.len() as u64);
        stream.write_all(&CHUNK[..usize::try_from(size).unwrap()])?;
        left -= size;
    }
    Ok(())
}

/// Makes the close send a reset instead of an end.
fn socket_linger_zero(stream: &TcpStream) -> io::Result<()> {
    Ok(rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO))?)
}

/// Reads head and body; `None` if the client has closed the connection between two requests.
fn read_request(reader: &mut impl BufRead) -> io::Result<Option<(Vec<u8>, Vec<u8>)>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head)? == 0 {
            return if head.is_empty() { Ok(None) } else { Err(ErrorKind::UnexpectedEof.into()) };
        }
    }
    let lower = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let header =
        |name: &str| lower.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    if header("transfer-encoding") == Some("chunked") {
        return Ok(Some((head, read_chunks(reader)?)));
    }
    let mut body = vec![0; header("content-length").map_or(0, |length| length.parse().unwrap_or(0))];
    reader.read_exact(&mut body)?;
    Ok(Some((head, body)))
}

fn read_chunks(reader: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim(), 16).map_err(|_| ErrorKind::InvalidData)?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        chunk.truncate(size);
        if size == 0 {
            return Ok(body);
        }
        body.append(&mut chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::{Connection, Request};

    fn exchange(target: &Target, body: &str) -> io::Result<u16> {
        let mut connection = Connection::try_open(target.address())?;
        connection.write(&Request::post("/hooks?a=1").header("X-Case", "kept").body(body).bytes())?;
        connection.read_within(TIMEOUT).map(|reply| reply.status)
    }

    #[test]
    fn target_records_requests_and_replies_as_configured() {
        let target = Target::start();
        let teapot =
            Behaviour::status(418).header("x-tea", "green").body("no").after(Duration::from_millis(1));
        target.script([
            teapot,
            Behaviour::Close,
            Behaviour::Reset,
            Behaviour::Raw(b"HTTP/1.1 nonsense".into()),
        ]);
        let bodies = ["one", "two", "three", "four", "five"];
        let statuses: Vec<Option<u16>> = bodies.iter().map(|body| exchange(&target, body).ok()).collect();
        assert_eq!(statuses, [Some(418), None, None, None, Some(200)]);
        assert_eq!(target.bodies(), bodies);
        assert_eq!(target.accepted(), 5);
        let first = &target.wait_for(5)[0];
        assert_eq!((first.method(), first.target(), first.connection), ("POST", "/hooks?a=1", 1));
        assert_eq!(first.header("x-case"), Some("kept"));
        assert!(first.head.contains("\r\nX-Case: kept\r\n") && first.at.elapsed() < TIMEOUT);
        assert_eq!(target.url("/hooks"), format!("http://{}/hooks", target.address()));
    }

    #[test]
    fn long_body_may_arrive_slowly() {
        let target = Target::start();
        target.script([
            Behaviour::Flood { bytes: 200_000 },
            Behaviour::Drip { every: Duration::from_millis(1) },
        ]);
        let mut connection = Connection::open(target.address());
        assert_eq!(connection.exchange(&Request::get("/")).body.len(), 200_000);
        connection.write(&Request::get("/").bytes()).unwrap();
        let error = connection.read_within(Duration::from_millis(100)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
        assert_eq!(target.received()[1].connection, 1, "the connection was kept");
    }

    #[test]
    fn closed_target_listens_again_at_the_same_address() {
        let target = Target::start();
        target.stop_listening();
        assert_eq!(exchange(&target, "lost").unwrap_err().kind(), ErrorKind::ConnectionRefused);
        target.listen_again();
        assert_eq!(exchange(&target, "here").unwrap(), 200);
        assert_eq!(target.bodies(), ["here"]);
    }

    #[test]
    fn hanging_request_gets_the_next_order() {
        let target = Target::start();
        target.behave(Behaviour::Hang);
        std::thread::scope(|scope| {
            let answer = scope.spawn(|| exchange(&target, "waits"));
            target.wait_for(1);
            target.answers(202);
            assert_eq!(answer.join().unwrap().unwrap(), 202);
        });
    }
}
