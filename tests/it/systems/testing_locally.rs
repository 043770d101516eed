//! Local testing without a public tunnel: events of real providers reach a program on a laptop, can
//! be inspected and replayed, and samples are created without the provider.

use std::time::Duration;

use crate::harness::app::Process;
use crate::harness::sign::{self, SECRET};
use crate::harness::target::{Behaviour, Received, Target};
use crate::harness::{ADMIN_TOKEN, Builder, TestApp, eventually};

const SOON: Duration = Duration::from_secs(20);
const LISTENER_TOKEN: &str = "listener-token-of-the-laptop-0123456789";

fn configured() -> Builder {
    TestApp::github()
        .set("CREEL_LISTENER_TOKEN", LISTENER_TOKEN)
        .set("CREEL_SOURCE_STRIPE_SECRET", SECRET)
        .set("CREEL_SOURCE_TYPEFORM_SECRET", SECRET)
}

/// A remote machine whose only configuration is a token. Must outlive its commands.
fn laptop(variable: &str, token: &str) -> Builder {
    Builder::bare().unset("CREEL_LISTEN").unset("CREEL_DATABASE").set(variable, token)
}

fn server(app: &TestApp) -> String {
    format!("http://{}", app.address)
}

fn listen(laptop: &Builder, app: &TestApp, target: &Target) -> Process {
    let mut command = laptop.command();
    command.args(["listen", &server(app), "--forward", &target.url("/hooks"), "--name", "laptop"]);
    let listener = Process::spawn(command);
    listener.log.wait_for("listening to", SOON).unwrap();
    listener
}

/// Verifies the received bytes like the program's own library.
fn is_genuine(received: &Received) -> bool {
    let header = |name| received.header(name).unwrap_or_default().to_owned();
    match received.header("creel-source") {
        Some("github") => header("x-hub-signature-256") == sign::github_signature(SECRET, &received.body),
        Some("typeform") => header("typeform-signature") == sign::typeform_signature(SECRET, &received.body),
        Some("stripe") => {
            let given = header("stripe-signature");
            let timestamp =
                given.strip_prefix("t=").and_then(|rest| rest.split(',').next()).unwrap().to_owned();
            given == sign::stripe_signature(SECRET, &timestamp, &received.body)
        }
        _ => false,
    }
}

#[test]
fn provider_events_reach_laptop_program_as_signed() {
    let app = configured().start();
    let target = Target::start();
    let laptop = laptop("CREEL_LISTENER_TOKEN", LISTENER_TOKEN);
    let _listener = listen(&laptop, &app, &target);
    let body = "{ \"ref\":  \"refs/heads/main\",\t\"emoji\": \"\u{1f9fa}\" }\n";
    assert_eq!(app.send(&sign::github("delivery-1", body)).status, 200);
    assert_eq!(app.send(&sign::stripe(&sign::now().to_string(), body)).status, 200);
    let received = target.wait_for(2);
    assert!(received.iter().all(is_genuine), "{received:?}");
    assert!(received.iter().all(|one| one.text() == body));
    assert_eq!(received[0].header("x-github-delivery"), Some("delivery-1"));
    assert_eq!(received[0].target(), "/hooks");
}

#[test]
fn signed_sample_of_any_provider_is_created_without_it() {
    let app = configured().start();
    let target = Target::start();
    let laptop = laptop("CREEL_LISTENER_TOKEN", LISTENER_TOKEN);
    let _listener = listen(&laptop, &app, &target);
    let sender = configured().next_to(&app).set("CREEL_LISTEN", app.address.to_string());
    for provider in ["github", "stripe", "typeform"] {
        sender.run(&["send", provider]).succeeded();
    }
    let received = target.wait_for(3);
    assert!(received.iter().all(is_genuine), "{received:?}");
    let events: Vec<_> = received.iter().map(|one| one.header("creel-event").unwrap()).collect();
    assert_eq!(events, ["github.issues.opened", "stripe.invoice.paid", "typeform.form_response"]);
}

#[test]
fn event_can_be_inspected_with_reply_and_replayed() {
    let app = configured().start();
    let target = Target::start();
    target.script([Behaviour::status(500).body("TypeError: undefined")]);
    let developer = laptop("CREEL_ADMIN_TOKEN", ADMIN_TOKEN);
    let listener = listen(&developer, &app, &target);
    assert_eq!(app.send(&sign::github("delivery-1", r#"{"ref":"refs/heads/main"}"#)).status, 200);
    let line = listener.stdout.wait_for("github.push", SOON).unwrap();
    assert!(line.contains("#1  500"), "{line}");
    eventually("the reply is stored", SOON, || app.database().count("attempts") == 1);
    let shown = developer.run(&["show", "1", "--server", &server(&app)]).succeeded();
    for part in
        ["x-github-delivery: delivery-1", "\"ref\": \"refs/heads/main\"", "500", "| TypeError: undefined"]
    {
        assert!(shown.contains(part), "{part:?} is not in\n{shown}");
    }
    let again = developer.run(&["replay", "1", "--to", &target.url("/hooks"), "--server", &server(&app)]);
    assert!(again.succeeded().starts_with("200 after "));
    let received = target.wait_for(2);
    assert!(is_genuine(&received[1]) && received[1].body == received[0].body);
}
