//! Many large bodies at the same time: memory is bounded, and the excess is rejected.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Barrier;
use std::time::Duration;

use super::form;
use crate::harness::target::Target;
use crate::harness::{Connection, Request, TestApp, eventually, sign};

const MEBIBYTE: usize = 1 << 20;

/// Posts from many clients, which all withhold their last byte until each has sent the rest.
fn post_concurrently(app: &TestApp, clients: usize) -> BTreeMap<u16, usize> {
    let body = format!("\"{}\"", "x".repeat(MEBIBYTE - 2));
    let barrier = Barrier::new(clients);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients)
            .map(|number| {
                let bytes = sign::github(&format!("large-{clients}-{number}"), body.as_str()).bytes();
                let barrier = &barrier;
                scope.spawn(move || {
                    let client = Ipv4Addr::new(127, 0, 4, u8::try_from(number % 16 + 1).unwrap());
                    let mut connection = Connection::open_from(client, app.address);
                    let (most, last) = bytes.split_at(bytes.len() - 1);
                    let written = connection.write(most);
                    barrier.wait();
                    let _ = written.and_then(|()| connection.write(last));
                    connection.read_within(Duration::from_secs(60)).map_or(0, |reply| reply.status)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    statuses.into_iter().fold(BTreeMap::new(), |mut counts, status| {
        *counts.entry(status).or_default() += 1;
        counts
    })
}

#[test]
fn two_hundred_concurrent_megabyte_bodies_use_bounded_memory() {
    let app = TestApp::github().set("CREEL_BODY_BUDGET", "16MiB").set("CREEL_MAX_BODY", "4MiB").start();
    assert_eq!(app.send(&sign::github("before", "{}")).status, 200);
    let before = app.peak_memory_bytes();
    for clients in form(vec![200], vec![200, 2_000]) {
        let counts = post_concurrently(&app, clients);
        let sql = format!("SELECT count(*) FROM messages WHERE delivery_id LIKE 'large-{clients}-%'");
        let kept: i64 = app.database().value(&sql);
        let acknowledged = counts.get(&200).copied().unwrap_or(0);
        // Each client waits for the last one to send most of its body, and the service drops bodies
        // that stall too long.
        let rejected = [408, 503].iter().filter_map(|status| counts.get(status)).sum::<usize>();
        assert!(acknowledged >= 1 && rejected >= clients / 2, "{counts:?}");
        // A connection that closes in the middle of a rejected body is not acknowledged.
        assert!(counts.keys().all(|status| matches!(status, 0 | 200 | 408 | 503)), "{counts:?}");
        assert!(i64::try_from(acknowledged).unwrap() <= kept, "{acknowledged} acknowledged, {kept} kept");
        let growth = app.peak_memory_bytes().saturating_sub(before);
        // The budget with its copies in SQLite, and a read buffer for each connection.
        let bound = (80 << 20) + clients as u64 * (64 << 10);
        assert!(growth <= bound, "{counts:?}: memory grew by {} MiB", growth >> 20);
    }
    assert_eq!(app.send(&sign::github("after", "{}")).status, 200);
}

/// Sends the same request from `clients` clients at the same time.
fn send_concurrently(app: &TestApp, request: &Request, clients: u8) -> Vec<u16> {
    let bytes = request.bytes();
    std::thread::scope(|scope| {
        let send = |number: u8| {
            let mut connection = Connection::open_from(Ipv4Addr::new(127, 0, 5, number), app.address);
            // The service may reject the request before it is complete.
            let _ = connection.write(&bytes);
            connection.read_within(Duration::from_secs(60)).map_or(0, |reply| reply.status)
        };
        let threads: Vec<_> = (1..=clients).map(|number| scope.spawn(move || send(number))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn largest_bodies_in_parallel_stay_within_the_budget() {
    let body = format!("\"{}\"", "x".repeat(25_000_000 - 2));
    for is_chunked in [false, true] {
        let app = TestApp::github().start();
        assert_eq!(app.send(&sign::github("before", "{}")).status, 200);
        let before = app.peak_memory_bytes();
        let request = sign::github("largest", body.as_str());
        let request = if is_chunked { request.chunked(64 << 10) } else { request };
        let statuses = send_concurrently(&app, &request, 12);
        assert!(statuses.iter().all(|status| matches!(status, 0 | 200 | 503)), "{statuses:?}");
        // On a busy machine the response timeout can expire before a message is stored.
        eventually("one is stored", Duration::from_secs(60), || {
            send_concurrently(&app, &request, 1) == [200]
        });
        let growth = app.peak_memory_bytes().saturating_sub(before);
        // The budget, plus read buffers, SQLite's page cache, and threads.
        let bound = (64 + 8) << 20;
        assert!(growth <= bound, "{statuses:?}: memory grew by {} MiB", growth >> 20);
    }
}

/// Quarantine candidates can wait for space, which delays the following requests on their
/// connection.
#[test]
fn pipelined_requests_after_rejections_use_bounded_memory() {
    let app = TestApp::github().start();
    let rejected = sign::github("forged", "x".repeat(300))
        .header("X-Hub-Signature-256", "sha256=".to_owned() + &"0".repeat(64));
    let sent = [rejected.bytes(), Request::get("/nope").bytes().repeat(1_000)].concat();
    let before = app.peak_memory_bytes();
    let connections: Vec<_> = (0..200)
        .map(|number| {
            let mut connection = Connection::open_from(Ipv4Addr::new(127, 0, 6, number + 1), app.address);
            connection.write(&sent).unwrap();
            connection
        })
        .collect();
    for mut connection in connections {
        assert_eq!(connection.read().status, 403);
    }
    let growth = app.peak_memory_bytes().saturating_sub(before);
    assert!(growth <= 48 << 20, "memory grew by {} MiB", growth >> 20);
}

#[test]
fn bodies_rewritten_for_verification_use_bounded_memory() {
    let app = TestApp::builder()
        .set("CREEL_PUBLIC_URL", "https://hooks.example.com")
        .set("CREEL_SOURCE_NOWPAYMENTS_SECRET", sign::SECRET)
        .set("CREEL_SOURCE_MANDRILL_SECRET", sign::SECRET)
        .start();
    let before = app.peak_memory_bytes();
    let members: String = (0..190_000).map(|number| format!("\"{number:x}\":0,")).collect();
    let json = Request::post("/webhooks/nowpayments")
        .header("Content-Type", "application/json")
        .header("x-nowpayments-sig", "a".repeat(128))
        .body(format!("{{\"z\":0,{members}\"y\":0}}"));
    let form = Request::post("/webhooks/mandrill")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .header("X-Mandrill-Signature", sign::base64(&[0; 20]))
        .body(format!("mandrill_events={}", "x".repeat(6 << 20)));
    for forged in [json, form] {
        let statuses = send_concurrently(&app, &forged, 8);
        // On a busy machine the response timeout can expire before verification, which still uses
        // the memory.
        assert!(statuses.iter().all(|status| matches!(status, 403 | 503)), "{statuses:?}");
        let growth = app.peak_memory_bytes().saturating_sub(before);
        // All bodies, and the memory to verify two of them.
        let bound = 8 * forged.content().len() as u64 + (160 << 20);
        assert!(growth <= bound, "memory grew by {} MiB, not {}", growth >> 20, bound >> 20);
    }
}

#[test]
fn large_payloads_become_forms_one_at_a_time() {
    let target = Target::start();
    let app = TestApp::github()
        .set("CREEL_TARGET_FORMS_URL", target.url("/forms"))
        .set("CREEL_TARGET_FORMS_CONTENT_TYPE", "form")
        .start();
    assert_eq!(app.send(&sign::github("before", "{}")).status, 200);
    let before = app.peak_memory_bytes();
    let members: String = (0..500_000).map(|number| format!("\"{number:x}\":1,")).collect();
    let body = format!("{{{members}\"y\":0}}");
    for number in 0..6 {
        assert_eq!(app.send(&sign::github(&format!("many-{number}"), body.as_str())).status, 200);
    }
    let received = target.wait_for(7);
    assert!(received[1..].iter().all(|request| request.text().starts_with("payload=%7B%220%22%3A1%2C%22")));
    let growth = app.peak_memory_bytes().saturating_sub(before);
    // The loaded messages twice, and one form with its send buffers.
    let bound = 12 * body.len() as u64 + (64 << 20);
    assert!(growth <= bound, "memory grew by {} MiB, not {}", growth >> 20, bound >> 20);
}
