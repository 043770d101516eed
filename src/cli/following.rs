//! A stream of the service that is followed over as many connections as it takes. That a connection is gone is said
//! loudly: whoever watches must not take silence for peace.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::output::{Failure, say};
use super::remote::Remote;
use crate::outbound::{EventStream, ServerEvent, StreamAnswer};

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const MAX_PAUSE: Duration = Duration::from_secs(30);
/// Share of the limit on silence within which a stream must begin: 20 s of 45.
const HELD_UP_SHARE: (u32, u32) = (4, 9);

/// Where a new connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// Where the service has it.
    ByName,
    /// Behind the last event that came.
    ById,
}

#[derive(Debug)]
pub struct Following<'a> {
    remote: &'a Remote,
    path: String,
    resume: Resume,
    /// After so long without a sign of life a connection is dead.
    silence: Duration,
    stream: Option<Box<EventStream>>,
    last_id: Option<String>,
    /// Since when there is no connection; `None` before the first one.
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

    /// What came up to this id is known, though no event of it has come.
    pub fn begin_at(&mut self, id: i64) {
        self.last_id.get_or_insert_with(|| id.to_string());
    }

    /// The next event.
    ///
    /// # Errors
    /// The first connection fails, or the service refuses a later one for good.
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
            let held_up = HeldUp { remote: self.remote, silence: self.silence };
            let has_begun = stream.has_begun();
            let next = held_up.watch(stream.next(), &has_begun).await;
            let why = match next {
                Ok(Some(event)) => {
                    self.has_event = true;
                    if event.id.is_some() {
                        self.last_id.clone_from(&event.id);
                    }
                    return Ok(event);
                }
                Ok(None) => "the service has ended it".to_owned(),
                Err(error) => error.to_string(),
            };
            self.stream = None;
            self.lost_at = Some(Instant::now());
            let base = self.remote.base();
            if self.has_event && self.connected_at.elapsed() >= FIRST_PAUSE {
                self.pause = FIRST_PAUSE;
                say(&format!("CONNECTION LOST to {base}: {why}. Connecting again …"));
                continue;
            }
            // Each stream begins with an event, so one that ends right after it must not reset the pause: a service that
            // cannot read its database would be asked thousands of times a second.
            say(&format!("CONNECTION LOST to {base}: {why}. Next try in {} s", self.pause.as_secs()));
            self.sleep().await;
        }
    }

    /// Waits before the next attempt, and doubles the wait for the one after.
    async fn sleep(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(MAX_PAUSE);
    }

    /// The first time it works or fails; later it works, or is tried again.
    async fn connect(&mut self) -> Result<Box<EventStream>, Failure> {
        loop {
            let failure = match self.connect_once().await {
                Ok(stream) => {
                    if let Some(lost_at) = self.lost_at {
                        say(&format!("CONNECTED AGAIN after {} s", lost_at.elapsed().as_secs()));
                    }
                    return Ok(stream);
                }
                Err(Refusal::ForGood(failure)) => return Err(failure),
                Err(Refusal::ForNow(failure)) if self.lost_at.is_none() => return Err(failure),
                Err(Refusal::ForNow(failure)) => failure,
            };
            say(&format!("STILL NO CONNECTION: {failure}. Next try in {} s", self.pause.as_secs()));
            self.sleep().await;
        }
    }

    async fn connect_once(&self) -> Result<Box<EventStream>, Refusal> {
        let last = self.last_id.as_deref().filter(|_| self.resume == Resume::ById);
        let headers: Vec<(&str, &str)> = last.map(|id| ("last-event-id", id)).into_iter().collect();
        let held_up = HeldUp { remote: self.remote, silence: self.silence };
        let asked = self.remote.stream(&self.path, &headers, self.silence);
        match held_up.watch(asked, &AtomicBool::new(false)).await {
            Ok(StreamAnswer::Open(stream)) => Ok(stream),
            Ok(StreamAnswer::Refused(response)) => {
                let failure = self.remote.refused(&response);
                // A proxy before a service that is being started answers in many ways; what the service itself says is final.
                let is_final = matches!(response.status, 400 | 401 | 403 | 409 | 422);
                Err(if is_final { Refusal::ForGood(failure) } else { Refusal::ForNow(failure) })
            }
            // Before the service is up again, a proxy may return a page of its own.
            Ok(StreamAnswer::OtherType(content_type)) => {
                Err(Refusal::ForNow(self.remote.not_a_stream(&content_type)))
            }
            Err(error) => Err(Refusal::ForNow(self.remote.unreached(&error))),
        }
    }
}

/// Reports a stream that does not begin.
struct HeldUp<'a> {
    remote: &'a Remote,
    silence: Duration,
}

impl HeldUp<'_> {
    /// Waits for `next`, and reports once that the stream does not begin. The service sends a response head immediately, and
    /// an event or a comment within 15 s.
    async fn watch<T>(&self, next: impl Future<Output = T>, has_begun: &AtomicBool) -> T {
        let mut next = pin!(next);
        let (numerator, denominator) = HELD_UP_SHARE;
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
        say(&format!(
            "no response from {base} for {limit:?}: the service hangs (try {base}/readyz), or a proxy buffers responses \
             (docs/proxies.md)"
        ));
        next.await
    }
}

enum Refusal {
    ForNow(Failure),
    ForGood(Failure),
}
