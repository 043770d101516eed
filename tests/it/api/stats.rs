//! Counts over time.

use std::time::Duration;

use serde_json::{Value, json};

use super::*;

#[track_caller]
fn complete_stats(app: &TestApp, query: &str) -> Value {
    let mut stats = Value::Null;
    eventually("all messages are counted", Duration::from_secs(20), || {
        stats = answered(app, &get(&format!("/stats{query}")), 200);
        stats["complete"] == json!(true)
    });
    stats
}

#[test]
fn stats_count_messages_and_rejections_immediately() {
    let app = service();
    push(&app, "one", "{}");
    push(&app, "one", "{}");
    push(&app, "two", "[1]");
    reject_some(&app);
    let stats = answered(&app, &get("/stats?from=1h&by=source"), 200);
    assert_eq!(stats["total"], json!({"messages": 2, "bytes": 5, "rejections": 2}));
    assert_eq!(stats["step_seconds"], 60);
    let buckets = stats["buckets"].as_array().unwrap();
    assert!((60..=61).contains(&buckets.len()), "{}", buckets.len());
    let series = stats["series"].as_array().unwrap();
    let names: Vec<&Value> = series.iter().map(|one| &one["name"]).collect();
    assert_eq!(names, [&json!("github"), &json!("shop")]);
    assert_eq!(series[0]["total"], json!({"messages": 2, "bytes": 5, "rejections": 1}));
    assert_eq!(series[0]["messages"].as_array().unwrap().len(), buckets.len());
    let by_event = answered(&app, &get("/stats?from=1h&step=1h&by=event"), 200);
    let names: Vec<&Value> = by_event["series"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, [&Value::Null, &json!("github.push")]);
    // After a stop, the tables have all of it.
    let stopped = app.stop();
    let database = stopped.database();
    let counted: String = database
        .value("SELECT sum(messages) || ' ' || sum(bytes) || ' ' || sum(rejections) FROM daily_counts");
    assert_eq!(counted, "2 5 2");
}

/// The service is killed between the commits and the first flush, which follows after 10 s.
#[test]
fn counts_are_exact_after_kill() {
    let mut builder = builder();
    for cycle in 1..=3 {
        let app = builder.start();
        for number in 0..20 {
            push(&app, &format!("{cycle} {number}"), "{}");
        }
        if cycle == 2 {
            builder = app.stop();
        } else {
            assert_eq!(app.database().value::<i64>("SELECT flushes FROM count_progress"), cycle / 2);
            builder = app.kill();
        }
    }
    let app = builder.start();
    let stats = complete_stats(&app, "?from=1d");
    assert_eq!(stats["total"], json!({"messages": 60, "bytes": 120, "rejections": 0}));
    let stopped = app.stop();
    let database = stopped.database();
    for table in ["hourly_counts", "minute_counts"] {
        assert_eq!(database.value::<i64>(&format!("SELECT sum(messages) FROM {table}")), 60, "{table}");
    }
}

#[test]
fn stats_parameters_are_checked() {
    let app = service();
    push(&app, "one", "{}");
    let read = |path: &str| with_token(Request::get(&format!("/api/v1{path}")), READ_TOKEN);
    let rows = [
        row(get("/stats"), 200, &[r#""step_seconds":7200"#, r#""series":null"#], &[]),
        row(read("/stats?by=event"), 200, &["github.push"], &[]),
        row(read("/stats/forecast"), 200, &[r#""forecast":null"#, "needs 24 h"], &[]),
        row(get("/stats?event=*.push&step=1d"), 200, &[r#""messages":1"#], &[]),
        row(get("/stats?from=30d&step=5m"), 422, &["step", "3 days"], &[]),
        row(get("/stats?step=7m"), 422, &["step", "divide"], &[]),
        row(get("/stats?from=1000d&step=1h"), 422, &["limit is 1000"], &[]),
        row(get("/stats?from=1h&to=2h"), 422, &["before `to`"], &[]),
        row(get("/stats?from=yesterday"), 422, &["from"], &[]),
        row(get("/stats?by=owner"), 400, &["by"], &[]),
        row(get("/stats?source=githup"), 404, &["unknown_name", "github"], &[]),
        row(with_token(Request::get("/api/v1/stats"), LISTENER_TOKEN), 403, &["forbidden"], &[]),
    ];
    assert_rows(&app, &rows);
}

#[test]
fn stats_command_prints_table_and_forecast() {
    let app = service();
    push(&app, "one", "{}");
    let server = format!("http://{}", app.address);
    let run = |arguments: &[&str]| {
        let arguments = [&["stats", "--server", &server], arguments].concat();
        builder().run(&arguments).succeeded()
    };
    let table = run(&[]);
    assert!(
        table.contains("messages") && table.lines().last().is_some_and(|line| line.starts_with("total")),
        "{table}"
    );
    assert!(run(&["--by", "event"]).contains("github.push"));
    assert!(run(&["--json", "--step", "1d"]).contains("\"step_seconds\":86400"));
    assert!(run(&["--forecast"]).contains("a forecast needs 24 h"));
}
