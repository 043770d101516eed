//! Shared parts of the server-sent event streams. A stream buffers only the piece in transfer, and
//! creates the next one after the client has read it.

use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use actix_web::http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream::unfold;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};

use super::error::ApiError;
use crate::http::connection::DisconnectSignal;
use crate::http::connections::{Link, OpenGuard};
use crate::http::service::Service;
use crate::http::streams::MAX_STREAMS;
use crate::request_id::{self, RequestId};

pub const MEDIA_TYPE: &str = "text/event-stream";
/// A client that receives nothing for three intervals may treat the connection as dead.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Minimum interval between reads of the database: under load every commit wakes the streams.
const MIN_READ_INTERVAL: Duration = Duration::from_millis(10);
pub const KEEP_ALIVE_COMMENT: Bytes = Bytes::from_static(b": alive\n\n");

/// The content of a stream, produced piece by piece.
pub trait Pieces {
    /// Waits for the next piece; `None` at the end.
    async fn next(&mut self) -> Option<Bytes>;
}

/// Returns a response that ends with its last piece. When the client disconnects, `pieces` is
/// dropped. The pieces are produced after the handler has returned, so the id of the request is
/// passed on to them.
pub fn response(pieces: impl Pieces + 'static) -> HttpResponse {
    let request = RequestId::current();
    let pieces = unfold(pieces, move |mut pieces| {
        request_id::for_task_of(request, async move {
            pieces.next().await.map(|piece| (Ok::<_, Infallible>(piece), pieces))
        })
    });
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE)))
        // A proxy that buffers the response would hold back every event.
        .insert_header((HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")))
        .streaming(pieces)
}

/// Encodes one event.
pub fn event(kind: &str, id: Option<i64>, data: &impl Serialize) -> Bytes {
    // Strings and numbers always serialize to JSON.
    let data = serde_json::to_string(data).unwrap_or_default();
    let mut text = String::with_capacity(data.len() + 64);
    let mut field = |name: &str, value: &str| [name, ": ", value, "\n"].map(|part| text.push_str(part));
    if let Some(id) = id {
        field("id", &id.to_string());
    }
    if kind != "message" {
        field("event", kind);
    }
    // JSON that was stored unchanged may have line breaks between its tokens.
    for line in data.split(['\n', '\r']) {
        field("data", line);
    }
    text.push('\n');
    text.into()
}

/// Reason why an idle stream woke up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeReason {
    /// The service is stopping, or the client disconnected.
    End,
    /// A commit.
    Commit,
    /// The keep-alive interval has passed.
    KeepAlive,
    /// An event of the stream itself.
    Other,
}

/// The events that wake a stream, and its slot in the limit on streams.
#[derive(Debug)]
pub struct StreamWait {
    client: DisconnectSignal,
    has_commit: bool,
    ending: watch::Receiver<bool>,
    commits: watch::Receiver<u64>,
    alive: Interval,
    last_read: Instant,
    _place: OwnedSemaphorePermit,
    _held: Option<OpenGuard>,
}

impl StreamWait {
    /// Takes a slot in the limit on streams.
    ///
    /// # Errors
    /// If the service is stopping, or the limit on streams is reached.
    pub fn new(service: &Service, request: &HttpRequest) -> Result<Self, ApiError> {
        if service.streams.is_ending() {
            // A 200 with an empty stream would make clients reconnect in a loop until the service
            // has stopped.
            return Err(ApiError::Stopping);
        }
        let place = service.streams.place().ok_or(ApiError::TooManyStreams(MAX_STREAMS))?;
        let now = Instant::now();
        let mut alive = interval_at(now + KEEP_ALIVE_INTERVAL, KEEP_ALIVE_INTERVAL);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            client: request.conn_data::<DisconnectSignal>().cloned().unwrap_or_default(),
            has_commit: false,
            ending: service.streams.ending(),
            commits: service.store.reads().commits(),
            alive,
            last_read: now,
            _place: place,
            _held: request.conn_data::<Link>().map(Link::hold),
        })
    }

    pub fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }

    /// Prepares a read of the database. Must be called before each one, so that later commits wake
    /// the stream.
    pub fn begin_read(&mut self) {
        self.commits.mark_unchanged();
        self.has_commit = false;
        self.last_read = Instant::now();
    }

    pub async fn wait(&mut self, other: impl Future<Output = ()>) -> WakeReason {
        let commit = async {
            // A commit seen here is not reported again, so it is remembered in case another event
            // wakes the stream first.
            if !self.has_commit && self.commits.changed().await.is_err() {
                // Never reached: the store outlives its streams.
                pending::<()>().await;
            }
            self.has_commit = true;
            sleep_until(self.last_read + MIN_READ_INTERVAL).await;
            // A commit is reported once: a stream at its limit does not read, and would otherwise
            // wake in a loop.
            self.has_commit = false;
        };
        tokio::select! {
            biased;
            _ = self.ending.wait_for(|is_ending| *is_ending) => WakeReason::End,
            () = self.client.wait() => WakeReason::End,
            () = other => WakeReason::Other,
            () = commit => WakeReason::Commit,
            _ = self.alive.tick() => WakeReason::KeepAlive,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn text(kind: &str, id: Option<i64>, data: &impl Serialize) -> String {
        String::from_utf8(event(kind, id, data).to_vec()).unwrap()
    }

    #[test]
    fn event_is_lines_and_an_empty_line() {
        assert_eq!(text("message", Some(7), &"a\nb"), "id: 7\ndata: \"a\\nb\"\n\n");
        assert_eq!(text("replaced", None, &1), "event: replaced\ndata: 1\n\n");
        let broken = RawValue::from_string("{\n\"a\":\r1}".to_owned()).unwrap();
        assert_eq!(text("message", None, &broken), "data: {\ndata: \"a\":\ndata: 1}\n\n");
    }
}
