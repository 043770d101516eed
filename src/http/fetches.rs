//! What the scheme of one source needs from elsewhere: keys, certificates. Fetched in the way of a message only when it is
//! not known yet, at most for a second and once a minute; refreshed in the background, and kept when the provider fails.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use actix_web::rt;
use tokio::sync::Mutex;

use super::source::Source;
use crate::outbound::{Client, Response};
use crate::providers::{Answer, Call, Verifier, Wanted, key_of_set};

/// In the way of a message.
const WAIT_AT_MOST: Duration = Duration::from_secs(1);
/// Out of it.
const REFRESH_WITHIN: Duration = Duration::from_secs(10);
/// One refresh a minute: a stranger can ask for as many unknown keys as he likes.
const BETWEEN_REFRESHES: Duration = Duration::from_secs(60);
/// After that what is known is refreshed in the background when it is next used …
const FRESH_FOR: Duration = Duration::from_secs(60 * 60);
/// … and after that it is no longer believed.
const BELIEVED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// What the provider does not know may be known to it later.
const UNKNOWN_FOR: Duration = Duration::from_secs(10 * 60);
const MAX_ENTRIES: usize = 1_000;

/// All keys of a provider that publishes them together.
const WHOLE_SET: Wanted = Wanted::Key { id: None };

/// Nothing could be learned now; the sender should come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotReached;

/// What is known, for one source.
#[derive(Debug, Default)]
pub struct Fetches {
    known: RwLock<HashMap<Wanted, Known>>,
    /// Whether nothing else is to be fetched.
    is_complete: AtomicBool,
    /// When the last fetch that a request asked for began. Held while one is under way, so that others wait for its answer.
    last: Mutex<Option<Instant>>,
}

#[derive(Clone, Debug)]
struct Known {
    answer: Answer,
    since: Instant,
    is_being_refreshed: bool,
}

impl Known {
    fn believed_for(&self) -> Duration {
        if self.answer == Answer::Unknown { UNKNOWN_FOR } else { BELIEVED_FOR }
    }
}

impl Fetches {
    /// What is known now.
    pub fn get(&self, wanted: &Wanted) -> Answer {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let believed =
            |wanted: &Wanted| known.get(wanted).filter(|known| known.since.elapsed() < known.believed_for());
        // A set that was fetched for one of its keys has the others too.
        if let Wanted::Key { id: Some(id) } = wanted
            && let Some(Known { answer: Answer::Keys(set), .. }) = believed(&WHOLE_SET)
            && let Some(keys) = key_of_set(set, id)
        {
            return keys;
        }
        let otherwise =
            || if self.is_complete.load(Ordering::Acquire) { Answer::Unknown } else { Answer::NotYet };
        believed(wanted).map_or_else(otherwise, |known| known.answer.clone())
    }

    /// What is not among these is unknown to the provider.
    pub fn put_all_there_is(&self, all: Vec<(Wanted, Answer)>) {
        for (wanted, answer) in all {
            self.put(wanted, answer);
        }
        self.is_complete.store(true, Ordering::Release);
    }

    pub fn put(&self, wanted: Wanted, answer: Answer) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_ENTRIES && !known.contains_key(&wanted) {
            let oldest = known.iter().min_by_key(|(_, known)| known.since).map(|(wanted, _)| wanted.clone());
            oldest.map(|oldest| known.remove(&oldest));
        }
        known.insert(wanted, Known { answer, since: Instant::now(), is_being_refreshed: false });
    }

    /// Whether this caller is to refresh it.
    fn take_refresh(&self, wanted: &Wanted) -> bool {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let due = known.get_mut(wanted).filter(|known| {
            known.answer != Answer::Unknown && known.since.elapsed() >= FRESH_FOR && !known.is_being_refreshed
        });
        due.map(|known| known.is_being_refreshed = true).is_some()
    }

    fn is_due(&self) -> bool {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.values().any(|known| known.since.elapsed() >= FRESH_FOR && !known.is_being_refreshed)
    }

    fn give_up_refresh(&self, wanted: &Wanted) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.get_mut(wanted) {
            known.is_being_refreshed = false;
            // Not at every request from now on: the answer that we have is still believed.
            known.since = known.since.checked_add(BETWEEN_REFRESHES).unwrap_or(known.since);
        }
    }
}

/// Fetches what a request needs.
///
/// # Errors
/// When it could not be had in time.
pub async fn fetch(source: &Arc<Source>, client: &Client, wanted: Wanted) -> Result<(), NotReached> {
    let work = async {
        let mut last = source.fetches.last.lock().await;
        // Somebody else may have fetched it while we waited.
        if source.fetches.get(&wanted) != Answer::NotYet {
            return Ok(());
        }
        // The issuer of a certificate that has just been fetched belongs to the same refresh.
        let is_limited = !matches!(wanted, Wanted::Issuer(_));
        if is_limited && last.is_some_and(|last| last.elapsed() < BETWEEN_REFRESHES) {
            return limited(source, &wanted);
        }
        if is_limited {
            *last = Some(Instant::now());
        }
        let verifier = source.verifier();
        let is_of_set = matches!(wanted, Wanted::Key { .. }) && verifier.plan(&wanted).is_whole_set();
        let asked = if is_of_set { WHOLE_SET } else { wanted.clone() };
        let answer = ask(&verifier, client, &asked, WAIT_AT_MOST).await?;
        source.fetches.put(asked, answer);
        if source.fetches.get(&wanted) == Answer::NotYet {
            source.fetches.put(wanted.clone(), Answer::Unknown);
        }
        Ok(())
    };
    match tokio::time::timeout(WAIT_AT_MOST, work).await {
        Ok(outcome) => outcome,
        Err(_) => {
            log::warn!(
                "source {}: what its provider publishes could not be fetched within a second",
                source.name
            );
            Err(NotReached)
        }
    }
}

/// A key set that has just been fetched and does not have the key will not have it now either.
fn limited(source: &Source, wanted: &Wanted) -> Result<(), NotReached> {
    let known = source.fetches.known.read().unwrap_or_else(PoisonError::into_inner);
    let set = known.get(&WHOLE_SET).filter(|set| set.since.elapsed() < BETWEEN_REFRESHES);
    let has_set = set.is_some_and(|set| matches!(set.answer, Answer::Keys(_)));
    drop(known);
    if !has_set || !matches!(wanted, Wanted::Key { .. }) {
        return Err(NotReached);
    }
    source.fetches.put(wanted.clone(), Answer::Unknown);
    Ok(())
}

/// Refreshes in the background what was used and has become old.
pub fn refresh_what_is_old(source: &Arc<Source>, client: &Client) {
    if !source.fetches.is_due() {
        return;
    }
    let known = source.fetches.known.read().unwrap_or_else(PoisonError::into_inner);
    let all: Vec<Wanted> = known.keys().cloned().collect();
    drop(known);
    for wanted in all.into_iter().filter(|wanted| source.fetches.take_refresh(wanted)) {
        let (source, client) = (Arc::clone(source), client.clone());
        rt::spawn(async move {
            match ask(&source.verifier(), &client, &wanted, REFRESH_WITHIN).await {
                Ok(answer) => source.fetches.put(wanted, answer),
                Err(NotReached) => source.fetches.give_up_refresh(&wanted),
            }
        });
    }
}

async fn ask(
    verifier: &Verifier,
    client: &Client,
    wanted: &Wanted,
    within: Duration,
) -> Result<Answer, NotReached> {
    let plan = verifier.plan(wanted);
    let login = match plan.login() {
        Some(login) => {
            let response = send(client, login, within).await?;
            Some(plan.logged_in(&response.body).filter(|_| response.status < 300).ok_or(NotReached)?)
        }
        None => None,
    };
    let call = plan.call(login.as_deref()).ok_or(NotReached)?;
    let response = send(client, call, within).await?;
    plan.read(response.status, &response.body).ok_or_else(|| {
        log::warn!(
            "what a provider publishes could not be read: it answered with status {}",
            response.status
        );
        NotReached
    })
}

async fn send(client: &Client, call: Call, within: Duration) -> Result<Response, NotReached> {
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
pub async fn visit(client: &Client, url: String) -> Result<(), NotReached> {
    let call = Call { method: "GET".to_owned(), url, headers: Vec::new(), body: Vec::new() };
    let response = send(client, call, WAIT_AT_MOST).await?;
    if (200..=299).contains(&response.status) {
        return Ok(());
    }
    log::warn!("the URL that a handshake names was answered with status {}", response.status);
    Err(NotReached)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> Wanted {
        Wanted::Key { id: Some(id.to_owned()) }
    }

    #[test]
    fn what_was_put_is_known_and_what_was_not_is_not() {
        let fetches = Fetches::default();
        assert_eq!(fetches.get(&key("a")), Answer::NotYet);
        fetches.put(key("a"), Answer::Unknown);
        assert_eq!(fetches.get(&key("a")), Answer::Unknown);
        assert!(!fetches.is_due() && !fetches.take_refresh(&key("a")));
    }

    #[test]
    fn a_set_that_was_fetched_for_one_key_has_the_others_too() {
        let fetches = Fetches::default();
        let jwk = |kid: &str| format!(r#"{{"kty":"OKP","kid":"{kid}"}}"#);
        fetches.put(key("c"), Answer::Unknown);
        fetches.put(WHOLE_SET, Answer::Keys(vec![jwk("a"), jwk("b"), jwk("c")]));
        for kid in ["a", "b", "c"] {
            assert_eq!(fetches.get(&key(kid)), Answer::Keys(vec![jwk(kid)]), "{kid}");
        }
        assert_eq!(fetches.get(&key("d")), Answer::NotYet);
    }

    #[test]
    fn strangers_cannot_make_it_remember_without_bound() {
        let fetches = Fetches::default();
        for number in 0..2 * MAX_ENTRIES {
            fetches.put(key(&number.to_string()), Answer::Unknown);
        }
        assert_eq!(fetches.known.read().unwrap().len(), MAX_ENTRIES);
        assert_eq!(fetches.get(&key(&(2 * MAX_ENTRIES - 1).to_string())), Answer::Unknown);
    }
}
