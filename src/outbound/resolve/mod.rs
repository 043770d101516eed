//! Name lookups by the system's resolver, on its own few threads.
//!
//! The system's resolver blocks for many seconds if a name server does not respond. It must never
//! block other threads, and one dead name must never occupy more than one thread.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

/// Limit on concurrent lookups; further names are queued.
const MAX_THREADS: usize = 32;
/// Idle time before a thread ends; lookups come in bursts.
const LINGER: Duration = Duration::from_secs(5);

/// Reason why a name has no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LookupError(Arc<str>);

impl LookupError {
    fn new(text: &str) -> Self {
        Self(text.into())
    }
}

/// The result of a lookup: at least one address; the port is 0.
type LookupAnswer = Result<Arc<[SocketAddr]>, LookupError>;

/// A blocking lookup.
type Lookup = Box<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// A resolver. Clones are cheap and share the threads.
#[derive(Clone)]
pub(super) struct Resolver {
    shared: Arc<SharedLookups>,
}

struct SharedLookups {
    lookup: Lookup,
    state: Mutex<LookupState>,
    work: Condvar,
}

#[derive(Default)]
struct LookupState {
    /// Channels to the waiting callers, for each name that is queued or in progress.
    waiting: HashMap<String, Vec<oneshot::Sender<LookupAnswer>>>,
    queue: VecDeque<String>,
    threads: usize,
    /// Number of idle threads.
    resting: usize,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Resolver")
    }
}

impl Resolver {
    /// The system's resolver: one per process, like its threads.
    pub(super) fn system() -> Self {
        static SYSTEM: LazyLock<Resolver> =
            LazyLock::new(|| Resolver::new(|name| Ok((name, 0).to_socket_addrs()?.collect())));
        SYSTEM.clone()
    }

    pub(super) fn new(lookup: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static) -> Self {
        let (state, work) = (Mutex::default(), Condvar::new());
        Self { shared: Arc::new(SharedLookups { lookup: Box::new(lookup), state, work }) }
    }

    /// Resolves a name without a cache, because a cached answer could be outdated. Concurrent
    /// lookups of the same name share one answer.
    pub(super) async fn addresses(&self, name: &str) -> LookupAnswer {
        let answer = self.enqueue(name).await;
        answer.unwrap_or_else(|_| Err(LookupError::new("the lookup was abandoned")))
    }

    fn enqueue(&self, name: &str) -> oneshot::Receiver<LookupAnswer> {
        let (sender, receiver) = oneshot::channel();
        let mut state = self.shared.state.lock();
        if let Some(waiting) = state.waiting.get_mut(name) {
            // Otherwise cancelled lookups of a dead name would accumulate.
            waiting.retain(|sender| !sender.is_closed());
            waiting.push(sender);
            return receiver;
        }
        state.waiting.insert(name.to_owned(), vec![sender]);
        state.queue.push_back(name.to_owned());
        if state.queue.len() <= state.resting || state.threads >= MAX_THREADS {
            self.shared.work.notify_one();
            return receiver;
        }
        let shared = Arc::clone(&self.shared);
        match thread::Builder::new().name("resolve".to_owned()).spawn(move || shared.work()) {
            Ok(_) => state.threads += 1,
            // Existing threads take the work. Without any thread, the lookups would never finish.
            Err(error) if state.threads == 0 => {
                state.queue.clear();
                let failed = Err(LookupError::new(&format!("no thread for the lookup: {error}")));
                let waiting = state.waiting.drain().flat_map(|(_, waiting)| waiting);
                waiting.for_each(|sender| drop(sender.send(failed.clone())));
            }
            Err(_) => {}
        }
        receiver
    }
}

impl SharedLookups {
    fn work(&self) {
        while let Some(name) = self.next() {
            let answer = match (self.lookup)(&name) {
                Ok(addresses) if addresses.is_empty() => Err(LookupError::new("the name has no address")),
                Ok(addresses) => Ok(addresses.into()),
                Err(error) => Err(LookupError::new(&error.to_string())),
            };
            let waiting = self.state.lock().waiting.remove(&name).unwrap_or_default();
            // The receiver may have been dropped.
            waiting.into_iter().for_each(|sender| drop(sender.send(answer.clone())));
        }
    }

    /// Returns the next name that a caller waits for; `None` after the idle timeout.
    fn next(&self) -> Option<String> {
        let mut state = self.state.lock();
        loop {
            if state.queue.is_empty() {
                state.resting += 1;
                self.work.wait_while_for(&mut state, |state| state.queue.is_empty(), LINGER);
                state.resting -= 1;
            }
            let Some(name) = state.queue.pop_front() else {
                state.threads -= 1;
                return None;
            };
            if state
                .waiting
                .get(&name)
                .is_some_and(|waiting| waiting.iter().any(|sender| !sender.is_closed()))
            {
                return Some(name);
            }
            state.waiting.remove(&name);
        }
    }
}

#[cfg(test)]
mod tests;
