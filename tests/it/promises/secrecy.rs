//! Configured secrets never appear in files, log or metrics.

use crate::harness::sign;
use crate::harness::{ADMIN_TOKEN, Request, TestApp, eventually, files_with};

const PATH: &str = "random-path-part-of-the-shop-77";
const SHOP_TOKEN: &str = "hunter2-shop-token";
const READ_TOKEN: &str = "hunter2-read-token-0123456789";
const KEY: &str = "hunter2-key-with-thirty-two-characters";

#[track_caller]
fn assert_absent(app: &TestApp, needles: &[&str]) {
    let (log, metrics, output) = (app.log(), app.metrics(), app.process.stdout.text());
    for needle in needles {
        assert_eq!(files_with(app.path(), needle), Vec::<String>::new(), "{needle:?} is in a file");
        assert!(!log.contains(needle), "{needle:?} is in the log:\n{log}");
        assert!(!metrics.contains(needle), "{needle:?} is in the metrics");
        assert!(!output.contains(needle), "{needle:?} was printed");
    }
}

#[test]
fn secrets_never_reach_file_log_or_metric() {
    let app = TestApp::github()
        .set("CREEL_LOG", "debug")
        .set("CREEL_READ_TOKEN", READ_TOKEN)
        .set("CREEL_KEY", KEY)
        .set("CREEL_SOURCE_SHOP_PROVIDER", "token")
        .set("CREEL_SOURCE_SHOP_SECRET", SHOP_TOKEN)
        .set("CREEL_SOURCE_SHOP_HEADER", "Shop-Token")
        .set("CREEL_SOURCE_SHOP_PATH", PATH)
        .start();
    let shop = Request::post(&format!("/webhooks/shop/{PATH}")).body("{}");
    let stored =
        shop.clone().header("Shop-Token", SHOP_TOKEN).header("Authorization", "Bearer hunter2-forwarded");
    assert_eq!(app.send(&stored).status, 200);
    let mistyped = shop.header("Shop-Token", "hunter3-mistyped").header("Cookie", "s=hunter2-cookie");
    assert_eq!(app.send(&mistyped).status, 403);
    let forged = sign::github("1", "{}").body("[]").header("Authorization", "Basic hunter2-basic");
    assert_eq!(app.send(&forged).status, 403);
    assert_eq!(app.send(&sign::github("2", "{}")).status, 200);
    let reader = Request::get("/metrics").header("Authorization", format!("Bearer {READ_TOKEN}"));
    assert_eq!(app.send(&reader).status, 200);
    eventually("both rejections are stored", std::time::Duration::from_secs(10), || {
        app.database().count("rejections") == 2
    });
    let needles = [
        sign::SECRET,
        SHOP_TOKEN,
        READ_TOKEN,
        ADMIN_TOKEN,
        KEY,
        PATH,
        "hunter2-forwarded",
        "hunter3-mistyped",
        "hunter2-cookie",
        "hunter2-basic",
    ];
    assert_absent(&app, &needles);
    let headers: Vec<String> = app.database().column("SELECT headers FROM rejections ORDER BY id");
    assert!(headers.iter().all(|headers| headers.contains("[redacted]")), "{headers:?}");
    let sealed: Vec<Option<Vec<u8>>> =
        app.database().column("SELECT sealed_credentials FROM rejections WHERE source = 'shop'");
    assert!(sealed[0].as_ref().is_some_and(|sealed| sealed.len() > 28), "redacted values are sealed");
    // Also checks the files that a stop writes.
    let app = app.restart();
    assert_absent(&app, &needles);
}

#[test]
fn configuration_problems_name_variables_without_secrets() {
    let output = TestApp::github()
        .set("CREEL_SOURCE_SHOP_PROVIDER", "tokn")
        .set("CREEL_SOURCE_SHOP_SECRET", SHOP_TOKEN)
        .set("CREEL_ADMIN_TOKEN", "hunter2 short")
        .set("CREEL_KEY", "hunter2-key")
        .set("CREEL_RETENTON", "7d")
        .set("CREEL_CLEANUP_INTERVAL", "soon")
        .run(&["serve"])
        .failed();
    for name in [
        "CREEL_SOURCE_SHOP_PROVIDER",
        "CREEL_ADMIN_TOKEN",
        "CREEL_KEY",
        "CREEL_RETENTON",
        "CREEL_CLEANUP_INTERVAL",
    ] {
        assert!(output.contains(name), "{name} is not named: {output}");
    }
    assert!(output.contains("CREEL_RETENTION"), "the nearest known name is suggested: {output}");
    assert!(!output.contains("hunter2") && !output.contains(sign::SECRET), "{output}");
}
