//! Clients that send the next message after each reply, and record the acknowledgements.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::database::Database;
use super::{Connection, eventually, sign};

const REPLY_LIMIT: Duration = Duration::from_secs(30);
/// The pause between two connection attempts, because a refused connection cannot be awaited.
const RECONNECT_PAUSE: Duration = Duration::from_millis(5);

/// One request and its outcome.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The delivery id, which is also the marker in the body.
    pub id: String,
    pub begun: Instant,
    pub took: Duration,
    /// `None` if the connection broke before a reply.
    pub status: Option<u16>,
    /// The client's port and the number of the request on that connection, to find the reply in a
    /// trace.
    pub connection: (u16, usize),
}

impl Sent {
    pub fn is_acknowledged(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

pub struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Vec<Sent>>>,
}

impl Load {
    pub fn start(address: SocketAddr, clients: usize) -> Self {
        Self::with_padding(address, clients, 64)
    }

    /// Adds `padding_bytes` bytes to the marker in each body.
    pub fn with_padding(address: SocketAddr, clients: usize, padding_bytes: usize) -> Self {
        static RUNS: AtomicUsize = AtomicUsize::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(AtomicUsize::new(0));
        let clients = (0..clients)
            .map(|number| {
                let (stop, acknowledged) = (stop.clone(), acknowledged.clone());
                let padding = "p".repeat(padding_bytes);
                std::thread::spawn(move || {
                    let client = Client { address, name: format!("load{run}x{number}"), padding };
                    client.run(&stop, &acknowledged)
                })
            })
            .collect();
        Self { stop, acknowledged, clients }
    }

    pub fn acknowledged(&self) -> usize {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until `count` more messages are acknowledged.
    #[track_caller]
    pub fn wait_for_more(&self, count: usize, limit: Duration) {
        let goal = self.acknowledged() + count;
        eventually(&format!("{count} acknowledgements under load"), limit, || self.acknowledged() >= goal);
    }

    pub fn finish(self) -> Vec<Sent> {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    }
}

struct Client {
    address: SocketAddr,
    name: String,
    padding: String,
}

impl Client {
    fn run(&self, stop: &AtomicBool, acknowledged: &AtomicUsize) -> Vec<Sent> {
        let mut sent = Vec::new();
        let mut connection: Option<(Connection, usize)> = None;
        while !stop.load(Ordering::Relaxed) {
            let Some((mut open, index)) = connection.take().or_else(|| self.connect()) else {
                std::thread::sleep(RECONNECT_PAUSE);
                continue;
            };
            let id = format!("{}x{}x", self.name, sent.len());
            let bytes =
                sign::github(&id, format!(r#"{{"marker":"{id}","padding":"{}"}}"#, self.padding)).bytes();
            let begun = Instant::now();
            let reply = open.write(&bytes).and_then(|()| open.read_within(REPLY_LIMIT));
            let status = reply.as_ref().ok().map(|reply| reply.status);
            let place = (open.local_port(), index);
            sent.push(Sent { id, begun, took: begun.elapsed(), status, connection: place });
            if sent.last().is_some_and(Sent::is_acknowledged) {
                acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            let is_kept_open = reply.is_ok_and(|reply| reply.header("connection") != Some("close"));
            connection = is_kept_open.then_some((open, index + 1));
        }
        sent
    }

    fn connect(&self) -> Option<(Connection, usize)> {
        Connection::try_open(self.address).ok().map(|connection| (connection, 0))
    }
}

/// Asserts that each acknowledged message is stored, and that no message is stored more than once.
#[track_caller]
pub fn assert_nothing_lost(database: &Database, sent: &[Sent]) {
    let kept = database.delivery_ids();
    let acknowledged: Vec<&Sent> = sent.iter().filter(|sent| sent.is_acknowledged()).collect();
    let lost: Vec<&str> =
        acknowledged.iter().map(|sent| sent.id.as_str()).filter(|id| !kept.contains_key(*id)).collect();
    let several: Vec<_> = kept.iter().filter(|(_, count)| **count > 1).collect();
    assert!(
        lost.is_empty() && several.is_empty(),
        "of {} acknowledged, lost {}: {:?}; kept more than once: {several:?}",
        acknowledged.len(),
        lost.len(),
        &lost[..lost.len().min(5)],
    );
    assert!(!acknowledged.is_empty(), "nothing was acknowledged, so nothing was tested");
}

/// The slowest reply of any status.
pub fn slowest(sent: &[Sent]) -> Duration {
    sent.iter().filter(|sent| sent.status.is_some()).map(|sent| sent.took).max().unwrap_or_default()
}
