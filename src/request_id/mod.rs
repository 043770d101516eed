//! Request ids. The log adds the id to each line that is written while the request is handled. The
//! id belongs to a task, and is passed on to the tasks and threads that work for it.

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

tokio::task_local! {
    static CURRENT: RequestId;
}

/// A prefix for the process, and the number of the request in it; displayed as `7f3a-42`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId {
    process: u16,
    number: u64,
}

impl RequestId {
    /// Returns the id of a new request.
    pub fn next() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        Self { process: *PROCESS, number: NUMBER.fetch_add(1, Ordering::Relaxed) }
    }

    /// Returns the id of the request that the current task handles.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(|id| *id).ok()
    }

    /// Runs `handle` with this id as the current one. Does not allocate, because it runs for every
    /// message.
    pub fn scope<F: Future>(self, handle: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(self, handle)
    }
}

/// The low 16 bits of the start time in seconds, so that a prefix repeats only after 18 hours.
static PROCESS: LazyLock<u16> = LazyLock::new(|| {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since_epoch.as_secs() & 0xffff) as u16
});

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}-{}", self.process, self.number)
    }
}

/// Passes the current id on to a new task.
pub fn for_task<F: Future>(work: F) -> impl Future<Output = F::Output> {
    for_task_of(RequestId::current(), work)
}

/// Passes the id of a request, if there is one, on to a task.
pub async fn for_task_of<F: Future>(request: Option<RequestId>, work: F) -> F::Output {
    match request {
        Some(id) => id.scope(work).await,
        None => work.await,
    }
}

/// Passes the current id on to another thread.
pub fn for_thread<T>(work: impl FnOnce() -> T) -> impl FnOnce() -> T {
    let current = RequestId::current();
    move || match current {
        Some(id) => CURRENT.sync_scope(id, work),
        None => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_numbered_within_a_process() {
        let (first, second) = (RequestId::next(), RequestId::next());
        assert_eq!(first.process, second.process);
        assert!(first.number < second.number);
        assert_eq!(RequestId { process: 0x1a, number: 42 }.to_string(), "001a-42");
    }

    #[tokio::test]
    async fn tasks_and_threads_of_a_request_have_its_id() {
        let id = RequestId::next();
        let seen = id.scope(async {
            let task = tokio::spawn(for_task(async { RequestId::current() }));
            let thread = tokio::task::spawn_blocking(for_thread(RequestId::current));
            let unrelated = tokio::spawn(async { RequestId::current() });
            (RequestId::current(), task.await.unwrap(), thread.await.unwrap(), unrelated.await.unwrap())
        });
        assert_eq!(seen.await, (Some(id), Some(id), Some(id), None));
        assert_eq!(RequestId::current(), None);
        assert_eq!(for_thread(RequestId::current)(), None);
    }
}
