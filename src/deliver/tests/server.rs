//! A real HTTP server on loopback with scripted replies, which records its requests.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// One request as received.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    pub target: String,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

/// The reply to a request.
#[derive(Clone, Debug)]
pub enum ScriptedReply {
    Status(u16),
    With(u16, &'static str, &'static str),
    Bytes(u16, &'static str, &'static [u8]),
    Hang,
    Reset,
}

type Rule = dyn Fn(&RecordedRequest) -> ScriptedReply + Send + Sync;

pub struct Server {
    pub url: String,
    requests: Arc<Mutex<Vec<RecordedRequest>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    pub fn start(rule: impl Fn(&RecordedRequest) -> ScriptedReply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<RecordedRequest>>> = Arc::default();
        let (rule, remembered): (Arc<Rule>, _) = (Arc::new(rule), requests.clone());
        let connections: Arc<AtomicUsize> = Arc::default();
        let accepted = connections.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                accepted.fetch_add(1, Ordering::Relaxed);
                let (rule, remembered) = (rule.clone(), remembered.clone());
                thread::spawn(move || serve(stream.unwrap(), &*rule, &remembered));
            }
        });
        Self { url, requests, connections }
    }

    /// Returns the number of connections that were opened so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.lock().unwrap().clone()
    }
}

fn serve(stream: TcpStream, rule: &Rule, remembered: &Mutex<Vec<RecordedRequest>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    while let Some(request) = read(&mut reader) {
        let reply = rule(&request);
        remembered.lock().unwrap().push(request);
        let (status, headers, body) = match reply {
            ScriptedReply::Status(status) => (status, "", &b""[..]),
            ScriptedReply::With(status, headers, body) => (status, headers, body.as_bytes()),
            ScriptedReply::Bytes(status, headers, body) => (status, headers, body),
            ScriptedReply::Hang => {
                thread::sleep(Duration::from_secs(60));
                return;
            }
            ScriptedReply::Reset => return,
        };
        let length = body.len();
        let text = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\n\r\n");
        if stream.write_all(&[text.as_bytes(), body].concat()).is_err() {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<RecordedRequest> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let target = line.split(' ').nth(1)?.to_owned();
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(RecordedRequest { target, headers, body })
}
