//! The files of the catalogue, and what is refused in one.

use super::*;

const GOOD: &str = r#"
title = "Good"
event_type = { json = "data.type" }
[[key]]
name = "secret"
kind = "secret"
required = true
doc = "the secret"
[[signature]]
header = "X-Signature"
layout = "raw"
encoding = "base64url"
algorithm = "hmac-sha512"
key = { setting = "secret", encoding = "hex" }
text = "{header:X-Method}:{ts}:{body}"
[timestamp]
at = { header = "X-Time" }
unit = "ms"
tolerance_seconds = 60
[[accepted]]
status = 200
[[refused]]
status = 401
[[sample]]
event = "a"
body = '{"data":{"type":"$type"}}'
"#;

#[test]
fn the_catalogue_is_complete_and_in_order() {
    let names: Vec<&str> = recipes().iter().map(Recipe::name).collect();
    assert_eq!(names, ["github", "none", "standard-webhooks", "stripe", "token", "typeform"]);
    for recipe in recipes() {
        assert_eq!(super::recipe(recipe.name()).map(Recipe::title), Some(recipe.title()));
        assert!(recipe.docs().starts_with("https://") || ["none", "token"].contains(&recipe.name()));
        assert!(recipe.keys().iter().all(|key| !key.doc.is_empty()));
    }
    assert!(recipe("GitHub").is_none());
}

#[test]
fn a_recipe_nobody_wrote_before_works_from_its_data_alone() {
    let good = GOOD.replace("{header:X-Method}", "v0");
    let recipe: &'static Recipe = Box::leak(Box::new(Recipe::parse("good", &good).unwrap()));
    let verifier = Verifier::bind(recipe, &settings(&[("secret", "00ff")])).unwrap();
    let mut sent = Sent::sample(&verifier, Some("b"));
    assert_eq!(sent.verdict(&verifier), Ok(()));
    assert_eq!(sent.description(&verifier).event_type, "b");
    assert_eq!(verifier.refused(Cause::MissingHeader).status, 401);
    sent.now += time::Duration::milliseconds(60_001);
    assert_eq!(sent.verdict(&verifier), Err(Cause::StaleTimestamp));
    let other = Verifier::bind(recipe, &settings(&[("secret", "00fe")])).unwrap();
    assert_eq!(sent.verdict(&other), Err(Cause::SignatureMismatch));
}

#[test]
fn a_wrong_recipe_is_refused_with_the_name_of_the_field() {
    let rows = [
        ("title = \"Good\"", "titel = \"Good\"", "titel"),
        ("layout = \"raw\"", "layout = \"row\"", "row"),
        ("layout = \"raw\"", "layout = { list = { separator = \"ß\", label = \"a\" } }", "ASCII"),
        ("hmac-sha512", "md5", "md5"),
        ("{body}", "{boddy}", "signature.text"),
        ("{ts}:", "", "signature.text"),
        ("{ header = \"X-Time\" }", "{ pair = \"t\" }", "timestamp.at"),
        ("{ header = \"X-Time\" }", "{ header = \"X-Time\", pair = \"t\" }", "at"),
        ("setting = \"secret\"", "setting = \"sekret\"", "signature.key.setting"),
        ("text = \"", "enabled_by = \"secret\"\ntext = \"", "signature.enabled_by"),
        ("data.type\"", "data..type\"", "event_type"),
        ("status = 200", "status = 404", "accepted.status"),
        ("status = 200", "event = \"a\"\nstatus = 200", "accepted"),
        ("status = 200", "status = 200\njson = \"{\"", "accepted.json"),
        ("status = 200", "status = 200\njson = \"{}\"\ntext = \"a\"", "accepted"),
        ("status = 200", "status = 204\ntext = \"a\"", "accepted"),
        ("status = 401", "causes = [\"weather\"]\nstatus = 401", "weather"),
        ("status = 401", "causes = [\"stale_timestamp\"]\nstatus = 401", "refused"),
        ("[timestamp]", "[token]\n[timestamp]", "token"),
    ];
    assert!(Recipe::parse("good", GOOD).is_ok());
    for (good, wrong, field) in rows {
        let changed = GOOD.replacen(good, wrong, 1);
        assert_ne!(changed, GOOD, "{good} is not in the recipe");
        let error = Recipe::parse("wrong", &changed).unwrap_err().to_string();
        assert!(error.starts_with("recipe `wrong`: ") && error.contains(field), "{wrong}: {error}");
    }
}

#[test]
fn every_cause_has_the_name_that_recipes_use() {
    let all = [
        Cause::MissingHeader,
        Cause::MalformedSignature,
        Cause::UnknownAlgorithm,
        Cause::StaleTimestamp,
        Cause::SignatureMismatch,
        Cause::TokenMismatch,
        Cause::AddressNotAllowed,
    ];
    for cause in all {
        assert_eq!(serde_json::from_value::<Cause>(cause.name().into()).unwrap(), cause);
    }
}
