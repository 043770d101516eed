//! The oldest of many delivery ids: most ids are merged into the table, and only the newest are in
//! memory.

use std::net::SocketAddr;

use super::form;
use crate::harness::wire::Connection;
use crate::harness::{TestApp, sign};

const CLIENTS: usize = 8;
/// Number of ids above the number that memory holds before a merge.
const SHORT: usize = 36_000;
const LONG: usize = 2_000_000;

fn id(number: usize) -> String {
    format!("many-{number}")
}

fn send_many(address: SocketAddr, count: usize) {
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || {
                let mut connection = Connection::open(address);
                for number in (client..count).step_by(CLIENTS) {
                    assert_eq!(connection.exchange(&sign::github(&id(number), "{}")).status, 200);
                }
            });
        }
    });
}

fn send_immediately(address: SocketAddr, id: &str) {
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(move || {
                assert_eq!(Connection::open(address).exchange(&sign::github(id, "{}")).status, 200);
            });
        }
    });
}

#[track_caller]
fn assert_known(app: &TestApp, id: &str, times: i64) {
    let rows = format!("SELECT count(*) FROM messages WHERE delivery_id = '{id}'");
    assert_eq!(app.database().value::<i64>(&rows), 1, "{id}");
    let duplicates = format!("SELECT duplicates FROM messages WHERE delivery_id = '{id}'");
    assert_eq!(app.database().value::<i64>(&duplicates), times, "{id}");
}

#[test]
fn oldest_and_newest_ids_survive_restart_and_kill_9() {
    let count = form(SHORT, LONG);
    let app = TestApp::github().set("CREEL_LOG", "warn,creel::app=info").start();
    send_many(app.address, count);
    assert!(app.database().count("delivery_keys") > 0, "nothing was merged");
    let ids = [id(0), id(count / 2), id(count - 1)];
    let mut app = app;
    for round in 1..=3 {
        for id in &ids {
            send_immediately(app.address, id);
            assert_known(&app, id, round * CLIENTS as i64);
        }
        app = match round {
            1 => app.stop().start(),
            _ => app.kill().start(),
        };
    }
    let fresh = "seen-for-the-first-time";
    send_immediately(app.address, fresh);
    assert_known(&app, fresh, CLIENTS as i64 - 1);
    assert_eq!(app.database().count("messages"), i64::try_from(count).unwrap() + 1);
}
