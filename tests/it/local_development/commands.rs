//! The other client commands: tail, messages, show, replay and emit.

use serde_json::Value;

use super::laptop::{Laptop, interrupt};
use super::{SOON, builder, push};
use crate::harness::relay::Relay;
use crate::harness::target::{Behaviour, Target};
use crate::harness::{Request, TestApp, eventually, sign};

/// A body that would clear the reader's terminal.
const HARMFUL: &str = "{\"title\":\"\u{1b}[2J\u{202e}gnp\"}";

fn service() -> TestApp {
    builder().set("CREEL_EVENTS", "pay_info.paid").start()
}

fn admin(app: &TestApp) -> Laptop {
    Laptop::of(app.address).with_admin_token()
}

#[test]
fn tail_prints_one_line_per_message() {
    let app = service();
    push(&app, "before");
    let tail = Laptop::of(app.address).spawn(&["tail"]);
    tail.log.wait_for("watching", SOON).unwrap();
    push(&app, "{}");
    let line = tail.stdout.wait_for("github.push", SOON).unwrap();
    assert!(line.starts_with("#2  20") && line.ends_with("  github.push  2 B"), "{line}");
    let odd = sign::github("odd", "\u{1b}[2J").replace("X-GitHub-Event", "a b");
    assert!(app.send(&odd).status < 300);
    let line = tail.stdout.wait_for("#3", SOON).unwrap();
    assert!(line.ends_with("github.a b  4 B  unreadable=not_json"), "{line}");
    drop(tail);
    let from = Laptop::of(app.address).spawn(&["tail", "--json", "--from", "1", "--events", "*.push"]);
    let line = from.stdout.wait_for("github.push", SOON).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["id"], 2);
}

#[test]
fn tail_continues_after_a_lost_connection() {
    let app = service();
    let relay = Relay::to(app.address);
    let tail = Laptop::at(&relay.url()).spawn(&["tail", "--dead-after", "2"]);
    tail.log.wait_for("watching", SOON).unwrap();
    relay.stop_responding();
    push(&app, "missed");
    tail.log.wait_for("CONNECTION LOST", SOON).unwrap();
    relay.recover();
    tail.log.wait_for("RECONNECTED", SOON).unwrap();
    tail.stdout.wait_for("#1  ", SOON).unwrap();
    push(&app, "next");
    tail.stdout.wait_for("#2  ", SOON).unwrap();
    assert_eq!(tail.stdout.text().lines().count(), 2, "{}", tail.stdout.text());
}

#[test]
fn stream_without_response_is_reported() {
    let proxy = Target::start();
    proxy.behave(Behaviour::Hang);
    let laptop = Laptop::at(&proxy.url(""));
    let arguments = ["--dead-after", "2"];
    let tail = laptop.spawn(&["tail", "--dead-after", "2"]);
    let listener = laptop.begin_to_listen("http://127.0.0.1:9/", &arguments);
    for process in [&tail, &listener] {
        let line = process.log.wait_for("no response from", SOON).unwrap();
        assert!(line.contains("/readyz") && line.contains("docs/proxies.md"), "{line}");
    }
}

#[test]
fn streams_without_events_are_retried_with_growing_pauses() {
    let greeting = "event: watching\ndata: {\"from\":0}\n\n";
    for body in ["", greeting] {
        let server = Target::start();
        server.behave(Behaviour::status(200).header("Content-Type", "text/event-stream").body(body));
        let tail = Laptop::at(&server.url("")).spawn(&["tail"]);
        tail.log.wait_for("Next attempt in 2 s", SOON).unwrap();
        assert_eq!(server.bodies().len(), 2, "{}", tail.log.text());
    }
}

#[test]
fn success_with_other_content_type_is_an_error() {
    let server = Target::start();
    server.behave(Behaviour::status(200).header("Content-Type", "text/html").body("<html>"));
    let laptop = Laptop::at(&server.url(""));
    let listen = ["listen", laptop.url(), "--forward", "http://127.0.0.1:9/"];
    for outcome in [laptop.run(&["tail"]), laptop.builder().run(&listen)] {
        let failure = outcome.failed();
        assert!(failure.contains("answered 200 with text/html"), "{failure}");
    }
}

#[test]
fn query_selects_messages_of_list_and_tail() {
    let app = service();
    for number in 0..3 {
        push(&app, &format!("{{\"number\":{number}}}"));
    }
    let listed = admin(&app).run(&["messages", "event:push", ".number:>0", "!\"number\\\":2\""]).succeeded();
    assert!(listed.starts_with("#2  ") && listed.lines().count() == 1, "{listed}");
    // An argument with a minus sign follows `--`, or is inside a quoted query.
    let server = format!("http://{}", app.address);
    for arguments in [
        ["messages", "--server", &server, ".number:>0", "--limit", "1", "--", "-is:delivered"].as_slice(),
        &["messages", "--server", &server, ".number:>0 -is:delivered", "--limit", "1"],
        &["messages", "--server", &server, ".number:>0", "!is:delivered", "--limit", "1"],
    ] {
        let listed = admin(&app).builder().run(arguments).succeeded();
        assert!(listed.starts_with("#3  ") && listed.lines().count() == 1, "{arguments:?}: {listed}");
    }
    // A misspelt option is not a negated word.
    let outcome = admin(&app).run(&["messages", "push", "--srouce", "github"]);
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
    let failure = admin(&app).run(&["messages", "srouce:github"]).failed();
    assert!(failure.contains("did you mean source:?"), "{failure}");
    let tail = admin(&app).spawn(&["tail", "--from", "1", ".number:2"]);
    tail.stdout.wait_for("#3  ", SOON).unwrap();
    push(&app, r#"{"number":7}"#);
    push(&app, r#"{"number":2.0,"again":true}"#);
    tail.stdout.wait_for("#5  ", SOON).unwrap();
    assert_eq!(tail.stdout.text().lines().count(), 2, "{}", tail.stdout.text());
}

#[test]
fn messages_are_listed_newest_first_in_pages() {
    let app = service();
    for number in 0..230 {
        push(&app, &format!("{{\"number\":{number}}}"));
    }
    let laptop = Laptop::of(app.address);
    let all = laptop.run(&["messages", "--limit", "225"]).succeeded();
    let ids: Vec<&str> = all.lines().map(|line| line.split_once(' ').unwrap().0).collect();
    let expected: Vec<String> = (6..=230).rev().map(|id| format!("#{id}")).collect();
    assert_eq!(ids, expected);
    let few =
        laptop.run(&["messages", "--source", "github", "--event", "*.push", "--since", "2h", "--limit", "2"]);
    assert_eq!(few.succeeded().lines().count(), 2);
    assert_eq!(laptop.run(&["messages", "--until", "2h"]).succeeded(), "");
    let rejected = laptop.run(&["messages", "--text", "\"number\":77}"]).failed();
    assert!(rejected.contains("admin token"), "{rejected}");
    let found = admin(&app).run(&["messages", "--text", "\"number\":77}", "--json"]).succeeded();
    assert_eq!(serde_json::from_str::<Value>(&found).unwrap()["id"], 78);
}

#[test]
fn show_prints_message_and_replies_and_escapes_terminal_codes() {
    let app = service();
    let target = Target::start();
    target.behave(Behaviour::status(500).body("it \u{1b}[31mbroke"));
    let laptop = Laptop::of(app.address);
    let listener = laptop.listen(&target.url("/"), &[]);
    push(&app, HARMFUL);
    target.wait_for(1);
    listener.stdout.wait_for("500", SOON).unwrap();
    eventually("it is acknowledged", SOON, || app.database().count("attempts") == 1);
    interrupt(listener);
    let shown = admin(&app).run(&["show", "1"]).succeeded();
    for part in [
        "message      #1 github.push\n",
        "\nrequest      POST\n",
        "\nx-github-event: push\n",
        "\\u{1b}[2J\\u{202e}gnp",
        "\ndelivery     #1 to listener:laptop: delivered at 20",
        "(500), 1 attempt\n  attempt 1  20",
        "delivered 500, ",
        "    | it \\u{1b}[31mbroke\n",
    ] {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'));
    let body = admin(&app).run(&["show", "1", "--body"]).succeeded();
    assert_eq!(body, HARMFUL, "byte for byte into a pipe");
    let json = admin(&app).run(&["show", "1", "--json"]).succeeded();
    assert_eq!(serde_json::from_str::<Value>(&json).unwrap()["event"], "github.push");
    let without_content = laptop.run(&["show", "1"]).succeeded();
    assert!(without_content.contains("need the admin token") && !without_content.contains("gnp"));
    assert!(laptop.run(&["show", "9"]).failed().contains("Message 9 not found"));
}

#[test]
fn message_is_replayed_to_a_local_program() {
    let app = service();
    let target = Target::start();
    let sent = Request::post(&format!("/webhooks/open/{}?id=7", super::OPEN_PATH))
        .header("Content-Type", "text/plain")
        .body(b"\xff\x00".to_vec());
    assert_eq!(app.send(&sent).status, 200);
    let laptop = admin(&app);
    target.script([Behaviour::status(201).body("made")]);
    let output = laptop.run(&["replay", "1", "--to", &target.url("/hooks")]).succeeded();
    assert!(output.starts_with("201 after ") && output.ends_with(" ms\nmade\n"), "{output}");
    let received = &target.received()[0];
    assert_eq!((received.method(), received.target()), ("POST", "/hooks?id=7"));
    assert_eq!(received.body, b"\xff\x00");
    assert_eq!(received.header("creel-event"), Some("open.message"));
    target.answers(404);
    assert!(laptop.run(&["replay", "1", "--to", &target.url("/")]).failed().contains("answered 404"));
    target.stop_listening();
    assert!(laptop.run(&["replay", "1", "--to", &target.url("/")]).failed().contains("did not answer"));
    let reader = Laptop::of(app.address).run(&["replay", "1", "--to", &target.url("/")]).failed();
    assert!(reader.contains("admin token"), "{reader}");
    assert_eq!(app.database().count("deliveries"), 0, "the service is not involved");
}

#[test]
fn message_is_replayed_by_the_service() {
    let target = Target::start();
    let app = builder()
        .set("CREEL_TARGET_BILLING_URL", target.url("/billing"))
        .set("CREEL_TARGET_BILLING_EVENTS", "stripe.*")
        .set("CREEL_SOURCE_STRIPE_SECRET", sign::SECRET)
        .start();
    push(&app, "{}");
    let laptop = admin(&app);
    assert!(laptop.run(&["replay", "1"]).failed().contains("no target accepts message 1"));
    let output = laptop.run(&["replay", "1", "--target", "billing"]).succeeded();
    assert!(output.contains("#1") && output.contains("creel show 1"), "{output}");
    assert_eq!(target.wait_for(1)[0].target(), "/billing");
    assert!(laptop.run(&["replay", "1", "--target", "nobody"]).failed().contains("nobody"));
    assert!(laptop.run(&["replay", "9"]).failed().contains("Message 9 not found"));
}

#[test]
fn event_is_emitted_unchanged_and_once_per_key() {
    let app = service();
    let laptop = admin(&app);
    let payload = "{ \"amount\" : 12.00 }";
    let emit = ["emit", "pay_info.paid", payload, "--owner", "ann", "--idempotency-key", "invoice-7"];
    assert_eq!(laptop.run(&emit).succeeded(), "message #1\n");
    assert_eq!(laptop.run(&emit).succeeded(), "message #1, emitted before with this key\n");
    let kept = app.database().only_message();
    assert_eq!((kept.event.as_str(), kept.payload.as_deref()), ("pay_info.paid", Some(payload)));
    let from_stdin = laptop.run_with_input(&["emit", "pay_info.paid", "-"], "[1,\n2]\n").succeeded();
    assert_eq!(from_stdin, "message #2\n");
    assert_eq!(app.database().newest_message().payload.as_deref(), Some("[1,\n2]"));
    assert_eq!(laptop.run(&["emit", "pay_info.paid"]).succeeded(), "message #3\n");
    assert!(laptop.run(&["emit", "pay_info.payed", "{}"]).failed().contains("pay_info.paid"));
    assert!(laptop.run(&["emit", "pay_info.paid", "{"]).failed().contains("is not JSON"));
    assert!(Laptop::of(app.address).run(&["emit", "pay_info.paid"]).failed().contains("admin token"));
}

#[test]
fn commands_on_the_server_read_its_address_from_configuration() {
    let app = builder().set("CREEL_ADMIN_LISTEN", "127.0.0.1:0").start();
    let line = app.process.log.wait_for("admin on http://", SOON).unwrap();
    let admin = crate::harness::app::address_in(&line, "admin on http://").to_string();
    push(&app, "{}");
    let here = builder().next_to(&app);
    let output = here.clone().set("CREEL_ADMIN_LISTEN", admin).run(&["messages"]).succeeded();
    assert!(output.starts_with("#1  "), "{output}");
    let output = here.run(&["messages"]).failed();
    assert!(output.contains("port 0"), "{output}");
    let file = app.path().join("token");
    std::fs::write(&file, format!("{}\n", super::READ_TOKEN)).unwrap();
    let laptop = Laptop::of(crate::harness::app::address_in(&line, "admin on http://"));
    let bare = laptop.builder().clone().unset("CREEL_READ_TOKEN").unset("CREEL_LISTENER_TOKEN");
    let url = laptop.url().to_owned();
    let output =
        bare.run(&["messages", "--server", &url, "--token-file", file.to_str().unwrap()]).succeeded();
    assert!(output.starts_with("#1  "), "{output}");
    let elsewhere = bare.run(&["messages", "--server", &url, "--token-file", "/nowhere"]).failed();
    assert!(elsewhere.contains("/nowhere"), "{elsewhere}");
}
