//! The environment as a whole: accepted and rejected variables, with the error texts.

mod confirmation;
mod targets;
mod values;

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Allow, Config, LogFormat, Problems, Rate, Retention};

const SECRET: &str = "s3cret that must never be shown";
const PATH: &str = "Zm9vYmFyYmF6cXV4-_1";

fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn accepted(pairs: &[(&str, &str)]) -> Config {
    Config::from_vars(vars(pairs)).expect("the configuration is valid")
}

fn rejected(pairs: &[(&str, &str)]) -> Vec<String> {
    let Problems(problems) = Config::from_vars(vars(pairs)).expect_err("the configuration has problems");
    problems.iter().map(ToString::to_string).collect()
}

/// Asserts that there is one problem, which contains all of `parts`.
fn assert_rejected(pairs: &[(&str, &str)], parts: &[&str]) {
    let problems = rejected(pairs);
    assert_eq!(problems.len(), 1, "{problems:#?}");
    for part in parts {
        assert!(problems[0].contains(part), "{part:?} is not in {:?}", problems[0]);
    }
}

#[test]
fn empty_environment_gives_documented_defaults() {
    let config = accepted(&[("PATH", "/bin"), ("HOME", "/root")]);
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.database.to_str(), Some("data/creel.db"));
    assert_eq!(config.retention, Retention::For(Duration::from_secs(7 * 86_400)));
    assert_eq!(config.cleanup_interval, Duration::from_secs(60));
    assert_eq!(config.min_free_bytes, 256 << 20);
    assert_eq!((config.max_body_bytes, config.body_budget_bytes), (25 << 20, 64 << 20));
    assert!(config.checkpoint && config.sources.is_empty() && config.trusted_proxies.is_empty());
    assert_eq!((config.log.as_str(), config.log_format), ("info", LogFormat::Text));
    assert!(config.max_database_bytes.is_none() && config.admin_token.is_none() && config.key.is_none());
}

#[test]
fn every_variable_is_applied() {
    let config = accepted(&[
        ("CREEL_LISTEN", "[::]:9000"),
        ("CREEL_ADMIN_LISTEN", "127.0.0.1:9001"),
        ("CREEL_ADMIN_TOKEN", "an-admin-token-of-some-length"),
        ("CREEL_READ_TOKEN", "a-read-token-of-some-length"),
        ("CREEL_DATABASE", "/data/creel.db"),
        ("CREEL_KEY", "0123456789012345678901234567890123456789"),
        ("CREEL_PUBLIC_URL", "https://hooks.example.com/in/"),
        ("CREEL_TRUSTED_PROXIES", "10.1.2.3/8 ::ffff:192.0.2.1\n2001:db8::/32"),
        ("CREEL_RETENTION", "off"),
        ("CREEL_CLEANUP_INTERVAL", "90s"),
        ("CREEL_MAX_DATABASE_SIZE", "10GiB"),
        ("CREEL_MIN_FREE", "1MiB"),
        ("CREEL_MAX_BODY", "64KiB"),
        ("CREEL_BODY_BUDGET", "1048576"),
        ("CREEL_CHECKPOINT", "off"),
        ("CREEL_SEARCH", "off"),
        ("CREEL_LOG", "warn,creel::store=debug"),
        ("CREEL_LOG_FORMAT", "json"),
        ("CREEL_GITHUB_META_URL", "http://127.0.0.1:1/meta"),
    ]);
    assert_eq!(config.local_url(), "http://[::1]:9000");
    assert_eq!(config.public_url.as_deref(), Some("https://hooks.example.com/in"));
    let proxies: Vec<String> = config.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(proxies, ["10.0.0.0/8", "192.0.2.1/32", "2001:db8::/32"]);
    assert_eq!(config.retention, Retention::Keep);
    assert_eq!(config.max_database_bytes, Some(10 << 30));
    assert_eq!((config.max_body_bytes, config.body_budget_bytes), (64 << 10, 1 << 20));
    assert_eq!(config.admin_listen.map(|address| address.port()), Some(9001));
    assert!(config.admin_token.is_some() && config.read_token.is_some() && config.key.is_some());
    assert!(!config.checkpoint && config.log_format == LogFormat::Json);
    assert_eq!(config.log, "warn,creel::store=debug");
}

#[test]
fn secret_with_provider_name_declares_source() {
    let config = accepted(&[("CREEL_SOURCE_GITHUB_SECRET", SECRET)]);
    let source = &config.sources[0];
    assert_eq!((source.name.as_str(), source.provider.as_str()), ("github", "github"));
    assert_eq!(
        (source.methods.as_slice(), source.endpoint().as_str()),
        (&["POST".to_owned()][..], "/webhooks/github")
    );
}

#[test]
fn every_source_key_is_applied() {
    let config = accepted(&[
        ("CREEL_SOURCE_MY_SHOP_PROVIDER", "none"),
        ("CREEL_SOURCE_MY_SHOP_PATH", PATH),
        ("CREEL_SOURCE_MY_SHOP_ALLOW_IPS", "192.0.2.0/24 2001:db8::7"),
        ("CREEL_SOURCE_MY_SHOP_METHODS", "get POST GET"),
        ("CREEL_SOURCE_MY_SHOP_RATE", "100/m"),
        ("CREEL_SOURCE_MY_SHOP_DEDUPE", "10m"),
        ("CREEL_SOURCE_MY_SHOP_RETENTION", "2h"),
        ("CREEL_SOURCE_MY_SHOP_REPLY_STATUS", "202"),
        ("CREEL_SOURCE_MY_SHOP_REPLY_BODY", ""),
        ("CREEL_SOURCE_GITHUB_SECRET", SECRET),
        ("CREEL_SOURCE_GITHUB_SECRET_2", "another one"),
        ("CREEL_SOURCE_GITHUB_ALLOW_IPS", "github"),
    ]);
    let names: Vec<&str> = config.sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["github", "my-shop"]);
    assert_eq!(config.sources[0].allow, Some(Allow { nets: Vec::new(), github: true }));
    let shop = &config.sources[1];
    assert_eq!(shop.endpoint(), format!("/webhooks/my-shop/{PATH}"));
    assert_eq!(shop.methods, ["GET", "POST"]);
    assert_eq!(shop.rate, Some(Rate { count: 100, per: Duration::from_secs(60) }));
    assert_eq!(shop.dedupe, Some(Duration::from_secs(600)));
    assert_eq!(shop.retention, Some(Retention::For(Duration::from_secs(7200))));
    assert_eq!(shop.allow.as_ref().map(|allow| allow.nets.len()), Some(2));
}

#[test]
fn broken_further_secret_is_reported_with_its_variable() {
    let hex = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
    let rows = [
        ("SVIX", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_MfKQ|9r8G", "separator"),
        ("SUPABASE_AUTH", "v1,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "v1,whsec_\"MfKQ\"", "quotation mark"),
        ("ADYEN", hex, "xyz", "hex digit"),
    ];
    for (source, good, bad, part) in rows {
        let name = |end: &str| format!("CREEL_SOURCE_{source}_SECRET{end}");
        let problems = rejected(&[(&name(""), good), (&name("_2"), good), (&name("_3"), bad)]);
        assert!(
            problems.len() == 1 && problems[0].starts_with(&name("_3: ")) && problems[0].contains(part),
            "{problems:?}"
        );
    }
}

#[test]
fn all_problems_are_reported_with_their_variables() {
    let problems = rejected(&[
        ("CREEL_LISTEN", "8080"),
        ("CREEL_RETENTION", "7"),
        ("CREEL_DATABSE", "x"),
        ("CREEL_SOURCE_ACME_PROVIDER", "tokne"),
        ("CREEL_SOURCE_ACME_PATH", "short"),
        ("CREEL_SOURCE_GITHUB_RATE", "fast"),
        ("CREEL_SOURCE_OPEN_PROVIDER", "none"),
    ]);
    let starts = [
        "CREEL_DATABSE: ",
        "CREEL_LISTEN: ",
        "CREEL_RETENTION: ",
        "CREEL_SOURCE_ACME_PATH: ",
        "CREEL_SOURCE_ACME_PROVIDER: ",
        "CREEL_SOURCE_GITHUB_RATE: ",
        "CREEL_SOURCE_GITHUB_SECRET: ",
        "CREEL_SOURCE_OPEN_PATH: ",
    ];
    assert_eq!(problems.len(), starts.len(), "{problems:#?}");
    for start in starts {
        assert!(problems.iter().any(|problem| problem.starts_with(start)), "{start}: {problems:#?}");
    }
}

#[test]
fn unknown_name_error_suggests_nearest_name() {
    let rows = [
        ("CREEL_DATABSE", "CREEL_DATABASE"),
        ("CREEL_LISTN_FILE", "CREEL_LISTEN"),
        ("CREEL_MAXBODY", "CREEL_MAX_BODY"),
        ("CREEL_SOURCES_GITHUB_SECRET", "CREEL_SOURCE_GITHUB_SECRET"),
        ("CREEL_SOURCE_GITHUB_SECRT", "CREEL_SOURCE_GITHUB_SECRET"),
        ("CREEL_SOURCE_MY_SHOP_REPLY_STATE", "CREEL_SOURCE_MY_SHOP_REPLY_STATUS"),
        ("CREEL_SOURCE_GITHUB_ALLOWIPS", "CREEL_SOURCE_GITHUB_ALLOW_IPS"),
    ];
    for (name, nearest) in rows {
        assert_rejected(&[(name, "value")], &[name, &format!("the nearest known name is {nearest}")]);
    }
}

#[test]
fn unrelated_variable_gets_no_suggestion() {
    for name in ["CREEL_ZZZ", "CREEL_", "CREEL_KUBERNETES_SERVICE_HOST"] {
        assert_rejected(&[(name, "value")], &[name, "no known name is similar"]);
    }
}

#[test]
fn incomplete_source_variable_error_shows_form() {
    for name in ["CREEL_SOURCE_GITHUB", "CREEL_SOURCE_SECRET", "CREEL_SOURCE_", "CREEL_SOURCE__SECRET"] {
        assert_rejected(&[(name, "value")], &[name, "CREEL_SOURCE_"]);
    }
}

#[test]
fn lowercase_variable_name_is_rejected() {
    assert_rejected(&[("CREEL_SOURCE_github_SECRET", SECRET)], &["A-Z, 0-9"]);
}

#[test]
fn unsupported_provider_key_error_lists_keys() {
    assert_rejected(
        &[("CREEL_SOURCE_GITHUB_SECRET", SECRET), ("CREEL_SOURCE_GITHUB_HEADER", "x-token")],
        &[
            "CREEL_SOURCE_GITHUB_HEADER",
            "read as HEADER of the source github",
            "does not accept HEADER",
            "SECRET",
        ],
    );
}

#[test]
fn missing_provider_error_names_other_variable() {
    assert_rejected(
        &[("CREEL_SOURCE_SHOP_SECRET", SECRET)],
        &[
            "CREEL_SOURCE_SHOP_PROVIDER: is missing",
            "comes from CREEL_SOURCE_SHOP_SECRET",
            "creel providers",
            "shopify",
        ],
    );
}

#[test]
fn longest_key_wins_over_other_reading() {
    let keys = ["REPLY_BODY", "BODY"].map(str::to_owned);
    let readings = super::names::readings_among(super::noun::Noun::Source, "MY_REPLY_BODY", keys.iter());
    let read: Vec<(&str, &str)> = readings.iter().map(|one| (one.name.as_str(), one.key.as_str())).collect();
    assert_eq!(read, [("my", "REPLY_BODY"), ("my-reply", "BODY")]);
}

#[test]
fn new_provider_key_does_not_rename_existing_source() {
    for (key, rest) in
        [("SIGNING_SECRET", "SECRET"), ("CLIENT_SECRET", "SECRET"), ("SIGNING_SECRET_2", "SECRET_2")]
    {
        let source = key.strip_suffix(rest).unwrap();
        let name = format!("my-{}", source.trim_end_matches('_').to_lowercase());
        let provider = format!("CREEL_SOURCE_MY_{source}PROVIDER");
        let first = format!("CREEL_SOURCE_MY_{source}SECRET");
        let secret = format!("CREEL_SOURCE_MY_{key}");
        let config = accepted(&[(&provider, "github"), (&first, SECRET), (&secret, SECRET)]);
        assert_eq!(config.sources[0].name, name, "{key}");
    }
    let provider = ("CREEL_SOURCE_MY_PROVIDER", "revenuecat");
    let signing = ("CREEL_SOURCE_MY_SIGNING_SECRET", SECRET);
    assert_eq!(accepted(&[provider, signing]).sources[0].name, "my");
    assert_eq!(accepted(&[("CREEL_SOURCE_REVENUECAT_SIGNING_SECRET", SECRET)]).sources[0].name, "revenuecat");
}
