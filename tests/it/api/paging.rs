//! Paged lists that grow while a client reads them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::{answered, get, post, service};

#[test]
fn paging_skips_and_repeats_nothing_while_messages_arrive() {
    let app = service();
    let emit = |n: usize| post("/events", &json!({"event": "order.shipped", "payload": n}));
    for n in 0..120 {
        answered(&app, &emit(n), 202);
    }
    let is_done = AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut count = 0;
            while !is_done.load(Ordering::Relaxed) {
                answered(&app, &emit(1_000 + count), 202);
                count += 1;
            }
            count
        });
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let from = cursor.map(|cursor: i64| format!("&cursor={cursor}")).unwrap_or_default();
            let page = answered(&app, &get(&format!("/messages?limit=7{from}")), 200);
            seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].as_i64().unwrap()));
            cursor = page["next_cursor"].as_i64();
            if cursor.is_none() {
                break;
            }
        }
        is_done.store(true, Ordering::Relaxed);
        assert!(writer.join().unwrap() > 0, "no message arrived meanwhile, so nothing was tested");
        seen
    });
    let different: BTreeSet<i64> = seen.iter().copied().collect();
    assert_eq!(different.len(), seen.len(), "an id was repeated");
    assert!((1..=120).all(|id| different.contains(&id)), "an id was lost: {seen:?}");
    assert!(seen.is_sorted_by(|a, b| a > b), "not the newest first: {seen:?}");
}

#[test]
fn extreme_cursors_are_before_first_and_after_last_page() {
    let app = service();
    answered(&app, &post("/events", &json!({"event": "order.shipped", "payload": 1})), 202);
    let count = |cursor: i64| {
        let page = answered(&app, &get(&format!("/messages?cursor={cursor}")), 200);
        page["items"].as_array().unwrap().len()
    };
    assert_eq!((count(i64::MAX), count(2), count(1)), (1, 1, 0));
}
