//! Keys that a provider publishes: fetched from a real server when they are first needed, cached, and never guessed.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Builder, Request, TestApp, eventually};

/// Serves a key set, and counts how often it was asked.
struct KeyServer {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl KeyServer {
    fn start(set: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                assert_eq!(lines.next().unwrap().unwrap(), "GET /.well-known/jwks.json HTTP/1.1");
                while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
                counter.fetch_add(1, Ordering::SeqCst);
                let length = set.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{set}"
                );
            }
        });
        Self { address, asked }
    }

    fn times_asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn source(address: SocketAddr) -> Builder {
    TestApp::builder()
        .set("CREEL_SOURCE_AUTH_PROVIDER", "fusionauth")
        .set("CREEL_SOURCE_AUTH_BASE_URL", format!("http://{address}"))
}

/// A published vector of the provider that no clock can make stale.
fn vector() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors/fusionauth.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    all.as_array().unwrap().iter().find(|vector| vector["name"] == "fusionauth computed a").unwrap().clone()
}

fn request(vector: &Value) -> Request {
    let mut request = Request::post("/webhooks/auth").body(vector["body"].as_str().unwrap());
    for (name, value) in vector["headers"].as_object().unwrap() {
        request = request.header(name, value.as_str().unwrap());
    }
    request
}

#[test]
fn a_key_is_fetched_once_and_then_known() {
    let vector = vector();
    let server = KeyServer::start(vector["config"]["jwks"].to_string());
    let app = source(server.address).start();
    for _ in 0..3 {
        assert_eq!(app.send(&request(&vector)).status, 200);
    }
    assert_eq!(app.send(&request(&vector).body("{}")).status, 403);
    assert_eq!(server.times_asked(), 1);
}

#[test]
fn a_key_that_the_provider_does_not_publish_is_refused_and_remembered() {
    let vector = vector();
    let other = vector["config"]["jwks"].to_string().replace("kid-a", "kid-b");
    let server = KeyServer::start(other);
    let app = source(server.address).start();
    for _ in 0..3 {
        assert_eq!(app.send(&request(&vector)).status, 403);
    }
    let is_known =
        || app.database().column::<String>("SELECT DISTINCT cause FROM rejections") == ["unknown_key"];
    eventually("the cause is told", Duration::from_secs(10), is_known);
    assert_eq!(server.times_asked(), 1);
}

#[test]
fn a_provider_that_cannot_be_reached_is_no_reason_to_refuse() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let app = source(nobody).start();
    let reply = app.send(&request(&vector()));
    assert_eq!(reply.status, 503);
    assert!(reply.retry_after_seconds().is_some());
    assert_eq!(app.database().count("messages"), 0);
}
