//! Catches panics in handlers, so that a panic costs one reply, not the worker thread or the
//! process.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// A handler panicked; the panic hook has already logged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlerPanic;

/// Runs a future until it returns or panics. The caller pins it, because it is large for webhooks,
/// and each move would copy it.
///
/// # Errors
/// If the future panicked.
pub async fn caught<F: Future>(mut future: Pin<&mut F>) -> Result<F::Output, HandlerPanic> {
    poll_fn(move |context| {
        // A future that has panicked is not polled again, so its inconsistent state is never
        // observed.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(Err(HandlerPanic)),
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;

    use super::*;

    #[actix_web::test]
    async fn panic_is_an_error_and_resources_are_released() {
        let held = Arc::new(());
        let inner = Arc::clone(&held);
        let panicking = async move {
            let _inner = inner;
            panic!("on purpose, in a test");
        };
        let outcome: Result<(), HandlerPanic> = caught(pin!(panicking)).await;
        assert_eq!(outcome, Err(HandlerPanic));
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(caught(pin!(async { 1 })).await, Ok(1));
    }
}
