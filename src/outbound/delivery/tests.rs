//! The delivery client against real, misbehaving servers on loopback.

use std::io::{BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::outbound::loopback::{LoopbackListener, TIMEOUT, read_bytes, run};

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(10);

fn client() -> DeliveryClient {
    DeliveryClient::new(Reach::Anywhere)
}

fn post(url: &str, timeout: Duration) -> Result<DeliveryResponse, RequestError> {
    run(client().post(url, &[], Bytes::from_static(b"{}"), timeout))
}

/// Starts a server that sends the reply to every request of every connection, and returns a channel
/// with the requests.
fn answering(reply: &str) -> (LoopbackListener, Receiver<Vec<u8>>) {
    let (sender, requests) = channel();
    let (reply, sender) = (reply.to_owned(), Mutex::new(sender));
    let server = LoopbackListener::start(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        loop {
            let request = read_bytes(&mut reader);
            if request.is_empty() {
                return;
            }
            // The test may be over.
            let _ = sender.lock().unwrap().send(request);
            let _ = stream.write_all(reply.as_bytes());
        }
    });
    (server, requests)
}

/// Starts a server that reads one request, sends the beginning of a reply, and passes the
/// connection to `respond`.
fn beginning(reply: &'static str, respond: impl Fn(TcpStream) + Send + Sync + 'static) -> LoopbackListener {
    LoopbackListener::start(move |mut stream| {
        read_bytes(&mut BufReader::new(stream.try_clone().unwrap()));
        // The client may have closed.
        let _ = stream.write_all(reply.as_bytes());
        respond(stream);
    })
}

/// Waits until the client closes.
fn hold(mut stream: TcpStream) {
    let _ = stream.read(&mut [0]);
}

#[test]
fn exact_bytes_and_headers_arrive() {
    let (server, requests) = answering("HTTP/1.1 204 No Content\r\n\r\n");
    let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let headers = [
        ("Content-Type".into(), b"text/plain; charset=x".as_slice().into()),
        ("x-many".into(), b"one".as_slice().into()),
        ("x-many".into(), b"two \xff\xe9".as_slice().into()),
    ];
    let sent = run(client().post(&format!("{}?a=%2F&b", server.url()), &headers, body.clone().into(), LONG));

    assert_eq!(sent, Ok(DeliveryResponse { status: 204, retry_after: None, excerpt: Vec::new() }));
    let request = requests.recv_timeout(TIMEOUT).unwrap();
    let head_length = request.len() - body.len();
    assert_eq!(&request[head_length..], body);
    let host = format!("host: {}\r\n", server.address);
    let expected = [
        b"POST /hook?a=%2F&b HTTP/1.1\r\ncontent-type: text/plain; charset=x\r\nx-many: one\r\nx-many: two \xff\xe9\r\n",
        concat!("accept: */*\r\nuser-agent: creel/", env!("CARGO_PKG_VERSION"), "\r\n").as_bytes(),
        host.as_bytes(),
        b"content-length: 100000\r\n\r\n",
    ];
    let (head, expected) = (&request[..head_length], expected.concat());
    assert_eq!(String::from_utf8_lossy(head), String::from_utf8_lossy(&expected));
    assert_eq!(head, expected, "and the same bytes");
}

#[test]
fn posts_of_clones_share_a_connection() {
    let (server, _requests) = answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let client = client();
    run(async {
        for client in [client.clone(), client] {
            let response = client.post(&server.url(), &[], Bytes::new(), LONG).await.unwrap();
            assert_eq!((response.status, response.excerpt.as_slice()), (200, b"ok".as_slice()));
        }
    });
    assert_eq!(server.connections(), 1);
}

#[test]
fn body_within_limit_is_read_and_its_excerpt_stored() {
    let body = "a".repeat(MAX_DELIVERY_RESPONSE_BYTES);
    let (server, _requests) =
        answering(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    let client = client();
    run(async {
        for _ in 0..2 {
            let response = client.post(&server.url(), &[], Bytes::new(), LONG).await.unwrap();
            assert_eq!(response.excerpt, b"a".repeat(EXCERPT_BYTES));
        }
    });
    assert_eq!(server.connections(), 1, "the connection was used again");
}

#[test]
fn error_status_is_a_response_with_retry_after() {
    let rows = [
        ("410 Gone", "", 410, None),
        ("503 Busy", "Retry-After: 120\r\n", 503, Some("120")),
        (
            "429 Slow",
            "retry-after: Wed, 21 Oct 2026 07:28:00 GMT\r\n",
            429,
            Some("Wed, 21 Oct 2026 07:28:00 GMT"),
        ),
        ("500 Oops", "", 500, None),
    ];
    for (status, header, code, retry_after) in rows {
        let (server, _requests) =
            answering(&format!("HTTP/1.1 {status}\r\n{header}content-length: 3\r\n\r\nwhy"));
        let response = post(&server.url(), LONG).unwrap();
        assert_eq!((response.status, response.retry_after.as_deref()), (code, retry_after));
        assert_eq!(response.excerpt, b"why");
    }
}

#[test]
fn redirect_is_returned_and_not_followed() {
    let elsewhere = LoopbackListener::start(hold);
    let locations = [
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "//127.0.0.1/",
        &elsewhere.url(),
    ];
    for status in [301, 302, 303, 307, 308] {
        for location in locations {
            let reply =
                format!("HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n");
            let (server, _requests) = answering(&reply);
            assert_eq!(post(&server.url(), LONG).unwrap().status, status);
            assert_eq!(server.connections(), 1);
        }
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[test]
fn endless_body_is_abandoned_after_64_kib() {
    for head in [
        "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n40000000\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
    ] {
        let (sender, written) = channel();
        let sender = Mutex::new(sender);
        let server = beginning(head, move |mut stream| {
            let megabyte = vec![b'x'; 1024 * 1024];
            let megabytes = (0..1024).take_while(|_| stream.write_all(&megabyte).is_ok()).count();
            sender.lock().unwrap().send(megabytes).unwrap();
        });
        let client = client();
        let megabytes = run(async {
            let response = client.post(&server.url(), &[], Bytes::new(), LONG).await.unwrap();
            assert_eq!((response.status, response.excerpt), (200, b"x".repeat(EXCERPT_BYTES)));
            // The client stays alive, so its drop does not close the connection.
            tokio::task::spawn_blocking(move || written.recv_timeout(TIMEOUT).unwrap()).await.unwrap()
        });
        assert!(
            megabytes < 64,
            "{megabytes} MiB left the server, most of them for the buffers of the sockets"
        );
    }
}

#[test]
fn dripping_body_takes_a_second_and_keeps_its_status() {
    let server = beginning("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", |mut stream| {
        // Drips until the client closes.
        while stream.write_all(b".").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let started = Instant::now();
    let response = post(&server.url(), LONG).unwrap();
    assert!((SECOND..LONG / 2).contains(&started.elapsed()), "{:?}", started.elapsed());
    assert_eq!(response.status, 200);
    assert!(response.excerpt.starts_with(b"..."), "{:?}", response.excerpt);
}

#[test]
fn stalled_body_takes_no_longer_than_the_timeout() {
    let server = beginning("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n", hold);
    let started = Instant::now();
    assert_eq!(post(&server.url(), SECOND / 4).unwrap().status, 200);
    assert!(started.elapsed() < SECOND, "{:?}", started.elapsed());
}

#[test]
fn truncated_body_keeps_its_status() {
    let server = beginning("HTTP/1.1 201 Created\r\ncontent-length: 1000\r\n\r\nonly this", drop);
    let response = post(&server.url(), LONG).unwrap();
    assert_eq!((response.status, response.excerpt.as_slice()), (201, b"only this".as_slice()));
}

#[test]
fn stalled_server_is_a_timeout_at_every_stage() {
    for begun in ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 100 Continue\r\n\r\n"] {
        let server = beginning(begun, hold);
        assert_eq!(post(&server.url(), SECOND / 4), Err(RequestError::Timeout(SECOND / 4)), "{begun:?}");
    }
    // The listener never accepts.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    assert_eq!(post(&url, SECOND / 4), Err(RequestError::Timeout(SECOND / 4)));
}

#[test]
fn dripping_head_is_a_timeout() {
    let server = beginning("HTTP/1.1 200 OK\r\n", |mut stream| {
        // Drips until the client closes.
        while stream.write_all(b"x: y\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(post(&server.url(), SECOND / 2), Err(RequestError::Timeout(SECOND / 2)));
}

#[test]
fn endless_head_is_an_error() {
    for endless in ["x-y: z\r\n", "zzzzzzzz"] {
        let server = beginning("HTTP/1.1 200 OK\r\n", move |mut stream| {
            while stream.write_all(endless.repeat(1000).as_bytes()).is_ok() {}
        });
        assert!(matches!(post(&server.url(), LONG), Err(RequestError::Exchange(_))));
    }
}

#[test]
fn connection_errors_differ_and_omit_the_url() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let rejected = post(&format!("http://{closed}/?token=hush"), LONG).unwrap_err();
    assert!(matches!(&rejected, RequestError::Connect(text) if text.contains("refused")), "{rejected}");

    let reset =
        beginning("", |stream| socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap());
    let broken = post(&format!("{}?token=hush", reset.url()), LONG).unwrap_err();
    assert!(matches!(broken, RequestError::Exchange(_)), "{broken}");

    let silent = beginning("", drop);
    let closed = post(&format!("{}?token=hush", silent.url()), LONG).unwrap_err();
    assert!(matches!(closed, RequestError::Exchange(_)), "{closed}");

    let garbage = beginning("SSH-2.0-OpenSSH_9.9\r\n\r\n", drop);
    let invalid = post(&format!("{}?token=hush", garbage.url()), LONG).unwrap_err();
    assert!(matches!(invalid, RequestError::Exchange(_)), "{invalid}");

    let plain =
        LoopbackListener::start(|mut stream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap());
    let no_tls = post(&plain.url().replace("http:", "https:"), LONG).unwrap_err();
    assert!(matches!(no_tls, RequestError::Connect(_)), "{no_tls}");

    for error in [rejected, broken, closed, invalid, no_tls] {
        assert!(!error.to_string().contains("hush") && !error.to_string().contains("hook"), "{error}");
    }
}

#[test]
fn sent_request_is_never_repeated_automatically() {
    // Answers the first request of a connection, and closes after it has read the second.
    let (sender, requests) = channel();
    let sender = Mutex::new(sender);
    let server = LoopbackListener::start(move |mut stream| {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        for reply in ["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", ""] {
            if !read_bytes(&mut reader).is_empty() {
                sender.lock().unwrap().send(()).unwrap();
            }
            stream.write_all(reply.as_bytes()).unwrap();
        }
    });
    let client = client();
    run(async {
        client.post(&server.url(), &[], Bytes::new(), LONG).await.unwrap();
        let second = client.post(&server.url(), &[], Bytes::new(), LONG).await;
        assert!(matches!(second, Err(RequestError::Exchange(_))), "{second:?}");
    });
    assert_eq!(server.connections(), 1);
    assert_eq!(requests.try_iter().count(), 2);
}

#[test]
fn invalid_request_is_rejected_before_sending() {
    let (server, _requests) = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let send = |url: &str, name: &str, value: &[u8]| {
        let headers = [(name.into(), value.into())];
        run(client().post(url, &headers, Bytes::new(), LONG)).unwrap_err().to_string()
    };
    for name in ["content-length", "Transfer-Encoding", "Connection", "upgrade", "bad name", ""] {
        assert_eq!(send(&server.url(), name, b"0"), format!("the request is not valid: header {name:?}"));
    }
    assert_eq!(
        send(&server.url(), "x-token", b"hush\r\nx: y"),
        "the request is not valid: header \"x-token\""
    );
    for url in ["hush", "ftp://hush/", "http://", "http://hush:99999/", "data:hush"] {
        let text = send(url, "x", b"y");
        assert!(text.starts_with("the request is not valid") && !text.contains("hush"), "{text}");
    }
    assert_eq!(server.connections(), 0);
}

#[test]
fn unresponsive_name_server_times_out_and_delays_no_other_target() {
    let (never, hold) = channel::<()>();
    let hold = Mutex::new(hold);
    let resolver = Resolver::new(move |name| {
        if name == "dead.example" {
            let _ = hold.lock().unwrap().recv();
        }
        Ok(vec![(std::net::Ipv4Addr::LOCALHOST, 0).into()])
    });
    let (server, _requests) = answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    let client = DeliveryClient::with(Reach::Anywhere, resolver);
    let url = |name: &str| format!("http://{name}:{}/", server.address.port());
    run(async {
        let (dead, alive) = (url("dead.example"), url("alive.example"));
        let dead = client.post(&dead, &[], Bytes::new(), SECOND / 4);
        let alive = client.post(&alive, &[], Bytes::new(), LONG);
        let (dead, alive) = tokio::join!(dead, alive);
        assert_eq!(dead, Err(RequestError::Timeout(SECOND / 4)));
        assert_eq!(alive.unwrap().status, 200);
    });
    drop(never);
}

#[test]
fn empty_body_has_content_length_if_content_is_expected() {
    let (server, requests) = answering("HTTP/1.1 204 No Content\r\n\r\n");
    let rows = [
        ("POST", 1),
        ("PUT", 1),
        ("PATCH", 1),
        ("PURGE", 1),
        ("GET", 0),
        ("HEAD", 0),
        ("DELETE", 0),
        ("OPTIONS", 0),
    ];
    for (method, count) in rows {
        run(client().send(method, &server.url(), &[], Bytes::new(), LONG)).unwrap();
        let request = String::from_utf8(requests.recv_timeout(TIMEOUT).unwrap()).unwrap();
        assert_eq!(request.matches("content-length: 0\r\n").count(), count, "{request}");
        assert_eq!(request.matches("content-length").count(), count, "{request}");
        assert!(!request.contains("transfer-encoding"), "{request}");
    }
}
