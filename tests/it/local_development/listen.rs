//! `creel listen` with the running service and a local program.

use std::time::Duration;

use rustix::process::Signal;

use super::laptop::{Laptop, interrupt, kill};
use super::{OPEN_PATH, SOON, answered, as_admin, builder, get, push, request, wait_until_connected};
use crate::harness::relay::Relay;
use crate::harness::target::{Behaviour, Target};
use crate::harness::{Request, TestApp, eventually, sign};

/// Waits until the service has no pending deliveries for the listener.
#[track_caller]
fn wait_until_all_is_acknowledged(app: &TestApp) {
    eventually("everything is acknowledged", SOON, || {
        app.database().value::<i64>("SELECT count(*) FROM deliveries WHERE state = 'pending'") == 0
    });
}

#[test]
fn message_reaches_the_program_as_sent() {
    let app = builder().start();
    let target = Target::start();
    let laptop = Laptop::of(app.address);
    let listener = laptop.listen(&target.url("/hooks?from=creel"), &[]);
    let body = b"\x00\xff not JSON \r\n\"\\".to_vec();
    let sent = Request::new("PUT", &format!("/webhooks/open/{OPEN_PATH}?a=1&b=%20x"))
        .header("Content-Type", "application/x-odd; charset=utf-8")
        .header("User-Agent", "Hookshot/1")
        .header("X-Twice", "one")
        .header("X-Twice", "two")
        .header("Webhook-Signature", "v1,abc")
        .header("Authorization", "Bearer secret-of-the-sender")
        .header("X-Forwarded-For", "192.0.2.1")
        .body(body.clone());
    assert_eq!(app.send(&sent).status, 200);
    let received = &target.wait_for(1)[0];
    assert_eq!((received.method(), received.target()), ("PUT", "/hooks?from=creel&a=1&b=%20x"));
    assert_eq!(received.body, body);
    let has = |name: &str| received.header(name);
    assert_eq!(has("content-type"), Some("application/x-odd; charset=utf-8"));
    assert_eq!(has("user-agent"), Some("Hookshot/1"));
    assert_eq!(has("webhook-signature"), Some("v1,abc"));
    assert_eq!(has("creel-event"), Some("open.message"));
    assert_eq!(has("host"), Some(target.address().to_string().as_str()));
    let twice: Vec<_> = received.headers().into_iter().filter(|(name, _)| *name == "x-twice").collect();
    assert_eq!(twice.len(), 2);
    assert_eq!((has("authorization"), has("x-forwarded-for")), (None, None));
    let line = listener.stdout.wait_for("open.message", SOON).unwrap();
    assert!(line.contains("  #1  200  ") && line.ends_with(" ms"), "{line}");
    wait_until_all_is_acknowledged(&app);
    interrupt(listener);
}

#[test]
fn get_with_payload_in_query_is_forwarded_unchanged() {
    let app = builder().set("CREEL_SOURCE_GITEA_SECRET", sign::SECRET).start();
    let target = Target::start();
    let _listener = Laptop::of(app.address).listen(&target.url("/hooks"), &[]);
    let signature = sign::hex(&sign::hmac_sha256(sign::SECRET.as_bytes(), br#"{"ref":"a b"}"#));
    let query = "payload=%7B%22ref%22%3A%22a+b%22%7D&a=1";
    let sent = Request::get(&format!("/webhooks/gitea?{query}")).header("X-Gitea-Signature", &signature);
    assert_eq!(app.send(&sent).status, 200);
    let received = &target.wait_for(1)[0];
    assert_eq!((received.method(), received.target()), ("GET", format!("/hooks?{query}").as_str()));
    assert_eq!(received.text(), "");
    assert_eq!(received.header("x-gitea-signature"), Some(signature.as_str()));
    wait_until_all_is_acknowledged(&app);
}

#[test]
fn long_body_arrives_byte_for_byte() {
    let app = builder().start();
    let target = Target::start();
    let _listener = Laptop::of(app.address).listen(&target.url("/"), &[]);
    let body = format!("{{\"long\":\"{}\"}}", "0123456789".repeat(300_000));
    push(&app, &body);
    assert!(target.wait_for(1)[0].body == body.as_bytes());
    wait_until_all_is_acknowledged(&app);
}

#[test]
fn messages_while_disconnected_arrive_later_in_order_and_once() {
    let app = builder().start();
    let target = Target::start();
    let laptop = Laptop::of(app.address);
    let listener = laptop.listen(&target.url("/"), &[]);
    push(&app, "1");
    target.wait_for(1);
    wait_until_all_is_acknowledged(&app);
    interrupt(listener);
    wait_until_connected(&app, "laptop", false);
    let numbers: Vec<String> = (2..=150).map(|number| number.to_string()).collect();
    for number in &numbers {
        push(&app, number);
    }
    let listener = laptop.listen(&target.url("/"), &[]);
    assert!(listener.log.text().contains("(existing, 149 pending)"), "{}", listener.log.text());
    target.wait_for(150);
    wait_until_all_is_acknowledged(&app);
    interrupt(listener);
    let listener = laptop.listen(&target.url("/"), &[]);
    push(&app, "last");
    target.wait_for(151);
    interrupt(listener);
    let expected: Vec<String> =
        ["1".to_owned()].into_iter().chain(numbers).chain(["last".to_owned()]).collect();
    assert_eq!(target.bodies(), expected);
}

#[test]
fn kill_9_of_the_listener_loses_nothing() {
    let app = builder().start();
    let target = Target::start();
    let laptop = Laptop::of(app.address);
    let mut sent = 0;
    for round in 0..5 {
        let listener = laptop.listen(&target.url("/"), &[]);
        for _ in 0..20 {
            push(&app, &sent.to_string());
            sent += 1;
        }
        // Kills the listener between deliveries, at a different point in each round.
        target.wait_for(1 + round * 18);
        kill(listener);
    }
    let _listener = laptop.listen(&target.url("/"), &[]);
    wait_until_all_is_acknowledged(&app);
    let mut first_seen: Vec<String> = Vec::new();
    for body in target.bodies() {
        if !first_seen.contains(&body) {
            first_seen.push(body);
        }
    }
    assert_eq!(first_seen, (0..sent).map(|number| number.to_string()).collect::<Vec<_>>());
    let again = target.bodies().len() - first_seen.len();
    assert!(again <= 5 * 20, "{again} duplicates");
}

#[test]
fn listener_survives_service_restart_and_logs_it() {
    let app = builder().start();
    let target = Target::start();
    let relay = Relay::to(app.address);
    let listener = Laptop::at(&relay.url()).listen(&target.url("/"), &[]);
    push(&app, "before");
    target.wait_for(1);
    let address = app.address.to_string();
    let stopped = app.stop();
    listener.log.wait_for("CONNECTION LOST", SOON).unwrap();
    listener.log.wait_for("STILL NO CONNECTION", SOON).unwrap();
    let app = stopped.set("CREEL_LISTEN", address).start();
    push(&app, "after");
    listener.log.wait_for("RECONNECTED", SOON).unwrap();
    target.wait_for(2);
    wait_until_all_is_acknowledged(&app);
    assert_eq!(target.bodies(), ["before", "after"]);
}

#[test]
fn new_database_of_the_service_is_detected() {
    let app = builder().start();
    let target = Target::start();
    let relay = Relay::to(app.address);
    let listener = Laptop::at(&relay.url()).listen(&target.url("/"), &[]);
    for body in ["1", "2"] {
        push(&app, body);
    }
    target.wait_for(2);
    wait_until_all_is_acknowledged(&app);
    let address = app.address.to_string();
    let stopped = app.stop();
    std::fs::remove_file(stopped.database().path()).unwrap();
    let app = stopped.set("CREEL_LISTEN", address).start();
    listener.log.wait_for("RECONNECTED", SOON).unwrap();
    wait_until_connected(&app, "laptop", true);
    push(&app, "with the id of an old one");
    assert_eq!(target.wait_for(3)[2].text(), "with the id of an old one");
    wait_until_all_is_acknowledged(&app);
}

#[test]
fn connection_without_heartbeat_is_closed() {
    let app = builder().start();
    let target = Target::start();
    let relay = Relay::to(app.address);
    let listener = Laptop::at(&relay.url()).listen(&target.url("/"), &["--dead-after", "2"]);
    relay.stop_responding();
    push(&app, "while it was silent");
    let line = listener.log.wait_for("CONNECTION LOST", SOON).unwrap();
    assert!(line.contains("no sign of life for 2s"), "{line}");
    relay.recover();
    listener.log.wait_for("RECONNECTED", SOON).unwrap();
    assert_eq!(target.wait_for(1)[0].text(), "while it was silent");
}

#[test]
fn stopped_program_receives_everything_after_its_start() {
    let app = builder().start();
    let target = Target::start();
    target.stop_listening();
    let listener = Laptop::of(app.address).listen(&target.url("/"), &[]);
    for body in ["1", "2", "3"] {
        push(&app, body);
    }
    let line = listener.log.wait_for("NO ANSWER", SOON).unwrap();
    assert!(line.contains("cannot connect") && line.contains("message 1 is retried"), "{line}");
    assert_eq!(
        app.database().value::<i64>("SELECT count(*) FROM deliveries WHERE state = 'pending'"),
        3,
        "only received messages are acknowledged"
    );
    target.listen_again();
    target.wait_for(3);
    listener.log.wait_for("answers again", SOON).unwrap();
    wait_until_all_is_acknowledged(&app);
    assert_eq!(target.bodies(), ["1", "2", "3"]);
}

#[test]
fn any_status_but_no_cut_connection_acknowledges() {
    let app = builder().start();
    let target = Target::start();
    let listener = Laptop::of(app.address).listen(&target.url("/"), &[]);
    let redirect = Behaviour::status(302).header("location", "/elsewhere");
    target.script([Behaviour::status(500), redirect, Behaviour::Close, Behaviour::status(200)]);
    for body in ["1", "2", "3"] {
        push(&app, body);
    }
    target.wait_for(4);
    wait_until_all_is_acknowledged(&app);
    assert_eq!(target.bodies(), ["1", "2", "3", "3"]);
    for status in ["  #1  500  ", "  #2  302  ", "  #3  200  "] {
        listener.stdout.wait_for(status, SOON).unwrap();
    }
}

#[test]
fn slow_program_delays_only_its_own_listener() {
    let app = builder().start();
    let target = Target::start();
    target.behave(Behaviour::Hang);
    let relay = Relay::to(app.address);
    let listener = Laptop::at(&relay.url()).listen(&target.url("/"), &[]);
    let long = "x".repeat(200 << 10);
    for number in 0..70 {
        push(&app, &format!("[{number},\"{long}\"]"));
    }
    target.wait_for(1);
    eventually("the in-flight limit is reached", SOON, || relay.to_clients() > 64 * long.len());
    assert_eq!(target.received().len(), 1, "one at a time");
    target.answers(200);
    target.wait_for(70);
    wait_until_all_is_acknowledged(&app);
    let numbers: Vec<String> =
        target.bodies().iter().map(|body| body[1..].split(',').next().unwrap().to_owned()).collect();
    assert_eq!(numbers, (0..70).map(|number| number.to_string()).collect::<Vec<_>>());
    assert!(!listener.log.text().contains("CONNECTION LOST"), "{}", listener.log.text());
}

#[test]
fn second_listener_of_the_same_name_takes_over() {
    let app = builder().start();
    let target = Target::start();
    let laptop = Laptop::of(app.address);
    let mut first = laptop.listen(&target.url("/first"), &[]);
    let _second = laptop.listen(&target.url("/second"), &[]);
    assert_eq!(first.wait(SOON).code(), Some(1));
    assert!(first.log.whole(SOON).contains("another `creel listen` has connected as laptop"));
    push(&app, "1");
    assert_eq!(target.wait_for(1)[0].target(), "/second");
}

#[test]
fn listener_can_request_old_messages_and_some_events() {
    let app = builder().start();
    let target = Target::start();
    push(&app, "push");
    let issue = |id: &str| sign::github(id, r#"{"action":"opened"}"#).replace("X-GitHub-Event", "issues");
    assert!(app.send(&issue("old")).status < 300);
    let laptop = Laptop::of(app.address);
    let options = ["--since", "2h", "--events", "github.issues.*", "--events", "open.*"];
    let listener = laptop.listen(&target.url("/"), &options);
    assert!(listener.log.text().contains("(new, 1 pending)"), "{}", listener.log.text());
    push(&app, "another push");
    assert!(app.send(&issue("new")).status < 300);
    target.wait_for(2);
    wait_until_all_is_acknowledged(&app);
    let events: Vec<_> =
        target.received().iter().map(|one| one.header("creel-event").unwrap().to_owned()).collect();
    assert_eq!(events, ["github.issues.opened", "github.issues.opened"]);
    interrupt(listener);
    let again = laptop.listen(&target.url("/"), &["--since", "2h"]);
    again.log.wait_for("--since has no effect", SOON).unwrap();
}

#[test]
fn interrupt_and_termination_exit_cleanly_and_keep_acknowledged_state() {
    let app = builder().start();
    let target = Target::start();
    let laptop = Laptop::of(app.address);
    for signal in [Signal::INT, Signal::TERM] {
        let mut listener = laptop.listen(&target.url("/"), &[]);
        let before = target.received().len();
        for number in 0..30 {
            push(&app, &format!("{signal:?} {number}"));
        }
        target.wait_for(before + 10);
        listener.signal(signal);
        assert_eq!(listener.wait(Duration::from_secs(5)).code(), Some(0), "{}", listener.log.text());
    }
    let _listener = laptop.listen(&target.url("/"), &[]);
    wait_until_all_is_acknowledged(&app);
    let received = target.bodies();
    // The delivery that the program was processing may be repeated.
    assert!((60..=62).contains(&received.len()), "{}", received.len());
}

#[test]
fn removed_listener_exits() {
    let app = builder().start();
    let target = Target::start();
    let mut listener = Laptop::of(app.address).listen(&target.url("/"), &[]);
    assert_eq!(app.send(&as_admin(request("DELETE", "/listeners/laptop"))).status, 204);
    assert_eq!(listener.wait(SOON).code(), Some(1));
    assert!(listener.log.whole(SOON).contains("was removed"));
}

#[test]
fn host_name_is_a_valid_listener_name() {
    let app = builder().start();
    let laptop = Laptop::of(app.address);
    let mut command = laptop.builder().command();
    command.args(["listen", &format!("http://{}", app.address), "--forward", "http://127.0.0.1:9/"]);
    let listener = crate::harness::app::Process::spawn(command);
    listener.log.wait_for("listening to", SOON).unwrap();
    let listed = answered(&app.send(&get("/listeners")));
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[test]
fn invalid_options_fail_immediately() {
    let app = builder().start();
    let laptop = Laptop::of(app.address);
    let no_token = laptop.builder().clone().unset("CREEL_READ_TOKEN").unset("CREEL_LISTENER_TOKEN");
    let server = format!("http://{}", app.address);
    let target = "http://localhost:3000";
    let only_reading = laptop.builder().clone().unset("CREEL_LISTENER_TOKEN");
    let rows: [(&crate::harness::Builder, &[&str], &str); 7] = [
        (&no_token, &["listen", &server, "--forward", target], "CREEL_LISTENER_TOKEN"),
        (&only_reading, &["listen", &server, "--forward", target], "CREEL_LISTENER_TOKEN"),
        (laptop.builder(), &["listen", &server, "--forward", "localhost:3000"], "http"),
        (laptop.builder(), &["listen", "ftp://x", "--forward", target], "the service's address"),
        (laptop.builder(), &["listen", "http://127.0.0.1:9", "--forward", target], "cannot be reached"),
        (laptop.builder(), &["listen", &server, "--forward", target, "--since", "soon"], "since"),
        (laptop.builder(), &["listen", &server, "--forward", target, "--events", "githbu.push"], "githbu"),
    ];
    for (builder, arguments, output) in rows {
        let complaint = builder.run(arguments).failed();
        assert!(complaint.contains(output), "{arguments:?}: {complaint}");
    }
    let wrong = no_token.set("CREEL_LISTENER_TOKEN", "another-token-0123456789");
    let complaint = wrong.run(&["listen", &server, "--forward", target]).failed();
    assert!(complaint.contains("rejected the token") && complaint.contains("creel token"), "{complaint}");
    assert_eq!(app.database().count("targets"), 0);
}
