//! A connection with timeouts. actix-http limits the first request and idle connections; this
//! module also limits slow later requests, and clients that do not read their replies. It ends the
//! connections that the registry closes when connections run short, and replaces bytes that would
//! make actix-http panic with bytes that it rejects.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep, sleep};

use crate::http::connections::{Link, Opening};
use crate::http::scanner::{Scanner, Stage};

/// Time limit from the first byte of a request to the first byte of its reply. Longer than the
/// timeouts for reading and committing a body together.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(70);
/// A client that reads no byte of a reply for this time is treated as disconnected.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// Interval between checks of these timeouts. A timer for each request would cost more.
const CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// Held bytes of pipelined requests at which reading stops; one read of actix-http may exceed it.
const MAX_HELD_BYTES: usize = 4 << 10;
/// Bytes read in one step while a request is unanswered.
const HELD_STEP_BYTES: usize = 512;
/// Start of the reply that actix-http sends by itself if the first head is not complete in time.
const HEAD_TIMED_OUT: &[u8] = b"HTTP/1.1 408";

/// Notified when the client has closed its sending side. A reply is still written, but a stream
/// ends, because no client reads a stream to its end.
#[derive(Clone, Debug, Default)]
pub struct DisconnectSignal(Arc<Notify>);

impl DisconnectSignal {
    /// Resolves at the end of the client's data. For a single waiter.
    pub async fn wait(&self) {
        self.0.notified().await;
    }
}

/// A stream that fails when its client is too slow.
#[derive(Debug)]
pub struct Connection<S = TcpStream> {
    stream: S,
    next_check: Pin<Box<Sleep>>,
    /// Arrival of the first bytes that are not answered yet.
    unanswered_since: Option<Instant>,
    /// Start of the current stall in writing a reply.
    blocked_since: Option<Instant>,
    disconnect_signal: DisconnectSignal,
    scanner: Scanner,
    link: Link,
    has_received: bool,
    /// Whether a complete head was passed on, and no byte was written since then.
    is_awaiting_reply: bool,
    /// Bytes after the request that awaits its reply. actix-http would create an object for each
    /// pipelined request in its buffer, thousands per connection.
    held: Vec<u8>,
}

impl<S> Connection<S> {
    pub fn new(stream: S, link: Link) -> Self {
        Self {
            stream,
            next_check: Box::pin(sleep(CHECK_INTERVAL)),
            unanswered_since: None,
            blocked_since: None,
            disconnect_signal: DisconnectSignal::default(),
            scanner: Scanner::default(),
            link,
            has_received: false,
            is_awaiting_reply: false,
            held: Vec::new(),
        }
    }

    pub fn disconnect_signal(&self) -> DisconnectSignal {
        self.disconnect_signal.clone()
    }

    pub fn link(&self) -> Link {
        self.link.clone()
    }

    /// Scans received bytes, and replaces those that actix-http cannot handle. Returns the number
    /// of bytes to pass on, up to the end of a request without a reply.
    fn receive(&mut self, bytes: &mut [u8]) -> usize {
        if !self.has_received {
            self.has_received = true;
            self.link.opened_with(Opening::of(bytes));
        }
        let heads = self.scanner.heads();
        let mut end = 0;
        while end < bytes.len() && !self.is_answer_due() {
            match self.scanner.read(&mut bytes[end..]) {
                Ok(scanned) => end += scanned,
                Err(over) => {
                    // NUL is invalid in a name: actix-http answers 400, after earlier replies.
                    bytes[end + over.at..].fill(0);
                    self.link.note_long_name();
                    end = bytes.len();
                }
            }
            self.is_awaiting_reply |= self.scanner.heads() > heads;
        }
        // Line breaks after a body belong to no request.
        if self.scanner.heads() > heads || self.scanner.stage() != Stage::Between {
            self.unanswered_since.get_or_insert_with(Instant::now);
        }
        self.link.received(end, self.scanner.stage(), self.scanner.heads() > heads);
        end
    }

    /// Whether a whole request was passed on, and has no reply yet.
    fn is_answer_due(&self) -> bool {
        self.is_awaiting_reply && self.scanner.stage() == Stage::Between
    }

    /// Passes on new bytes of `buffer` up to the end of an unanswered request; holds the rest.
    fn pass_on(&mut self, buffer: &mut ReadBuf<'_>, before: usize) {
        let end = before + self.receive(&mut buffer.filled_mut()[before..]);
        self.held.splice(..0, buffer.filled()[end..].iter().copied());
        buffer.set_filled(end);
    }

    /// Whether all received requests are answered, and no part of another one has arrived.
    fn is_idle(&self) -> bool {
        self.unanswered_since.is_none() && self.held.is_empty() && self.scanner.stage() == Stage::Between
    }

    /// Registers the task for the next check. Fails if a timeout has expired.
    fn check_timeouts(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        while self.next_check.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            let is_over = |since: Option<Instant>, limit| since.is_some_and(|since| now - since >= limit);
            if is_over(self.unanswered_since, ANSWER_TIMEOUT) || is_over(self.blocked_since, WRITE_TIMEOUT) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.next_check.as_mut().reset(now + CHECK_INTERVAL);
        }
        Ok(())
    }
}

impl<S: AsyncRead + Unpin> Connection<S> {
    /// Holds about `MAX_HELD_BYTES` that arrive before the reply is written. Ready if the client
    /// closes its sending side while no bytes are held. At the limit the end is not noticed: more
    /// reading would take memory, and no client pipelines requests after a stream.
    fn poll_hold(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.held.len() < MAX_HELD_BYTES {
            let mut bytes = [0; HELD_STEP_BYTES];
            let mut step = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut step))?;
            if step.filled().is_empty() {
                self.disconnect_signal.0.notify_one();
                // The held requests are passed on after the reply.
                return if self.held.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending };
            }
            self.held.extend_from_slice(step.filled());
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Connection<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.link.stay_open(context)?;
        self.check_timeouts(context)?;
        if self.is_answer_due() {
            return self.poll_hold(context);
        }
        let before = buffer.filled().len();
        if !self.held.is_empty() {
            let next = self.held.len().min(buffer.remaining());
            buffer.put_slice(&self.held[..next]);
            self.held.drain(..next);
            self.pass_on(buffer, before);
            return Poll::Ready(Ok(()));
        }
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let is_end = read.is_ready() && buffer.filled().len() == before && buffer.remaining() > 0;
        if is_end {
            self.disconnect_signal.0.notify_one();
        } else if buffer.filled().len() > before {
            self.pass_on(buffer, before);
        } else if read.is_pending() && self.is_idle() && self.link.closes_when_idle() {
            // After reading the socket, so that a request that has just arrived is still served.
            return Poll::Ready(Ok(()));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Connection<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.link.stay_open(context)?;
        if self.has_received && self.scanner.heads() == 0 && bytes.starts_with(HEAD_TIMED_OUT) {
            self.link.note_slow_head();
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if written.is_pending() {
            self.blocked_since.get_or_insert_with(Instant::now);
            self.link.blocked();
            self.check_timeouts(context)?;
        } else {
            self.unanswered_since = None;
            self.blocked_since = None;
            self.is_awaiting_reply = false;
            if !self.held.is_empty() {
                context.waker().wake_by_ref();
            }
            self.link.written(self.scanner.stage());
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::http::scanner::MAX_HEADER_NAME_BYTES;

    fn with_paused_time<T>(test: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(test)
    }

    #[test]
    fn incomplete_request_times_out() {
        with_paused_time(async {
            let (mut client, server) = duplex(64);
            let mut connection = Connection::new(server, Link::default());
            client.write_all(b"P").await.unwrap();
            let began = Instant::now();
            let error = connection.read_to_end(&mut Vec::new()).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(began.elapsed() <= ANSWER_TIMEOUT + CHECK_INTERVAL, "{:?}", began.elapsed());
        });
    }

    #[test]
    fn line_break_after_body_starts_no_timeout() {
        with_paused_time(async {
            let (mut client, server) = duplex(1 << 10);
            let mut connection = Connection::new(server, Link::default());
            let request = "POST / HTTP/1.1\r\nContent-Length: 1\r\n\r\na\r\n";
            client.write_all(request.as_bytes()).await.unwrap();
            let mut bytes = [0; 100];
            assert_eq!(connection.read(&mut bytes).await.unwrap(), request.len() - 2);
            connection.write_all(b"R").await.unwrap();
            assert_eq!(connection.read(&mut bytes).await.unwrap(), 2);
            let next = tokio::time::timeout(2 * ANSWER_TIMEOUT, connection.read(&mut bytes)).await;
            assert!(next.is_err(), "the connection closed");
            client.write_all(b"P").await.unwrap();
            assert_eq!(connection.read(&mut bytes).await.unwrap(), 1);
            let began = Instant::now();
            assert!(connection.read(&mut bytes).await.is_err());
            assert!(began.elapsed() >= ANSWER_TIMEOUT, "{:?}", began.elapsed());
        });
    }

    #[test]
    fn client_that_never_reads_times_out() {
        with_paused_time(async {
            let (_client, server) = duplex(64);
            let mut connection = Connection::new(server, Link::default());
            let began = Instant::now();
            let error = connection.write_all(&[0; 65]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut);
            assert!(began.elapsed() <= WRITE_TIMEOUT + CHECK_INTERVAL, "{:?}", began.elapsed());
        });
    }

    #[test]
    fn end_of_client_data_is_notified() {
        with_paused_time(async {
            let (mut client, server) = duplex(64);
            let mut connection = Connection::new(server, Link::default());
            let disconnect_signal = connection.disconnect_signal();
            client.write_all(b"P").await.unwrap();
            connection.read_exact(&mut [0]).await.unwrap();
            assert!(tokio::time::timeout(CHECK_INTERVAL, disconnect_signal.wait()).await.is_err());
            client.shutdown().await.unwrap();
            assert_eq!(connection.read(&mut [0]).await.unwrap(), 0);
            disconnect_signal.wait().await;
        });
    }

    #[test]
    fn long_header_name_is_replaced_by_invalid_bytes() {
        with_paused_time(async {
            let (mut client, server) = duplex(1 << 20);
            let mut connection = Connection::new(server, Link::default());
            let name = "x".repeat(MAX_HEADER_NAME_BYTES + 10);
            client.write_all(format!("GET / HTTP/1.1\r\n{name}: 1\r\n\r\n").as_bytes()).await.unwrap();
            client.shutdown().await.unwrap();
            let mut read = Vec::new();
            connection.read_to_end(&mut read).await.unwrap();
            assert_eq!(&read[..16], b"GET / HTTP/1.1\r\n");
            assert!(read[16..].iter().take_while(|byte| **byte == b'x').count() <= MAX_HEADER_NAME_BYTES);
            assert_eq!(read.last(), Some(&0));
        });
    }

    #[test]
    fn stopping_connection_ends_once_it_is_idle() {
        with_paused_time(async {
            let (mut client, server) = duplex(1 << 10);
            let link = Link::default();
            let mut connection = Connection::new(server, link.clone());
            client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            let mut head = [0; 18];
            link.close_when_idle();
            connection.read_exact(&mut head).await.unwrap();
            let next = tokio::time::timeout(CHECK_INTERVAL, connection.read(&mut head)).await;
            assert!(next.is_err(), "it closed before its request was answered");
            connection.write_all(b"R").await.unwrap();
            assert_eq!(connection.read(&mut head).await.unwrap(), 0);
        });
    }

    #[test]
    fn pipelined_requests_are_passed_on_one_by_one() {
        with_paused_time(async {
            let (mut client, server) = duplex(1 << 20);
            let mut connection = Connection::new(server, Link::default());
            let request = "POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
            client.write_all(request.repeat(1_000).as_bytes()).await.unwrap();
            let mut buffer = vec![0; 64 << 10];
            for number in 0..1_000 {
                let length = connection.read(&mut buffer).await.unwrap();
                assert_eq!(&buffer[..length], request.as_bytes(), "request {number}");
                let next = tokio::time::timeout(CHECK_INTERVAL, connection.read(&mut buffer)).await;
                assert!(next.is_err(), "more bytes before the reply to request {number}");
                connection.write_all(b"R").await.unwrap();
            }
            client.shutdown().await.unwrap();
            assert_eq!(connection.read(&mut buffer).await.unwrap(), 0);
        });
    }

    #[test]
    fn held_requests_are_passed_on_after_end_of_input() {
        with_paused_time(async {
            let (mut client, server) = duplex(1 << 10);
            let mut connection = Connection::new(server, Link::default());
            let disconnect_signal = connection.disconnect_signal();
            client.write_all("GET / HTTP/1.1\r\n\r\n".repeat(2).as_bytes()).await.unwrap();
            client.shutdown().await.unwrap();
            let mut head = [0; 18];
            connection.read_exact(&mut head).await.unwrap();
            let mut none = [0];
            assert!(tokio::time::timeout(CHECK_INTERVAL, connection.read(&mut none)).await.is_err());
            disconnect_signal.wait().await;
            connection.write_all(b"R").await.unwrap();
            connection.read_exact(&mut head).await.unwrap();
            assert_eq!(connection.read(&mut none).await.unwrap(), 0);
        });
    }

    #[test]
    fn idle_connection_stays_open_after_its_replies() {
        with_paused_time(async {
            let (mut client, server) = duplex(64);
            let mut connection = Connection::new(server, Link::default());
            let mut byte = [0];
            for _ in 0..3 {
                client.write_all(b"P").await.unwrap();
                connection.read_exact(&mut byte).await.unwrap();
                connection.write_all(b"R").await.unwrap();
                client.read_exact(&mut byte).await.unwrap();
                let idle = tokio::time::timeout(2 * ANSWER_TIMEOUT, connection.read(&mut byte)).await;
                assert!(idle.is_err(), "the connection closed between two requests");
            }
        });
    }
}
