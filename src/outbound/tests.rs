//! URLs given to the API must not reach a non-public address, in any notation.
//!
//! A listener on loopback counts connections. The tests first show that each notation of loopback
//! reaches it if all addresses are allowed: only then does a count of zero show that a notation was
//! rejected.

use std::collections::VecDeque;
use std::io::{self, BufReader, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ipnet::IpNet;

use super::loopback::{LoopbackListener, read_bytes, run};
use super::reach::{Reach, VetError, vet_url_by};
use super::resolve::Resolver;
use super::{DeliveryClient, DeliveryResponse, RequestError};

const LONG: Duration = Duration::from_secs(10);

/// URLs that lead to loopback; `PORT` is replaced by the port of the listener.
const LOOPBACK_FORMS: [&str; 47] = [
    "http://127.0.0.1:PORT/",
    "HTTP://127.0.0.1:PORT/",
    "hTtP://127.0.0.1:PORT/",
    "https://127.0.0.1:PORT/",
    " \u{1}http://127.0.0.1:PORT/",
    "http:127.0.0.1:PORT/",
    "http:/127.0.0.1:PORT/",
    "http:////127.0.0.1:PORT/",
    r"http:\\127.0.0.1:PORT\",
    "ht\ttp://127.0\n.0.1:PORT/",
    "http://127.0.0.1:0PORT/",
    // Numbers.
    "http://2130706433:PORT/",
    "http://0x7f000001:PORT/",
    "http://0X7F000001:PORT/",
    "http://017700000001:PORT/",
    "http://0x7f.0.0.1:PORT/",
    "http://0x7f.1:PORT/",
    "http://0177.0.0.1:PORT/",
    "http://0177.0.0.01:PORT/",
    "http://0000177.0x0.0x00.0x1:PORT/",
    "http://127.1:PORT/",
    "http://127.0.1:PORT/",
    "http://127.0.0.1.:PORT/",
    "http://2130706433.:PORT/",
    "http://0:PORT/",
    "http://0x:PORT/",
    "http://0.0.0.0:PORT/",
    // Other characters with the same meaning.
    "http://%31%32%37.0.0.1:PORT/",
    "http://127%2e0%2E0%2e1:PORT/",
    "http://%30x7f.1:PORT/",
    "http://１２７.０.０.１:PORT/",
    "http://127。0。0。1:PORT/",
    "http://①②⑦.0.0.1:PORT/",
    "http://%EF%BC%91%EF%BC%92%EF%BC%97.0.0.1:PORT/",
    "http://127.0.\u{ad}0.1:PORT/",
    "http://127.0.0.1\u{200b}:PORT/",
    // Ambiguous hosts.
    "http://8.8.8.8@127.0.0.1:PORT/",
    "http://8.8.8.8:80@127.0.0.1:PORT/",
    "http://user:8.8.8.8@@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT?@8.8.8.8/",
    "http://127.0.0.1:PORT#@8.8.8.8/",
    r"http://127.0.0.1:PORT\@8.8.8.8/",
    "http://127.0.0.1:PORT/@8.8.8.8",
    // IPv4 embedded in IPv6.
    "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::FFFF:7F00:1]:PORT/",
    "http://[0:0:0:0:0:ffff:127.0.0.1]:PORT/",
    "http://[0000:0000:0000:0000:0000:ffff:7f00:0001]:PORT/",
];

/// Other rejected URLs. They lead to the operator's network, to the cloud's own services, or to
/// addresses without a host.
const OTHER_FORMS: [&str; 45] = [
    "http://127.255.255.254/",
    "http://10.0.0.1/",
    "http://0xa.1/",
    "http://167772161/",
    "http://172.16.0.1/",
    "http://172.31.255.255/",
    "http://192.168.1.1/",
    "http://0xc0a80101/",
    "http://100.64.0.1/",
    "http://169.254.169.254/latest/meta-data/",
    "http://2852039166/",
    "http://0xA9FEA9FE/",
    "http://0251.0376.0251.0376/",
    "http://169.16689662/",
    "http://169.254.43518/",
    "http://１６９.２５４.１６９.２５４/",
    "http://169.254.170.2/",
    "http://100.100.100.200/",
    "http://168.63.129.16/",
    "http://192.0.0.192/",
    "http://192.0.2.1/",
    "http://198.18.0.1/",
    "http://224.0.0.1/",
    "http://240.0.0.1/",
    "http://255.255.255.255/",
    "http://4294967295/",
    "http://[::]/",
    "http://[::1]/",
    "http://[0:0:0:0:0:0:0:1]/",
    "http://[::127.0.0.1]/",
    "http://[::ffff:10.0.0.1]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::ffff:0:127.0.0.1]/",
    "http://[64:ff9b::127.0.0.1]/",
    "http://[64:ff9b::a9fe:a9fe]/",
    "http://[64:ff9b:1::808:808]/",
    "http://[2002:7f00:1::]/",
    "http://[2002:a9fe:a9fe::1]/",
    "http://[2001:0:808:808::80ff:fffe]/",
    "http://[2001:db8::1]/",
    "http://[fc00::1]/",
    "http://[fd00:ec2::254]/",
    "http://[fe80::1]/",
    "http://[fec0::1]/",
    "http://[ff02::1]/",
];

/// Names and their addresses.
const NAMES: [(&str, &[&str]); 20] = [
    ("http://localhost:PORT/", &["127.0.0.1"]),
    ("http://LocalHost:PORT/", &["127.0.0.1"]),
    ("http://localhost.:PORT/", &["127.0.0.1"]),
    ("http://%6cocalhost:PORT/", &["127.0.0.1"]),
    ("http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ:PORT/", &["127.0.0.1"]),
    ("http://app.localhost:PORT/", &["127.0.0.1"]),
    ("https://app.localhost:PORT/", &["127.0.0.1"]),
    ("http://127.0.0.1.nip.example:PORT/", &["127.0.0.1"]),
    ("http://0x7f000001.example:PORT/", &["127.0.0.1"]),
    ("http://ip6-localhost:PORT/", &["::1"]),
    ("http://mapped.example:PORT/", &["::ffff:127.0.0.1"]),
    ("http://zero.example:PORT/", &["0.0.0.0"]),
    ("http://first.example:PORT/", &["127.0.0.1", "8.8.8.8"]),
    ("http://last.example:PORT/", &["8.8.8.8", "2606:4700::1111", "127.0.0.1"]),
    ("http://metadata.google.internal/computeMetadata/v1/", &["169.254.169.254"]),
    ("http://metadata.example/", &["fd00:ec2::254"]),
    ("http://translated.example/", &["64:ff9b::7f00:1"]),
    ("http://relayed.example/", &["2002:7f00:1::"]),
    ("http://intranet/", &["10.0.0.1"]),
    ("http://bücher.example/", &["192.168.1.1"]),
];

fn public(allowed: &[&str]) -> Reach {
    Reach::Public { allowed: allowed.iter().map(|network| network.parse::<IpNet>().unwrap()).collect() }
}

fn addresses(texts: &[&str]) -> io::Result<Vec<SocketAddr>> {
    Ok(texts.iter().map(|text| SocketAddr::new(text.parse::<IpAddr>().unwrap(), 0)).collect())
}

fn always(answer: &'static [&'static str]) -> Resolver {
    Resolver::new(move |_| addresses(answer))
}

/// Returns a resolver that fails, for URLs whose host must not be looked up.
fn failing_resolver() -> Resolver {
    Resolver::new(|name| Err(io::Error::other(format!("{name} was looked up"))))
}

fn post(url: &str, reach: Reach, resolver: Resolver) -> Result<DeliveryResponse, RequestError> {
    run(DeliveryClient::with(reach, resolver).post(url, &[], Bytes::new(), LONG))
}

fn ok(mut stream: std::net::TcpStream) {
    if !read_bytes(&mut BufReader::new(&stream)).is_empty() {
        stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
}

/// Starts a listener that closes every connection immediately. It counts the connection, even
/// though a TLS handshake fails.
fn listener() -> LoopbackListener {
    LoopbackListener::start(drop)
}

fn at(form: &str, listener: &LoopbackListener) -> String {
    form.replace("PORT", &listener.address.port().to_string())
}

/// Asserts that the API rejects the URL, and that the delivery client does not connect to it.
fn assert_rejected(url: &str, resolver: &Resolver) {
    let vetted = run(vet_url_by(url, &public(&[]), resolver));
    assert!(
        matches!(vetted, Err(VetError::Forbidden(_) | VetError::Credentials | VetError::Fragment)),
        "{url:?}: {vetted:?}"
    );
    let posted = post(url, public(&[]), resolver.clone());
    assert!(matches!(posted, Err(RequestError::Forbidden(_))), "{url:?}: {posted:?}");
    let text = posted.unwrap_err().to_string();
    assert!(text.contains("CREEL_TARGET_ALLOW_IPS"), "{text}");
}

#[test]
fn loopback_is_unreachable_in_every_notation() {
    let listener = listener();
    for form in LOOPBACK_FORMS {
        let url = at(form, &listener);
        let _ = post(&url, Reach::Anywhere, failing_resolver());
        assert_eq!(listener.connections(), 1, "{url:?} does not mean loopback");
        assert_rejected(&url, &failing_resolver());
    }
    assert_eq!(listener.connections(), 0);
}

#[test]
fn forbidden_addresses_are_unreachable_in_every_notation() {
    for url in OTHER_FORMS {
        assert_rejected(url, &failing_resolver());
    }
}

#[test]
fn ipv6_loopback_is_unreachable() {
    let Ok(free) = std::net::TcpListener::bind("[::1]:0") else {
        // A machine without IPv6 cannot test this.
        return;
    };
    let address = free.local_addr().unwrap();
    drop(free);
    let listener = LoopbackListener::at(address, drop);
    for form in ["http://[::1]:PORT/", "http://[0:0::0:1]:PORT/", "http://[::0.0.0.1]:PORT/"] {
        let url = at(form, &listener);
        let _ = post(&url, Reach::Anywhere, failing_resolver());
        assert_eq!(listener.connections(), 1, "{url}");
        assert_rejected(&url, &failing_resolver());
    }
    assert_eq!(listener.connections(), 0);
}

#[test]
fn name_with_any_forbidden_address_is_rejected() {
    let listener = listener();
    for (form, answer) in NAMES {
        let url = at(form, &listener);
        if matches!(answer, ["127.0.0.1" | "0.0.0.0" | "::ffff:127.0.0.1"]) {
            let _ = post(&url, Reach::Anywhere, always(answer));
            assert_eq!(listener.connections(), 1, "{url}");
        }
        assert_rejected(&url, &always(answer));
    }
    assert_eq!(listener.connections(), 0);
}

#[test]
fn url_without_a_valid_host_is_rejected() {
    for url in [
        "http://127.0.0.1:65536/",
        "http://[::1%25lo]/",
        "http://127.0.0.256/",
        "http://1.2.3.4.5/",
        "http://[127.0.0.1]/",
    ] {
        assert!(
            matches!(run(vet_url_by(url, &public(&[]), &failing_resolver())), Err(VetError::Url(_))),
            "{url}"
        );
        assert!(
            matches!(post(url, Reach::Anywhere, failing_resolver()), Err(RequestError::Invalid(_))),
            "{url}"
        );
    }
}

#[test]
fn allowed_network_is_reachable_by_address_and_name() {
    let listener = LoopbackListener::start(ok);
    let reach = public(&["127.0.0.1/32"]);
    for form in ["http://127.0.0.1:PORT/", "http://[::ffff:127.0.0.1]:PORT/", "http://app.example:PORT/"] {
        let url = at(form, &listener);
        assert_eq!(run(vet_url_by(&url, &reach, &always(&["127.0.0.1"]))), Ok(()), "{url}");
        assert_eq!(post(&url, reach.clone(), always(&["127.0.0.1"])).unwrap().status, 200, "{url}");
        assert_eq!(listener.connections(), 1, "{url}");
    }
    let neighbour = post(&at("http://127.0.0.2:PORT/", &listener), reach, failing_resolver());
    assert!(matches!(neighbour, Err(RequestError::Forbidden(_))), "{neighbour:?}");
}

/// Returns a resolver that gives the answers in this order, and the number of its lookups.
fn changing(answers: &[&'static [&'static str]]) -> (Resolver, Arc<AtomicUsize>) {
    let answers = Mutex::new(answers.iter().copied().collect::<VecDeque<_>>());
    let queries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&queries);
    let resolver = Resolver::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        addresses(answers.lock().unwrap().pop_front().unwrap_or(&[]))
    });
    (resolver, queries)
}

/// Stand-in for a public address, because tests must not connect to one.
const OPENED: &str = "127.0.0.2";

#[test]
fn name_that_changes_after_vetting_is_rejected() {
    let victim = LoopbackListener::start(ok);
    let url = at("http://rebind.example:PORT/", &victim);
    let (resolver, queries) = changing(&[&[OPENED], &["127.0.0.1"]]);
    let reach = public(&["127.0.0.2/32"]);

    assert_eq!(run(vet_url_by(&url, &reach, &resolver)), Ok(()));
    let posted = post(&url, reach, resolver);
    assert!(matches!(posted, Err(RequestError::Forbidden(_))), "{posted:?}");
    assert_eq!((queries.load(Ordering::Relaxed), victim.connections()), (2, 0));
}

#[test]
fn connection_uses_the_vetted_address() {
    // Both listeners have the same port, so that only the resolved address determines the listener.
    let victim = LoopbackListener::start(ok);
    let other = LoopbackListener::at(SocketAddr::new(OPENED.parse().unwrap(), victim.address.port()), ok);
    let url = at("http://rebind.example:PORT/", &victim);
    let (resolver, queries) = changing(&[&[OPENED], &["127.0.0.1"], &[OPENED], &["127.0.0.1", OPENED]]);
    let client = DeliveryClient::with(public(&["127.0.0.2/32"]), resolver);

    run(async {
        for round in 1..=4 {
            let posted = client.post(&url, &[], Bytes::new(), LONG).await;
            match posted {
                Ok(response) => assert!(round % 2 == 1 && response.status == 200, "{round}"),
                Err(RequestError::Forbidden(forbidden)) => {
                    assert_eq!((round % 2, forbidden.address.to_string().as_str()), (0, "127.0.0.1"));
                }
                Err(error) => panic!("{round}: {error}"),
            }
            assert_eq!(queries.load(Ordering::Relaxed), round, "one lookup for one connection");
        }
    });
    assert_eq!((victim.connections(), other.connections()), (0, 2));
}
