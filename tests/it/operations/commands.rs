//! The other commands, as an operator runs them.

use crate::harness::sign::SECRET;
use crate::harness::{ADMIN_TOKEN, Builder, TestApp, sign};

fn listening_at(app: &TestApp, builder: Builder) -> Builder {
    builder.next_to(app).set("CREEL_LISTEN", app.address.to_string())
}

#[test]
fn check_prints_each_source_with_its_url() {
    let output = TestApp::github()
        .set("CREEL_PUBLIC_URL", "https://hooks.example.com")
        .set("CREEL_SOURCE_SHOP_PROVIDER", "token")
        .set("CREEL_SOURCE_SHOP_SECRET", "hunter2-shop")
        .set("CREEL_SOURCE_SHOP_PATH", "random-path-part-of-the-shop")
        .set("CREEL_SOURCE_SHOP_HEADER", "Shop-Token")
        .run(&["check"])
        .succeeded();
    assert!(output.contains("https://hooks.example.com/webhooks/github"), "{output}");
    assert!(
        output.contains("https://hooks.example.com/webhooks/shop/random-path-part-of-the-shop"),
        "{output}"
    );
    for secret in [SECRET, "hunter2-shop", ADMIN_TOKEN] {
        assert!(!output.contains(secret), "{output}");
    }
}

#[test]
fn check_warns_of_likely_mistakes_without_secrets() {
    let builder = TestApp::github();
    std::fs::write(builder.path().join("slack"), "\u{feff}hidden-signing-secret-of-slack\n").unwrap();
    let output = builder
        .set("CREEL_SOURCE_STRIPE_SECRET", "sk_live_hidden0123456789abcdef")
        .set("CREEL_SOURCE_SLACK_SECRET_FILE", "slack")
        .set("CREEL_SOURCE_TYPEFORM_SECRET", "hidden")
        .set("CREEL_SOURCE_SHOPIFY_SECRET", "'hidden-secret-of-the-shop'")
        .set("CREEL_TARGET_APP_URL", "https://app.example.com/")
        .set("CREEL_TARGET_APP_SECRET", "hidden-secret-of-the-app ")
        .set("CREEL_TARGET_APP_EVENTS", "github.pusj")
        .set("CREEL_TARGET_RUN_EXEC", "/no/such/program")
        .set("CREEL_MIN_FREE", "1000TiB")
        .run(&["check"])
        .succeeded();
    for (variable, part) in [
        ("CREEL_SOURCE_STRIPE_SECRET", "whsec_… is expected"),
        ("CREEL_SOURCE_SLACK_SECRET_FILE", "BOM"),
        ("CREEL_SOURCE_TYPEFORM_SECRET", "6 bytes"),
        ("CREEL_SOURCE_SHOPIFY_SECRET", "quotation mark"),
        ("CREEL_TARGET_APP_SECRET", "white space"),
        ("CREEL_TARGET_APP_EVENTS", "github.push"),
        ("CREEL_TARGET_RUN_EXEC", "does not exist"),
        ("CREEL_MIN_FREE", "answered with 503"),
    ] {
        let is_warning = |line: &&str| line.starts_with("warning: ") && line.contains(variable);
        let warnings: Vec<&str> = output.lines().filter(is_warning).collect();
        assert!(warnings.len() == 1 && warnings[0].contains(part), "{variable}: {output}");
    }
    assert!(!output.contains("hidden"), "{output}");
}

#[test]
fn target_secret_is_printed_only_on_request() {
    let builder = TestApp::github()
        .set("CREEL_TARGET_APP_URL", "https://app.example.com/")
        .set("CREEL_TARGET_APP_SECRET", "hidden secret of the app");
    let output = builder.run(&["check"]).succeeded();
    assert!(output.contains("creel secret --target app") && !output.contains("hidden"), "{output}");
    let printed = builder.run(&["secret", "--target", "app"]).succeeded();
    assert_eq!(printed, "whsec_aGlkZGVuIHNlY3JldCBvZiB0aGUgYXBw\n");
    let made = builder.run(&["secret", "--whsec"]).succeeded();
    assert!(made.starts_with("whsec_") && made.len() == 6 + 44 + 1, "{made}");
}

#[test]
fn check_changes_nothing() {
    let builder = TestApp::github();
    builder.run(&["check"]).succeeded();
    assert_eq!(std::fs::read_dir(builder.path()).unwrap().count(), 0);
}

#[test]
fn check_reports_all_problems_together() {
    let output = TestApp::github()
        .set("CREEL_SOURCE_GITHUB_RATE", "lots")
        .set("CREEL_MAX_BODY", "1 elephant")
        .set("CREEL_LISTNE", "127.0.0.1:0")
        .run(&["check"])
        .failed();
    for part in ["CREEL_SOURCE_GITHUB_RATE", "CREEL_MAX_BODY", "CREEL_LISTNE", "CREEL_LISTEN"] {
        assert!(output.contains(part), "{part}: {output}");
    }
}

#[test]
fn secret_is_long_random_and_url_safe() {
    let make = || TestApp::builder().run(&["secret"]).succeeded().trim().to_owned();
    let (one, other) = (make(), make());
    assert_ne!(one, other);
    assert!(one.len() >= 32, "{one}");
    assert!(one.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{one}");
}

#[test]
fn wrong_usage_exits_with_code_two() {
    let outcome = TestApp::builder().run(&["no-such-command"]);
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
    let help = TestApp::builder().run(&["--help"]).succeeded();
    for command in ["serve", "check", "secret", "token", "send", "healthcheck", "verify", "cleanup"] {
        assert!(help.contains(command), "{command}: {help}");
    }
}

#[test]
fn send_signs_a_valid_sample_of_each_provider() {
    let configured = TestApp::github()
        .set("CREEL_SOURCE_STRIPE_SECRET", "whsec_of_stripe")
        .set("CREEL_SOURCE_TYPEFORM_SECRET", SECRET)
        .set("CREEL_SOURCE_STANDARD_WEBHOOKS_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
        .set("CREEL_SOURCE_TOKEN_SECRET", "token-of-the-source")
        .set("CREEL_SOURCE_TOKEN_HEADER", "Shop-Token");
    let app = configured.start();
    let sender = listening_at(&app, configured);
    for provider in ["github", "stripe", "typeform", "standard-webhooks", "token"] {
        sender.run(&["send", provider]).succeeded();
        assert_eq!(app.database().newest_message().source, provider);
        assert!(!app.database().newest_message().not_json, "{provider}");
    }
    sender.run(&["send", "github", "issues"]).succeeded();
    assert!(app.database().newest_message().event.starts_with("github.issues"));
    assert_eq!(app.database().count("messages"), 6, "every sample is a separate message");
}

#[test]
fn send_to_url_with_secret_needs_no_configuration() {
    let app = TestApp::github().start();
    let bare = Builder::bare();
    let url = format!("http://{}/webhooks/github", app.address);
    bare.run(&["send", "github", "push", "--url", &url, "--secret", SECRET]).succeeded();
    assert_eq!(app.database().only_message().event, "github.push");
    let rejected = bare.run(&["send", "github", "push", "--url", &url, "--secret", "wrong"]).failed();
    assert!(rejected.contains("403"), "{rejected}");
}

#[test]
fn healthcheck_reports_whether_messages_are_accepted() {
    let app = TestApp::github().start();
    let checking = listening_at(&app, Builder::bare());
    checking.run(&["healthcheck"]).succeeded();
    app.stop();
    let output = checking.run(&["healthcheck"]).failed();
    assert!(output.starts_with("creel: "), "{output}");
}

#[test]
fn healthcheck_fails_while_messages_are_rejected() {
    let app = TestApp::github().set("CREEL_MIN_FREE", "1000TiB").start();
    listening_at(&app, Builder::bare()).run(&["healthcheck"]).failed();
}

/// A stopped service with one message for each storage format of a body.
fn with_bodies() -> Builder {
    let app = TestApp::github().start();
    let form = sign::github("2", "a=1&b=2").replace("Content-Type", "application/x-www-form-urlencoded");
    for request in
        [sign::github("1", r#"{"text":"abc"}"#), form, sign::github("3", "not JSON"), sign::github("4", "")]
    {
        assert_eq!(app.send(&request).status, 200);
    }
    app.stop()
}

#[test]
fn verify_accepts_stored_messages() {
    let builder = with_bodies();
    let output = builder.run(&["verify"]).succeeded();
    assert!(output.contains('4'), "{output}");
    let app = builder.start();
    listening_at(&app, builder).run(&["verify"]).succeeded();
}

#[test]
fn verify_detects_a_flipped_bit_anywhere() {
    for (id, flip) in [
        (1, "UPDATE messages SET payload = replace(payload, 'abc', 'abb') WHERE id = 1"),
        (2, "UPDATE messages SET body = CAST('a=1&b=3' AS BLOB) WHERE id = 2"),
        (3, "UPDATE messages SET body = CAST('not JSOO' AS BLOB) WHERE id = 3"),
        (4, "UPDATE messages SET body_sha256 = zeroblob(32) WHERE id = 4"),
    ] {
        let builder = with_bodies();
        assert_eq!(builder.database().change(flip), 1);
        let output = builder.run(&["verify"]).failed();
        assert!(output.contains(&format!("message {id}")), "{output}");
    }
}

#[test]
fn cleanup_next_to_running_service_loses_nothing() {
    let app = TestApp::github().start();
    assert_eq!(app.send(&sign::github("1", "{}")).status, 200);
    // The cleanup may run or fail while the service has the file; both must leave it intact.
    let outcome = listening_at(&app, TestApp::github()).run(&["cleanup"]);
    assert!(matches!(outcome.code, Some(0 | 1)), "{}", outcome.stderr);
    assert_eq!(app.send(&sign::github("2", "{}")).status, 200);
    assert_eq!(app.database().count("messages"), 2);
}

#[test]
fn cleanup_frees_disk_space() {
    let app = TestApp::github().start();
    let body = format!("\"{}\"", "x".repeat(100_000));
    for number in 0..200 {
        assert_eq!(app.send(&sign::github(&number.to_string(), body.clone())).status, 200);
    }
    let builder = app.stop();
    let length = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    // On a slow machine the last checkpoint may happen at the next start.
    let size = || length(builder.database().path()) + length(&builder.path().join("creel.db-wal"));
    let before = size();
    assert!(before > 20_000_000, "{before}");
    builder
        .database()
        .change("UPDATE messages SET received_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-8 days')");
    builder.run(&["cleanup"]).succeeded();
    builder.start().stop();
    assert_eq!(builder.database().count("messages"), 0);
    assert!(size() * 10 <= before, "{} of {before} bytes are left", size());
}

#[test]
fn commands_need_an_existing_database() {
    for command in ["verify", "token"] {
        let builder = Builder::bare();
        let output = builder.run(&[command]).failed();
        assert!(output.contains("creel.db"), "{command}: {output}");
        assert!(!builder.path().join("creel.db").exists(), "{command} made an empty database");
    }
}

#[test]
fn verify_does_not_advise_to_run_itself() {
    let builder = TestApp::builder();
    std::fs::write(builder.path().join("creel.db"), "no database, but long enough. ".repeat(200)).unwrap();
    let output = builder.run(&["verify"]).failed();
    assert!(output.contains("file is not a database") && !output.contains("creel verify"), "{output}");
}
