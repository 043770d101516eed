//! Reading a body: its exact bytes, under a limit, a deadline and the budget for all bodies in flight.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, timeout_at};

use super::budget::{Reservation, UsedUp};

/// A whole body must have arrived within this time …
const LEAST_ALLOWANCE: Duration = Duration::from_secs(10);
/// … and one second more for each of these, so that a slow but honest line can send a large body …
const BYTES_PER_SECOND: u64 = 64 << 10;
/// … but never longer than this.
const MOST_ALLOWANCE: Duration = Duration::from_secs(60);
/// The first allocation for a body of unknown length; it doubles from there.
const FIRST_CAPACITY: usize = 16 << 10;

/// Why there is no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    TooLarge,
    TimedOut,
    BudgetUsedUp,
    /// The chunks are not written as HTTP/1.1 wants them.
    Malformed,
    /// The client went away in the middle.
    Interrupted,
}

impl From<UsedUp> for BodyError {
    fn from(_: UsedUp) -> Self {
        Self::BudgetUsedUp
    }
}

/// The whole body. What it holds of the budget is given back when the last clone is dropped: that may be the store's,
/// after the client has gone.
///
/// # Errors
/// Nothing is ever cut: a body that breaks a limit is refused as a whole.
pub async fn read(
    mut payload: Payload,
    announced: Option<u64>,
    max_bytes: usize,
    mut reservation: Reservation,
) -> Result<Bytes, BodyError> {
    let began = Instant::now();
    let announced = announced.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced.is_some_and(|length| length > max_bytes) {
        return Err(BodyError::TooLarge);
    }
    // No more than that before it has come: a few silent senders of large lengths would hold the whole budget.
    reservation.grow_to(announced.unwrap_or_default().min(FIRST_CAPACITY))?;
    let mut parts = Parts::default();
    loop {
        let expected = announced.unwrap_or_default().max(parts.len());
        let chunk = timeout_at(began + allowance(expected), next(&mut payload)).await;
        match chunk.map_err(|_| BodyError::TimedOut)? {
            None => break,
            Some(Ok(chunk)) if chunk.len() > max_bytes - parts.len() => return Err(BodyError::TooLarge),
            Some(Ok(chunk)) => parts.push(chunk, announced, max_bytes, &mut reservation)?,
            Some(Err(PayloadError::EncodingCorrupted)) => return Err(BodyError::Malformed),
            Some(Err(_)) => return Err(BodyError::Interrupted),
        }
    }
    Ok(match parts {
        Parts::None => Bytes::new(),
        Parts::One(chunk) => Bytes::from_owner(Accounted { bytes: chunk, _reservation: reservation }),
        Parts::Joined(joined) => Bytes::from_owner(Accounted { bytes: joined, _reservation: reservation }),
    })
}

async fn next(payload: &mut Payload) -> Option<Result<Bytes, PayloadError>> {
    poll_fn(|context| Pin::new(&mut *payload).poll_next(context)).await
}

/// How long so many bytes may take.
fn allowance(bytes: usize) -> Duration {
    (LEAST_ALLOWANCE + Duration::from_secs(bytes as u64 / BYTES_PER_SECOND)).min(MOST_ALLOWANCE)
}

/// What has arrived. Most bodies arrive in one piece, which is then used as it is.
#[derive(Default)]
enum Parts {
    #[default]
    None,
    One(Bytes),
    Joined(Vec<u8>),
}

impl Parts {
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
        reservation: &mut Reservation,
    ) -> Result<(), UsedUp> {
        if matches!(self, Self::None) {
            reservation.grow_to(chunk.len())?;
            *self = Self::One(chunk);
            return Ok(());
        }
        let mut joined = match std::mem::take(self) {
            Self::Joined(joined) => joined,
            Self::One(first) => {
                let capacity = announced.unwrap_or(FIRST_CAPACITY).min(FIRST_CAPACITY).max(first.len());
                reservation.grow_to(capacity)?;
                let mut joined = Vec::with_capacity(capacity);
                joined.extend_from_slice(&first);
                joined
            }
            Self::None => Vec::new(),
        };
        let needed = joined.len() + chunk.len();
        if needed > joined.capacity() {
            let at_most = announced.unwrap_or(max_bytes).max(needed);
            let capacity = needed.max(joined.capacity() * 2).min(at_most);
            reservation.grow_to(capacity)?;
            joined.reserve_exact(capacity - joined.len());
        }
        joined.extend_from_slice(&chunk);
        *self = Self::Joined(joined);
        Ok(())
    }
}

/// Bytes together with their place in the budget.
struct Accounted<B> {
    bytes: B,
    _reservation: Reservation,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Accounted<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use super::super::budget::Budget;
    use super::super::client::Network;
    use super::*;

    const CLIENT: Network = Network::V4([192, 0, 2, 1]);
    const OTHER: Network = Network::V4([192, 0, 2, 2]);

    /// A client that sends these chunks and then goes on, or stops for ever.
    struct Sender(VecDeque<Result<Bytes, PayloadError>>, Then);

    #[derive(Clone, Copy, PartialEq)]
    enum Then {
        End,
        Stall,
    }

    impl Stream for Sender {
        type Item = Result<Bytes, PayloadError>;

        fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            match self.0.pop_front() {
                Some(chunk) => Poll::Ready(Some(chunk)),
                None if self.1 == Then::End => Poll::Ready(None),
                None => Poll::Pending,
            }
        }
    }

    fn payload(chunks: &[usize], then: Then) -> Payload {
        let chunk = |length: &usize| Ok(Bytes::from(vec![b'x'; *length]));
        let stream: Pin<Box<dyn Stream<Item = _>>> =
            Box::pin(Sender(chunks.iter().map(chunk).collect(), then));
        Payload::Stream { payload: stream }
    }

    async fn read_with(
        budget: &Arc<Budget>,
        chunks: &[usize],
        announced: Option<u64>,
    ) -> Result<Bytes, BodyError> {
        read(payload(chunks, Then::End), announced, 100, budget.reservation(CLIENT)).await
    }

    #[actix_web::test]
    async fn a_body_up_to_the_limit_is_read_whole_and_one_byte_more_is_refused() {
        let budget = Budget::new(1_000_000);
        type Row = (&'static [usize], Option<u64>, Result<usize, BodyError>);
        let rows: [Row; 8] = [
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
    async fn the_budget_is_held_until_the_last_clone_is_dropped() {
        let budget = Budget::new(100);
        let body = read_with(&budget, &[100], Some(100)).await.unwrap();
        let kept = body.clone();
        drop(body);
        assert_eq!(budget.reservation(OTHER).grow_to(1), Err(UsedUp));
        drop(kept);
        assert_eq!(budget.reservation(OTHER).grow_to(100), Ok(()));
    }

    #[actix_web::test]
    async fn a_body_that_does_not_fit_is_refused_and_one_that_has_not_come_takes_little() {
        let budget = Budget::new(100);
        let mut taken = budget.reservation(OTHER);
        taken.grow_to(1).unwrap();
        assert_eq!(read_with(&budget, &[100], Some(100)).await, Err(BodyError::BudgetUsedUp));
        let budget = Budget::new(1 << 20);
        let silent = payload(&[], Then::Stall);
        let reading = read(silent, Some(1 << 20), 1 << 20, budget.reservation(CLIENT));
        let unread = tokio::time::timeout(Duration::from_millis(1), reading);
        let mut others = budget.reservation(OTHER);
        let (unread, taken) = (unread, others.grow_to((1 << 20) - FIRST_CAPACITY));
        assert_eq!(taken, Ok(()));
        assert!(unread.await.is_err());
    }

    #[actix_web::test]
    async fn a_body_of_unknown_length_grows_only_into_what_is_free() {
        let budget = Budget::new(60);
        assert_eq!(read_with(&budget, &[40, 40], None).await, Err(BodyError::BudgetUsedUp));
        assert_eq!(budget.reservation(OTHER).grow_to(60), Ok(()));
    }

    #[actix_web::test]
    async fn what_breaks_off_is_no_body() {
        let rows = [
            (PayloadError::Incomplete(None), BodyError::Interrupted),
            (PayloadError::EncodingCorrupted, BodyError::Malformed),
        ];
        for (error, expected) in rows {
            let chunks = VecDeque::from([Ok(Bytes::from_static(b"half")), Err(error)]);
            let stream: Pin<Box<dyn Stream<Item = _>>> = Box::pin(Sender(chunks, Then::End));
            let reservation = Budget::new(1_000).reservation(CLIENT);
            assert_eq!(
                read(Payload::Stream { payload: stream }, None, 100, reservation).await,
                Err(expected)
            );
        }
    }

    #[test]
    fn large_bodies_get_more_time_but_not_without_end() {
        let rows = [(0, 10), (64 << 10, 11), (1 << 20, 26), (25 << 20, 60), (usize::MAX, 60)];
        for (bytes, seconds) in rows {
            assert_eq!(allowance(bytes), Duration::from_secs(seconds), "{bytes}");
        }
    }

    #[test]
    fn a_body_that_stalls_is_given_up_when_its_time_is_over() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(async {
            let began = Instant::now();
            let reservation = Budget::new(1_000).reservation(CLIENT);
            let stalled = read(payload(&[1], Then::Stall), None, 100, reservation).await;
            assert_eq!(stalled, Err(BodyError::TimedOut));
            assert_eq!(began.elapsed().as_secs(), LEAST_ALLOWANCE.as_secs());
        });
    }
}
