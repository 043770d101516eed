//! Clients that send or read one byte per second during normal traffic.

use std::time::{Duration, Instant};

use super::form;
use crate::harness::{Connection, Request, TestApp, allow, sign};

/// The direction in which a client is slow.
#[derive(Clone, Copy)]
enum SlowKind {
    Head,
    Body,
    Reading,
}

struct SlowClient {
    connection: Connection,
    rest: Vec<u8>,
    closed: bool,
}

impl SlowClient {
    fn open(app: &TestApp, slow: SlowKind, number: usize) -> Self {
        let request = sign::github(&format!("slow-{number}"), format!("\"{}\"", "x".repeat(2_000)));
        let mut connection = app.connect();
        let rest = match slow {
            SlowKind::Head => request.bytes(),
            SlowKind::Body => {
                let _ = connection.write(&request.head());
                request.content().to_vec()
            }
            SlowKind::Reading => {
                let _ = connection.write(&Request::get("/healthz").bytes().repeat(100));
                Vec::new()
            }
        };
        Self { connection, rest, closed: false }
    }

    /// Sends the next byte if the client is a sender, and checks whether the service closed the
    /// connection.
    fn step(&mut self, second: usize) {
        if let Some(byte) = self.rest.get(second) {
            let _ = self.connection.write(&[*byte]);
        }
        self.closed = self.closed || self.connection.is_closed_within(Duration::from_millis(1));
    }
}

fn percentile(times: &mut [Duration], per_cent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * per_cent / 100).min(times.len() - 1)]
}

/// Sends a request every 20 ms until `done`, each on a new connection, and returns the response
/// times.
fn normal_traffic(app: &TestApp, done: &std::sync::atomic::AtomicBool) -> Vec<Duration> {
    let mut times = Vec::new();
    while !done.load(std::sync::atomic::Ordering::Relaxed) {
        let begun = Instant::now();
        assert_eq!(app.send(&sign::github(&format!("normal-{}", times.len()), "{}")).status, 200);
        times.push(begun.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    times
}

#[test]
fn slow_clients_are_closed_and_delay_no_other_client() {
    let app = TestApp::github().start();
    let kinds = [SlowKind::Head, SlowKind::Body, SlowKind::Reading];
    let mut clients: Vec<SlowClient> = (0..form(90, 2_000))
        .map(|number| SlowClient::open(&app, kinds[number % kinds.len()], number))
        .collect();
    let done = std::sync::atomic::AtomicBool::new(false);
    let mut times = std::thread::scope(|scope| {
        let traffic = scope.spawn(|| normal_traffic(&app, &done));
        let deadline = Instant::now() + Duration::from_secs(90);
        for second in 0.. {
            let begun = Instant::now();
            // A slow reader has an idle connection, which may live as long as the keep-alive
            // timeout.
            clients.iter_mut().filter(|client| !client.closed).for_each(|client| client.step(second));
            let open = clients.iter().filter(|client| !client.closed && !client.rest.is_empty()).count();
            if open == 0 || Instant::now() > deadline {
                done.store(true, std::sync::atomic::Ordering::Relaxed);
                assert_eq!(open, 0, "slow senders that are still connected");
                break;
            }
            std::thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
        }
        traffic.join().unwrap()
    });
    let p99 = percentile(&mut times, 99);
    assert!(p99 <= allow(Duration::from_millis(100)), "p99 of {} normal requests: {p99:?}", times.len());
    let slow: i64 = app.database().value("SELECT count(*) FROM messages WHERE delivery_id LIKE 'slow-%'");
    assert_eq!(slow, 0);
}

#[test]
fn idle_connection_outlives_the_idle_timeout_of_a_proxy() {
    let app = TestApp::github().start();
    let mut connection = app.connect();
    assert_eq!(connection.exchange(&sign::github("first", "{}")).status, 200);
    // Caddy keeps its connections for 120 s: if creel closes one first, a race turns it into a 502.
    let idle = form(Duration::from_secs(15), Duration::from_secs(125));
    assert!(!connection.is_closed_within(idle), "closed before {idle:?}");
    assert_eq!(connection.exchange(&sign::github("second", "{}")).status, 200);
}
