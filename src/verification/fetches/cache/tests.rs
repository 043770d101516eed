//! Lifetimes and eviction order of cached answers.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

fn key(id: &str) -> KeyRequest {
    KeyRequest::Key { id: Some(id.to_owned()) }
}

fn document(number: usize) -> KeyRequest {
    KeyRequest::Document(format!("https://api.paypal.com/{number}"))
}

fn jwk(kid: &str) -> String {
    format!(r#"{{"kty":"OKP","kid":"{kid}"}}"#)
}

fn keys(texts: &[&str]) -> KeyResponse {
    KeyResponse::Keys(texts.iter().map(|text| (*text).to_owned()).collect())
}

fn set(kids: &[&str]) -> KeyResponse {
    KeyResponse::Keys(kids.iter().map(|kid| jwk(kid)).collect())
}

#[test]
fn cache_get_after_put_returns_only_that_entry() {
    let (mut cache, now) = (Cache::default(), Instant::now());
    assert_eq!(cache.get(&key("a"), now), KeyResponse::NotYet);
    cache.put(key("a"), KeyResponse::Unknown, now);
    assert_eq!(cache.get(&key("a"), now), KeyResponse::Unknown);
    assert_eq!(cache.get(&key("a"), now + MAX_UNKNOWN_AGE), KeyResponse::NotYet);
    cache.put(key("a"), keys(&["k"]), now);
    assert_eq!(cache.get(&key("a"), now + MAX_AGE - MINUTE), keys(&["k"]));
    assert_eq!(cache.get(&key("a"), now + MAX_AGE), KeyResponse::NotYet);
}

#[test]
fn set_fetched_for_one_key_has_the_others() {
    let (mut cache, now) = (Cache::default(), Instant::now());
    cache.put(WHOLE_SET, set(&["a", "b", "c"]), now);
    for kid in ["a", "b", "c"] {
        assert_eq!(cache.get(&key(kid), now + HOUR), set(&[kid]), "{kid}");
    }
    assert_eq!(cache.get(&key("d"), now), KeyResponse::Unknown);
    assert_eq!(cache.get(&key("d"), now + MIN_AGE), KeyResponse::NotYet, "it may have been published since");
}

#[test]
fn unauthenticated_requests_cannot_evict_whole_key_set() {
    let (mut cache, now) = (Cache::default(), Instant::now());
    cache.put(WHOLE_SET, set(&["good"]), now);
    for number in 0..10 * MAX_ENTRIES {
        let unknown_key = key(&number.to_string());
        assert_eq!(cache.get(&unknown_key, now), KeyResponse::Unknown);
        cache.put(unknown_key, KeyResponse::Unknown, now);
    }
    assert_eq!(cache.get(&key("good"), now), set(&["good"]));
    assert_eq!(cache.entries.len(), MAX_ENTRIES);
}

#[test]
fn entry_that_verified_message_is_evicted_last() {
    let (mut cache, now) = (Cache::default(), Instant::now());
    cache.put(document(0), KeyResponse::Document(vec![0; 10]), now);
    assert_eq!(cache.record_verified(&[document(0)], now), []);
    cache.put(document(1), KeyResponse::Document(vec![0; 10]), now);
    for number in 2..2 * MAX_ENTRIES {
        cache.put(document(number), KeyResponse::Unknown, now + MINUTE / 2);
    }
    assert!(
        matches!(cache.get(&document(1), now), KeyResponse::Document(_)),
        "\"not found\" answers are evicted first"
    );
    for number in 0..64 {
        cache.put(key(&number.to_string()), KeyResponse::Document(vec![0; MAX_BYTES / 20]), now + MINUTE / 2);
        assert!(cache.bytes <= MAX_BYTES);
    }
    assert!(matches!(cache.get(&document(0), now), KeyResponse::Document(_)));
    assert_eq!(cache.get(&document(1), now), KeyResponse::NotYet);
    let held: usize = cache.entries.iter().map(|(wanted, entry)| size(wanted, &entry.answer)).sum();
    assert_eq!(cache.bytes, held);
}

#[test]
fn expired_entry_is_evicted_before_valid_ones() {
    let (mut cache, now) = (Cache::default(), Instant::now());
    cache.put(document(0), KeyResponse::Document(vec![0; 10]), now);
    let _ = cache.record_verified(&[document(0)], now);
    let later = now + MAX_AGE;
    for number in 1..=MAX_ENTRIES {
        cache.put(document(number), KeyResponse::Document(vec![0; 10]), later);
    }
    assert!((1..=MAX_ENTRIES).all(|number| cache.get(&document(number), later) != KeyResponse::NotYet));
    assert!(!cache.entries.contains_key(&document(0)));
}

#[test]
fn provider_error_removes_no_key() {
    let (mut cache, now) = (Cache::default(), Instant::now());
    cache.put(key("a"), keys(&["k"]), now);
    cache.put(key("a"), KeyResponse::Unknown, now + HOUR);
    assert_eq!(cache.get(&key("a"), now + HOUR), keys(&["k"]));
    assert_eq!(cache.get(&key("a"), now + MAX_AGE), KeyResponse::NotYet, "but it is not trusted for longer");
}

#[test]
fn only_verifying_entries_are_refreshed_hourly() {
    let (mut cache, now) = (Cache::default(), Instant::now());
    cache.put(WHOLE_SET, set(&["a"]), now);
    cache.put(document(1), KeyResponse::Document(vec![0]), now);
    cache.put(document(2), KeyResponse::Document(vec![0]), now);
    cache.put(document(3), KeyResponse::Unknown, now);
    assert_eq!(cache.record_verified(&[key("a"), document(1)], now + HOUR - MINUTE), []);
    let due = cache.record_verified(&[key("a"), key("a"), document(1)], now + HOUR);
    assert_eq!(due, [WHOLE_SET, document(1)]);
}

#[test]
fn failed_refresh_is_retried_until_key_expires() {
    let (mut cache, mut now) = (Cache::default(), Instant::now());
    let end = now + MAX_AGE;
    cache.put(WHOLE_SET, set(&["a"]), now);
    cache.put(document(1), KeyResponse::Document(vec![0]), now);
    now += HOUR;
    while now < end {
        let used = [key("a"), document(1)];
        assert_eq!(cache.record_verified(&used, now), [WHOLE_SET, document(1)]);
        cache.failed(&WHOLE_SET, now);
        cache.failed(&document(1), now);
        assert_eq!(cache.record_verified(&used, now + FAILURE_PAUSE / 2), [], "not for every message");
        assert!(!cache.may_fetch(&WHOLE_SET, now + FAILURE_PAUSE / 2));
        assert_ne!(cache.get(&key("a"), now), KeyResponse::NotYet);
        now += MINUTE;
    }
    assert_eq!(cache.get(&key("a"), end), KeyResponse::NotYet);
    assert_eq!(cache.get(&document(1), end), KeyResponse::NotYet);
}

#[test]
fn mismatched_key_without_id_allows_set_refetch() {
    let (mut cache, now) = (Cache::default(), Instant::now());
    assert!(!cache.may_be_outdated(&WHOLE_SET, now));
    cache.put(WHOLE_SET, set(&["a"]), now);
    assert!(!cache.may_be_outdated(&WHOLE_SET, now + MIN_AGE / 2));
    assert!(cache.may_be_outdated(&WHOLE_SET, now + MIN_AGE));
    assert!(!cache.may_be_outdated(&key("a"), now + MIN_AGE), "a named key cannot be a newer one");
    cache.complete(Vec::new(), now);
    assert!(!cache.may_be_outdated(&WHOLE_SET, now + MIN_AGE));
    assert_eq!(cache.get(&key("b"), now + HOUR), KeyResponse::Unknown);
}
