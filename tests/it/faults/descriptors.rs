//! A low limit on file descriptors.

use std::time::Duration;

use crate::harness::{Connection, TestApp, eventually, sign};

const LIMITED: [&str; 3] = ["sh", "-c", "ulimit -n 128; exec \"$0\" \"$@\""];

fn serves(app: &TestApp, id: &str, limit: Duration) -> bool {
    let reply = Connection::try_open(app.address).and_then(|mut connection| {
        connection.write(&sign::github(id, "{}").bytes())?;
        connection.read_within(limit)
    });
    reply.is_ok_and(|reply| reply.status == 200)
}

#[test]
fn service_survives_few_descriptors_and_many_idle_connections() {
    let mut app = TestApp::github().wrapped(&LIMITED).start();
    assert_eq!(app.send(&sign::github("before", "{}")).status, 200);
    let mut idle: Vec<Connection> = (0..200).filter_map(|_| Connection::try_open(app.address).ok()).collect();
    assert!(idle.len() >= 128, "{} connections do not use up the descriptors", idle.len());
    // The first connections were accepted, so the service writes for them while descriptors are
    // scarce. It may close idle ones.
    let mut served = Vec::new();
    for (number, connection) in idle.iter_mut().take(20).enumerate() {
        let id = format!("idle-{number}");
        let request = sign::github(&id, "{}");
        let reply =
            connection.write(&request.bytes()).and_then(|()| connection.read_within(Duration::from_secs(5)));
        if let Ok(reply) = reply {
            assert_eq!(reply.status, 200);
            served.push(id);
        }
    }
    assert!(!served.is_empty(), "no idle connection is served");
    serves(&app, "squeezed", Duration::from_millis(500));
    assert!(app.process.has_ended().is_none(), "{}", app.log());
    drop(idle);
    eventually("it serves again", Duration::from_secs(10), || serves(&app, "after", Duration::from_secs(1)));
    let kept = app.database().delivery_ids();
    let expected = served.into_iter().chain(["before".to_owned(), "after".to_owned()]);
    let missing: Vec<String> = expected.filter(|id| !kept.contains_key(id)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let lines = app.log().lines().count();
    assert!(lines < 1_000, "the log is flooded: {lines} lines");
    app.stop().database().assert_sound();
}
