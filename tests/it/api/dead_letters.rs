//! Dead letters: counted, replayed to their own target, and settled by the replay.

use std::time::Duration;

use serde_json::{Value, json};

use super::{answered, builder, get, post, push};
use crate::harness::target::Target;
use crate::harness::{TestApp, eventually};

const SOON: Duration = Duration::from_secs(30);

/// A service with two targets that receive every event.
fn with_two_targets() -> (TestApp, Target, Target) {
    let (failing, well) = (Target::start(), Target::start());
    let app = builder()
        .set("CREEL_TARGET_FAILING_URL", failing.url("/"))
        .set("CREEL_TARGET_WELL_URL", well.url("/"))
        .start();
    (app, failing, well)
}

fn count(app: &TestApp, state: &str) -> i64 {
    app.database().value(&format!("SELECT count(*) FROM deliveries WHERE state = '{state}'"))
}

/// Kills the deliveries to `failing`, like twelve failed attempts.
fn kill_pending(app: &TestApp) {
    let sql = "UPDATE deliveries SET state = 'dead', finished_at = created_at, outcome = '500' WHERE state = 'pending'";
    assert!(app.database().change(sql) > 0);
}

fn replay(app: &TestApp, body: &Value, confirm: u64) -> Value {
    let counted = answered(app, &post("/replays", body), 200);
    assert_eq!(counted["count"], confirm, "{counted}");
    let mut confirmed = body.clone();
    confirmed["confirm"] = json!(confirm);
    answered(app, &post("/replays", &confirmed), 201);
    counted
}

#[test]
fn dead_letters_are_replayed_only_to_their_target() {
    let (app, failing, well) = with_two_targets();
    failing.answers(500);
    for id in ["1", "2", "3"] {
        push(&app, id, &format!("[{id}]"));
    }
    failing.wait_for(3);
    eventually("the others are delivered", SOON, || count(&app, "delivered") == 3);
    eventually("the failures are stored", SOON, || {
        app.database().value::<i64>("SELECT count(*) FROM attempts WHERE outcome = 'failed'") >= 3
    });
    kill_pending(&app);
    let dead = json!({"filter": {"dead": true}});
    // The messages were delivered to `well`, which must not receive them again.
    let none = answered(&app, &post("/replays", &json!({"filter": {"dead": true}, "target": "well"})), 200);
    assert_eq!(none["count"], 0);
    failing.answers(200);
    let counted = replay(&app, &dead, 3);
    assert_eq!(counted["dead_letters"][0]["target"], "failing");
    assert_eq!(
        (&counted["dead_letters"][0]["deliveries"], counted["dead_letters"].as_array().unwrap().len()),
        (&json!(3), 1)
    );
    eventually("they are delivered", SOON, || count(&app, "delivered") == 6);
    assert_eq!((count(&app, "dead"), count(&app, "replayed"), well.received().len()), (0, 3, 3));
    assert_eq!(answered(&app, &get("/dead-letters"), 200)["items"], json!([]));
    assert_eq!(answered(&app, &get("/messages?dead=true"), 200)["items"], json!([]));
    assert_eq!(answered(&app, &post("/replays", &dead), 200)["count"], 0, "a second replay is empty");
    let first = answered(&app, &get("/deliveries?state=replayed"), 200)["items"][0].clone();
    assert!(first["replayed_by"].as_i64() > first["id"].as_i64(), "{first}");
    assert!(app.metrics().contains("creel_dead_letters 0"), "{}", app.metrics());
}

#[test]
fn dead_letters_of_removed_target_are_replayed_by_url() {
    let app = builder().start();
    let target = Target::start();
    let made = json!({"name": "gone", "events": ["*"], "url": target.url("/")});
    let id = answered(&app, &post("/targets", &made), 201)["id"].as_i64().unwrap();
    answered(&app, &post(&format!("/targets/{id}/pause"), &Value::Null).body(""), 200);
    push(&app, "1", "{}");
    kill_pending(&app);
    let paused = answered(&app, &post("/replays", &json!({"filter": {"dead": true}})), 200);
    assert_eq!((&paused["count"], &paused["dead_letters"][0]["target_state"]), (&json!(1), &json!("paused")));
    app.database().change("UPDATE targets SET state = 'removed'");
    let removed = answered(&app, &post("/replays", &json!({"filter": {"dead": true}})), 200);
    assert_eq!((&removed["count"], &removed["dead_letters"][0]["replayable"]), (&json!(0), &json!(false)));
    let elsewhere = Target::start();
    replay(&app, &json!({"filter": {"dead": true}, "url": elsewhere.url("/")}), 1);
    elsewhere.wait_for(1);
    assert!(target.received().is_empty());
}

#[test]
fn retry_of_dead_delivery_settles_it() {
    let (app, failing, _well) = with_two_targets();
    failing.answers(500);
    push(&app, "1", "{}");
    failing.wait_for(1);
    eventually("the failure is stored", SOON, || app.database().count("attempts") == 2);
    kill_pending(&app);
    let dead = answered(&app, &get("/dead-letters"), 200)["items"][0]["id"].as_i64().unwrap();
    failing.answers(200);
    let retry = || post(&format!("/deliveries/{dead}/retry"), &Value::Null).body("");
    answered(&app, &retry(), 201);
    eventually("it is delivered", SOON, || count(&app, "delivered") == 2);
    assert_eq!((count(&app, "dead"), count(&app, "replayed")), (0, 1));
    let app = app.kill().start();
    assert_eq!(answered(&app, &get("/dead-letters"), 200)["items"], json!([]));
}
