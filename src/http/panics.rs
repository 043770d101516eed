//! Catches panics in handlers, so that a panic costs one reply, not the worker thread or the
//! process.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// A handler panicked; the panic hook has already logged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandlerPanic;

/// Runs a future until it returns or panics. Its resources are dropped in both cases.
///
/// # Errors
/// If the future panicked.
pub async fn caught<F: Future>(future: F) -> Result<F::Output, HandlerPanic> {
    let mut future = pin!(future);
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
    use std::sync::Arc;

    use super::*;

    #[actix_web::test]
    async fn panic_is_an_error_and_resources_are_released() {
        let held = Arc::new(());
        let inner = Arc::clone(&held);
        let outcome: Result<(), HandlerPanic> = caught(async move {
            let _inner = inner;
            panic!("on purpose, in a test");
        })
        .await;
        assert_eq!(outcome, Err(HandlerPanic));
        assert_eq!(Arc::strong_count(&held), 1);
        assert_eq!(caught(async { 1 }).await, Ok(1));
    }
}
