//! Single values: where they come from, which ones are rejected, and that secrets stay hidden.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::super::{Config, Problems, values::Values};
use super::{PATH, SECRET, accepted, assert_rejected, rejected, vars};

#[test]
fn file_value_loses_only_its_last_line_break() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let rows: [(&str, &[u8]); 4] = [
        ("  two words \n", b"  two words "),
        ("crlf\r\n", b"crlf"),
        ("two\n\n", b"two\n"),
        ("bare", b"bare"),
    ];
    for (content, expected) in rows {
        let file = directory.path().join("secret");
        std::fs::write(&file, content).expect("the file is written");
        let read = Values::read(
            &vars(&[("CREEL_SOURCE_GITHUB_SECRET_FILE", file.to_str().expect("a UTF-8 path"))]),
            false,
        );
        assert!(read.problems.is_empty(), "{:?}", read.problems);
        assert_eq!(read.sources["github"]["SECRET"].text.as_bytes(), expected);
    }
}

#[test]
fn unusable_file_error_names_variable() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let binary = directory.path().join("binary");
    std::fs::write(&binary, [0xff, 0xfe]).expect("the file is written");
    let large = directory.path().join("large");
    std::fs::write(&large, vec![b'a'; 270_000]).expect("the file is written");
    let empty = directory.path().join("empty");
    std::fs::write(&empty, "\n").expect("the file is written");
    let rows = [
        (directory.path().join("missing"), "No such file"),
        (binary, "not UTF-8"),
        (large, "larger than 256 KiB"),
    ];
    for (file, part) in rows {
        let path = file.to_str().expect("a UTF-8 path");
        assert_rejected(
            &[("CREEL_SOURCE_GITHUB_SECRET_FILE", path)],
            &["CREEL_SOURCE_GITHUB_SECRET_FILE: ", part, path],
        );
    }
    let path = empty.to_str().expect("a UTF-8 path");
    assert_rejected(&[("CREEL_KEY_FILE", path)], &["CREEL_KEY_FILE: is empty"]);
}

#[test]
fn path_of_recipes_can_come_from_file() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, content).expect("the file is written");
        path.to_str().expect("a UTF-8 path").to_owned()
    };
    let recipes = file("letters-of-a-test.toml", "title = \"Letters\"\n");
    let path = file("path", &format!("{recipes}\n"));
    let config = accepted(&[
        ("CREEL_RECIPES_FILE", &path),
        ("CREEL_SOURCE_LETTERS_PROVIDER", "letters-of-a-test"),
        ("CREEL_SOURCE_LETTERS_PATH", PATH),
    ]);
    assert_eq!(config.sources[0].verifier.recipe().title(), "Letters");
    assert_rejected(&[("CREEL_RECIPES_FILE", "/missing")], &["CREEL_RECIPES_FILE: ", "No such file"]);
    let missing = file("missing", "/missing/recipes.toml\n");
    assert_rejected(&[("CREEL_RECIPES_FILE", &missing)], &["CREEL_RECIPES: ", "/missing/recipes.toml"]);
}

#[test]
fn value_given_directly_and_as_file_is_rejected() {
    assert_rejected(
        &[("CREEL_KEY", "0123456789012345678901234567890123456789"), ("CREEL_KEY_FILE", "/dev/null")],
        &["CREEL_KEY_FILE: ", "CREEL_KEY;"],
    );
}

#[test]
fn invalid_values_are_rejected() {
    let rows = [
        ("CREEL_LISTEN", "localhost:80", "127.0.0.1:8080"),
        ("CREEL_DATABASE", "data/", "not the path of a file"),
        ("CREEL_KEY", "short", "32 characters"),
        ("CREEL_ADMIN_TOKEN", "short", "16 characters"),
        ("CREEL_ADMIN_TOKEN", "with white space in it", "white space"),
        ("CREEL_PUBLIC_URL", "hooks.example.com", "https://"),
        ("CREEL_PUBLIC_URL", "ftp://example.com", "https://"),
        ("CREEL_PUBLIC_URL", "https:/example.com", "https://"),
        ("CREEL_PUBLIC_URL", "https://example.com/?a=b", "query"),
        ("CREEL_PUBLIC_URL", "https://user:pw@example.com", "password"),
        ("CREEL_TRUSTED_PROXIES", "0.0.0.0/0", "every address"),
        ("CREEL_TRUSTED_PROXIES", "10.0.0.0/33", "CIDR"),
        ("CREEL_RETENTION", "0d", "zero"),
        ("CREEL_RETENTION", "7 days", "or off"),
        ("CREEL_RETENTION", "99999999999999999999d", "too long"),
        ("CREEL_CLEANUP_INTERVAL", "2d", "longest is 1d"),
        ("CREEL_MAX_DATABASE_SIZE", "1KiB", "too small"),
        ("CREEL_MIN_FREE", "0", "zero"),
        ("CREEL_MIN_FREE", "-1", "not a size"),
        ("CREEL_MIN_FREE", "1MB", "not a size"),
        ("CREEL_MIN_FREE", "99999999TiB", "too large"),
        ("CREEL_MAX_BODY", "1GiB", "too large"),
        ("CREEL_MAX_BODY", "65MiB", "CREEL_BODY_BUDGET"),
        ("CREEL_CHECKPOINT", "no", "neither on nor off"),
        ("CREEL_SEARCH", "yes", "neither on nor off"),
        ("CREEL_LOG", "verbose", "not a level"),
        ("CREEL_LOG_FORMAT", "xml", "text or json"),
        ("CREEL_GITHUB_META_URL", "api.github.com", "https://"),
        ("CREEL_ADMIN_LISTEN", "127.0.0.1:8080", "same as CREEL_LISTEN"),
        ("CREEL_TRUSTED_PROXIES", "", "is empty"),
        ("CREEL_SOURCE_GITHUB_PATH", "too-short", "16 to 200"),
        ("CREEL_SOURCE_GITHUB_PATH", "with/slash/in/the/path", "without slashes"),
        ("CREEL_SOURCE_GITHUB_ALLOW_IPS", "::/0", "every address"),
        ("CREEL_SOURCE_GITHUB_ALLOW_IPS", "example.com", "CIDR"),
        ("CREEL_SOURCE_GITHUB_METHODS", "HEAD", "GET, POST"),
        ("CREEL_SOURCE_GITHUB_PROBE", "yes", "generic providers"),
        ("CREEL_SOURCE_GITHUB_PROBE", "on", "neither yes nor no"),
        ("CREEL_SOURCE_GITHUB_RATE", "0/s", "at least 1"),
        ("CREEL_SOURCE_GITHUB_RATE", "+5/s", "not a rate"),
        ("CREEL_SOURCE_GITHUB_RATE", "5/d", "not a rate"),
        ("CREEL_SOURCE_GITHUB_RATE", "99999999999/s", "too large"),
        ("CREEL_SOURCE_GITHUB_DEDUPE", "8d", "retention"),
        ("CREEL_SOURCE_GITHUB_TOLERANCE", "8d", "longest is 7d"),
        ("CREEL_SOURCE_GITHUB_REPLY_STATUS", "302", "200 to 299"),
        ("CREEL_SOURCE_GITHUB_PROVIDER", "githbu", "did you mean github"),
    ];
    for (name, value, part) in rows {
        let pairs = [("CREEL_SOURCE_GITHUB_SECRET", SECRET), (name, value)];
        assert_rejected(&pairs, &[&format!("{name}: "), part]);
    }
}

#[test]
fn body_limit_above_quarter_of_budget_is_accepted() {
    accepted(&[("CREEL_MAX_BODY", "64MiB")]);
}

#[test]
fn bodiless_reply_status_rejects_reply_body() {
    assert_rejected(
        &[
            ("CREEL_SOURCE_GITHUB_SECRET", SECRET),
            ("CREEL_SOURCE_GITHUB_REPLY_STATUS", "204"),
            ("CREEL_SOURCE_GITHUB_REPLY_BODY", "success"),
        ],
        &["CREEL_SOURCE_GITHUB_REPLY_BODY: ", "204"],
    );
}

#[test]
fn tokens_must_differ_from_each_other() {
    let token = "one-token-for-both-of-them";
    for (one, other) in [
        ("CREEL_READ_TOKEN", "CREEL_ADMIN_TOKEN"),
        ("CREEL_LISTENER_TOKEN", "CREEL_ADMIN_TOKEN"),
        ("CREEL_LISTENER_TOKEN", "CREEL_READ_TOKEN"),
    ] {
        assert_rejected(&[(one, token), (other, token)], &[&format!("{one}: "), other]);
    }
}

#[test]
fn github_address_list_requires_github_provider() {
    assert_rejected(
        &[("CREEL_SOURCE_OPEN_PROVIDER", "none"), ("CREEL_SOURCE_OPEN_ALLOW_IPS", "github")],
        &["CREEL_SOURCE_OPEN_ALLOW_IPS: ", "provider github"],
    );
}

#[test]
fn dedupe_window_is_compared_with_source_retention() {
    accepted(&[
        ("CREEL_SOURCE_GITHUB_SECRET", SECRET),
        ("CREEL_SOURCE_GITHUB_DEDUPE", "8d"),
        ("CREEL_SOURCE_GITHUB_RETENTION", "off"),
    ]);
}

#[test]
fn source_without_verification_is_rejected() {
    assert_rejected(
        &[("CREEL_SOURCE_OPEN_PROVIDER", "none"), ("CREEL_SOURCE_OPEN_METHODS", "GET POST")],
        &["CREEL_SOURCE_OPEN_PATH: is missing", "CREEL_SOURCE_OPEN_ALLOW_IPS", "creel secret"],
    );
    accepted(&[("CREEL_SOURCE_OPEN_PROVIDER", "none"), ("CREEL_SOURCE_OPEN_ALLOW_IPS", "192.0.2.1")]);
    accepted(&[("CREEL_SOURCE_OPEN_PROVIDER", "none"), ("CREEL_SOURCE_OPEN_PATH", PATH)]);
}

#[test]
fn probe_with_get_method_is_rejected() {
    let open = |key: &'static str, value: &'static str| {
        [
            ("CREEL_SOURCE_OPEN_PROVIDER", "none"),
            ("CREEL_SOURCE_OPEN_PATH", PATH),
            ("CREEL_SOURCE_OPEN_PROBE", "yes"),
            (key, value),
        ]
    };
    assert_rejected(
        &open("CREEL_SOURCE_OPEN_METHODS", "POST GET"),
        &["CREEL_SOURCE_OPEN_PROBE: ", "CREEL_SOURCE_OPEN_METHODS"],
    );
    assert!(accepted(&open("CREEL_SOURCE_OPEN_METHODS", "POST PUT")).sources[0].probe);
    assert!(accepted(&open("CREEL_SOURCE_OPEN_RATE", "5/s")).sources[0].probe);
}

#[test]
fn methods_default_to_those_of_the_provider() {
    let methods = |name: &str, value: &str| accepted(&[(name, value)]).sources[0].methods.clone();
    assert_eq!(methods("CREEL_SOURCE_GITEA_SECRET", SECRET), ["POST", "GET"]);
    assert_eq!(methods("CREEL_SOURCE_GITHUB_SECRET", SECRET), ["POST"]);
    let chosen = accepted(&[("CREEL_SOURCE_GITEA_SECRET", SECRET), ("CREEL_SOURCE_GITEA_METHODS", "POST")]);
    assert_eq!(chosen.sources[0].methods, ["POST"]);
}

#[test]
fn missing_provider_setting_is_named_by_variable() {
    assert_rejected(&[("CREEL_SOURCE_GITHUB_RATE", "50/s")], &["CREEL_SOURCE_GITHUB_SECRET: "]);
}

#[test]
fn debug_and_problems_hide_secrets() {
    let config = accepted(&[
        ("CREEL_ADMIN_TOKEN", "hidden-admin-token-hidden"),
        ("CREEL_READ_TOKEN", "hidden-read-token-hidden"),
        ("CREEL_LISTENER_TOKEN", "hidden-listener-token-hidden"),
        ("CREEL_KEY", "hidden-key-hidden-key-hidden-key-hidden"),
        ("CREEL_SOURCE_GITHUB_SECRET", "hidden-secret"),
        ("CREEL_SOURCE_GITHUB_PATH", "hidden-path-hidden-path"),
    ]);
    assert!(!format!("{config:?}").contains("hidden"));
    let problems = rejected(&[
        ("CREEL_ADMIN_TOKEN", "hidden"),
        ("CREEL_KEY", "hidden"),
        ("CREEL_PUBLIC_URL", "https://hidden:hidden@example.com"),
        ("CREEL_SOURCE_GITHUB_SECRT", "hidden"),
        ("CREEL_SOURCE_GITHUB_PATH", "hidden"),
        ("CREEL_SOURCE_GITHUB_SECRET", "hidden"),
        ("CREEL_SOURCE_GITHUB_HEADER", "hidden"),
    ]);
    assert!(problems.len() >= 6 && !problems.concat().contains("hidden"), "{problems:#?}");
}

#[test]
fn untrusted_text_in_problem_stays_on_one_line() {
    let problems = rejected(&[("CREEL_LOG_FORMAT", "x\n\u{1b}[31m\u{202e}"), ("CREEL_\n\u{1b}", "x")]);
    assert!(!problems.concat().contains(['\n', '\u{1b}', '\u{202e}']), "{problems:?}");
}

#[test]
fn non_utf_8_value_only_matters_in_creel_variables() {
    let raw = || OsString::from_vec(vec![b'a', 0xff]);
    let result = Config::from_os_vars(
        [("OTHER".into(), raw()), ("CREEL_DATABASE".into(), raw()), ("CREEL_LOG".into(), "loud".into())]
            .into_iter(),
    );
    let Err(Problems(problems)) = result else { panic!("the value is rejected") };
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].to_string().starts_with("CREEL_DATABASE: is not UTF-8"));
}
