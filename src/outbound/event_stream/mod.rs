//! A reader of server-sent events. Existing crates neither limit their buffers nor detect a dead
//! connection, so creel has its own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, StatusCode};

use super::client::{Client, MAX_RESPONSE_BYTES, RequestError, Response, describe, read};

/// Limit on the bytes of one event.
pub const MAX_EVENT_BYTES: usize = 4 * 1024 * 1024;
const MEDIA_TYPE: &str = "text/event-stream";
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerEvent {
    /// `message` if the server sends no type.
    pub kind: String,
    /// The id of this event, or of the last event that had one.
    pub id: Option<String>,
    pub data: String,
}

/// A response whose events are read as they arrive.
#[derive(Debug)]
pub struct EventStream {
    response: reqwest::Response,
    silence: Duration,
    parser: Parser,
    has_begun: Arc<AtomicBool>,
}

/// The result of a request for a stream.
#[derive(Debug)]
pub enum StreamAnswer {
    Open(Box<EventStream>),
    /// A response with any status but 200.
    Rejected(Response),
    /// A response with status 200 and this content type, which is not that of an event stream.
    OtherType(String),
}

/// Reason why a stream ended with an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    #[error("no sign of life for {0:?}")]
    Silent(Duration),
    #[error("an event is larger than {MAX_EVENT_BYTES} bytes")]
    TooLarge,
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl Client {
    /// Requests an event stream. The head of the response must arrive within `silence`. After that,
    /// bytes must arrive at least that often; a comment is sufficient.
    ///
    /// # Errors
    /// If there is no response.
    pub async fn event_stream(
        &self,
        url: &str,
        headers: &[(String, String)],
        silence: Duration,
    ) -> Result<StreamAnswer, RequestError> {
        let request = self.prepare(Method::GET, url, headers)?.header(ACCEPT, MEDIA_TYPE);
        let late = |_| RequestError::Timeout(silence);
        let response = tokio::time::timeout(silence, request.send()).await.map_err(late)?;
        let response = response.map_err(|error| describe(error, silence))?;
        if response.status() != StatusCode::OK {
            let rejection = tokio::time::timeout(silence, read(response, MAX_RESPONSE_BYTES, silence))
                .await
                .map_err(late)??;
            return Ok(StreamAnswer::Rejected(rejection));
        }
        let content_type = response.headers().get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
        if !is_event_stream(content_type) {
            return Ok(StreamAnswer::OtherType(String::from_utf8_lossy(content_type).into_owned()));
        }
        let parser = Parser::default();
        let has_begun = Arc::default();
        Ok(StreamAnswer::Open(Box::new(EventStream { response, silence, parser, has_begun })))
    }
}

impl EventStream {
    /// Returns a flag that is set when the first byte arrives, even if it belongs to a comment.
    pub fn has_begun(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.has_begun)
    }

    /// Returns the next event; `None` at the end of the stream.
    ///
    /// # Errors
    /// If the connection broke or fell silent, or an event is too large. The stream must not be
    /// used after that.
    pub async fn next(&mut self) -> Result<Option<ServerEvent>, StreamError> {
        loop {
            if let Some(event) = self.parser.events.pop_front() {
                return Ok(Some(event));
            }
            let chunk = tokio::time::timeout(self.silence, self.response.chunk()).await;
            let chunk = chunk.map_err(|_| StreamError::Silent(self.silence))?;
            match chunk.map_err(|error| describe(error, self.silence))? {
                Some(bytes) => {
                    self.has_begun.store(true, Ordering::Relaxed);
                    self.parser.push(&bytes)?;
                }
                None => return Ok(None),
            }
        }
    }
}

/// Ignores parameters after the type, such as `charset`.
fn is_event_stream(content_type: &[u8]) -> bool {
    let end = content_type.iter().position(|byte| *byte == b';').unwrap_or(content_type.len());
    content_type[..end].trim_ascii().eq_ignore_ascii_case(MEDIA_TYPE.as_bytes())
}

/// An incremental parser for pieces of any length.
#[derive(Debug, Default)]
struct Parser {
    events: VecDeque<ServerEvent>,
    /// The incomplete line.
    line: Vec<u8>,
    has_begun: bool,
    /// The last line ended with a carriage return, which a line feed may follow.
    ended_with_return: bool,
    kind: String,
    id: Option<String>,
    data: String,
}

impl Parser {
    fn push(&mut self, mut bytes: &[u8]) -> Result<(), StreamError> {
        while let Some((&first, rest)) = bytes.split_first() {
            if std::mem::take(&mut self.ended_with_return) && first == b'\n' {
                bytes = rest;
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (piece, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if self.line.len() + piece.len() + self.data.len() > MAX_EVENT_BYTES {
                return Err(StreamError::TooLarge);
            }
            self.line.extend_from_slice(piece);
            bytes = rest;
            if let Some((&end, rest)) = rest.split_first() {
                self.ended_with_return = end == b'\r';
                bytes = rest;
                self.end_line();
            }
        }
        Ok(())
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        let line = match line.strip_prefix(BYTE_ORDER_MARK) {
            Some(rest) if is_first => rest,
            _ => &line,
        };
        if line.is_empty() {
            return self.end_event();
        }
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut self.kind),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "id" if !value.contains('\0') => self.id = Some(value.to_owned()),
            // Comments, which have no name, and unknown fields.
            _ => {}
        }
    }

    fn end_event(&mut self) {
        let kind = std::mem::take(&mut self.kind);
        let mut data = std::mem::take(&mut self.data);
        // Without data it is not an event.
        if data.pop().is_some() {
            let kind = if kind.is_empty() { "message".to_owned() } else { kind };
            self.events.push_back(ServerEvent { kind, id: self.id.clone(), data });
        }
    }
}

#[cfg(test)]
mod tests;
