//! Targets: valid settings, and the error text of every rule.

use std::time::Duration;

use super::super::{Config, Destination, Problems, Retention, target_rules};
use super::{SECRET, accepted, assert_rejected, rejected, vars};
use crate::store::{ContentType, DeliveryOrdering, DeliveryRate, Pattern};

const URL: (&str, &str) = ("CREEL_TARGET_APP_URL", "http://app:8000/hooks");
const COMMAND: (&str, &str) = ("CREEL_TARGET_APP_EXEC", "/usr/local/bin/deploy --quiet");
const EVENTS: (&str, &str) = ("CREEL_EVENTS", "pay_info.created pay_info.paid");
const GITHUB: (&str, &str) = ("CREEL_SOURCE_GITHUB_SECRET", SECRET);

fn patterns(config: &Config) -> Vec<&str> {
    config.targets[0].settings.events.iter().map(Pattern::as_str).collect()
}

#[test]
fn url_alone_declares_target_with_documented_defaults() {
    let config = accepted(&[("CREEL_TARGET_MY_APP_URL", " http://app:8000/hooks?key=1 ")]);
    let target = &config.targets[0];
    let settings = &target.settings;
    assert_eq!((settings.name.as_str(), &settings.owner, &settings.url), ("my-app", &None, &None));
    assert_eq!((patterns(&config), &settings.filter), (vec!["*"], &None));
    assert_eq!((settings.concurrency, settings.ordering), (8, DeliveryOrdering::Any));
    assert_eq!((settings.rate, settings.content_type), (None, None));
    assert_eq!(settings.timeout, Duration::from_secs(30));
    assert!(target.secrets.is_empty() && target.headers.is_empty());
    let Destination::Http(url) = &target.destination else { panic!("it is a URL") };
    assert_eq!(url.expose(), b"http://app:8000/hooks?key=1");
    assert_eq!(target.variable(), "CREEL_TARGET_MY_APP_URL");
}

#[test]
fn every_target_key_is_applied() {
    let config = accepted(&[
        URL,
        EVENTS,
        GITHUB,
        ("CREEL_TARGET_APP_EVENTS", "github.push  *.paid\tpay_info.created github.push"),
        ("CREEL_TARGET_APP_FILTER", "/ref=refs/heads/main"),
        ("CREEL_TARGET_APP_OWNER", " customer 42 "),
        ("CREEL_TARGET_APP_SECRET", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
        ("CREEL_TARGET_APP_SECRET_2", " any text "),
        ("CREEL_TARGET_APP_HEADERS", r#"{"Authorization": "Bearer x"}"#),
        ("CREEL_TARGET_APP_CONTENT_TYPE", "form"),
        ("CREEL_TARGET_APP_CONCURRENCY", "1000"),
        ("CREEL_TARGET_APP_ORDER", "any"),
        ("CREEL_TARGET_APP_RATE", "100/m"),
        ("CREEL_TARGET_APP_TIMEOUT", "15m"),
    ]);
    let target = &config.targets[0];
    let settings = &target.settings;
    assert_eq!(patterns(&config), ["github.push", "*.paid", "pay_info.created"]);
    assert_eq!(settings.owner.as_deref(), Some("customer 42"));
    assert_eq!(settings.filter.as_ref().map(|filter| filter.0.len()), Some(1));
    assert_eq!(settings.content_type, Some(ContentType::Form));
    assert_eq!((settings.concurrency, settings.ordering), (1_000, DeliveryOrdering::Any));
    assert_eq!(settings.rate, Some(DeliveryRate { count: 100, per: Duration::from_secs(60) }));
    assert_eq!(settings.timeout, Duration::from_secs(900));
    let secrets: Vec<&[u8]> = target.secrets.iter().map(|secret| secret.expose()).collect();
    assert_eq!(secrets, [&b"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"[..], b" any text "]);
    assert_eq!(
        (target.headers[0].0.as_str(), target.headers[0].1.expose()),
        ("authorization", &b"Bearer x"[..])
    );
}

#[test]
fn command_is_split_and_rejects_url_settings() {
    let config =
        accepted(&[COMMAND, ("CREEL_TARGET_APP_ORDER", "strict"), ("CREEL_TARGET_APP_TIMEOUT", "5m")]);
    let target = &config.targets[0];
    let Destination::Command(words) = &target.destination else { panic!("it is a command") };
    assert_eq!(words, &["/usr/local/bin/deploy", "--quiet"]);
    assert_eq!((target.settings.concurrency, target.settings.ordering), (1, DeliveryOrdering::Strict));
    assert_eq!(target.variable(), "CREEL_TARGET_APP_EXEC");
    let rows = [
        ("CREEL_TARGET_APP_SECRET", "x"),
        ("CREEL_TARGET_APP_SECRET_2", "x"),
        ("CREEL_TARGET_APP_HEADERS", "{}"),
        ("CREEL_TARGET_APP_CONTENT_TYPE", "json"),
    ];
    for (name, value) in rows {
        assert_rejected(
            &[COMMAND, (name, value)],
            &[&format!("{name}: is for requests to a URL"), "CREEL_TARGET_APP_EXEC"],
        );
    }
}

#[test]
fn target_requires_either_url_or_command() {
    assert_rejected(&[URL, COMMAND], &["CREEL_TARGET_APP_EXEC: is set, and so is CREEL_TARGET_APP_URL"]);
    assert_rejected(
        &[("CREEL_TARGET_APP_EVENTS", "*")],
        &["CREEL_TARGET_APP_URL: is missing", "CREEL_TARGET_APP_EXEC", "comes from CREEL_TARGET_APP_EVENTS"],
    );
}

#[test]
fn invalid_target_values_are_rejected() {
    let rows = [
        ("URL", "app:8000", "https://"),
        ("URL", "ftp://app/", "https://"),
        ("URL", "http://user:hidden@app/", "Authorization header"),
        ("URL", "http://app/#part", "fragment"),
        ("FILTER", "ref=main", "where a condition should begin"),
        ("OWNER", "a\u{7}b", "no control characters"),
        ("SECRET", "whsec_not base64!", "not base64"),
        ("SECRET_2", "whsec_", "not base64"),
        ("SECRET_9", "whsec_YWJjZA", "not base64"),
        ("HEADERS", "Authorization: Bearer hidden", "JSON object"),
        ("HEADERS", r#"{"Host": "hidden"}"#, "reserved header"),
        ("CONTENT_TYPE", "xml", "json nor form"),
        ("CONCURRENCY", "0", "1 to 1000"),
        ("CONCURRENCY", "1001", "1 to 1000"),
        ("CONCURRENCY", "+8", "1 to 1000"),
        ("ORDER", "fifo", "any or strict"),
        ("RATE", "fast", "not a rate"),
        ("RATE", "0/s", "at least 1"),
        ("TIMEOUT", "16m", "longest is 15m"),
        ("TIMEOUT", "30", "not a duration"),
        ("EVENTS", "", "is empty"),
    ];
    for (key, value, part) in rows {
        let name = format!("CREEL_TARGET_APP_{key}");
        let problems =
            if key == "URL" { rejected(&[(&name, value)]) } else { rejected(&[URL, (&name, value)]) };
        assert_eq!(problems.len(), 1, "{name}={value}: {problems:#?}");
        assert!(problems[0].starts_with(&format!("{name}: ")) && problems[0].contains(part), "{problems:#?}");
        assert!(!problems[0].contains("hidden"), "{problems:#?}");
    }
    assert_rejected(&[("CREEL_TARGET_APP_EXEC", "git pull && make")], &["CREEL_TARGET_APP_EXEC: ", "sh -c"]);
}

#[test]
fn strict_order_requires_concurrency_of_one() {
    let strict = ("CREEL_TARGET_APP_ORDER", "strict");
    assert_eq!(accepted(&[URL, strict]).targets[0].settings.concurrency, 1);
    accepted(&[URL, strict, ("CREEL_TARGET_APP_CONCURRENCY", "1")]);
    assert_rejected(
        &[URL, strict, ("CREEL_TARGET_APP_CONCURRENCY", "2")],
        &["CREEL_TARGET_APP_CONCURRENCY: is more than 1, but the order is strict"],
    );
}

#[test]
fn literal_pattern_must_be_declared_or_have_source_prefix() {
    for pattern in ["github.push", "github.anything.at-all", "pay_info.paid", "*", "anything*", "shop.*"] {
        accepted(&[URL, EVENTS, GITHUB, ("CREEL_TARGET_APP_EVENTS", pattern)]);
    }
    let rows = [
        ("pay_info.payd", "the nearest is pay_info.paid"),
        ("githab.push", "the nearest is github.push"),
        ("github", "the nearest is github."),
        ("github.", "the nearest is github."),
        ("inbox.message", "not an event that the app may emit"),
    ];
    for (pattern, part) in rows {
        assert_rejected(
            &[URL, EVENTS, GITHUB, ("CREEL_TARGET_APP_EVENTS", pattern)],
            &["CREEL_TARGET_APP_EVENTS: ", pattern, "CREEL_EVENTS", part],
        );
    }
    // The inbox exists if no source is configured.
    accepted(&[URL, ("CREEL_TARGET_APP_EVENTS", "inbox.message")]);
    let known = target_rules::KnownEvents { sources: vec!["github".to_owned()], ..Default::default() };
    assert!(known.check_pattern("github.push").is_ok());
    assert!(known.check_pattern("gitlab.push").is_err());
}

#[test]
fn every_invalid_pattern_is_reported_separately() {
    let problems = rejected(&[URL, GITHUB, ("CREEL_TARGET_APP_EVENTS", "one github.push two")]);
    assert_eq!(problems.len(), 2, "{problems:#?}");
    let long = "x".repeat(301) + "*";
    assert_rejected(&[URL, ("CREEL_TARGET_APP_EVENTS", &long)], &["longer than 300"]);
}

#[test]
fn invalid_source_still_counts_for_patterns() {
    assert_rejected(
        &[URL, ("CREEL_SOURCE_GITHUB_RATE", "5/s"), ("CREEL_TARGET_APP_EVENTS", "github.push")],
        &["CREEL_SOURCE_GITHUB_SECRET: "],
    );
}

#[test]
fn owner_with_only_source_patterns_is_rejected() {
    let owner = ("CREEL_TARGET_APP_OWNER", "ann");
    for events in ["github.push", "github.* github.push"] {
        assert_rejected(
            &[URL, EVENTS, GITHUB, owner, ("CREEL_TARGET_APP_EVENTS", events)],
            &["CREEL_TARGET_APP_OWNER: ", "only events that the app emits", "github."],
        );
    }
    for events in ["*", "github.* pay_info.paid", "pay_info.*"] {
        accepted(&[URL, EVENTS, GITHUB, owner, ("CREEL_TARGET_APP_EVENTS", events)]);
    }
    // A declared event can have a name like that of a source's event.
    accepted(&[URL, GITHUB, ("CREEL_EVENTS", "github.mine"), owner, ("CREEL_TARGET_APP_EVENTS", "github.*")]);
}

#[test]
fn unmatchable_patterns_are_detected() {
    let config = accepted(&[EVENTS, GITHUB]);
    let known = config.known_events();
    let rows = [
        ("*", None, true),
        ("git*", None, true),
        ("github.*", None, true),
        ("github.push*", None, true),
        ("github*push", None, true),
        ("gitlab.*", None, false),
        ("githubs*", None, false),
        ("*.paid", None, true),
        ("pay_info.*", None, true),
        ("pay_info.l*", None, false),
        ("github.push", None, true),
        ("*", Some("ann"), true),
        ("github.*", Some("ann"), false),
        ("*.refunded", Some("ann"), false),
        ("pay_info.paid", Some("ann"), true),
    ];
    for (pattern, owner, fits) in rows {
        assert_eq!(known.fits(&Pattern::new(pattern), owner), fits, "{pattern} {owner:?}");
    }
}

#[test]
fn emitted_event_names_are_plain() {
    assert_eq!(accepted(&[("CREEL_EVENTS", " a.B-1_x\n b a.B-1_x")]).events, ["a.B-1_x", "b"]);
    for (events, part) in [("pay.*", "\"pay.*\""), ("ok ä", "\"ä\""), ("a/b", "A-Z")] {
        assert_rejected(&[("CREEL_EVENTS", events)], &["CREEL_EVENTS: ", part]);
    }
    accepted(&[("CREEL_EVENTS", &"x".repeat(200))]);
    assert_rejected(
        &[("CREEL_EVENTS", &"x".repeat(201))],
        &["_, . and -, and is at most 200 characters long"],
    );
}

#[test]
fn delivery_retention_and_api_networks_are_configurable() {
    let config = accepted(&[]);
    assert_eq!(config.attempt_retention, Retention::For(Duration::from_secs(7 * 86_400)));
    assert_eq!(config.dead_retention, Retention::For(Duration::from_secs(30 * 86_400)));
    assert!(config.target_allow_ips.is_empty() && config.targets.is_empty() && config.events.is_empty());
    let config = accepted(&[
        ("CREEL_ATTEMPT_RETENTION", "off"),
        ("CREEL_DEAD_RETENTION", "90d"),
        ("CREEL_TARGET_ALLOW_IPS", "10.0.0.0/24 fd00::1"),
    ]);
    assert_eq!(config.attempt_retention, Retention::Keep);
    assert_eq!(config.dead_retention, Retention::For(Duration::from_secs(90 * 86_400)));
    assert_eq!(config.target_allow_ips.len(), 2);
    for (name, value) in
        [("CREEL_ATTEMPT_RETENTION", "7"), ("CREEL_DEAD_RETENTION", "0d"), ("CREEL_TARGET_ALLOW_IPS", "app")]
    {
        assert_rejected(&[(name, value)], &[&format!("{name}: ")]);
    }
}

#[test]
fn source_name_must_differ_from_event_prefixes() {
    assert_rejected(
        &[("CREEL_SOURCE_EMITTED_PROVIDER", "none")],
        &["CREEL_SOURCE_EMITTED_PROVIDER: uses the source name `emitted`", "choose another name"],
    );
    accepted(&[("CREEL_TARGET_EMITTED_URL", "http://app/")]);
}

#[test]
fn misspelt_target_name_error_suggests_nearest_name() {
    let rows = [
        ("CREEL_TARGET_APP_EVENT", "CREEL_TARGET_APP_EVENTS"),
        ("CREEL_TARGET_MY_APP_CONTENTTYPE_FILE", "CREEL_TARGET_MY_APP_CONTENT_TYPE"),
        ("CREEL_TARGETS_APP_URL", "CREEL_TARGET_APP_URL"),
        ("CREEL_TARGET_ALLOW_IP", "CREEL_TARGET_ALLOW_IPS"),
        ("CREEL_EVENT", "CREEL_EVENTS"),
        ("CREEL_DEAD_RETENTON", "CREEL_DEAD_RETENTION"),
    ];
    for (name, nearest) in rows {
        assert_rejected(&[(name, "value")], &[name, &format!("the nearest known name is {nearest}")]);
    }
    assert_rejected(&[("CREEL_TARGET_X", "value")], &["CREEL_TARGET_<NAME>_<KEY>", "URL EXEC EVENTS"]);
    assert_rejected(
        &[("CREEL_TARGET_app_URL", "http://app/")],
        &["valid name for a target", "CREEL_TARGET_MY_SHOP_URL"],
    );
    let long = format!("CREEL_TARGET_{}_URL", "X".repeat(65));
    assert_rejected(&[(&long, "http://app/")], &["names a target with more than 64"]);
}

#[test]
fn target_name_can_equal_start_of_key() {
    let config =
        accepted(&[("CREEL_TARGET_ALLOW_URL", "http://app/"), ("CREEL_TARGET_CONTENT_EXEC", "true")]);
    let names: Vec<&str> = config.targets.iter().map(|target| target.settings.name.as_str()).collect();
    assert_eq!(names, ["allow", "content"]);
}

#[test]
fn every_target_value_can_come_from_file() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("the file is written");
        path.to_str().expect("a UTF-8 path").to_owned()
    };
    let config = accepted(&[
        ("CREEL_TARGET_APP_URL_FILE", &file("url", "http://app/token\n")),
        ("CREEL_TARGET_APP_SECRET_2_FILE", &file("secret", " with space \n")),
        ("CREEL_TARGET_APP_HEADERS_FILE", &file("headers", "{\n  \"X-Key\": \"x\"\n}\n")),
        ("CREEL_EVENTS_FILE", &file("events", "one\ntwo\n")),
    ]);
    let target = &config.targets[0];
    assert_eq!(target.secrets[0].expose(), b" with space ");
    assert_eq!((target.headers.len(), config.events.len()), (1, 2));
    let missing = [("CREEL_TARGET_APP_EXEC_FILE", "/does/not/exist")];
    assert_rejected(&missing, &["CREEL_TARGET_APP_EXEC_FILE: ", "/does/not/exist"]);
}

#[test]
fn debug_and_problems_hide_target_secrets() {
    let config = accepted(&[
        ("CREEL_TARGET_APP_URL", "https://example.com/hidden?token=hidden"),
        ("CREEL_TARGET_APP_SECRET", "hidden"),
        ("CREEL_TARGET_APP_HEADERS", r#"{"Authorization": "hidden"}"#),
        ("CREEL_TARGET_RUN_EXEC", "deploy --token hidden"),
    ]);
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("hidden") && shown.contains("https://example.com") && shown.contains("deploy"),
        "{shown}"
    );
    let Err(Problems(problems)) = Config::from_vars(vars(&[
        ("CREEL_TARGET_A_URL", "https:/hidden"),
        ("CREEL_TARGET_B_URL", "https://hidden:hidden@example.com/"),
        ("CREEL_TARGET_C_URL", "http://app/"),
        ("CREEL_TARGET_C_SECRET", "whsec_hidden!"),
        ("CREEL_TARGET_C_HEADERS", r#"{"a": "hidden", "b": 1}"#),
        ("CREEL_TARGET_D_URL", "http://app/"),
        ("CREEL_TARGET_D_EXEC", "hidden"),
    ])) else {
        panic!("there are problems")
    };
    assert_eq!(problems.len(), 5, "{problems:#?}");
    assert!(!format!("{problems:?} {}", Problems(problems.clone())).contains("hidden"), "{problems:#?}");
}

#[test]
fn api_settings_follow_the_same_rules() {
    let config = accepted(&[URL, GITHUB, EVENTS]);
    let known = config.known_events();
    let good = config.targets[0].settings.clone();
    assert!(target_rules::check(&good, &known).is_empty());
    let mut bad = good;
    bad.name = "My App".to_owned();
    bad.owner = Some(" ann".to_owned());
    bad.events = vec![Pattern::new("gitlab.push"), Pattern::new("")];
    bad.url = Some("app".to_owned());
    bad.filter = Some(serde_json::from_str(r#"[{"pointer": "x", "exists": true}]"#).expect("a filter"));
    bad.concurrency = 0;
    bad.timeout = Duration::from_millis(999);
    let fields: Vec<&str> =
        target_rules::check(&bad, &known).into_iter().map(|problem| problem.field).collect();
    assert_eq!(fields, ["name", "owner", "events", "events", "filter", "url", "concurrency", "timeout"]);
    bad.events.clear();
    assert!(
        target_rules::check(&bad, &known)
            .iter()
            .any(|problem| problem.problem.to_string().contains("empty list"))
    );
}
