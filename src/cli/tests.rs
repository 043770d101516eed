//! The commands' words and choices, without a process.

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
fn the_arguments_are_consistent_and_every_command_has_an_example() {
    Arguments::command().debug_assert();
    for command in Arguments::command().get_subcommands() {
        let about = command.get_long_about().map(ToString::to_string).unwrap_or_default();
        let (_, examples) = about.split_once("Example").expect("the help has examples");
        assert!(examples.contains(&format!("creel {}", command.get_name())), "{examples}");
    }
}

#[test]
fn the_documented_command_lines_are_taken_and_others_are_not() {
    let rows = [
        ("creel", true),
        ("creel serve", true),
        ("creel secret --length 64", true),
        ("creel secret --length 3", false),
        ("creel send github", true),
        ("creel send github issues --url http://127.0.0.1:1/x --secret s", true),
        ("creel send", false),
        ("creel cleanup --confirm", true),
        ("creel delete", false),
    ];
    for (line, taken) in rows {
        assert_eq!(Arguments::try_parse_from(line.split(' ')).is_ok(), taken, "{line}");
    }
}

#[test]
fn a_secret_on_the_command_line_is_not_shown_by_debug() {
    let line = ["creel", "send", "github", "--secret", "hidden"];
    let arguments = Arguments::try_parse_from(line).expect("the line is taken");
    assert!(!format!("{arguments:?}").contains("hidden"));
}

#[test]
fn a_secret_is_random_base64url_of_its_length() {
    let first = secret::random_text(32).expect("random bytes");
    assert_eq!(first.len(), 43);
    assert!(first.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    assert_ne!(first, secret::random_text(32).expect("random bytes"));
}

#[test]
fn the_report_shows_each_source_with_the_url_to_paste_and_no_secret() {
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
fn what_is_unwise_is_warned_of_and_what_is_fine_is_not() {
    let fine = [("CREEL_SOURCE_GITHUB_SECRET", "secret"), ("CREEL_PUBLIC_URL", "http://hooks.example.com")];
    assert_eq!(check::warnings(&config(&fine)), Vec::<String>::new());
    let unwise = check::warnings(&config(&[
        ("CREEL_LISTEN", "0.0.0.0:8080"),
        ("CREEL_PUBLIC_URL", "http://hooks.example.com"),
        ("CREEL_SOURCE_OPEN_PROVIDER", "none"),
        ("CREEL_SOURCE_OPEN_PATH", PATH),
        ("CREEL_SOURCE_OPEN_RATE", "5/s"),
    ]));
    for part in ["not covered by a signature", "clear text", "rate see the proxy's", "CREEL_LISTEN takes"] {
        assert_eq!(unwise.iter().filter(|warning| warning.contains(part)).count(), 1, "{part}: {unwise:#?}");
    }
}

#[test]
fn a_reply_cannot_steer_the_terminal() {
    assert_eq!(output::harmless("a \"b\"\n\u{1b}[31m\u{202e}ü"), "a \"b\"\n\\u{1b}[31m\\u{202e}ü");
}
