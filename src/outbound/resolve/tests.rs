//! Tests of lookups with the system resolver and with a scripted one.

use std::net::Ipv4Addr;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::outbound::loopback::{TIMEOUT, run};

#[test]
fn system_resolves_localhost_and_rejects_invalid_names() {
    let addresses = run(Resolver::system().addresses("localhost")).unwrap();
    assert!(
        addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 0),
        "{addresses:?}"
    );
    let error = run(Resolver::system().addresses(&"a.".repeat(200))).unwrap_err();
    assert!(!error.to_string().contains("a.a."), "{error}");
}

#[test]
fn name_without_an_address_is_an_error() {
    let nowhere = Resolver::new(|_| Ok(Vec::new()));
    assert_eq!(run(nowhere.addresses("name")), Err(LookupError::new("the name has no address")));
    let failing = Resolver::new(|_| Err(io::Error::other("the name server is on fire")));
    assert_eq!(run(failing.addresses("name")), Err(LookupError::new("the name server is on fire")));
}

/// Returns a resolver that sends each requested name to the first channel, and answers one lookup
/// for each item in the second, or all of them when its sender is dropped.
fn scripted() -> (Resolver, Receiver<String>, Sender<()>) {
    let (queries, names) = channel();
    let (go, gone) = channel::<()>();
    let (queries, gone) = (Mutex::new(queries), Mutex::new(gone));
    let resolver = Resolver::new(move |name| {
        queries.lock().send(name.to_owned()).unwrap();
        // An error means that the sender was dropped: answer immediately.
        let _ = gone.lock().recv();
        Ok(vec![(Ipv4Addr::LOCALHOST, 0).into()])
    });
    (resolver, names, go)
}

fn next(names: &Receiver<String>) -> String {
    names.recv_timeout(TIMEOUT).unwrap()
}

#[test]
fn concurrent_lookups_of_a_name_are_shared_and_not_cached() {
    let (resolver, names, go) = scripted();
    for _ in 0..2 {
        let waiting: Vec<_> = (0..10).map(|_| resolver.enqueue("name")).collect();
        assert_eq!(next(&names), "name");
        go.send(()).unwrap();
        for answer in waiting {
            assert_eq!(run(answer).unwrap().unwrap().len(), 1);
        }
        assert!(names.try_recv().is_err(), "ten requests, one lookup");
    }
}

#[test]
fn unresolvable_name_uses_one_thread_and_blocks_no_other() {
    let (dead, alive) = (channel::<()>(), channel::<()>());
    let (never, hold) = (dead.0, Mutex::new(dead.1));
    let (started, is_dead) = (Mutex::new(alive.0), alive.1);
    let resolver = Resolver::new(move |name| {
        if name == "dead" {
            started.lock().send(()).unwrap();
            let _ = hold.lock().recv();
        }
        Ok(vec![(Ipv4Addr::LOCALHOST, 0).into()])
    });
    let waiting: Vec<_> = (0..1_000).map(|_| resolver.enqueue("dead")).collect();
    is_dead.recv_timeout(TIMEOUT).unwrap();
    for _ in 0..100 {
        assert!(run(resolver.addresses("alive")).is_ok());
    }
    assert!(is_dead.try_recv().is_err(), "a thousand requests, one lookup");
    drop(never);
    waiting.into_iter().for_each(|answer| assert!(run(answer).unwrap().is_ok()));
}

#[test]
fn threads_are_limited_and_cancelled_lookups_skipped() {
    let (resolver, names, go) = scripted();
    let waiting: Vec<_> = (0..MAX_THREADS).map(|number| resolver.enqueue(&format!("dead{number}"))).collect();
    for _ in 0..MAX_THREADS {
        next(&names);
    }
    drop(resolver.enqueue("impatient"));
    let patient = resolver.enqueue("patient");
    assert_eq!(resolver.shared.state.lock().threads, MAX_THREADS);
    assert!(names.try_recv().is_err(), "no thread is left");

    go.send(()).unwrap();
    assert_eq!(next(&names), "patient");
    drop(go);
    assert!(run(patient).unwrap().is_ok());
    waiting.into_iter().for_each(|answer| assert!(run(answer).unwrap().is_ok()));
    assert!(resolver.shared.state.lock().waiting.is_empty());
}
