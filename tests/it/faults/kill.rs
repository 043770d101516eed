//! kill -9 at random moments under load.

use std::time::Duration;

use rustix::process::Signal;

use super::cycles;
use crate::harness::load::{Load, assert_nothing_lost};
use crate::harness::trace::injected;
use crate::harness::{TestApp, needs, sign};

const LIMIT: Duration = Duration::from_secs(30);

/// A random number, which a failed test prints.
fn random(limit: u32) -> u32 {
    let nanoseconds =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
    (nanoseconds / 1000) % limit
}

#[test]
fn kill_9_loses_no_acknowledged_message() {
    let mut sent = Vec::new();
    let mut builder = TestApp::github();
    for cycle in 0..cycles(8, 200) {
        let app = builder.start();
        let load = Load::start(app.address, 4);
        load.wait_for_more(10, Duration::from_secs(30));
        let pause = Duration::from_millis(u64::from(random(150)));
        println!("cycle {cycle}: killed {pause:?} after the tenth acknowledgement");
        std::thread::sleep(pause);
        builder = app.kill();
        sent.extend(load.finish());
        builder.database().assert_sound();
        assert_nothing_lost(&builder.database(), &sent);
    }
    // An unanswered message may or may not be stored; after a redelivery it is stored once.
    let app = builder.start();
    let unanswered: Vec<_> = sent.iter().filter(|sent| sent.status.is_none()).cloned().collect();
    for lost in &unanswered {
        let body = format!(r#"{{"marker":"{}","padding":"{}"}}"#, lost.id, "p".repeat(64));
        assert_eq!(app.send(&sign::github(&lost.id, body)).status, 200);
    }
    let builder = app.stop();
    assert_nothing_lost(&builder.database(), &sent);
    let kept = builder.database().delivery_ids();
    assert!(unanswered.iter().all(|lost| kept.get(&lost.id) == Some(&1)));
    builder.run(&["verify"]).succeeded();
}

#[test]
fn killed_service_always_starts_again() {
    let mut builder = TestApp::github();
    let mut sent = Vec::new();
    for cycle in 0..cycles(6, 200) {
        let app = builder.start();
        // Large bodies cause checkpoints and new WALs during the run.
        let load = Load::with_padding(app.address, 4, 60_000);
        load.wait_for_more(20 + random(300) as usize, Duration::from_secs(60));
        let pause = Duration::from_micros(u64::from(random(20_000)));
        println!("cycle {cycle}: killed after {pause:?}");
        std::thread::sleep(pause);
        builder = app.kill();
        sent.extend(load.finish());
        if cycle % 3 == 2 {
            // Reads the file like an operator with the sqlite3 shell.
            builder.database().writer().execute_batch("SELECT count(*) FROM messages").unwrap();
        }
    }
    let builder = builder.start().stop();
    assert_nothing_lost(&builder.database(), &sent);
    assert_eq!(builder.database().count("instances"), 1, "no start found anything wrong");
}

#[test]
fn killed_first_start_always_starts_again() {
    if !needs("strace") {
        return;
    }
    // Each sync ends a step: the journal of a new file, its schema, the key, the first commit, the
    // first checkpoint.
    let mut killed = 0;
    for sync in 1..=16 {
        let builder = TestApp::github();
        let mut process =
            injected(builder.clone(), &format!("inject=fdatasync:signal=KILL:when={sync}")).spawn();
        let is_up = process.log.wait_for("listening on http://", LIMIT).is_ok();
        if is_up {
            process.signal(Signal::KILL);
        } else {
            killed += 1;
        }
        process.wait(LIMIT);
        builder.start().stop().database().assert_sound();
    }
    assert!(killed > 5, "{killed}");
}
