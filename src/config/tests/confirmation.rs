//! Confirmation of a source's messages, and its role as the only verification.

use std::time::Duration;

use super::super::{Config, Rate};
use super::{PATH, SECRET, accepted, assert_rejected};

const URL: (&str, &str) = ("CREEL_SOURCE_PAY_CONFIRM_URL", "https://api.example.com/payments/{query:id}");
const NONE: (&str, &str) = ("CREEL_SOURCE_PAY_PROVIDER", "none");

/// Returns the rate limit and the limit on awaiting messages of the only source.
fn bounds(config: &Config) -> (Option<Rate>, Option<u32>) {
    let source = &config.sources[0];
    (source.rate, source.confirm.as_ref().and_then(|confirm| confirm.max_awaiting))
}

#[test]
fn confirmation_only_source_is_accepted_and_limited() {
    let five = Rate { count: 5, per: Duration::from_secs(1) };
    let alone = accepted(&[NONE, URL]);
    assert_eq!(bounds(&alone), (Some(five), Some(1_000)));
    let confirm = alone.sources[0].confirm.as_ref().unwrap();
    assert_eq!(confirm.api.origin(), "https://api.example.com");
    assert_eq!(confirm.credentials, ["CREEL_SOURCE_PAY_CONFIRM_TOKEN"]);
    assert!(confirm.missing.is_empty());

    let faster = accepted(&[NONE, URL, ("CREEL_SOURCE_PAY_RATE", "50/s")]);
    assert_eq!(bounds(&faster).0.map(|rate| rate.count), Some(50));
    for proof in [("CREEL_SOURCE_PAY_PATH", PATH), ("CREEL_SOURCE_PAY_ALLOW_IPS", "192.0.2.0/24")] {
        assert_eq!(bounds(&accepted(&[NONE, URL, proof])), (None, None), "{proof:?}");
    }
    let signed = accepted(&[
        ("CREEL_SOURCE_GITHUB_SECRET", SECRET),
        ("CREEL_SOURCE_GITHUB_CONFIRM_URL", "https://api.example.com/{json:/repository/id}"),
    ]);
    assert_eq!(bounds(&signed), (None, None));
}

#[test]
fn confirming_provider_needs_no_path_or_allowlist() {
    let config = accepted(&[("CREEL_SOURCE_SNIPCART_API_KEY", "ST_x")]);
    assert_eq!(bounds(&config), (Some(Rate { count: 5, per: Duration::from_secs(1) }), Some(1_000)));
    let confirm = config.sources[0].confirm.as_ref().unwrap();
    assert_eq!(confirm.api.origin(), "https://app.snipcart.com");
    assert_eq!(confirm.credentials, ["CREEL_SOURCE_SNIPCART_API_KEY"]);
    let expecting = accepted(&[
        ("CREEL_SOURCE_SHOP_PROVIDER", "mollie-classic"),
        ("CREEL_SOURCE_SHOP_CONFIRM_EXPECT", "200 /status=paid"),
    ]);
    let confirm = expecting.sources[0].confirm.as_ref().unwrap();
    assert_eq!(confirm.missing, ["CREEL_SOURCE_SHOP_API_KEY"]);
    assert_ne!(confirm.api.evaluate(200, b"{}"), crate::providers::ConfirmResult::Confirmed);
}

#[test]
fn invalid_confirmation_error_shows_valid_value() {
    let url = |value: &'static str| [NONE, ("CREEL_SOURCE_PAY_CONFIRM_URL", value)];
    for (value, problem) in [
        ("https://{query:host}/p", "never in scheme, host or port"),
        ("https://api.example.com:{query:port}/p", "never in scheme, host or port"),
        ("https://api.example.com/payments", "contains no value of the message"),
        ("https://api.example.com/{id}", "may contain only values like {query:id}"),
        ("https://api.example.com/{query:id", "double each literal brace"),
        ("api.example.com/{query:id}", "never in scheme"),
    ] {
        assert_rejected(&url(value), &["CREEL_SOURCE_PAY_CONFIRM_URL: ", problem]);
    }
    for (value, problem) in [
        ("paid", "instead of a status"),
        ("404", "a status from 200 to 299"),
        ("200 status=paid", "write it like `/status=paid`"),
    ] {
        assert_rejected(
            &[NONE, URL, ("CREEL_SOURCE_PAY_CONFIRM_EXPECT", value)],
            &["CREEL_SOURCE_PAY_CONFIRM_EXPECT: ", problem],
        );
    }
    assert_rejected(
        &[NONE, URL, ("CREEL_SOURCE_PAY_CONFIRM_TOKEN", "Bearer abc")],
        &["CREEL_SOURCE_PAY_CONFIRM_TOKEN: ", "without `Bearer`"],
    );
}

#[test]
fn expectation_and_token_without_url_are_rejected() {
    for key in ["CREEL_SOURCE_PAY_CONFIRM_EXPECT", "CREEL_SOURCE_PAY_CONFIRM_TOKEN"] {
        let given = [NONE, ("CREEL_SOURCE_PAY_PATH", PATH), (key, "200")];
        assert_rejected(&given, &[key, "has no effect without _CONFIRM_URL"]);
    }
    assert_rejected(
        &[("CREEL_SOURCE_SNIPCART_CONFIRM_TOKEN", "abc")],
        &["CREEL_SOURCE_SNIPCART_CONFIRM_TOKEN", "`creel providers snipcart` lists"],
    );
}

#[test]
fn unverified_source_error_suggests_confirmation() {
    assert_rejected(&[NONE], &["CREEL_SOURCE_PAY_PATH: is missing", "CREEL_SOURCE_PAY_CONFIRM_URL"]);
    // Confirmation does not authenticate a secret that is learned later.
    assert_rejected(
        &[("CREEL_SOURCE_ASANA_CONFIRM_URL", "https://api.example.com/{query:id}")],
        &["CREEL_SOURCE_ASANA_PATH: is missing"],
    );
}
