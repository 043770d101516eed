//! Published keys of a provider: fetched from a real server on first use, cached, and never
//! guessed.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use ring::signature::{Ed25519KeyPair, KeyPair};
use serde_json::Value;

use crate::harness::sign::{self, OTHER_SECRET, SECRET, base64};
use crate::harness::wire::Connection;
use crate::harness::{Builder, Request, TestApp, eventually};

/// Returns the response of a provider to a path.
type Responder = dyn Fn(&str) -> (u16, String) + Send + Sync;

/// A provider's key server, which counts its requests.
struct KeyServer {
    address: SocketAddr,
    queries: Arc<AtomicUsize>,
}

impl KeyServer {
    /// Serves a key set.
    fn start(set: String) -> Self {
        Self::responding(move |path| {
            assert_eq!(path, "/.well-known/jwks.json");
            (200, set.clone())
        })
    }

    fn responding(respond: impl Fn(&str) -> (u16, String) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let queries = Arc::new(AtomicUsize::new(0));
        let (counter, respond): (_, Arc<Responder>) = (Arc::clone(&queries), Arc::new(respond));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, respond) = (stream.unwrap(), Arc::clone(&respond));
                counter.fetch_add(1, Ordering::SeqCst);
                std::thread::spawn(move || answer(stream, &*respond));
            }
        });
        Self { address, queries }
    }

    fn query_count(&self) -> usize {
        self.queries.load(Ordering::SeqCst)
    }
}

fn answer(mut stream: TcpStream, respond: &Responder) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let path = first.strip_prefix("GET ").and_then(|rest| rest.strip_suffix(" HTTP/1.1")).unwrap().to_owned();
    while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
    let (status, body) = respond(&path);
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status} Answer\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
}

fn source(address: SocketAddr) -> Builder {
    TestApp::builder()
        .set("CREEL_SOURCE_AUTH_PROVIDER", "fusionauth")
        .set("CREEL_SOURCE_AUTH_BASE_URL", format!("http://{address}"))
}

/// A published vector of the provider that never becomes stale.
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
fn key_is_fetched_once_and_cached() {
    let vector = vector();
    let server = KeyServer::start(vector["config"]["jwks"].to_string());
    let app = source(server.address).start();
    for _ in 0..3 {
        assert_eq!(app.send(&request(&vector)).status, 200);
    }
    assert_eq!(app.send(&request(&vector).body("{}")).status, 403);
    assert_eq!(server.query_count(), 1);
}

#[test]
fn unpublished_key_is_rejected_and_cached() {
    let vector = vector();
    let other = vector["config"]["jwks"].to_string().replace("kid-a", "kid-b");
    let server = KeyServer::start(other);
    let app = source(server.address).start();
    for _ in 0..3 {
        assert_eq!(app.send(&request(&vector)).status, 403);
    }
    let is_known =
        || app.database().column::<String>("SELECT DISTINCT cause FROM rejections") == ["unknown_key"];
    eventually("the cause is recorded", Duration::from_secs(10), is_known);
    assert_eq!(server.query_count(), 1);
}

#[test]
fn unreachable_provider_is_503_not_a_rejection() {
    let unused_address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let app = source(unused_address).start();
    let reply = app.send(&request(&vector()));
    assert_eq!(reply.status, 503);
    assert!(reply.retry_after_seconds().is_some());
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn unreachable_provider_does_not_delay_other_rejections() {
    let unused_address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let app = source(unused_address)
        .set("CREEL_SOURCE_AUTH_ALLOW_IPS", "192.0.2.1")
        .set("CREEL_SOURCE_GITHUB_SECRET", OTHER_SECRET)
        .start();
    for request in [sign::github("before", "{}"), request(&vector()), sign::github("behind", "{}")] {
        let before = app.database().count("rejections");
        assert_eq!(app.send(&request).status, 403);
        eventually("it is stored", Duration::from_secs(10), || app.database().count("rejections") > before);
    }
    let app = app
        .stop()
        .set("CREEL_SOURCE_AUTH_ALLOW_IPS", "127.0.0.1")
        .set("CREEL_SOURCE_GITHUB_SECRET", SECRET)
        .start();
    let server = format!("http://{}", app.address);
    let done = TestApp::builder().next_to(&app).run(&["recheck", "--yes", "--server", &server]).succeeded();
    assert!(done.contains("released: 2\n"), "{done}");
    assert!(
        done.contains("skipped: 1 (provider_not_reached: 1)") && done.contains("again in a minute"),
        "{done}"
    );
    assert_eq!((app.database().count("rejections"), app.database().count("messages")), (1, 2));
}

#[test]
fn provider_errors_are_503_not_rejections() {
    let vector = vector();
    let set = vector["config"]["jwks"].to_string();
    for (status, body) in [
        (404, ""),
        (200, "<html>maintenance</html>"),
        (200, r#"{"error":"later"}"#),
        (200, r#"{"keys":[]}"#),
        (403, &*set),
    ] {
        let body = body.to_owned();
        let server = KeyServer::responding(move |_| (status, body.clone()));
        let app = source(server.address).start();
        assert_eq!(app.send(&request(&vector)).status, 503, "{status}");
        assert_eq!(app.send(&request(&vector)).status, 503, "{status}");
        assert_eq!(server.query_count(), 1, "not for every message");
        assert_eq!(app.database().count("rejections"), 0);
    }
}

#[test]
fn provider_slower_than_one_second_is_still_reached() {
    let vector = vector();
    let (let_go, holds) = mpsc::channel::<()>();
    let holds = Mutex::new(holds);
    let set = vector["config"]["jwks"].to_string();
    let server = KeyServer::responding(move |_| {
        let _ = holds.lock().unwrap().recv();
        (200, set.clone())
    });
    let app = source(server.address).start();
    let began = Instant::now();
    assert_eq!(app.send(&request(&vector)).status, 503);
    assert!(began.elapsed() < Duration::from_millis(2_500));
    let_go.send(()).unwrap();
    eventually("the next one is accepted", Duration::from_secs(5), || {
        app.send(&request(&vector)).status == 200
    });
    assert_eq!(server.query_count(), 1);
}

const BY_ID: &str = r#"
title = "Keys by their ids"

[[key]]
name = "base_url"
kind = "text"
required = true
doc = "where the keys are"

[[signature]]
at = "header X-Signature"
encoding = "base64"
algorithm = "ed25519"
key = { by_id = "header X-Key" }
text = "{body}"

[fetch]
url = "{setting:base_url}/keys/{id}"
"#;

#[test]
fn invented_key_ids_do_not_block_genuine_messages() {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[1; 32]).unwrap();
    let public = base64(pair.public_key().as_ref());
    let server = KeyServer::responding(move |path| match path {
        "/keys/genuine" => (200, public.clone()),
        _ => (404, String::new()),
    });
    let builder = TestApp::builder()
        .set("CREEL_RECIPES", "by-id.toml")
        .set("CREEL_SOURCE_BY_ID_BASE_URL", format!("http://{}", server.address));
    std::fs::write(builder.path().join("by-id.toml"), BY_ID).unwrap();
    let app = builder.start();
    let sent = |id: &str| {
        let signature = base64(pair.sign(b"{}").as_ref());
        Request::post("/webhooks/by-id").header("X-Key", id).header("X-Signature", signature).body("{}")
    };
    let mut unknown_client = Connection::open_from(Ipv4Addr::new(127, 0, 1, 1), app.address);
    let replies: Vec<u16> =
        (0..50).map(|number| unknown_client.exchange(&sent(&format!("invented{number}"))).status).collect();
    assert!(replies.starts_with(&[403]) && replies.ends_with(&[503]), "{replies:?}");
    assert!(server.query_count() < 10);
    assert_eq!(app.send(&sent("genuine")).status, 200);
}
