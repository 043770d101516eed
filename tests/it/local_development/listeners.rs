//! The listener interface: pending deliveries, their order, and the effect of a misbehaving client
//! on others.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use super::{
    QUIET_TIME, SOON, acknowledge, answered, as_admin, bodies, body, builder, get, listen, open, push,
    request, wait_until_connected,
};
use crate::harness::events::EventStream;
use crate::harness::{Request, TestApp, allow, sign};

#[test]
fn listener_receives_whole_message_in_one_event() {
    let app = builder().start();
    let mut stream = open(&app, "/listeners/laptop/stream");
    assert_eq!(stream.header("content-type"), Some("text/event-stream"));
    let greeting = stream.next();
    assert_eq!(greeting.data, json!({"name": "laptop", "is_new": true, "pending": 0}));
    let content = "{ \"ref\":\t\"refs/heads/main\" }\n";
    let id = push(&app, content);
    let event = stream.next();
    let delivered = &event.data;
    assert_eq!((event.kind.as_str(), event.id), ("message", delivered["delivery"].as_i64()));
    assert_eq!(body(delivered).0, content);
    assert_eq!(delivered["message"]["id"], id);
    assert_eq!(delivered["message"]["event"], "github.push");
    assert_eq!(delivered["message"]["method"], "POST");
    assert_eq!(delivered["message"]["headers"]["x-github-event"], "push");
    assert_eq!(delivered["message"]["body_sha256"], sign::hex(&sign::sha256(content.as_bytes())));
}

#[test]
fn unacknowledged_deliveries_are_resent_in_order() {
    let app = builder().start();
    let mut stream = listen(&app, "laptop");
    for body in ["1", "2", "3"] {
        push(&app, body);
    }
    let (_, deliveries) = bodies(&mut stream, 3);
    assert_eq!(acknowledge(&app, "laptop", &deliveries[..1]), json!({"acknowledged": 1}));
    drop(stream);
    for body in ["4", "5"] {
        push(&app, body);
    }
    let app = app.restart();
    push(&app, "6");
    let mut stream = listen(&app, "laptop");
    let (found, deliveries) = bodies(&mut stream, 5);
    assert_eq!(found, ["2", "3", "4", "5", "6"]);
    assert_eq!(acknowledge(&app, "laptop", &deliveries), json!({"acknowledged": 5}));
    assert_eq!(acknowledge(&app, "laptop", &deliveries), json!({"acknowledged": 0}));
    let app = app.kill().start();
    let mut stream = listen(&app, "laptop");
    assert!(stream.next_within(QUIET_TIME).is_err(), "nothing is left");
}

#[test]
fn unacknowledged_deliveries_are_limited() {
    let app = builder().start();
    let mut stream = listen(&app, "laptop");
    for number in 0..70 {
        push(&app, &number.to_string());
    }
    let (found, deliveries) = bodies(&mut stream, 64);
    let busy = app.busy_time();
    assert!(stream.next_within(QUIET_TIME).is_err(), "64 are in flight");
    assert!(app.busy_time() - busy < QUIET_TIME / 3, "it waits");
    acknowledge(&app, "laptop", &deliveries[10..13]);
    let (more, _) = bodies(&mut stream, 3);
    assert!(stream.next_within(QUIET_TIME).is_err(), "64 are in flight again");
    let all: Vec<String> = found.into_iter().chain(more).collect();
    assert_eq!(all, (0..67).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn second_client_of_the_same_name_takes_over() {
    let app = builder().start();
    let mut first = listen(&app, "laptop");
    push(&app, "1");
    bodies(&mut first, 1);
    let mut second = listen(&app, "laptop");
    assert_eq!(first.next().kind, "replaced");
    assert!(first.ends_within(SOON));
    push(&app, "2");
    assert_eq!(bodies(&mut second, 2).0, ["1", "2"]);
    drop(first);
    wait_until_connected(&app, "laptop", true);
}

#[test]
fn two_listeners_each_receive_everything() {
    let app = builder().start();
    let mut one = listen(&app, "one");
    let mut other = listen(&app, "other");
    push(&app, "1");
    let (_, deliveries) = bodies(&mut one, 1);
    acknowledge(&app, "one", &deliveries);
    assert_eq!(acknowledge(&app, "other", &deliveries), json!({"acknowledged": 0}), "of the other listener");
    assert_eq!(bodies(&mut other, 1).0, ["1"]);
}

#[test]
fn only_requested_events_are_sent() {
    let app = builder().start();
    let mut stream = listen(&app, "laptop?events=github.issues.*%20github.p*");
    let issue = r#"{"action":"opened"}"#;
    let opened = sign::github("issue", issue).replace("X-GitHub-Event", "issues");
    let starred = sign::github("star", issue).replace("X-GitHub-Event", "star");
    assert!(app.send(&starred).status < 300 && app.send(&opened).status < 300);
    push(&app, "{}");
    let events = [0, 1].map(|_| stream.until("message").data["message"]["event"].clone());
    assert_eq!(events, ["github.issues.opened", "github.push"]);
    let mut stream = listen(&app, "laptop?events=github.star.*");
    bodies(&mut stream, 2);
    assert!(app.send(&sign::github("star2", issue).replace("X-GitHub-Event", "star")).status < 300);
    push(&app, "[]");
    assert_eq!(stream.until("message").data["message"]["event"], "github.star.opened");
    assert!(stream.next_within(QUIET_TIME).is_err(), "the new patterns apply");
}

#[test]
fn new_listener_can_request_old_messages() {
    let app = builder().start();
    for body in ["1", "2", "3"] {
        push(&app, body);
    }
    app.database().change(
        "UPDATE messages SET received_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-3 hours') WHERE id = 1",
    );
    let mut stream = open(&app, "/listeners/laptop/stream?since=2h");
    assert_eq!(stream.next().data, json!({"name": "laptop", "is_new": true, "pending": 2}));
    push(&app, "4");
    assert_eq!(bodies(&mut stream, 3).0, ["2", "3", "4"]);
    let mut again = open(&app, "/listeners/laptop/stream?since=9h");
    assert_eq!(again.next().data, json!({"name": "laptop", "is_new": false, "pending": 3}));
    assert_eq!(bodies(&mut again, 3).0, ["2", "3", "4"]);
}

#[test]
fn long_body_is_fetched_separately_until_acknowledged() {
    let app = builder().start();
    let mut stream = listen(&app, "laptop");
    let long = format!("\"{}\"", "x".repeat(300 << 10));
    push(&app, &long);
    let delivered = stream.until("message").data;
    assert!(delivered["body_base64"].is_null());
    let url = delivered["body_url"].as_str().unwrap();
    let fetched = app.send(&get(url.strip_prefix("/api/v1").unwrap()));
    assert_eq!((fetched.status, fetched.body.len()), (200, long.len()));
    assert!(fetched.body == long.as_bytes());
    acknowledge(&app, "laptop", &[delivered["delivery"].as_i64().unwrap()]);
    assert_eq!(app.send(&get(url.strip_prefix("/api/v1").unwrap())).status, 404);
}

#[test]
fn disconnected_listener_is_listed_until_removed() {
    let app = builder().start();
    let mut stream = listen(&app, "laptop?events=github.*");
    wait_until_connected(&app, "laptop", true);
    push(&app, "1");
    let listed = answered(&app.send(&get("/listeners")));
    assert_eq!(listed["items"][0]["events"], json!(["github.*"]));
    assert_eq!(listed["items"][0]["pending"], 1);
    let remove = request("DELETE", "/listeners/laptop");
    let as_reader = remove.clone().replace("Authorization", format!("Bearer {}", super::READ_TOKEN));
    assert_eq!(app.send(&as_reader).status, 403, "the read token changes nothing");
    assert_eq!(app.send(&remove).status, 204);
    assert_eq!(stream.until("removed").data, json!({"name": "laptop"}));
    assert!(stream.ends_within(SOON));
    assert_eq!(answered(&app.send(&get("/listeners")))["items"], json!([]));
    let mut stream = listen(&app, "laptop");
    let listed = answered(&app.send(&get("/listeners")));
    let target = listed["items"][0]["target_id"].as_i64().unwrap();
    assert_eq!(app.send(&as_admin(request("DELETE", &format!("/targets/{target}")))).status, 204);
    assert_eq!(stream.until("removed").data, json!({"name": "laptop"}), "its target is removed too");
}

#[test]
fn disconnected_client_is_detected() {
    let app = builder().start();
    let stream = listen(&app, "laptop");
    wait_until_connected(&app, "laptop", true);
    drop(stream);
    wait_until_connected(&app, "laptop", false);
    let app = app.restart();
    let _stream = listen(&app, "laptop");
    wait_until_connected(&app, "laptop", true);
    let app = app.kill().start();
    wait_until_connected(&app, "laptop", false);
}

#[test]
fn client_that_never_reads_uses_bounded_memory() {
    let app = builder().start();
    let before = app.peak_memory_bytes();
    let slow = listen(&app, "slow");
    let mut quick = listen(&app, "quick");
    let body = format!("\"{}\"", "x".repeat(200 << 10));
    for number in 0..60 {
        push(&app, &format!("[{number},{body}]"));
        let (_, deliveries) = bodies(&mut quick, 1);
        acknowledge(&app, "quick", &deliveries);
    }
    let grown = app.peak_memory_bytes() - before;
    assert!(grown < 64 << 20, "{grown} bytes");
    drop(slow);
}

#[test]
fn sigterm_ends_streams_immediately() {
    let mut app = builder().start();
    let mut idle = listen(&app, "idle");
    let _unread = listen(&app, "unread");
    let mut tail = open(&app, "/messages/stream");
    push(&app, "1");
    let began = Instant::now();
    app.process.signal(Signal::TERM);
    assert!(idle.ends_within(SOON) && tail.ends_within(SOON));
    let status = app.process.wait(allow(Duration::from_secs(2)));
    assert_eq!(status.code(), Some(0), "{}", app.log());
    assert!(began.elapsed() < Duration::from_secs(4), "the stop waited for a stream: {:?}", began.elapsed());
}

#[test]
fn streams_are_limited_and_other_requests_continue() {
    let app = builder().set("CREEL_ADMIN_LISTEN", "127.0.0.1:0").start();
    let line = app.process.log.wait_for("admin on http://", SOON).unwrap();
    let admin = crate::harness::app::address_in(&line, "admin on http://");
    let open = || EventStream::open(admin, &get("/messages/stream"));
    let mut streams: Vec<EventStream> = (0..48).map(|_| open()).collect();
    assert!(streams.iter().all(|stream| stream.status == 200));
    assert_eq!(open().status, 503);
    let mut connection = crate::harness::Connection::open(admin);
    assert_eq!(connection.exchange(&get("/listeners")).status, 200);
    streams.clear();
    crate::harness::eventually("slots are released", SOON, || open().status == 200);
}

#[test]
fn invalid_listener_requests_return_problems() {
    let app = builder().start();
    let long = "x".repeat(65);
    let acknowledged = |body: &str| {
        let request = request("POST", "/listeners/laptop/acknowledge");
        request.header("Content-Type", "application/json").body(body)
    };
    let rows: [(Request, u16, &str); 14] = [
        (Request::get("/api/v1/listeners/laptop/stream"), 401, "token"),
        (Request::get("/api/v1/messages/stream"), 401, "token"),
        (get("/listeners/Laptop/stream"), 400, "a-z0-9-"),
        (get(&format!("/listeners/{long}/stream")), 400, "a-z0-9-"),
        (get("/listeners/laptop/stream?since=yesterday"), 422, "since"),
        (get("/listeners/laptop/stream?events=githbu.push"), 422, "events"),
        (get("/listeners/laptop/stream?event=x"), 400, "event"),
        (get("/messages/stream?from=yesterday"), 400, "from"),
        (get("/messages/stream").header("Last-Event-ID", "x"), 400, "Last-Event-ID"),
        (acknowledged(r#"{"deliveries":[1]}"#), 404, "laptop"),
        (acknowledged(r#"{"deliveries":[]}"#), 422, "deliveries"),
        (
            acknowledged(r#"{"deliveries":[1],"answers":[{"delivery":1,"status":99,"took_ms":1}]}"#),
            422,
            "status",
        ),
        (
            acknowledged(
                r#"{"deliveries":[1],"answers":[{"delivery":1,"status":200,"took_ms":99999999999999}]}"#,
            ),
            422,
            "day",
        ),
        (request("POST", "/listeners/laptop/stream"), 405, "GET"),
    ];
    for (request, status, part) in rows {
        let reply = app.send(&request);
        assert_eq!((reply.status, reply.content_type()), (status, "application/problem+json"), "{request:?}");
        assert!(reply.text().contains(part), "{request:?}: {}", reply.text());
    }
    assert_eq!(app.database().count("targets"), 0, "no target was created");
}

#[test]
fn number_of_listeners_is_limited() {
    let app: TestApp = builder().start();
    for number in 0..32 {
        drop(listen(&app, &format!("laptop-{number}")));
    }
    assert_eq!(EventStream::open(app.address, &get("/listeners/one-more/stream")).status, 409);
    listen(&app, "laptop-0");
}

#[test]
fn disconnected_listener_is_listed_as_disconnected() {
    let app = builder().start();
    drop(listen(&app, "laptop"));
    wait_until_connected(&app, "laptop", false);
    let here = builder().next_to(&app).set("CREEL_LISTEN", app.address.to_string());
    crate::harness::eventually("its state is stored", SOON, || {
        here.run(&["targets"]).succeeded().contains("  listener  disconnected since")
    });
}
