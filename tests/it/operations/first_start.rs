//! The first start without configuration.

use std::process::Command;
use std::time::Duration;

use crate::harness::{Builder, Request, TestApp, needs};

const LIMIT: Duration = Duration::from_secs(10);

/// Returns a builder with only a free port, like `cargo run` on a new machine; the database has its
/// default path.
fn bare() -> Builder {
    Builder::bare().unset("CREEL_DATABASE")
}

fn curl_line(app: &TestApp) -> String {
    let text =
        app.process.stdout.wait_for("curl", LIMIT).unwrap_or_else(|text| panic!("no curl line in {text:?}"));
    text[text.find("curl").unwrap()..].to_owned()
}

fn messages_at_default_place(app: &TestApp) -> i64 {
    let database = crate::harness::database::Database::at(&app.path().join("data/creel.db"));
    database.count("messages")
}

#[test]
fn printed_curl_line_works_when_pasted() {
    if !needs("curl") {
        return;
    }
    let app = bare().start();
    let line = curl_line(&app);
    assert!(line.contains(&app.address.to_string()), "{line}");
    let shell = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert!(shell.status.success(), "{line}: {shell:?}");
    assert_eq!(messages_at_default_place(&app), 1);
}

#[test]
fn inbox_keeps_its_random_path_over_restarts() {
    let app = bare().start();
    let first = curl_line(&app);
    let endpoint = |line: &str| {
        let rest =
            &line[line.find("/webhooks/inbox/").unwrap_or_else(|| panic!("no endpoint in {line:?}"))..];
        rest.split(|c: char| !(c.is_ascii_alphanumeric() || "/-_".contains(c))).next().unwrap().to_owned()
    };
    let path = endpoint(&first);
    assert!(path.len() >= "/webhooks/inbox/".len() + 16, "{path} can be guessed");
    assert!((200..300).contains(&app.send(&Request::post(&path).body("{}")).status));
    assert_eq!(app.send(&Request::post("/webhooks/inbox").body("{}")).status, 404);
    let app = app.restart();
    assert!((200..300).contains(&app.send(&Request::post(&path).body("{}")).status));
    assert_eq!(messages_at_default_place(&app), 2);
    let logged = path.rsplit('/').next().unwrap();
    assert!(!app.log().contains(logged), "the random path is in the log");
}

/// The metrics token in the output.
fn printed_token(app: &TestApp) -> Option<String> {
    let text = app.process.stdout.text();
    let is_token_character = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let words = text.split(|c: char| !is_token_character(c)).filter(|word| word.len() >= 32);
    words.map(str::to_owned).find(|word| opens_metrics(app, word))
}

fn opens_metrics(app: &TestApp, token: &str) -> bool {
    app.send(&Request::get("/metrics").header("Authorization", format!("Bearer {token}"))).status == 200
}

#[test]
fn admin_token_is_shown_once_and_stored_hashed() {
    let app = bare().start();
    curl_line(&app);
    let token = printed_token(&app).expect("an admin token was printed");
    assert!(!app.log().contains(&token), "the token is in the log");
    let builder = app.stop();
    for entry in std::fs::read_dir(builder.path().join("data")).unwrap() {
        let content = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(
            !content.windows(token.len()).any(|window| window == token.as_bytes()),
            "the token is in a file"
        );
    }
    let app = builder.start();
    assert!(opens_metrics(&app, &token), "it still works after a restart");
    assert!(
        !app.process.stdout.text().contains(&token) && !app.log().contains(&token),
        "it is shown only once"
    );
    assert_eq!(printed_token(&app), None);
}

#[test]
fn new_token_replaces_the_old_one() {
    let app = bare().start();
    curl_line(&app);
    let old = printed_token(&app).expect("an admin token was printed");
    let builder = app.stop();
    let output = builder.run(&["token"]).succeeded();
    let new = output.split_whitespace().max_by_key(|word| word.len()).unwrap().to_owned();
    let app = builder.start();
    assert!(opens_metrics(&app, &new));
    assert!(!opens_metrics(&app, &old));
}

#[test]
fn inbox_does_not_exist_with_configured_sources() {
    let app = TestApp::github().start();
    assert!(!app.process.stdout.text().contains("/webhooks/inbox"));
    assert_eq!(app.send(&Request::post("/webhooks/inbox").body("{}")).status, 404);
}
