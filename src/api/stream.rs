//! Server-sent events: what streams have in common. A stream holds no more than the piece that is being sent: the next
//! one is made when the client has taken it.

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
use crate::config::target_rules::KnownEvents;
use crate::http::connection::Gone;
use crate::http::connections::{Link, OpenGuard};
use crate::http::service::Service;
use crate::http::streams::MAX_STREAMS;
use crate::store::Pattern;

pub const MEDIA_TYPE: &str = "text/event-stream";
/// Whoever hears nothing for three of these may take the connection for dead.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// Under load every commit is news: who has just looked waits for some more of them.
const MIN_LOOK_INTERVAL: Duration = Duration::from_millis(10);
const MAX_PATTERNS: usize = 64;
pub const ALIVE: Bytes = Bytes::from_static(b": alive\n\n");

/// What a stream sends.
pub trait Pieces {
    /// The next piece, when there is one; `None` at the end.
    async fn next(&mut self) -> Option<Bytes>;
}

/// A response that goes on as long as there is a next piece. When the client goes, `pieces` is dropped.
pub fn response(pieces: impl Pieces + 'static) -> HttpResponse {
    let pieces = unfold(pieces, |mut pieces| async move {
        pieces.next().await.map(|piece| (Ok::<_, Infallible>(piece), pieces))
    });
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE)))
        // A proxy that collects a response before it passes it on would hold back everything.
        .insert_header((HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")))
        .streaming(pieces)
}

/// One event.
pub fn event(kind: &str, id: Option<i64>, data: &impl Serialize) -> Bytes {
    // Texts and numbers cannot fail to be written as JSON.
    let data = serde_json::to_string(data).unwrap_or_default();
    let mut text = String::with_capacity(data.len() + 64);
    let mut field = |name: &str, value: &str| [name, ": ", value, "\n"].map(|part| text.push_str(part));
    if let Some(id) = id {
        field("id", &id.to_string());
    }
    if kind != "message" {
        field("event", kind);
    }
    // JSON that was stored as it came may have line breaks between its tokens.
    for line in data.split(['\n', '\r']) {
        field("data", line);
    }
    text.push('\n');
    text.into()
}

/// What woke a stream that had nothing to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeReason {
    /// The service is stopping, or the client is gone.
    ToEnd,
    /// Something was committed.
    ByNews,
    /// It is time for a sign of life.
    ToSaySo,
    /// By what the stream itself waits for.
    ByOther,
}

/// What every stream waits for, and its place among the streams.
#[derive(Debug)]
pub struct StreamWait {
    client: Gone,
    has_news: bool,
    ending: watch::Receiver<bool>,
    commits: watch::Receiver<u64>,
    alive: Interval,
    last_look: Instant,
    _place: OwnedSemaphorePermit,
    _held: Option<OpenGuard>,
}

impl StreamWait {
    /// # Errors
    /// If the service is stopping, or the limit on streams is reached.
    pub fn new(service: &Service, request: &HttpRequest) -> Result<Self, ApiError> {
        if service.streams.is_ending() {
            // A 200 with an empty stream would make clients reconnect immediately, for as long as the stop takes.
            return Err(ApiError::Stopping);
        }
        let place = service.streams.place().ok_or(ApiError::TooManyStreams(MAX_STREAMS))?;
        let now = Instant::now();
        let mut alive = interval_at(now + KEEP_ALIVE_INTERVAL, KEEP_ALIVE_INTERVAL);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            client: request.conn_data::<Gone>().cloned().unwrap_or_default(),
            has_news: false,
            ending: service.streams.ending(),
            commits: service.store.reads().commits(),
            alive,
            last_look: now,
            _place: place,
            _held: request.conn_data::<Link>().map(Link::hold),
        })
    }

    pub fn is_ending(&self) -> bool {
        *self.ending.borrow()
    }

    /// To be called before each look into the database: what is committed after this will wake.
    pub fn will_look(&mut self) {
        self.commits.mark_unchanged();
        self.has_news = false;
        self.last_look = Instant::now();
    }

    pub async fn wait(&mut self, other: impl Future<Output = ()>) -> WakeReason {
        let news = async {
            // What was seen here once is not seen again, if something else wakes the stream first.
            if !self.has_news && self.commits.changed().await.is_err() {
                // The store outlives its streams.
                pending::<()>().await;
            }
            self.has_news = true;
            sleep_until(self.last_look + MIN_LOOK_INTERVAL).await;
            // Told once: whoever has no room for more does not look, and would be told again and again.
            self.has_news = false;
        };
        tokio::select! {
            biased;
            _ = self.ending.wait_for(|is_ending| *is_ending) => WakeReason::ToEnd,
            () = self.client.wait() => WakeReason::ToEnd,
            () = other => WakeReason::ByOther,
            () = news => WakeReason::ByNews,
            _ = self.alive.tick() => WakeReason::ToSaySo,
        }
    }
}

/// Patterns of events, separated by white space; all events where there are none.
///
/// # Errors
/// When one of them could never match, or they are too many.
pub fn patterns(known: &KnownEvents, text: Option<&str>) -> Result<Vec<Pattern>, ApiError> {
    let words: Vec<&str> = text.unwrap_or_default().split_ascii_whitespace().collect();
    if words.len() > MAX_PATTERNS {
        let problem = format!("must have at most {MAX_PATTERNS} patterns");
        return Err(ApiError::InvalidValue { field: "events", problem });
    }
    for word in &words {
        let checked = known.check_pattern(word);
        checked.map_err(|problem| ApiError::UndeclaredEvent(format!("events: {problem}")))?;
    }
    if words.is_empty() {
        return Ok(vec![Pattern::new("*")]);
    }
    Ok(words.into_iter().map(Pattern::new).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn text(kind: &str, id: Option<i64>, data: &impl Serialize) -> String {
        String::from_utf8(event(kind, id, data).to_vec()).unwrap()
    }

    #[test]
    fn an_event_is_lines_and_an_empty_one() {
        assert_eq!(text("message", Some(7), &"a\nb"), "id: 7\ndata: \"a\\nb\"\n\n");
        assert_eq!(text("replaced", None, &1), "event: replaced\ndata: 1\n\n");
        let broken = RawValue::from_string("{\n\"a\":\r1}".to_owned()).unwrap();
        assert_eq!(text("message", None, &broken), "data: {\ndata: \"a\":\ndata: 1}\n\n");
    }

    #[test]
    fn patterns_are_a_list_of_words() {
        let known = KnownEvents { sources: vec!["github".to_owned()], emitted: Vec::new() };
        let read = |text: Option<&str>| {
            patterns(&known, text)
                .map(|all| all.iter().map(|one| one.as_str().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(read(None).unwrap(), ["*"]);
        assert_eq!(read(Some(" ")).unwrap(), ["*"]);
        assert_eq!(read(Some("github.* *.paid")).unwrap(), ["github.*", "*.paid"]);
        assert_eq!(read(Some("github.push")).unwrap(), ["github.push"]);
        assert!(read(Some("githbu.push")).is_err());
        assert!(read(Some(&"*".repeat(301))).is_err());
        assert!(read(Some(&"* ".repeat(65))).is_err());
    }
}
