//! Settings that a recipe rejects, and the error messages.

use super::*;

fn problems(provider: &str, settings: &Settings) -> Vec<(String, String)> {
    let bound = Verifier::bind(recipe(provider).unwrap(), settings).map(|_| ());
    let errors = bound.expect_err(provider);
    errors.into_iter().map(|error| (error.key, error.problem)).collect()
}

#[test]
fn each_wrong_setting_is_named_with_its_problem() {
    let rows: &[(&str, TestSettings<'_>, &str, &str)] = &[
        ("github", &[], "secret", "is missing"),
        ("github", &[("secret", "")], "secret", "is empty"),
        ("github", &[("secret", "a"), ("allow_sha1", "maybe")], "allow_sha1", "`yes` or `no`"),
        ("github", &[("secret", "a"), ("header", "a")], "header", "which has allow_sha1, secret"),
        ("none", &[("secret", "a")], "secret", "which has none"),
        ("token", &[("secret", "a")], "header", "is missing"),
        ("token", &[("secret", "a"), ("header", "a b")], "header", "is not a valid header name"),
        ("token", &[("secret", "a"), ("header", "a"), ("header", "b")], "header", "accepts only one value"),
        ("token", &[("header", "a")], "secret", "is missing"),
        ("token", &[("header", "a"), ("secret", "b"), ("secret", "")], "secret", "is empty"),
        ("token", &[("header", "a"), ("secret", "b\n")], "secret", "white space"),
        ("standard-webhooks", &[], "secret", "needs `public_key` or `secret`"),
        ("standard-webhooks", &[("secret", "whsec_not base64")], "secret", "white space"),
        (
            "standard-webhooks",
            &[("secret", "whsec_not*base64")],
            "secret",
            "a character that base64 does not use",
        ),
        ("standard-webhooks", &[("secret", "whsec_")], "secret", "is empty"),
        ("standard-webhooks", &[("public_key", "whpk_YWJj")], "public_key", "32 bytes"),
        (
            "truelayer",
            &[("allowed_jku", "https://a.example/ https://b.example/")],
            "allowed_jku",
            "white space",
        ),
    ];
    for (provider, values, key, problem) in rows {
        let problems = problems(provider, &settings(values));
        let named = problems.iter().any(|(found, text)| found == key && text.contains(problem));
        assert!(named, "{provider} {values:?}: {problems:?}");
    }
}

#[test]
fn missing_header_name_is_reported_once() {
    let problems = problems("token", &settings(&[("secret", "a")]));
    assert_eq!(problems.iter().filter(|(key, _)| key == "header").count(), 1, "{problems:?}");
}

#[test]
fn all_problems_are_reported_together_without_secrets() {
    let settings = Settings {
        tolerance: Some(std::time::Duration::from_secs(1)),
        reply_status: Some(500),
        reply_body: None,
        ..settings(&[("secret", ""), ("nonsense", "hidden"), ("allow_sha1", "hidden")])
    };
    let problems = problems("github", &settings);
    let keys: Vec<&str> = problems.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, ["nonsense", "secret", "allow_sha1", "tolerance", "reply_status"]);
    assert!(!format!("{problems:?}").contains("hidden"));
}

#[test]
fn reply_body_that_is_never_sent_is_rejected() {
    let settings =
        Settings { reply_status: Some(204), reply_body: Some("a".into()), ..settings(&usable("github")) };
    assert_eq!(problems("github", &settings)[0].0, "reply_body");
}

#[test]
fn debug_shows_no_secret() {
    for request in own_requests() {
        let shown = format!("{:?}", request.verifier);
        for secret in request
            .settings
            .values
            .iter()
            .filter(|(name, _)| name.contains("secret") || name.contains("password"))
        {
            let text = String::from_utf8(secret.1[0].expose().to_vec()).unwrap();
            assert!(!shown.contains(&text), "{}", request.provider);
        }
    }
}

#[test]
fn either_key_alone_configures_the_source() {
    for (provider, either) in
        [("box", ["primary_secret", "secondary_secret"]), ("twilio", ["secret", "shared_key"])]
    {
        for key in either {
            assert!(bind(provider, &[(key, "a")]).verifies_sender(), "{provider} {key}");
        }
        let problems = problems(provider, &settings(&[]));
        let text = &problems[0].1;
        assert!(problems.len() == 1 && either.iter().all(|key| text.contains(&format!("`{key}`"))), "{text}");
    }
}

#[test]
fn recipe_keys_never_end_in_a_number() {
    for recipe in recipes() {
        for key in recipe.keys() {
            let number = key.name.rsplit_once('_').and_then(|(_, number)| number.parse::<u32>().ok());
            assert_eq!(number, None, "{} {}", recipe.name(), key.name);
        }
    }
}
