//! Text that attacks its readers: log, database and terminal.

use std::time::Duration;

use super::{Storage, assert_rows, push, row, service};
use crate::harness::sign::{self, stripe};
use crate::harness::{TestApp, eventually};

/// Whether a character must be escaped in a terminal or a log file.
fn is_harmful(character: char) -> bool {
    let is_bidi =
        matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    is_bidi || (character.is_control() && character != '\n')
}

#[track_caller]
fn assert_log_is_harmless(app: &TestApp) {
    let log = app.log();
    let harmful: Vec<&str> = log.lines().filter(|line| line.chars().any(is_harmful)).collect();
    assert!(harmful.is_empty(), "{harmful:?}");
}

/// The log lines about requests to a source, after `count` of them.
#[track_caller]
fn request_lines(app: &TestApp, source: &str, count: usize) -> Vec<String> {
    let mark = format!("POST /webhooks/{source} ");
    let lines = || -> Vec<String> {
        app.log().lines().filter(|line| line.contains(&mark)).map(str::to_owned).collect()
    };
    eventually("the requests are logged", Duration::from_secs(10), || lines().len() >= count);
    lines()
}

#[test]
fn control_characters_are_escaped_in_one_log_line() {
    let app = service();
    let body = r#"{"id":"a\r\nFAKE 200\u001b[31m\u202e","type":"x\r\nERROR forged line\u001b[2J\u202egpj"}"#;
    let request =
        stripe(&sign::now().to_string(), body).header("User-Agent", "sender \u{202e}gpj.exe\u{2066}");
    assert_rows(&app, &[row("control characters", request, 200, Storage::AsJson)]);
    assert_eq!(app.database().only_message().headers["user-agent"], "sender \u{202e}gpj.exe\u{2066}");
    assert_eq!(request_lines(&app, "stripe", 1).len(), 1);
    assert_log_is_harmless(&app);
    let forged = app.log().lines().any(|line| line.starts_with("ERROR forged") || line.starts_with("FAKE"));
    assert!(!forged, "{}", app.log());
}

#[test]
fn harmful_text_in_rejections_is_escaped() {
    let app = service();
    let target = "/webhooks/github?a=%0d%0aFAKE&b=\u{202e}x%1b[31m";
    let request = push("{}").target(target).replace("X-Hub-Signature-256", "sha256=\u{202e}");
    let status = app.send(&request).status;
    assert!((400..500).contains(&status), "{status}");
    app.get("/\u{202e}%0d%0aFAKE\u{2066}");
    app.send(&push("{}").replace("X-GitHub-Event", "\u{202e}evil"));
    request_lines(&app, "github", 1);
    assert_log_is_harmless(&app);
}

#[test]
fn json_log_has_one_object_per_line_for_any_input() {
    let app = TestApp::github().set("CREEL_LOG_FORMAT", "json").start();
    let request = push("{}").replace("X-GitHub-Event", "a\"b\\c\u{202e}\tq");
    assert!(app.send(&request).status < 300);
    app.send(&push("{}").replace("X-Hub-Signature-256", "sha256=00"));
    let lines = || app.log().lines().filter(|line| line.contains("/webhooks/github")).count();
    eventually("both requests are logged", Duration::from_secs(10), || lines() >= 2);
    for line in app.log().lines() {
        let parsed: serde_json::Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(parsed.is_object(), "{line}");
    }
    assert_log_is_harmless(&app);
}

#[test]
fn markup_is_stored_unchanged() {
    let app = service();
    let body = r#"{"id":"1","type":"<script>alert(1)</script>","x":"<img src=x onload=alert(1)>javascript:alert(1)"}"#;
    let request = stripe(&sign::now().to_string(), body).header("X-Note", "<script>alert(2)</script>");
    let reply = app.send(&request);
    assert_eq!(reply.status, 200);
    assert!(!reply.text().contains('<'), "{reply:?}");
    let kept = app.database().only_message();
    assert_eq!(kept.body, body.as_bytes());
    assert_eq!(kept.headers["x-note"], "<script>alert(2)</script>");
}

#[test]
fn replies_are_never_sniffed_as_markup() {
    let app = service();
    for reply in [
        app.send(&push("{}")),
        app.get("/%3Cscript%3Ealert(1)%3C/script%3E"),
        app.send(&push("{}").body("[]")),
    ] {
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{reply:?}");
        assert!(!reply.text().contains('<'), "{reply:?}");
    }
}

#[test]
fn quotes_and_sql_statements_are_only_text() {
    let app = service();
    let text = "'; DROP TABLE messages; --\\\"`";
    let body = serde_json::json!({"id": text, "type": text}).to_string();
    let request = stripe(&sign::now().to_string(), body)
        .header("X-Note", text)
        .target("/webhooks/stripe?q=';DROP%20TABLE%20messages;--");
    assert_rows(&app, &[row("quotes", request, 200, Storage::AsJson)]);
    let kept = app.database().only_message();
    assert_eq!((kept.delivery_id.as_deref(), kept.event), (Some(text), format!("stripe.{text}")));
    assert_eq!(kept.headers["x-note"], text);
    app.database().assert_sound();
}

#[test]
fn credentials_in_headers_are_redacted() {
    let app = service();
    let request = push("{}")
        .header("Authorization", "Bearer hunter2-authorization")
        .header("Proxy-Authorization", "Basic hunter2-proxy")
        .header("Cookie", "session=hunter2-cookie")
        .header("X-Many", "one")
        .header("X-Many", "two");
    assert_rows(&app, &[row("credentials", request, 200, Storage::AsJson)]);
    let headers = app.database().only_message().headers;
    for name in ["authorization", "proxy-authorization", "cookie"] {
        assert_eq!(headers[name], "[redacted]", "{name}");
    }
    assert_eq!(headers["x-many"], serde_json::json!(["one", "two"]));
    assert!(!headers.to_string().contains("hunter2"));
}
