//! Reads the exact bytes of a body, under a limit, a deadline and the budget for all bodies in
//! flight.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::{FutureExt as _, Stream};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout_at};

use crate::http::budget::{BudgetExhausted, Reservation};
use crate::http::buffer::Buffer;
use crate::store::LARGE_BYTES;

/// Time limit for a whole body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// A slow body must deliver this many bytes within each `PART_TIMEOUT`. This is 1 KiB/s, which the
/// worst mobile connection reaches even with an interruption of several seconds.
const PART_BYTES: usize = 10 << 10;
const PART_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit on the memory reserved before the first byte arrives.
const INITIAL_BYTES: usize = 16 << 10;
/// The reason why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    TooLarge,
    TimedOut,
    BudgetUsedUp,
    /// The chunks violate the HTTP/1.1 syntax.
    Malformed,
    /// The client disconnected before the end.
    Interrupted,
}

impl From<BudgetExhausted> for BodyError {
    fn from(_: BudgetExhausted) -> Self {
        Self::BudgetUsedUp
    }
}

/// A whole body. Its share of the budget is released when all clones of both fields are dropped.
#[derive(Debug)]
pub struct ReceivedBody {
    pub bytes: Bytes,
    /// The reservation of a large body. The store holds it until SQLite has released its copies,
    /// because the body itself is dropped earlier.
    pub memory: Option<Arc<Reservation>>,
}

/// Reads a whole body, and returns only its bytes.
///
/// # Errors
/// See `read_accounted`.
pub async fn read(
    payload: Payload,
    announced: Option<u64>,
    max_bytes: usize,
    reservation: Reservation,
) -> Result<Bytes, BodyError> {
    Ok(read_accounted(payload, announced, max_bytes, reservation).await?.bytes)
}

/// Reads a whole body.
///
/// # Errors
/// The body exceeds a limit, is malformed or was interrupted. Bodies are never truncated.
pub async fn read_accounted(
    mut payload: Payload,
    announced: Option<u64>,
    max_bytes: usize,
    mut reservation: Reservation,
) -> Result<ReceivedBody, BodyError> {
    let began = Instant::now();
    let announced = announced.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced.is_some_and(|length| length > max_bytes) {
        return Err(BodyError::TooLarge);
    }
    // Limits the reservation made before the body arrives: a few silent senders that announce large
    // lengths would otherwise hold the whole budget.
    reservation.make_room(announced.unwrap_or_default().min(INITIAL_BYTES)).await?;
    let mut parts = BodyParts::default();
    let mut mark = (began, 0);
    let mut may_be_read_already = true;
    loop {
        let chunk = match next(&mut payload).now_or_never() {
            Some(chunk) => chunk,
            None if std::mem::take(&mut may_be_read_already) => {
                // actix-http calls the handler before it passes on the bytes of the body that it
                // has already read.
                yield_now().await;
                continue;
            }
            None => {
                let until = (began + BODY_TIMEOUT).min(mark.0 + PART_TIMEOUT);
                reservation.watch();
                tokio::select! {
                    biased;
                    chunk = timeout_at(until, next(&mut payload)) => chunk.map_err(|_| BodyError::TimedOut)?,
                    () = reservation.dropped() => return Err(BodyError::TimedOut),
                }
            }
        };
        match chunk {
            None => break,
            Some(Ok(chunk)) if chunk.len() > max_bytes - parts.len() => return Err(BodyError::TooLarge),
            Some(Ok(chunk)) => {
                reservation.arrived(chunk.len());
                let needed = parts.len() + chunk.len();
                reservation.make_room(needed).await?;
                parts.push(chunk, announced, max_bytes)?;
                if needed - mark.1 >= PART_BYTES {
                    mark = (Instant::now(), needed);
                }
            }
            Some(Err(PayloadError::EncodingCorrupted)) => return Err(BodyError::Malformed),
            Some(Err(_)) => return Err(BodyError::Interrupted),
        }
    }
    reservation.complete();
    if parts.len() > LARGE_BYTES {
        let memory = Arc::new(reservation);
        return Ok(ReceivedBody { bytes: parts.accounted(Arc::clone(&memory)), memory: Some(memory) });
    }
    Ok(ReceivedBody { bytes: parts.accounted(reservation), memory: None })
}

async fn next(payload: &mut Payload) -> Option<Result<Bytes, PayloadError>> {
    poll_fn(|context| Pin::new(&mut *payload).poll_next(context)).await
}

/// The received bytes. Most bodies arrive in one piece, which is then used unchanged.
#[derive(Default)]
enum BodyParts {
    #[default]
    None,
    One(Bytes),
    Joined(Buffer),
}

impl BodyParts {
    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(chunk) => chunk.len(),
            Self::Joined(joined) => joined.len(),
        }
    }

    fn push(
        &mut self,
        chunk: Bytes,
        announced: Option<usize>,
        max_bytes: usize,
    ) -> Result<(), BudgetExhausted> {
        let at_most = announced.unwrap_or(max_bytes);
        match std::mem::take(self) {
            Self::Joined(mut joined) => {
                joined.push(&chunk, at_most)?;
                *self = Self::Joined(joined);
            }
            Self::One(first) => *self = Self::Joined(Buffer::of(&first, &chunk, announced, at_most)?),
            Self::None => *self = Self::One(chunk),
        }
        Ok(())
    }

    fn accounted<R: Send + 'static>(self, reservation: R) -> Bytes {
        match self {
            Self::None => Bytes::new(),
            Self::One(bytes) => Bytes::from_owner(CountedBytes { bytes, _reservation: reservation }),
            Self::Joined(bytes) => Bytes::from_owner(CountedBytes { bytes, _reservation: reservation }),
        }
    }
}

/// Bytes together with their share of the budget.
struct CountedBytes<B, R> {
    bytes: B,
    _reservation: R,
}

impl<B: AsRef<[u8]>, R> AsRef<[u8]> for CountedBytes<B, R> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::task::{Context, Poll};

    use super::*;
    use crate::http::budget::Budget;
    use crate::http::network::Network;

    const CLIENT: Network = Network::V4([192, 0, 2, 1]);
    const OTHER: Network = Network::V4([192, 0, 2, 2]);

    /// A client that sends these chunks, and then ends or stalls.
    struct ScriptedSender(VecDeque<Result<Bytes, PayloadError>>, PayloadEnd);

    #[derive(Clone, Copy, PartialEq)]
    enum PayloadEnd {
        End,
        Stall,
    }

    impl Stream for ScriptedSender {
        type Item = Result<Bytes, PayloadError>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            match self.0.pop_front() {
                Some(chunk) => Poll::Ready(Some(chunk)),
                None if self.1 == PayloadEnd::End => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    fn payload(chunks: &[usize], then: PayloadEnd) -> Payload {
        let chunk = |length: &usize| Ok(Bytes::from(vec![b'x'; *length]));
        let stream: Pin<Box<dyn Stream<Item = _>>> =
            Box::pin(ScriptedSender(chunks.iter().map(chunk).collect(), then));
        Payload::Stream { payload: stream }
    }

    async fn read_with(
        budget: &Arc<Budget>,
        chunks: &[usize],
        announced: Option<u64>,
    ) -> Result<Bytes, BodyError> {
        read(payload(chunks, PayloadEnd::End), announced, 100, budget.reservation(CLIENT)).await
    }

    #[actix_web::test]
    async fn body_above_limit_is_rejected() {
        let budget = Budget::new(1_000_000);
        type LengthRow = (&'static [usize], Option<u64>, Result<usize, BodyError>);
        let rows: [LengthRow; 8] = [
            (&[], None, Ok(0)),
            (&[100], Some(100), Ok(100)),
            (&[1, 99], Some(100), Ok(100)),
            (&[50, 49, 1], None, Ok(100)),
            (&[101], None, Err(BodyError::TooLarge)),
            (&[100, 1], None, Err(BodyError::TooLarge)),
            (&[], Some(101), Err(BodyError::TooLarge)),
            (&[], Some(u64::MAX), Err(BodyError::TooLarge)),
        ];
        for (chunks, announced, expected) in rows {
            let body = read_with(&budget, chunks, announced).await;
            assert_eq!(body.map(|body| body.len()), expected, "{chunks:?} {announced:?}");
        }
    }

    #[actix_web::test]
    async fn budget_is_held_until_last_clone_is_dropped() {
        let budget = Budget::new(100);
        let body = read_with(&budget, &[100], Some(100)).await.unwrap();
        let kept = body.clone();
        drop(body);
        assert_eq!(budget.reservation(OTHER).grow_to(1), Err(BudgetExhausted));
        drop(kept);
        assert_eq!(budget.reservation(OTHER).grow_to(100), Ok(()));
    }

    #[actix_web::test]
    async fn oversized_body_is_rejected_and_unsent_body_reserves_little() {
        tokio::time::pause();
        let budget = Budget::new(100);
        let mut taken = budget.reservation(OTHER);
        taken.grow_to(1).unwrap();
        assert_eq!(read_with(&budget, &[100], Some(100)).await, Err(BodyError::BudgetUsedUp));
        let budget = Budget::new(1 << 20);
        let silent = payload(&[], PayloadEnd::Stall);
        let reading = read(silent, Some(1 << 20), 1 << 20, budget.reservation(CLIENT));
        let unread = tokio::time::timeout(Duration::from_millis(1), reading);
        let mut others = budget.reservation(OTHER);
        let (unread, taken) = (unread, others.grow_to((1 << 20) - INITIAL_BYTES));
        assert_eq!(taken, Ok(()));
        assert!(unread.await.is_err());
    }

    #[actix_web::test]
    async fn body_of_unknown_length_grows_only_into_free_memory() {
        tokio::time::pause();
        let budget = Budget::new(60);
        assert_eq!(read_with(&budget, &[40, 40], None).await, Err(BodyError::BudgetUsedUp));
        assert_eq!(budget.reservation(OTHER).grow_to(60), Ok(()));
    }

    #[actix_web::test]
    async fn interrupted_body_is_an_error() {
        let rows = [
            (PayloadError::Incomplete(None), BodyError::Interrupted),
            (PayloadError::EncodingCorrupted, BodyError::Malformed),
        ];
        for (error, expected) in rows {
            let chunks = VecDeque::from([Ok(Bytes::from_static(b"half")), Err(error)]);
            let stream: Pin<Box<dyn Stream<Item = _>>> = Box::pin(ScriptedSender(chunks, PayloadEnd::End));
            let reservation = Budget::new(1_000).reservation(CLIENT);
            assert_eq!(
                read(Payload::Stream { payload: stream }, None, 100, reservation).await,
                Err(expected)
            );
        }
    }

    /// Sends a chunk of `bytes` in each interval. Returns the outcome and the seconds taken.
    fn read_slowly(bytes: usize, every: Duration, total: usize) -> (Result<usize, BodyError>, u64) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let began = Instant::now();
            let chunks = futures_util::stream::unfold(0, move |sent| async move {
                if sent >= total {
                    return None;
                }
                tokio::time::sleep(every).await;
                Some((Ok(Bytes::from(vec![b'x'; bytes])), sent + bytes))
            });
            let chunks: Pin<Box<dyn Stream<Item = _>>> = Box::pin(chunks);
            let payload = Payload::Stream { payload: chunks };
            let reservation = Budget::new(64 << 20).reservation(CLIENT);
            let body = read(payload, Some(total as u64), 25 << 20, reservation).await;
            (body.map(|body| body.len()), began.elapsed().as_secs())
        })
    }

    #[test]
    fn slow_body_is_read_but_stalled_or_dripping_body_times_out() {
        let second = Duration::from_secs(1);
        assert_eq!(read_slowly(1_100, second, 55_000), (Ok(55_000), 50));
        assert_eq!(read_slowly(5 << 10, second, 250 << 10), (Ok(250 << 10), 50));
        assert_eq!(read_slowly(40 << 10, 9 * second, 200 << 10), (Ok(200 << 10), 45), "interruptions");
        assert_eq!(read_slowly(100, second, 1 << 20), (Err(BodyError::TimedOut), 10));
        assert_eq!(read_slowly(1 << 20, 11 * second, 20 << 20), (Err(BodyError::TimedOut), 10));
        assert_eq!(read_slowly(100 << 10, second, 25 << 20), (Err(BodyError::TimedOut), 60));
    }

    #[test]
    fn stalled_body_times_out() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let began = Instant::now();
            let reservation = Budget::new(1_000).reservation(CLIENT);
            let stalled = read(payload(&[1], PayloadEnd::Stall), None, 100, reservation).await;
            assert_eq!(stalled, Err(BodyError::TimedOut));
            assert_eq!(began.elapsed().as_secs(), PART_TIMEOUT.as_secs());
        });
    }
}
