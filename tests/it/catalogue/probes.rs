//! HEAD and GET requests that only probe whether a URL is served.

use crate::harness::sign::{SECRET, base64, hmac_sha256};
use crate::harness::{Builder, Request, TestApp};

const PATH: &str = "kq9S7yTr0bWpF3aVz1cXn5mLd8gHj2Ke";

fn hooks() -> Builder {
    TestApp::builder()
        .set("CREEL_SOURCE_OPEN_PROVIDER", "none")
        .set("CREEL_SOURCE_OPEN_PATH", PATH)
        .set("CREEL_SOURCE_OPEN_PROBE", "yes")
        .set("CREEL_SOURCE_HOOK_PROVIDER", "standard-webhooks")
        .set("CREEL_SOURCE_HOOK_SECRET", format!("whsec_{}", base64(SECRET.as_bytes())))
        .set("CREEL_SOURCE_HOOK_PROBE", "yes")
        .set("CREEL_SOURCE_STRICT_PROVIDER", "token")
        .set("CREEL_SOURCE_STRICT_HEADER", "X-Token")
        .set("CREEL_SOURCE_STRICT_SECRET", SECRET)
}

#[test]
fn probe_is_answered_and_not_stored() {
    let app = hooks().start();
    let open = format!("/webhooks/open/{PATH}");
    for target in [open.as_str(), "/webhooks/hook"] {
        for method in ["GET", "HEAD"] {
            let reply = app.send(&Request::new(method, target));
            assert_eq!((reply.status, reply.text().as_str()), (200, ""), "{method} {target}");
            assert_eq!(reply.header("content-length"), Some("0"), "{method} {target}");
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{method} {target}");
        }
        assert_eq!(app.send(&Request::get(&format!("{target}?a=1"))).status, 200);
        let reply = app.send(&Request::new("PUT", target));
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST, GET, HEAD")), "{target}");
    }
    assert_eq!((app.database().count("messages"), app.database().count("rejections")), (0, 0));
}

#[test]
fn probe_of_a_wrong_path_is_not_found() {
    let app = hooks().start();
    for target in ["/webhooks/open", "/webhooks/open/wrong-path-wrong-path", "/webhooks/none"] {
        for method in ["GET", "HEAD"] {
            assert_eq!(app.send(&Request::new(method, target)).status, 404, "{method} {target}");
        }
    }
}

#[test]
fn source_without_probe_rejects_get_and_head() {
    let app = hooks().start();
    for method in ["GET", "HEAD"] {
        let reply = app.send(&Request::new(method, "/webhooks/strict"));
        assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")), "{method}");
    }
}

#[test]
fn probing_source_still_stores_messages() {
    let app = hooks().start();
    let time = crate::harness::sign::now().to_string();
    let tag = hmac_sha256(SECRET.as_bytes(), format!("msg_1.{time}.{{}}").as_bytes());
    let request = Request::post("/webhooks/hook")
        .header("webhook-id", "msg_1")
        .header("webhook-timestamp", &time)
        .header("webhook-signature", format!("v1,{}", base64(&tag)))
        .body("{}");
    assert_eq!(app.send(&request).status, 204);
    assert_eq!(app.database().only_message().delivery_id.as_deref(), Some("msg_1"));
}

#[test]
fn probe_that_contradicts_methods_or_provider_prevents_start() {
    let problem = |builder: Builder| builder.run(&["check"]).failed();
    let conflict = problem(hooks().set("CREEL_SOURCE_OPEN_METHODS", "GET POST"));
    assert!(conflict.contains("CREEL_SOURCE_OPEN_PROBE: ") && conflict.contains("_METHODS"), "{conflict}");
    let github = hooks().set("CREEL_SOURCE_GITHUB_SECRET", SECRET).set("CREEL_SOURCE_GITHUB_PROBE", "yes");
    let github = problem(github);
    assert!(github.contains("CREEL_SOURCE_GITHUB_PROBE: is for generic providers"), "{github}");
    let word = problem(hooks().set("CREEL_SOURCE_OPEN_PROBE", "maybe"));
    assert!(word.contains("neither yes nor no"), "{word}");
    let shown = hooks().run(&["check"]).succeeded();
    assert!(shown.contains("GET and HEAD are answered with 200 and not stored"), "{shown}");
}

#[test]
fn probes_do_not_use_up_the_message_rate() {
    let app = hooks().set("CREEL_SOURCE_OPEN_RATE", "2/h").start();
    let target = format!("/webhooks/open/{PATH}");
    for method in ["HEAD", "GET"] {
        assert_eq!(app.send(&Request::new(method, &target)).status, 200, "{method}");
    }
    assert_eq!(
        app.send(&Request::new("HEAD", &target)).status,
        429,
        "probes have their own limit of the same rate"
    );
    for _ in 0..2 {
        assert_eq!(app.send(&Request::post(&target)).status, 200);
    }
    assert_eq!(app.send(&Request::post(&target)).status, 429);
}
