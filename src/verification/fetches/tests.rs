//! Fetches from a real server with constant, changing or late keys.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use super::*;
use crate::providers::{Secret, Settings, recipe};

const SENDER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// A usable key with that id.
fn jwk(kid: &str) -> String {
    format!(
        r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}}"#
    )
}

fn set(kids: &[&str]) -> String {
    let keys: Vec<String> = kids.iter().map(|kid| jwk(kid)).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// A server that answers each request with the next of its bodies, and repeats the last one. With a
/// channel, it holds each answer until the test releases it.
struct Provider {
    address: SocketAddr,
    queries: Arc<AtomicUsize>,
}

impl Provider {
    fn start(bodies: Vec<String>, holds: Option<mpsc::Receiver<()>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let queries = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&queries);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let number = counter.fetch_add(1, Ordering::SeqCst).min(bodies.len() - 1);
                if let Some(holds) = &holds {
                    let _ = holds.recv();
                }
                let body = &bodies[number];
                let head =
                    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            }
        });
        Self { address, queries }
    }

    fn source(&self) -> FetchSource {
        source("fusionauth", &[("base_url", &format!("http://{}", self.address))])
    }
}

struct FetchSource {
    fetches: Arc<Fetches>,
    verifier: Arc<Verifier>,
}

fn source(provider: &str, values: &[(&str, &str)]) -> FetchSource {
    let mut settings = Settings::default();
    for (name, value) in values {
        settings.values.insert((*name).to_owned(), vec![Secret::new(*value)]);
    }
    let verifier = Verifier::bind(recipe(provider).unwrap(), &settings).unwrap();
    FetchSource { fetches: Arc::new(Fetches::new("acme".into())), verifier: Arc::new(verifier) }
}

async fn fetch(
    source: &FetchSource,
    client: &Client,
    wanted: &KeyRequest,
    client_ip: IpAddr,
    deadline: Instant,
) -> Result<(), ProviderUnreachable> {
    super::fetch(&source.fetches, &source.verifier, client, wanted, client_ip, deadline).await
}

fn key(id: &str) -> KeyRequest {
    KeyRequest::Key { id: Some(id.to_owned()) }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(2)
}

#[tokio::test]
async fn requests_for_same_key_share_one_call() {
    let provider = Provider::start(vec![set(&["a"])], None);
    let (source, client) = (provider.source(), Client::new());
    let wanted = [key("a"), key("b"), key("a"), WHOLE_SET];
    let all = wanted.iter().map(|wanted| fetch(&source, &client, wanted, SENDER, soon()));
    assert_eq!(futures_util::future::join_all(all).await, [Ok(()); 4]);
    assert_eq!(source.fetches.get(&key("a")), KeyResponse::Keys(vec![jwk("a")]));
    assert_eq!(source.fetches.get(&key("b")), KeyResponse::Unknown);
    assert_eq!(provider.queries.load(Ordering::SeqCst), 1);
    assert!(source.fetches.calls.lock().in_flight.is_empty());
}

#[tokio::test]
async fn call_past_request_timeout_continues_for_next_request() {
    let (let_go, holds) = mpsc::channel();
    let provider = Provider::start(vec![set(&["a"])], Some(holds));
    let (source, client) = (provider.source(), Client::new());
    let began = Instant::now();
    let in_time = began + COMMIT_RESERVE + Duration::from_millis(50);
    assert_eq!(fetch(&source, &client, &key("a"), SENDER, in_time).await, Err(ProviderUnreachable));
    assert!(began.elapsed() < WAIT_TIMEOUT, "the request's own deadline counts");
    let_go.send(()).unwrap();
    assert_eq!(fetch(&source, &client, &key("a"), SENDER, soon()).await, Ok(()));
    assert_eq!(source.fetches.get(&key("a")), KeyResponse::Keys(vec![jwk("a")]));
    assert_eq!(provider.queries.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn set_older_than_minute_is_refetched_for_key_without_id() {
    let provider = Provider::start(vec![set(&["old", "new"])], None);
    let (source, client) = (provider.source(), Client::new());
    let then = Instant::now().checked_sub(Duration::from_secs(61)).unwrap();
    source.fetches.change(|cache| cache.put(WHOLE_SET, KeyResponse::Keys(vec![jwk("old")]), then));
    assert!(source.fetches.may_be_outdated(&WHOLE_SET));
    assert_eq!(fetch(&source, &client, &WHOLE_SET, SENDER, soon()).await, Ok(()));
    assert_eq!(source.fetches.get(&WHOLE_SET), KeyResponse::Keys(vec![jwk("old"), jwk("new")]));
    assert!(!source.fetches.may_be_outdated(&WHOLE_SET), "once is enough");
    assert_eq!(fetch(&source, &client, &WHOLE_SET, SENDER, soon()).await, Ok(()));
    assert_eq!(provider.queries.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn provider_failure_pauses_calls_and_keeps_keys() {
    let provider = Provider::start(vec!["<html>maintenance</html>".to_owned()], None);
    let (source, client) = (provider.source(), Client::new());
    let then = Instant::now().checked_sub(Duration::from_secs(2 * 60 * 60)).unwrap();
    source.fetches.change(|cache| cache.put(WHOLE_SET, KeyResponse::Keys(vec![jwk("a")]), then));
    for _ in 0..3 {
        assert_eq!(fetch(&source, &client, &key("b"), SENDER, soon()).await, Err(ProviderUnreachable));
        assert_eq!(source.fetches.get(&key("a")), KeyResponse::Keys(vec![jwk("a")]));
        assert_eq!(source.fetches.get(&key("b")), KeyResponse::NotYet);
        record_verified(&source.fetches, &source.verifier, &client, &[key("a")], SENDER);
    }
    assert_eq!(provider.queries.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn key_that_verified_message_is_refreshed_in_background() {
    let provider = Provider::start(vec![set(&["a", "b"])], None);
    let (source, client) = (provider.source(), Client::new());
    let then = Instant::now().checked_sub(Duration::from_secs(2 * 60 * 60)).unwrap();
    source.fetches.change(|cache| cache.put(WHOLE_SET, KeyResponse::Keys(vec![jwk("a")]), then));
    record_verified(&source.fetches, &source.verifier, &client, &[key("a")], SENDER);
    // The call is in flight: a request for the new key waits for it.
    assert_eq!(fetch(&source, &client, &key("b"), SENDER, soon()).await, Ok(()));
    assert_eq!(source.fetches.get(&key("b")), KeyResponse::Keys(vec![jwk("b")]));
    assert_eq!(provider.queries.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn impossible_request_does_not_count_towards_limit() {
    // No server listens on this port: each call fails immediately.
    let plaid = source("plaid", &[("client_id", "c"), ("api_secret", "s"), ("host", "127.0.0.1:1")]);
    let client = Client::new();
    let without_a_name = fetch(&plaid, &client, &WHOLE_SET, SENDER, soon()).await;
    assert_eq!(without_a_name, Err(ProviderUnreachable));
    let ebay = source("ebay", &[("verification_token", "t"), ("endpoint", "https://a.example")]);
    assert_eq!(
        fetch(&ebay, &client, &key("a"), SENDER, soon()).await,
        Err(ProviderUnreachable),
        "no credentials"
    );
    for source in [&plaid, &ebay] {
        let mut calls = source.fetches.calls.lock();
        assert!(calls.in_flight.is_empty());
        assert_eq!((0..100).filter(|_| calls.limit.take(SENDER, Instant::now())).count(), 6);
    }
}

#[tokio::test]
async fn invented_ids_leave_genuine_sender_its_calls() {
    let plaid = source("plaid", &[("client_id", "c"), ("api_secret", "s"), ("host", "127.0.0.1:1")]);
    let client = Client::new();
    let unknown_ip = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));
    for number in 0..100 {
        let _ = fetch(&plaid, &client, &key(&number.to_string()), unknown_ip, soon()).await;
    }
    let state = join_or_start_call(&plaid.fetches, &plaid.verifier, key("genuine"), &key("genuine"), SENDER);
    assert!(matches!(state, CallState::Begun(..)));
}

#[tokio::test]
async fn visit_ends_at_the_request_deadline() {
    let (_let_go, holds) = mpsc::channel();
    let provider = Provider::start(vec![String::new()], Some(holds));
    let began = Instant::now();
    let url = format!("http://{}/", provider.address);
    assert_eq!(visit(&Client::new(), url, began + Duration::from_millis(50)).await, Err(ProviderUnreachable));
    assert!(began.elapsed() < WAIT_TIMEOUT);
}
