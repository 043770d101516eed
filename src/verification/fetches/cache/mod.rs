//! Fetched keys and documents of one source, with their lifetimes. Limited in number and bytes:
//! entries that unauthenticated requests can cause are evicted first, and nothing evicts the set of
//! all keys.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::providers::{KeyRequest, KeyResponse, key_of_set};

/// All keys of a provider that publishes them together.
pub const WHOLE_SET: KeyRequest = KeyRequest::Key { id: None };

/// Age after which an entry that has verified a message is refreshed in the background.
const MAX_FRESH_AGE: Duration = Duration::from_secs(60 * 60);
/// Age after which an entry is no longer trusted.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// Lifetime of a "not found" answer: the provider may publish the key later, or have failed
/// temporarily.
const MAX_UNKNOWN_AGE: Duration = Duration::from_secs(60);
/// Minimum age of a key set before it is fetched again: unauthenticated clients can request any
/// number of unknown keys.
const MIN_AGE: Duration = Duration::from_secs(60);
/// Pause after a failed call.
const FAILURE_PAUSE: Duration = Duration::from_secs(10);

const MAX_ENTRIES: usize = 256;
const MAX_BYTES: usize = 2 << 20;

#[derive(Debug, Default)]
pub struct Cache {
    set: Option<CachedAnswer>,
    /// Earliest time of the next request for the set; `None` unless the last call failed.
    next_set: Option<Instant>,
    entries: HashMap<KeyRequest, CachedAnswer>,
    bytes: usize,
    /// Whether the cache holds the provider's complete list.
    is_complete: bool,
}

#[derive(Debug)]
struct CachedAnswer {
    answer: KeyResponse,
    /// Time of the provider's answer.
    since: Instant,
    /// Earliest time of the next refresh.
    next_try: Instant,
    /// Whether the entry has verified a message.
    has_verified: bool,
}

impl CachedAnswer {
    fn is_valid(&self, now: Instant) -> bool {
        let max_age = if self.answer == KeyResponse::Unknown { MAX_UNKNOWN_AGE } else { MAX_AGE };
        self.age(now) < max_age
    }

    fn is_due(&self, now: Instant) -> bool {
        self.age(now) >= MAX_FRESH_AGE && now >= self.next_try
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    /// Eviction order, lowest first: entries that verified no message before the others; within
    /// both groups, "not found" answers before the others, then the oldest first.
    fn eviction_rank(&self) -> (bool, bool, Instant) {
        (self.has_verified, self.answer != KeyResponse::Unknown, self.since)
    }
}

impl Cache {
    /// Returns the cached answer.
    pub fn get(&self, wanted: &KeyRequest, now: Instant) -> KeyResponse {
        let set = self.valid_set(now);
        if let Some(CachedAnswer { answer: KeyResponse::Keys(keys), .. }) = set
            && let KeyRequest::Key { id } = wanted
        {
            // A set that was fetched for one of its keys also contains the others.
            let found =
                id.as_ref().map_or_else(|| Some(KeyResponse::Keys(keys.clone())), |id| key_of_set(keys, id));
            if let Some(keys) = found {
                return keys;
            }
        }
        if let Some(entry) = self.entries.get(wanted).filter(|entry| entry.is_valid(now)) {
            return entry.answer.clone();
        }
        let is_all =
            matches!(wanted, KeyRequest::Key { .. }) && set.is_some_and(|set| set.age(now) < MIN_AGE);
        if is_all || self.is_complete { KeyResponse::Unknown } else { KeyResponse::NotYet }
    }

    /// Whether the provider may have keys that are not cached yet. Only for `WHOLE_SET`: a
    /// signature that names no key may be made with a new one.
    pub fn may_be_outdated(&self, wanted: &KeyRequest, now: Instant) -> bool {
        *wanted == WHOLE_SET
            && !self.is_complete
            && self.valid_set(now).is_some_and(|set| set.age(now) >= MIN_AGE)
    }

    /// Whether the request may be sent now: the set is not requested during `FAILURE_PAUSE` after a
    /// failed call.
    pub fn may_fetch(&self, request: &KeyRequest, now: Instant) -> bool {
        *request != WHOLE_SET || self.next_set.is_none_or(|next| now >= next)
    }

    /// Stores the provider's answer.
    pub fn put(&mut self, request: KeyRequest, answer: KeyResponse, now: Instant) {
        let mut entry = CachedAnswer { answer, since: now, next_try: now, has_verified: false };
        if request == WHOLE_SET {
            self.set = Some(entry);
            self.next_set = None;
            return;
        }
        if let Some(known) = self.entries.get_mut(&request).filter(|known| known.is_valid(now)) {
            // A cached key stays until it expires, even if the provider returns "not found": a
            // provider's error must not reject messages that it signed.
            if entry.answer == KeyResponse::Unknown && known.answer != KeyResponse::Unknown {
                known.next_try = now + FAILURE_PAUSE;
                return;
            }
            entry.has_verified = known.has_verified;
        }
        self.remove(&request);
        self.make_room(size(&request, &entry.answer), now);
        self.bytes += size(&request, &entry.answer);
        self.entries.insert(request, entry);
    }

    /// Records a call without a usable answer.
    pub fn failed(&mut self, request: &KeyRequest, now: Instant) {
        if *request == WHOLE_SET {
            self.next_set = Some(now + FAILURE_PAUSE);
        } else if let Some(entry) = self.entries.get_mut(request) {
            entry.next_try = now + FAILURE_PAUSE;
        }
    }

    /// Records which entries verified a message, and returns those that need a refresh.
    pub fn record_verified(&mut self, used: &[KeyRequest], now: Instant) -> Vec<KeyRequest> {
        let next_set = self.next_set;
        let mut due: Vec<KeyRequest> = Vec::new();
        for wanted in used {
            let (request, entry) = match self.entries.get_mut(wanted) {
                Some(entry) => (wanted.clone(), entry),
                None => match (wanted, &mut self.set) {
                    (KeyRequest::Key { .. }, Some(set)) => (WHOLE_SET, set),
                    _ => continue,
                },
            };
            entry.has_verified = true;
            let may_fetch = request != WHOLE_SET || next_set.is_none_or(|next| now >= next);
            if entry.is_due(now) && may_fetch && !self.is_complete && !due.contains(&request) {
                due.push(request);
            }
        }
        due
    }

    /// Stores the provider's complete list.
    pub fn complete(&mut self, all: Vec<(KeyRequest, KeyResponse)>, now: Instant) {
        for (wanted, answer) in all {
            self.put(wanted, answer, now);
        }
        self.is_complete = true;
    }

    fn valid_set(&self, now: Instant) -> Option<&CachedAnswer> {
        self.set.as_ref().filter(|set| set.is_valid(now))
    }

    fn make_room(&mut self, bytes: usize, now: Instant) {
        if self.has_room(bytes) {
            return;
        }
        let old: Vec<KeyRequest> =
            self.entries.iter().filter(|(_, entry)| !entry.is_valid(now)).map(key).collect();
        for wanted in old {
            self.remove(&wanted);
        }
        while !self.has_room(bytes) {
            let Some(least) = self.entries.iter().min_by_key(|(_, entry)| entry.eviction_rank()).map(key)
            else {
                return;
            };
            self.remove(&least);
        }
    }

    fn has_room(&self, bytes: usize) -> bool {
        self.entries.len() < MAX_ENTRIES && self.bytes + bytes <= MAX_BYTES
    }

    fn remove(&mut self, wanted: &KeyRequest) {
        if let Some(entry) = self.entries.remove(wanted) {
            self.bytes -= size(wanted, &entry.answer);
        }
    }
}

fn key((wanted, _): (&KeyRequest, &CachedAnswer)) -> KeyRequest {
    wanted.clone()
}

fn size(wanted: &KeyRequest, answer: &KeyResponse) -> usize {
    let request_bytes = match wanted {
        KeyRequest::Key { id } => id.as_ref().map_or(0, String::len),
        KeyRequest::Document(url) | KeyRequest::Issuer(url) => url.len(),
    };
    let answer_bytes = match answer {
        KeyResponse::Keys(keys) => keys.iter().map(String::len).sum(),
        KeyResponse::Document(text) => text.len(),
        KeyResponse::Unknown | KeyResponse::NotYet => 0,
    };
    request_bytes + answer_bytes
}

#[cfg(test)]
mod tests;
