//! What the scheme of one source needs from elsewhere: keys, certificates. It is fetched off the path of requests; one that
//! needs it waits a second at most. What is known is refreshed in the background, and kept when the provider fails.

mod cache;
mod limit;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use actix_web::rt;
use tokio::sync::watch;
use tokio::time::{timeout, timeout_at};

use super::client::Network;
use super::source::Source;
use crate::outbound::{Client, Response};
use crate::providers::{FetchRequest, KeyRequest, KeyResponse, Verifier};
use cache::{Cache, WHOLE_SET};
use limit::Limit;

/// In the way of a message.
const WAIT_AT_MOST: Duration = Duration::from_secs(1);
/// Out of it.
const FETCHED_WITHIN: Duration = Duration::from_secs(10);
/// Of the time that a request has, this is for keeping it.
const LEFT_FOR_KEEPING: Duration = Duration::from_millis(400);

/// Nothing could be learned now; the sender should come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotReached;

/// What is known, for one source, and what is being asked.
#[derive(Debug, Default)]
pub struct Fetches {
    cache: RwLock<Cache>,
    calls: Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    /// Whoever wants the same waits for the same call. It ends with `true`, or without a word.
    under_way: HashMap<KeyRequest, watch::Receiver<bool>>,
    limit: Limit,
}

/// How it is with something that a request wants.
enum Asking {
    /// Somebody else's call has ended in between.
    Known,
    UnderWay(watch::Receiver<bool>),
    Begun(Asked, watch::Receiver<bool>),
    NotNow,
}

/// A call that has been begun. However it ends, it does not stay under way.
struct Asked {
    source: Arc<Source>,
    what: KeyRequest,
    is_answered: watch::Sender<bool>,
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.source.fetches.calls().under_way.remove(&self.what);
    }
}

impl Fetches {
    /// What is known now.
    pub fn get(&self, wanted: &KeyRequest) -> KeyResponse {
        self.cache.read().unwrap_or_else(PoisonError::into_inner).get(wanted, Instant::now())
    }

    /// Whether the provider may have another answer by now.
    pub fn may_be_outdated(&self, wanted: &KeyRequest) -> bool {
        self.cache.read().unwrap_or_else(PoisonError::into_inner).may_be_outdated(wanted, Instant::now())
    }

    /// What is not among these is unknown to the provider.
    pub fn put_all_there_is(&self, all: Vec<(KeyRequest, KeyResponse)>) {
        self.change(|cache| cache.complete(all, Instant::now()));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Cache) -> T) -> T {
        change(&mut self.cache.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Fetches what a request needs, or waits for who does already.
///
/// # Errors
/// When it could not be had in time. A call that takes longer goes on, for the next request.
pub async fn fetch(
    source: &Arc<Source>,
    client: &Client,
    wanted: &KeyRequest,
    asker: Network,
    deadline: Instant,
) -> Result<(), NotReached> {
    let what = what_to_ask(&source.verifier(), wanted)?;
    let mut answer = match ask_for(source, what, wanted, asker) {
        Asking::Known => return Ok(()),
        Asking::NotNow => return Err(NotReached),
        Asking::UnderWay(answer) => answer,
        Asking::Begun(asked, answer) => {
            rt::spawn(carry_out(asked, client.clone()));
            answer
        }
    };
    let until = deadline.checked_sub(LEFT_FOR_KEEPING).unwrap_or(deadline).min(Instant::now() + WAIT_AT_MOST);
    match timeout_at(until.into(), answer.wait_for(|is_answered| *is_answered)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(NotReached),
    }
}

/// What is asked of the provider to know something: all its keys, where it publishes them together.
fn what_to_ask(verifier: &Verifier, wanted: &KeyRequest) -> Result<KeyRequest, NotReached> {
    let plan = verifier.plan(wanted);
    // Nothing is counted that cannot be asked at all.
    if !plan.is_possible() {
        return Err(NotReached);
    }
    let is_of_set = matches!(wanted, KeyRequest::Key { .. }) && plan.is_whole_set();
    Ok(if is_of_set { WHOLE_SET } else { wanted.clone() })
}

fn ask_for(source: &Arc<Source>, what: KeyRequest, wanted: &KeyRequest, asker: Network) -> Asking {
    let now = Instant::now();
    let mut calls = source.fetches.calls();
    if let Some(answer) = calls.under_way.get(&what) {
        return Asking::UnderWay(answer.clone());
    }
    if source.fetches.get(wanted) != KeyResponse::NotYet && !source.fetches.may_be_outdated(wanted) {
        return Asking::Known;
    }
    let may_ask = source.fetches.change(|cache| cache.may_ask(&what, now));
    // One call for the set serves everybody, so nobody can use it up.
    if !may_ask || (what != WHOLE_SET && !calls.limit.take(asker, now)) {
        return Asking::NotNow;
    }
    let (asked, answer) = begin(source, &mut calls, what);
    Asking::Begun(asked, answer)
}

fn begin(source: &Arc<Source>, calls: &mut Calls, what: KeyRequest) -> (Asked, watch::Receiver<bool>) {
    let (is_answered, answer) = watch::channel(false);
    calls.under_way.insert(what.clone(), answer.clone());
    (Asked { source: Arc::clone(source), what, is_answered }, answer)
}

/// Notes what has proven a message and where that came from, and refreshes what has become old.
pub fn has_proven(source: &Arc<Source>, client: &Client, used: &[KeyRequest], sender: Network) {
    if used.is_empty() {
        return;
    }
    let due = source.fetches.change(|cache| cache.proved(used, Instant::now()));
    let mut calls = source.fetches.calls();
    calls.limit.sent(sender);
    for what in due {
        if !calls.under_way.contains_key(&what) {
            let (asked, _) = begin(source, &mut calls, what);
            rt::spawn(carry_out(asked, client.clone()));
        }
    }
}

async fn carry_out(asked: Asked, client: Client) {
    let began = Instant::now();
    let Asked { source, what, is_answered } = &asked;
    let answer = timeout(FETCHED_WITHIN, ask(&source.verifier(), &client, what)).await;
    let Ok(answer) = answer.unwrap_or(Err(NotReached)) else {
        source.fetches.change(|cache| cache.failed(what, Instant::now()));
        log::warn!("source {}: what its provider publishes could not be fetched", source.name);
        return;
    };
    if began.elapsed() > WAIT_AT_MOST {
        log::warn!(
            "source {}: its provider took {} ms to say what it publishes; messages that needed it were told to come again",
            source.name,
            began.elapsed().as_millis()
        );
    }
    source.fetches.change(|cache| cache.put(what.clone(), answer, Instant::now()));
    is_answered.send_replace(true);
}

async fn ask(verifier: &Verifier, client: &Client, wanted: &KeyRequest) -> Result<KeyResponse, NotReached> {
    let plan = verifier.plan(wanted);
    let login = match plan.login() {
        Some(login) => {
            let response = send(client, login, FETCHED_WITHIN).await?;
            Some(plan.logged_in(&response.body).filter(|_| response.status < 300).ok_or(NotReached)?)
        }
        None => None,
    };
    let call = plan.call(login.as_deref()).ok_or(NotReached)?;
    let response = send(client, call, FETCHED_WITHIN).await?;
    plan.read(response.status, &response.body).ok_or_else(|| {
        log::warn!(
            "what a provider publishes could not be read: it answered with status {}",
            response.status
        );
        NotReached
    })
}

async fn send(client: &Client, call: FetchRequest, within: Duration) -> Result<Response, NotReached> {
    let sent = client.request(&call.method, &call.url, &call.headers, call.body, within).await;
    sent.map_err(|error| {
        log::warn!("a provider could not be reached: {error}");
        NotReached
    })
}

/// Visits a URL that a handshake names; only a 2xx counts.
///
/// # Errors
/// Anything else, so that the sender comes again.
pub async fn visit(client: &Client, url: String, deadline: Instant) -> Result<(), NotReached> {
    let call = FetchRequest { method: "GET".to_owned(), url, headers: Vec::new(), body: Vec::new() };
    let within = deadline.saturating_duration_since(Instant::now()).min(WAIT_AT_MOST);
    let response = send(client, call, within).await?;
    if (200..=299).contains(&response.status) {
        return Ok(());
    }
    log::warn!("the URL that a handshake names was answered with status {}", response.status);
    Err(NotReached)
}

#[cfg(test)]
#[path = "fetches/tests.rs"]
mod tests;
