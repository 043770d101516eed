//! kill -9 while messages are indexed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{search_on, wait_until_indexed};
use crate::harness::load::{Load, assert_nothing_lost};
use crate::harness::{TestApp, allow};

const KILLS: u64 = 10;

/// Every second process is killed early, while it indexes the messages of the one before, which
/// receives messages until it is killed.
#[test]
fn kill_9_while_indexing_loses_and_repeats_no_message() {
    let mut builder = TestApp::github();
    let mut sent = Vec::new();
    for cycle in 0..KILLS {
        let app = builder.start();
        if cycle % 2 == 0 {
            let load = Load::start(app.address, 4);
            load.wait_for_more(200, allow(Duration::from_secs(30)));
            // Different phases of the index's commits, which are at most a second apart.
            std::thread::sleep(Duration::from_millis(170 * cycle % 1_000));
            builder = app.kill();
            sent.extend(load.finish());
        } else {
            std::thread::sleep(Duration::from_millis(13 * cycle));
            builder = app.kill();
        }
    }
    let app = builder.start();
    let status = wait_until_indexed(&app);
    let database = app.database();
    assert_nothing_lost(&database, &sent);
    assert_eq!(status["messages"], database.count("messages"), "{status}");
    let stored: BTreeMap<String, i64> = database
        .messages()
        .into_iter()
        .filter_map(|message| Some((message.delivery_id?, message.id)))
        .collect();
    let mut connection = app.connect();
    for (id, message) in &stored {
        assert_eq!(search_on(&mut connection, id), [*message], "{id}");
    }
    // `search_on` fails if a message is repeated.
    assert_eq!(search_on(&mut connection, "marker padding").len(), stored.len());
    app.stop().database().assert_sound();
}
