//! Follows a stream of the service, and reconnects after a lost connection. The loss is always
//! reported, so that silence is not mistaken for a lack of messages.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::output::{Failure, print_progress};
use super::remote::Remote;
use crate::outbound::{EventStream, ServerEvent, StreamAnswer};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Fraction of the silence limit after which a stream that has not begun is reported: 20 s of 45 s.
const START_TIMEOUT_SHARE: (u32, u32) = (4, 9);

/// Position at which a new connection continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// At the position stored by the service.
    ByName,
    /// After the last received event.
    ById,
}

#[derive(Debug)]
pub struct Following<'a> {
    remote: &'a Remote,
    path: String,
    resume: Resume,
    /// Silence after which a connection is treated as dead.
    silence: Duration,
    stream: Option<Box<EventStream>>,
    last_id: Option<String>,
    /// Time of the last loss of the connection; `None` before the first loss.
    lost_at: Option<Instant>,
    /// Wait before the next attempt to connect.
    pause: Duration,
    connected_at: Instant,
    has_event: bool,
}

impl<'a> Following<'a> {
    pub fn new(remote: &'a Remote, path: String, resume: Resume, silence: Duration) -> Self {
        Self {
            remote,
            path,
            resume,
            silence,
            stream: None,
            last_id: None,
            lost_at: None,
            pause: FIRST_PAUSE,
            connected_at: Instant::now(),
            has_event: false,
        }
    }

    /// Skips the events up to this id, as if they had been received. Has no effect after the first
    /// event with an id.
    pub fn begin_at(&mut self, id: i64) {
        self.last_id.get_or_insert_with(|| id.to_string());
    }

    /// Returns the next event.
    ///
    /// # Errors
    /// The first connection fails, or the service rejects a later one permanently.
    pub async fn next(&mut self) -> Result<ServerEvent, Failure> {
        loop {
            let stream = match &mut self.stream {
                Some(stream) => stream,
                None => {
                    let stream = self.connect().await?;
                    self.connected_at = Instant::now();
                    self.has_event = false;
                    self.stream.insert(stream)
                }
            };
            let monitor = StartMonitor { remote: self.remote, silence: self.silence };
            let has_begun = stream.has_begun();
            let next = monitor.watch(stream.next(), &has_begun).await;
            let why = match next {
                Ok(Some(event)) => {
                    self.has_event = true;
                    if event.id.is_some() {
                        self.last_id.clone_from(&event.id);
                    }
                    return Ok(event);
                }
                Ok(None) => "the service closed it".to_owned(),
                Err(error) => error.to_string(),
            };
            self.stream = None;
            self.lost_at = Some(Instant::now());
            let base = self.remote.base();
            if self.has_event && self.connected_at.elapsed() >= FIRST_PAUSE {
                self.pause = FIRST_PAUSE;
                print_progress(&format!("CONNECTION LOST to {base}: {why}. Reconnecting …"));
                continue;
            }
            // Each stream begins with an event, so a stream that ends right after it must not reset
            // the pause. Otherwise a service that cannot read its database would receive thousands
            // of requests a second.
            print_progress(&format!(
                "CONNECTION LOST to {base}: {why}. Next attempt in {} s",
                self.pause.as_secs()
            ));
            self.sleep().await;
        }
    }

    /// Waits before the next attempt, and doubles the pause for the following one.
    async fn sleep(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }

    /// Connects. A failure of the first connection is returned. Later connections are retried until
    /// one succeeds, or the service rejects one permanently.
    async fn connect(&mut self) -> Result<Box<EventStream>, Failure> {
        loop {
            let failure = match self.connect_once().await {
                Ok(stream) => {
                    if let Some(lost_at) = self.lost_at {
                        print_progress(&format!("RECONNECTED after {} s", lost_at.elapsed().as_secs()));
                    }
                    return Ok(stream);
                }
                Err(ConnectFailure::Permanent(failure)) => return Err(failure),
                Err(ConnectFailure::Temporary(failure)) if self.lost_at.is_none() => return Err(failure),
                Err(ConnectFailure::Temporary(failure)) => failure,
            };
            print_progress(&format!(
                "STILL NO CONNECTION: {failure}. Next attempt in {} s",
                self.pause.as_secs()
            ));
            self.sleep().await;
        }
    }

    async fn connect_once(&self) -> Result<Box<EventStream>, ConnectFailure> {
        let last = self.last_id.as_deref().filter(|_| self.resume == Resume::ById);
        let headers: Vec<(&str, &str)> = last.map(|id| ("last-event-id", id)).into_iter().collect();
        let monitor = StartMonitor { remote: self.remote, silence: self.silence };
        let stream = self.remote.stream(&self.path, &headers, self.silence);
        match monitor.watch(stream, &AtomicBool::new(false)).await {
            Ok(StreamAnswer::Open(stream)) => Ok(stream),
            Ok(StreamAnswer::Rejected(response)) => {
                let failure = self.remote.rejected(&response);
                // Only errors that the service itself returns for wrong requests are final. A proxy
                // in front of a starting service usually returns others.
                let is_final = matches!(response.status, 400 | 401 | 403 | 409 | 422);
                Err(if is_final {
                    ConnectFailure::Permanent(failure)
                } else {
                    ConnectFailure::Temporary(failure)
                })
            }
            // While the service is down, a proxy may return an error page.
            Ok(StreamAnswer::OtherType(content_type)) => {
                Err(ConnectFailure::Temporary(self.remote.not_a_stream(&content_type)))
            }
            Err(error) => Err(ConnectFailure::Temporary(self.remote.unreached(&error))),
        }
    }
}

/// Reports a stream that does not begin.
struct StartMonitor<'a> {
    remote: &'a Remote,
    silence: Duration,
}

impl StartMonitor<'_> {
    /// Waits for `next`, and reports once if the stream does not begin. The service sends a
    /// response head immediately, and an event or a comment within 15 s.
    async fn watch<T>(&self, next: impl Future<Output = T>, has_begun: &AtomicBool) -> T {
        let mut next = pin!(next);
        let (numerator, denominator) = START_TIMEOUT_SHARE;
        let limit = self.silence * numerator / denominator;
        if has_begun.load(Ordering::Relaxed) {
            return next.await;
        }
        if let Ok(next) = timeout(limit, &mut next).await {
            return next;
        }
        if has_begun.load(Ordering::Relaxed) {
            return next.await;
        }
        let base = self.remote.base();
        print_progress(&format!(
            "no response from {base} for {limit:?}: the service hangs (try {base}/readyz), or a proxy buffers responses \
             (docs/proxies.md)"
        ));
        next.await
    }
}

enum ConnectFailure {
    Temporary(Failure),
    Permanent(Failure),
}
