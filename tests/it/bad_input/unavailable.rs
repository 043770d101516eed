//! Storage is unavailable: 503 with `Retry-After`, nothing stored, and recovery without a restart.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::harness::{Connection, Reply, TestApp, eventually, sign};

#[track_caller]
fn assert_unavailable(reply: &Reply) {
    reply.assert_is(503, "text/plain", "Temporarily unavailable, retry later.");
    assert!(reply.retry_after_seconds().is_some_and(|seconds| seconds >= 1), "{reply:?}");
}

#[test]
fn disk_below_low_water_mark_rejects_messages() {
    let app = TestApp::github().set("CREEL_MIN_FREE", "1000TiB").start();
    assert_unavailable(&app.send(&sign::github("1", "{}")));
    assert_eq!(app.database().count("messages"), 0);
    assert_eq!(app.get("/readyz").status, 503);
    assert_eq!(app.get("/healthz").status, 200);
}

#[test]
fn locked_database_is_answered_in_time() {
    let app = TestApp::github().start();
    let lock = app.database().writer();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = Instant::now();
    assert_unavailable(&app.send(&sign::github("1", "{}")));
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(1) && took <= Duration::from_millis(2_800), "{took:?}");
    lock.execute_batch("COMMIT").unwrap();
    eventually("a message is accepted again", Duration::from_secs(10), || {
        app.send(&sign::github("2", "{}")).status == 200
    });
}

const HELD_BYTES: usize = 1_000_000;

/// A client that withholds the last byte of a large body, so that the others stay in flight.
struct Holder {
    client: Ipv4Addr,
    connection: Option<Connection>,
}

impl Holder {
    fn new(number: u8) -> Self {
        Self { client: Ipv4Addr::new(127, 0, 2, number), connection: None }
    }

    /// Sends the body again unless it is in flight, because another request may have taken its
    /// place in the budget.
    fn hold(&mut self, app: &TestApp) {
        let is_held = self.connection.as_mut().is_some_and(|connection| {
            let reply = connection.read_within(Duration::from_millis(1));
            reply.is_err_and(|error| error.kind() == ErrorKind::TimedOut)
        });
        if is_held {
            return;
        }
        let mut connection = Connection::open_from(self.client, app.address);
        let request = sign::github("held", vec![b'7'; HELD_BYTES]);
        let _ = connection.write(&request.bytes()[..request.bytes().len() - 1]);
        self.connection = Some(connection);
    }
}

fn post_from(app: &TestApp, client: Ipv4Addr) -> Reply {
    Connection::open_from(client, app.address).exchange(&sign::github("more", vec![b'7'; 900_000]))
}

fn with_small_budget() -> TestApp {
    TestApp::github().set("CREEL_BODY_BUDGET", "4MiB").set("CREEL_MAX_BODY", "1MiB").start()
}

#[test]
fn client_uses_at_most_quarter_of_body_budget() {
    let app = with_small_budget();
    let mut greedy = Holder::new(1);
    let mut rejected = None;
    eventually("the client has used up its share", Duration::from_secs(10), || {
        greedy.hold(&app);
        rejected = Some(post_from(&app, greedy.client)).filter(|reply| reply.status == 503);
        rejected.is_some()
    });
    assert_unavailable(&rejected.unwrap());
    assert_eq!(post_from(&app, Ipv4Addr::new(127, 0, 2, 2)).status, 200);
    greedy.connection = None;
    eventually("the share is released", Duration::from_secs(5), || {
        post_from(&app, greedy.client).status == 200
    });
}

#[test]
fn exhausted_body_budget_is_503_and_recovers() {
    let app = with_small_budget();
    let mut holders: Vec<Holder> = (1..=4).map(Holder::new).collect();
    let late = Ipv4Addr::new(127, 0, 3, 1);
    let mut rejected = None;
    eventually("the budget is used up", Duration::from_secs(10), || {
        holders.iter_mut().for_each(|holder| holder.hold(&app));
        rejected = Some(post_from(&app, late)).filter(|reply| reply.status == 503);
        rejected.is_some()
    });
    assert_unavailable(&rejected.unwrap());
    assert_eq!(app.get("/healthz").status, 200);
    drop(holders);
    eventually("the budget is released", Duration::from_secs(5), || post_from(&app, late).status == 200);
}
