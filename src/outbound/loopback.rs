//! A real HTTP server on loopback for the tests: one scripted reply per connection, and a record of
//! the requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// Longest wait for an expected event.
pub const TIMEOUT: Duration = Duration::from_secs(10);

pub struct Loopback {
    pub url: String,
    requests: Receiver<String>,
}

impl Loopback {
    /// Sends one reply per connection, in order, and then refuses connections.
    pub fn start(replies: Vec<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/meta", listener.local_addr().unwrap());
        let (sender, requests) = channel();
        thread::spawn(move || {
            for reply in replies {
                let (mut stream, _) = listener.accept().unwrap();
                stream.set_read_timeout(Some(TIMEOUT)).unwrap();
                sender.send(read_request(&stream)).unwrap();
                // Some tests have clients that close early.
                let _ = stream.write_all(&reply);
            }
        });
        Self { url, requests }
    }

    /// Returns the next request as received.
    pub fn request(&self) -> String {
        self.requests.recv_timeout(TIMEOUT).unwrap()
    }
}

fn read_request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        assert_ne!(reader.read_line(&mut text).unwrap(), 0, "the request ends within its head");
    }
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body).unwrap();
    text + &String::from_utf8(body).unwrap()
}

/// Builds a reply with its length and `connection: close`.
pub fn reply(status: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}")
        .into_bytes()
}

/// Runs the future on a single-threaded runtime, as the service does.
pub fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A listener that handles each connection on its own thread, and records the peers.
pub struct LoopbackListener {
    pub address: SocketAddr,
    accepted: Receiver<SocketAddr>,
}

impl LoopbackListener {
    pub fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), serve)
    }

    pub fn at(address: SocketAddr, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, accepted) = channel();
        let serve = Arc::new(serve);
        thread::spawn(move || {
            while let Ok((stream, peer)) = listener.accept() {
                stream.set_read_timeout(Some(TIMEOUT)).unwrap();
                // The test may be over.
                let _ = sender.send(peer);
                let serve = Arc::clone(&serve);
                thread::spawn(move || serve(stream));
            }
        });
        Self { address, accepted }
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Returns the number of connections since the last call. The method opens its own connection
    /// as a marker: connections are accepted in order, so all earlier ones have been recorded.
    pub fn connections(&self) -> usize {
        let own = TcpStream::connect(self.address).unwrap().local_addr().unwrap();
        std::iter::from_fn(|| Some(self.accepted.recv_timeout(TIMEOUT).unwrap()))
            .take_while(|peer| *peer != own)
            .count()
    }
}

/// Reads the head and body of a request. Empty if the client has closed.
pub fn read_bytes(reader: &mut impl BufRead) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut bytes).unwrap_or(0) == 0 {
            return Vec::new();
        }
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let head_length = bytes.len();
    bytes.resize(head_length + length.map_or(0, |length| length.parse().unwrap()), 0);
    reader.read_exact(&mut bytes[head_length..]).unwrap();
    bytes
}
