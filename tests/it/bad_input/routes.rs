//! Unknown methods and paths.

use super::{Storage, assert_rows, push, row, service};
use crate::harness::{Request, TestApp};

const PATH: &str = "kq9S7yTr0bWpF3aVz1cXn5mLd8gHj2Ke";

#[test]
fn other_methods_are_not_allowed() {
    let app = service();
    for method in ["HEAD", "PUT", "DELETE", "TRACE", "GET", "PATCH", "OPTIONS", "BREW"] {
        let reply = app.send(&push("{}").method(method));
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")), "{method}");
        if method != "HEAD" {
            assert_eq!(reply.text(), "Method not allowed.", "{method}");
        }
    }
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn similar_paths_are_not_found() {
    let app = service();
    let long = format!("/webhooks/github/{}", "a".repeat(8 * 1024));
    let targets = [
        "/webhooks/github%00",
        "/webhooks/%00github",
        "/webhooks/%2e%2e/webhooks/github",
        "/webhooks/../webhooks/github",
        "/webhooks/./github",
        "//webhooks/github",
        "/webhooks//github",
        "/webhooks/github//",
        "/WEBHOOKS/github",
        "/webhooks/GitHub",
        "/webhooks/github/extra",
        "/webhooks",
        "/webhooks/",
        "/",
        long.as_str(),
    ];
    let rows: Vec<_> =
        targets.iter().map(|target| row(*target, push("{}").target(target), 404, Storage::Nothing)).collect();
    assert_rows(&app, &rows);
}

fn hidden() -> TestApp {
    TestApp::builder()
        .set("CREEL_SOURCE_HIDDEN_PROVIDER", "none")
        .set("CREEL_SOURCE_HIDDEN_PATH", PATH)
        .start()
}

#[test]
fn unknown_source_and_wrong_path_get_identical_replies() {
    let app = hidden();
    let wrong_end = format!("/webhooks/hidden/{}x", &PATH[..PATH.len() - 1]);
    let longer = format!("/webhooks/hidden/{PATH}x");
    let other_case = format!("/webhooks/hidden/{}", PATH.to_lowercase());
    let deeper = format!("/webhooks/hidden/{PATH}/x");
    let unknown = app.send(&Request::post("/webhooks/unknown").body("{}")).timeless();
    unknown.assert_is(404, "text/plain", "Not found.");
    for target in [
        "/webhooks/hidden",
        "/webhooks/hidden/",
        &wrong_end,
        &longer,
        &other_case,
        &deeper,
        "/webhooks/unknown/x",
    ] {
        for method in ["POST", "GET", "PUT", "OPTIONS"] {
            let reply =
                app.send(&Request::new(method, target).header("Content-Length", "2").body("{}")).timeless();
            assert_eq!(reply, unknown, "{method} {target}");
        }
    }
    assert_eq!(app.send(&Request::post(&format!("/webhooks/hidden/{PATH}")).body("{}")).status, 200);
    assert_eq!(app.database().count("messages"), 1);
    assert!(!app.log().contains(PATH), "the path is in the log");
}
