//! Targets that refuse connections, hang, reset, redirect, or send endless or slow replies:
//! attempts follow the schedule, and other targets and the ingest are unaffected.

use std::time::{Duration, Instant};

use super::{SOON, push};
use crate::harness::target::{Behaviour, Target};
use crate::harness::{TestApp, allow, eventually, files_with};

/// The behaviours, each with the error that its attempts record.
fn behaviours() -> Vec<(&'static str, Behaviour, &'static str)> {
    vec![
        ("CLOSES", Behaviour::Close, "pending"),
        ("RESETS", Behaviour::Reset, "pending"),
        ("HANGS", Behaviour::Hang, "pending"),
        ("FAILS", Behaviour::status(500), "pending"),
        (
            "REDIRECTS",
            Behaviour::status(302).header("Location", "http://169.254.169.254/latest/meta-data"),
            "pending",
        ),
        ("BABBLES", Behaviour::Raw(b"\x00\xff not HTTP at all".to_vec()), "pending"),
        ("FLOODS", Behaviour::Flood { bytes: 1 << 30 }, "delivered"),
        ("DRIPS", Behaviour::Drip { every: Duration::from_secs(1) }, "delivered"),
    ]
}

#[test]
fn unruly_targets_affect_neither_ingest_nor_other_targets() {
    let well = Target::start();
    let unruly: Vec<_> = behaviours().into_iter().map(|row| (Target::start(), row)).collect();
    let mut builder = TestApp::github().set("CREEL_TARGET_WELL_URL", well.url("/"));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    builder = builder.set("CREEL_TARGET_CLOSED_URL", format!("http://{closed}/"));
    for (target, (name, behaviour, _)) in &unruly {
        target.behave(behaviour.clone());
        builder = builder
            .set(&format!("CREEL_TARGET_{name}_URL"), target.url("/"))
            .set(&format!("CREEL_TARGET_{name}_TIMEOUT"), "2s");
    }
    let app = builder.start();
    let mut slowest = Duration::ZERO;
    for number in 0..20 {
        let began = Instant::now();
        push(&app, &format!("delivery-{number}"), "{}");
        slowest = slowest.max(began.elapsed());
    }
    assert!(slowest < allow(Duration::from_millis(250)), "{slowest:?}");
    well.wait_for(20);
    let database = app.database();
    for (_, (name, _, state)) in &unruly {
        let name = name.to_ascii_lowercase();
        eventually(&format!("{name} was attempted"), SOON, || {
            database.value::<i64>(&format!(
                "SELECT count(*) FROM deliveries JOIN targets ON targets.id = target_id
                 WHERE name = '{name}' AND attempts = 1 AND deliveries.state = '{state}'"
            )) > 0
        });
    }
    let redirected: String = database.value(
        "SELECT attempts.error FROM attempts JOIN deliveries ON deliveries.id = delivery_id
         JOIN targets ON targets.id = target_id WHERE name = 'redirects' LIMIT 1",
    );
    assert!(redirected.contains("redirects are not followed"), "{redirected}");
    let longest: i64 = database.value("SELECT max(length(excerpt)) FROM attempts");
    assert!(longest <= 1_024, "{longest}");
    assert!(app.peak_memory_bytes() < 200 << 20, "{}", app.peak_memory_bytes());
}

#[test]
fn environment_target_settings_never_reach_file_or_log() {
    let target = Target::start();
    target.answers(500);
    let app = TestApp::github()
        .set("CREEL_TARGET_APP_URL", format!("{}?key=a-token-in-the-url", target.url("/hooks")))
        .set("CREEL_TARGET_APP_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")
        .set("CREEL_TARGET_APP_HEADERS", r#"{"Authorization":"Bearer a-token-in-a-header"}"#)
        .set("CREEL_LOG", "trace")
        .start();
    push(&app, "first", "{}");
    let received = &target.wait_for(1)[0];
    assert_eq!(received.header("authorization"), Some("Bearer a-token-in-a-header"));
    assert!(received.header("webhook-signature").is_some_and(|value| value.starts_with("v1,")));
    assert!(received.target().ends_with("?key=a-token-in-the-url"));
    let database = app.database();
    eventually("the failure is recorded", SOON, || {
        database.value::<i64>("SELECT count(*) FROM attempts") == 1
    });
    for secret in ["a-token-in-the-url", "C2FVsBQIhrscChlQIMV", "a-token-in-a-header"] {
        assert_eq!(files_with(app.path(), secret), Vec::<String>::new(), "{secret}");
        assert!(!app.log().contains(secret), "{secret} is in the log");
    }
}
