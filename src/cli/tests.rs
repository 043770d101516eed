//! Output and decisions of the commands, tested without starting a process.

use std::collections::BTreeMap;

use clap::{CommandFactory, Parser};

use super::{Arguments, check, output, secret};
use crate::config::Config;

const PATH: &str = "Zm9vYmFyYmF6cXV4-_1";

fn config(pairs: &[(&str, &str)]) -> Config {
    let vars: BTreeMap<String, String> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::from_vars(vars).expect("the configuration is valid")
}

#[test]
fn arguments_are_consistent_and_commands_have_examples() {
    Arguments::command().debug_assert();
    for command in Arguments::command().get_subcommands() {
        let about = command.get_long_about().map(ToString::to_string).unwrap_or_default();
        let (_, examples) = about.split_once("Example").expect("the help has examples");
        assert!(examples.contains(&format!("creel {}", command.get_name())), "{examples}");
    }
}

#[test]
fn only_documented_command_lines_are_accepted() {
    let rows = [
        ("creel", true),
        ("creel serve", true),
        ("creel secret --length 64", true),
        ("creel secret --length 3", false),
        ("creel secret --whsec --length 24", true),
        ("creel secret --target app", true),
        ("creel secret --target app --whsec", false),
        ("creel send github", true),
        ("creel send github issues --url http://127.0.0.1:1/x --secret s", true),
        ("creel send", false),
        ("creel cleanup --confirm", true),
        ("creel listen https://h --forward http://localhost:3000/hooks", true),
        ("creel listen --forward http://h/ --events a.* --events b.* --since 2h --name ann", true),
        ("creel listen https://h", false),
        ("creel listen --forward http://h/ --name Ann", false),
        ("creel tail --server https://h --events a.* --json", true),
        ("creel messages --source github --event *.push --since 2h --text x --limit 9 --json", true),
        ("creel messages --limit 0", false),
        ("creel show 42 --body", true),
        ("creel show 42 --body --json", false),
        ("creel show", false),
        ("creel stats --from 30d --step 1d --source github --json", true),
        ("creel stats --by event --event *.push", true),
        ("creel stats --forecast --by source", false),
        ("creel diff 42 41", true),
        ("creel diff 42 --previous --hide-noise --json", true),
        ("creel diff 42", false),
        ("creel diff 42 41 --previous", false),
        ("creel replay 42 --target billing", true),
        ("creel replay 42 --to http://localhost:3000/hooks", true),
        ("creel replay 42 --to http://localhost:3000/ --target billing", false),
        ("creel emit pay_info.paid {} --owner ann --idempotency-key 7", true),
        ("creel emit pay_info.paid -", true),
        ("creel emit", false),
        ("creel rejections --source github --since 2h --json", true),
        ("creel rejections show 17 --json --server https://h", true),
        ("creel rejections show", false),
        ("creel rejections 17", true),
        ("creel rejections order source:github --since 2h", true),
        ("creel rejections -- show", true),
        ("creel rejections show 17 --source github", false),
        ("creel targets", true),
        ("creel targets resume billing --server https://h", true),
        ("creel targets resume", false),
        ("creel targets remove billing", false),
        ("creel delete", false),
    ];
    for (line, taken) in rows {
        assert_eq!(Arguments::try_parse_from(line.split(' ')).is_ok(), taken, "{line}");
    }
}

#[test]
fn debug_hides_secret_argument() {
    let line = ["creel", "send", "github", "--secret", "hidden"];
    let arguments = Arguments::try_parse_from(line).expect("the line is taken");
    assert!(!format!("{arguments:?}").contains("hidden"));
}

#[test]
fn secret_is_random_base64url_of_given_length() {
    let first = secret::random_text(32).expect("random bytes");
    assert_eq!(first.len(), 43);
    assert!(first.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    assert_ne!(first, secret::random_text(32).expect("random bytes"));
}

#[test]
fn report_shows_source_urls_without_secrets() {
    let report = check::report(&config(&[
        ("CREEL_PUBLIC_URL", "https://hooks.example.com/"),
        ("CREEL_SOURCE_GITHUB_SECRET", "never shown"),
        ("CREEL_SOURCE_GITHUB_ALLOW_IPS", "github"),
        ("CREEL_SOURCE_OPEN_PROVIDER", "none"),
        ("CREEL_SOURCE_OPEN_PATH", PATH),
        ("CREEL_SOURCE_OPEN_METHODS", "GET POST"),
    ]));
    for part in [
        "https://hooks.example.com/webhooks/github\n",
        &format!("https://hooks.example.com/webhooks/open/{PATH}\n"),
        "signature over the body, addresses (GitHub's published list)",
        "random path",
        "GET POST",
        "for 7 days",
    ] {
        assert!(report.contains(part), "{part:?} is not in\n{report}");
    }
    assert!(!report.contains("never shown"));
}

#[test]
fn warnings_cover_only_unwise_settings() {
    let fine = [("CREEL_SOURCE_GITHUB_SECRET", "secret"), ("CREEL_PUBLIC_URL", "http://hooks.example.com")];
    assert_eq!(check::warnings(&config(&fine)), Vec::<String>::new());
    let unwise = check::warnings(&config(&[
        ("CREEL_LISTEN", "0.0.0.0:8080"),
        ("CREEL_PUBLIC_URL", "http://hooks.example.com"),
        ("CREEL_SOURCE_OPEN_PROVIDER", "none"),
        ("CREEL_SOURCE_OPEN_PATH", PATH),
        ("CREEL_SOURCE_OPEN_RATE", "5/s"),
    ]));
    for part in
        ["not covered by a signature", "clear text", "rate apply to the proxy's", "CREEL_LISTEN accepts"]
    {
        assert_eq!(unwise.iter().filter(|warning| warning.contains(part)).count(), 1, "{part}: {unwise:#?}");
    }
}

#[test]
fn header_dropped_by_proxies_causes_warning() {
    let named = |header| {
        check::warnings(&config(&[
            ("CREEL_SOURCE_HOOK_PROVIDER", "token"),
            ("CREEL_SOURCE_HOOK_SECRET", "secret"),
            ("CREEL_SOURCE_HOOK_HEADER", header),
        ]))
    };
    let is_about_proxies = |warning: &&String| warning.contains("docs/proxies.md");
    assert_eq!(named("X-Hook-Token").iter().filter(is_about_proxies).count(), 0);
    for (header, line) in
        [("X_Hook_Token", "underscores_in_headers on;"), ("x.hook", "ignore_invalid_headers off;")]
    {
        let warnings = named(header);
        let found: Vec<&String> = warnings.iter().filter(is_about_proxies).collect();
        assert!(found.len() == 1 && found[0].contains(line), "{warnings:#?}");
        assert!(found[0].starts_with("source hook: "), "{warnings:#?}");
    }
}

#[test]
fn report_shows_targets_without_potential_secrets() {
    let report = check::report(&config(&[
        ("CREEL_EVENTS", "pay_info.paid"),
        ("CREEL_TARGET_APP_URL", "https://app.example.com:8443/hidden?token=hidden"),
        ("CREEL_TARGET_APP_SECRET", "hidden"),
        ("CREEL_TARGET_APP_SECRET_2", "hidden too"),
        ("CREEL_TARGET_APP_HEADERS", r#"{"Authorization": "hidden"}"#),
        ("CREEL_TARGET_APP_OWNER", "customer 42"),
        ("CREEL_TARGET_APP_FILTER", "/amount=100"),
        ("CREEL_TARGET_APP_RATE", "50/s"),
        ("CREEL_TARGET_RUN_EXEC", "/bin/sh -c hidden"),
        ("CREEL_TARGET_RUN_EVENTS", "inbox.message pay_info.*"),
        ("CREEL_TARGET_RUN_ORDER", "strict"),
    ]));
    for part in [
        "target app\n  kind      URL\n  events    *\n  filter    [{\"pointer\":\"/amount\",\"in\":[100,\"100\"]}]\n",
        "  owner     customer 42\n  where     https://app.example.com:8443\n  signed    yes, with 2 secrets; give the app the output of `creel secret --target app` (whsec_…)\n",
        "  pace      8 at the same time, at most 50/s, 30 s for each attempt\n",
        "target run\n  kind      command\n  events    inbox.message pay_info.*\n  where     /bin/sh\n",
        "  pace      strictly one after the other, 30 s for each attempt\n",
        "events that the app may emit: pay_info.paid\n",
    ] {
        assert!(report.contains(part), "{part:?} is not in\n{report}");
    }
    assert!(!report.contains("hidden"), "{report}");
}

#[test]
fn warning_about_unwise_target_setting_names_variable() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let script = directory.path().join("script");
    std::fs::write(&script, "").expect("the file is written");
    let script = script.to_str().expect("a UTF-8 path");
    let url = |value| ("CREEL_TARGET_X_URL", value);
    let exec = |value| [("CREEL_TARGET_X_EXEC", value)];
    let assert_warned = |pairs: &[(&str, &str)], parts: &[&str]| {
        let warnings = check::warnings(&config(pairs));
        assert_eq!(warnings.len(), 1, "{pairs:?}: {warnings:#?}");
        for part in parts {
            assert!(warnings[0].contains(part), "{part:?} is not in {warnings:?}");
        }
    };
    assert_warned(
        &[url("http://example.com/"), ("CREEL_TARGET_X_SECRET", "s")],
        &["target x: ", "clear text", "CREEL_TARGET_X_URL"],
    );
    assert_warned(&[url("http://192.0.2.1/"), ("CREEL_TARGET_X_HEADERS", r#"{"a": "b"}"#)], &["clear text"]);
    assert_warned(&exec("/no/such/program"), &["does not exist", "CREEL_TARGET_X_EXEC"]);
    assert_warned(&exec("no-such-program-anywhere"), &["not on PATH"]);
    assert_warned(&exec(script), &["not executable"]);
    assert_warned(
        &[url("http://app/"), ("CREEL_TARGET_X_EVENTS", "gitlab.*")],
        &["no configured source or event", "gitlab.*"],
    );
    assert_warned(
        &[url("http://app/"), ("CREEL_TARGET_X_OWNER", "ann")],
        &["no configured event", "can match *"],
    );
    let fine = config(&[
        ("CREEL_TARGET_A_URL", "https://example.com/"),
        ("CREEL_TARGET_A_SECRET", "s"),
        ("CREEL_TARGET_B_URL", "http://app:8000/"),
        ("CREEL_TARGET_B_SECRET", "s"),
        ("CREEL_TARGET_C_URL", "http://10.0.0.1/"),
        ("CREEL_TARGET_C_SECRET", "s"),
        ("CREEL_TARGET_D_URL", "http://[::1]/"),
        ("CREEL_TARGET_D_SECRET", "s"),
        ("CREEL_TARGET_E_URL", "http://app.internal/"),
        ("CREEL_TARGET_E_SECRET", "s"),
        ("CREEL_TARGET_F_URL", "http://example.com/"),
        ("CREEL_TARGET_G_EXEC", "sh -c true"),
    ]);
    assert_eq!(check::warnings(&fine), Vec::<String>::new());
    let alike =
        config(&[("CREEL_SOURCE_GITHUB_SECRET", "s"), ("CREEL_EVENTS", "github.push pay.paid github")]);
    let warnings = check::warnings(&alike);
    assert!(warnings.len() == 1 && warnings[0].contains("github.push looks like"), "{warnings:#?}");
}

#[test]
fn warning_about_unknown_event_names_variable() {
    let warned = |events: &str| {
        check::warnings(&config(&[
            ("CREEL_SOURCE_CODE_PROVIDER", "github"),
            ("CREEL_SOURCE_CODE_SECRET", "it-is-a-secret-to-everybody"),
            ("CREEL_EVENTS", "code.deployed"),
            ("CREEL_TARGET_X_URL", "https://app.example.com/"),
            ("CREEL_TARGET_X_EVENTS", events),
        ]))
    };
    for events in
        ["code.push", "code.*", "*", "*.pusj", "code.issues.opened", "code.issues.*", "code.issues*"]
    {
        let warnings = warned(events);
        assert!(
            warnings.iter().all(|warning| !warning.contains("not a known event")),
            "{events}: {warnings:?}"
        );
    }
    assert_eq!(
        warned("code.pull_request code.push,code.create code.deployed code.fork"),
        [
            "CREEL_TARGET_X_EVENTS: code.pull_request matches only messages without an action, which github does not send; use code.pull_request.*",
            "CREEL_TARGET_X_EVENTS: code.push,code.create contains a comma; separate events with spaces",
            "CREEL_EVENTS: code.deployed looks like an event of the source code, and targets that subscribe to code.* also receive it",
        ]
    );
    let warnings = warned("code.pusj code.deployed code.issue_comments*");
    let unknown: Vec<&String> =
        warnings.iter().filter(|warning| warning.contains("not a known event")).collect();
    assert_eq!(
        unknown,
        [
            "CREEL_TARGET_X_EVENTS: code.pusj is not a known event of github; the nearest is code.push",
            "CREEL_TARGET_X_EVENTS: code.issue_comments* is not a known event of github; the nearest is code.issue_comment",
        ]
    );
}

#[test]
fn script_without_interpreter_causes_warning() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let rows = [
        ("good", "#!/bin/sh -e\n", None),
        ("carriage-return", "#!/bin/sh\r\n", Some("\"/bin/sh\\r\"")),
        ("missing", "#! /no/such/python3\nprint()\n", Some("\"/no/such/python3\"")),
        ("no-script", "ELF", None),
    ];
    for (name, text, interpreter) in rows {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("the file is written");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("it may run");
        let warnings =
            check::warnings(&config(&[("CREEL_TARGET_X_EXEC", path.to_str().expect("a UTF-8 path"))]));
        let is_reported = |part: &str| warnings.len() == 1 && warnings[0].contains(part);
        assert!(interpreter.map_or(warnings.is_empty(), is_reported), "{name}: {warnings:?}");
    }
}

#[test]
fn disk_below_low_water_mark_causes_warning() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let database = directory.path().join("not/yet/made/creel.db");
    let report = |min_free: &str| {
        let database = ("CREEL_DATABASE", database.to_str().expect("a UTF-8 path"));
        check::report(&config(&[database, ("CREEL_MIN_FREE", min_free)]))
    };
    assert!(report("1000TiB").contains("warning: CREEL_MIN_FREE: "), "{}", report("1000TiB"));
    assert!(!report("1").contains("CREEL_MIN_FREE"));
    assert!(!directory.path().join("not").exists());
}

#[test]
fn switched_off_provider_causes_warning() {
    let report =
        check::report(&config(&[("CREEL_SOURCE_FITBIT_SECRET", "0123456789abcdef0123456789abcdef")]));
    assert!(
        report.contains("warning: source fitbit: Fitbit (switched off) no longer sends anything"),
        "{report}"
    );
}

#[test]
fn reply_is_shown_without_terminal_controls() {
    assert_eq!(output::harmless("a \"b\"\n\u{1b}[31m\u{202e}ü"), "a \"b\"\n\\u{1b}[31m\\u{202e}ü");
    assert_eq!(output::harmless_line("a\r\n#7\tb\u{1b}\u{85}"), "a\\r\\n#7\\tb\\u{1b}\\u{85}");
}
