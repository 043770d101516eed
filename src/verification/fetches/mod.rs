//! Keys and certificates that the scheme of one source needs from its provider. They are fetched
//! off the request path; a request waits for each call for at most one second. Cached entries are
//! refreshed in the background. If a refresh fails, they remain valid until they are a day old.

mod cache;
mod limit;

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use tokio::time::{timeout, timeout_at};

use crate::outbound::{Client, Response};
use crate::providers::{FetchRequest, KeyRequest, KeyResponse, Verifier};
use cache::{Cache, WHOLE_SET};
use limit::CallLimit;

/// Maximum time that a request waits for a call.
const WAIT_TIMEOUT: Duration = Duration::from_secs(1);
/// Timeout of the call itself, which continues after the request has stopped waiting.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Part of the time before the request's deadline that is reserved for storing the message.
const COMMIT_RESERVE: Duration = Duration::from_millis(400);

/// The provider's answer is unavailable; the sender should retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProviderUnreachable;

/// Cached answers and in-flight calls of one source.
#[derive(Debug)]
pub struct Fetches {
    /// Name of the source, for the log.
    name: Arc<str>,
    cache: RwLock<Cache>,
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    /// Requests for the same key share one call. Its channel receives `true` once the answer is
    /// cached, and closes without it if the call fails.
    in_flight: HashMap<KeyRequest, watch::Receiver<bool>>,
    limit: CallLimit,
}

/// State of the call for a key that a request needs.
enum CallState {
    /// The answer is cached: another request's call has ended in the meantime.
    Known,
    InFlight(watch::Receiver<bool>),
    Begun(PendingCall, watch::Receiver<bool>),
    NotNow,
}

/// A started call. Dropping it removes it from the in-flight calls, however it ends.
struct PendingCall {
    fetches: Arc<Fetches>,
    verifier: Arc<Verifier>,
    request: KeyRequest,
    is_answered: watch::Sender<bool>,
}

impl Drop for PendingCall {
    fn drop(&mut self) {
        self.fetches.calls.lock().in_flight.remove(&self.request);
    }
}

impl Fetches {
    pub fn new(name: Arc<str>) -> Self {
        Self { name, cache: RwLock::default(), calls: Mutex::default() }
    }

    /// Returns the cached answer.
    pub fn get(&self, wanted: &KeyRequest) -> KeyResponse {
        self.cache.read().get(wanted, Instant::now())
    }

    /// Whether the provider may have another answer by now.
    pub fn may_be_outdated(&self, wanted: &KeyRequest) -> bool {
        self.cache.read().may_be_outdated(wanted, Instant::now())
    }

    /// Stores the provider's complete list: any key outside it is unknown to the provider.
    pub fn preload(&self, all: Vec<(KeyRequest, KeyResponse)>) {
        self.change(|cache| cache.complete(all, Instant::now()));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Cache) -> T) -> T {
        change(&mut self.cache.write())
    }
}

/// Fetches a key that a request needs, or waits for an in-flight call.
///
/// # Errors
/// If the key is not available in time. A call that takes longer continues, for the next request.
pub async fn fetch(
    fetches: &Arc<Fetches>,
    verifier: &Arc<Verifier>,
    client: &Client,
    wanted: &KeyRequest,
    client_ip: IpAddr,
    deadline: Instant,
) -> Result<(), ProviderUnreachable> {
    let request = provider_request(verifier, wanted)?;
    let mut answer = match join_or_start_call(fetches, verifier, request, wanted, client_ip) {
        CallState::Known => return Ok(()),
        CallState::NotNow => return Err(ProviderUnreachable),
        CallState::InFlight(answer) => answer,
        CallState::Begun(call, answer) => {
            tokio::spawn(run_call(call, client.clone()));
            answer
        }
    };
    let until = deadline.checked_sub(COMMIT_RESERVE).unwrap_or(deadline).min(Instant::now() + WAIT_TIMEOUT);
    match timeout_at(until.into(), answer.wait_for(|is_answered| *is_answered)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(ProviderUnreachable),
    }
}

/// Returns the request to send to the provider: for the whole key set, if the provider publishes
/// one.
fn provider_request(verifier: &Verifier, wanted: &KeyRequest) -> Result<KeyRequest, ProviderUnreachable> {
    let plan = verifier.plan(wanted);
    // A request that cannot be sent does not count towards the limit.
    if !plan.is_possible() {
        return Err(ProviderUnreachable);
    }
    let is_of_set = matches!(wanted, KeyRequest::Key { .. }) && plan.is_whole_set();
    Ok(if is_of_set { WHOLE_SET } else { wanted.clone() })
}

fn join_or_start_call(
    fetches: &Arc<Fetches>,
    verifier: &Arc<Verifier>,
    request: KeyRequest,
    wanted: &KeyRequest,
    client_ip: IpAddr,
) -> CallState {
    let now = Instant::now();
    let mut calls = fetches.calls.lock();
    if let Some(answer) = calls.in_flight.get(&request) {
        return CallState::InFlight(answer.clone());
    }
    if fetches.get(wanted) != KeyResponse::NotYet && !fetches.may_be_outdated(wanted) {
        return CallState::Known;
    }
    let may_fetch = fetches.change(|cache| cache.may_fetch(&request, now));
    // A call for the whole set serves all senders, so it does not count towards any sender's limit.
    if !may_fetch || (request != WHOLE_SET && !calls.limit.take(client_ip, now)) {
        return CallState::NotNow;
    }
    let (call, answer) = begin(fetches, verifier, &mut calls, request);
    CallState::Begun(call, answer)
}

fn begin(
    fetches: &Arc<Fetches>,
    verifier: &Arc<Verifier>,
    calls: &mut Calls,
    request: KeyRequest,
) -> (PendingCall, watch::Receiver<bool>) {
    let (is_answered, answer) = watch::channel(false);
    calls.in_flight.insert(request.clone(), answer.clone());
    let call =
        PendingCall { fetches: Arc::clone(fetches), verifier: Arc::clone(verifier), request, is_answered };
    (call, answer)
}

/// Records the keys that verified a message, and its sender. Refreshes old keys.
pub fn record_verified(
    fetches: &Arc<Fetches>,
    verifier: &Arc<Verifier>,
    client: &Client,
    used: &[KeyRequest],
    sender: IpAddr,
) {
    if used.is_empty() {
        return;
    }
    let due = fetches.change(|cache| cache.record_verified(used, Instant::now()));
    let mut calls = fetches.calls.lock();
    calls.limit.sent(sender);
    for request in due {
        if !calls.in_flight.contains_key(&request) {
            let (call, _) = begin(fetches, verifier, &mut calls, request);
            tokio::spawn(run_call(call, client.clone()));
        }
    }
}

async fn run_call(call: PendingCall, client: Client) {
    let began = Instant::now();
    let PendingCall { fetches, verifier, request, is_answered } = &call;
    let answer = timeout(CALL_TIMEOUT, query_provider(verifier, &client, request)).await;
    let Ok(answer) = answer.unwrap_or(Err(ProviderUnreachable)) else {
        fetches.change(|cache| cache.failed(request, Instant::now()));
        log::warn!("source {}: cannot fetch keys or certificates of its provider", fetches.name);
        return;
    };
    if began.elapsed() > WAIT_TIMEOUT {
        log::warn!(
            "source {}: its provider took {} ms to return a key or certificate; a request that needs one waits for at most {} ms, and is then answered 503",
            fetches.name,
            began.elapsed().as_millis(),
            WAIT_TIMEOUT.as_millis()
        );
    }
    fetches.change(|cache| cache.put(request.clone(), answer, Instant::now()));
    is_answered.send_replace(true);
}

async fn query_provider(
    verifier: &Verifier,
    client: &Client,
    wanted: &KeyRequest,
) -> Result<KeyResponse, ProviderUnreachable> {
    let plan = verifier.plan(wanted);
    let login = match plan.login() {
        Some(login) => {
            let response = send(client, login, CALL_TIMEOUT).await?;
            Some(
                plan.logged_in(&response.body)
                    .filter(|_| response.status < 300)
                    .ok_or(ProviderUnreachable)?,
            )
        }
        None => None,
    };
    let call = plan.call(login.as_deref()).ok_or(ProviderUnreachable)?;
    let response = send(client, call, CALL_TIMEOUT).await?;
    plan.read(response.status, &response.body).ok_or_else(|| {
        log::warn!("a provider's answer has no usable key or certificate (status {})", response.status);
        ProviderUnreachable
    })
}

async fn send(
    client: &Client,
    call: FetchRequest,
    within: Duration,
) -> Result<Response, ProviderUnreachable> {
    let sent = client.request(&call.method, &call.url, &call.headers, call.body, within).await;
    sent.map_err(|error| {
        log::warn!("cannot reach a provider: {error}");
        ProviderUnreachable
    })
}

/// Requests a URL that a handshake names; only a 2xx is a success.
///
/// # Errors
/// On any other result, so that the sender retries.
pub async fn visit(client: &Client, url: String, deadline: Instant) -> Result<(), ProviderUnreachable> {
    let call = FetchRequest { method: "GET".to_owned(), url, headers: Vec::new(), body: Vec::new() };
    let within = deadline.saturating_duration_since(Instant::now()).min(WAIT_TIMEOUT);
    let response = send(client, call, within).await?;
    if (200..=299).contains(&response.status) {
        return Ok(());
    }
    log::warn!("the URL in a handshake returned status {}", response.status);
    Err(ProviderUnreachable)
}

#[cfg(test)]
mod tests;
