//! The recipe files of the catalogue, and the errors of invalid recipes.

use super::*;

const GOOD: &str = r#"
title = "Good"
event_type = "json data.type"
[[key]]
name = "secret"
kind = "secret"
required = true
doc = "the secret"
[[signature]]
at = "header X-Signature"
encoding = "base64url"
algorithm = "hmac-sha512"
key = { setting = "secret", encoding = "hex" }
text = "{header:X-Method}:{ts}:{body}"
[timestamp]
at = "header X-Time"
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
fn every_recipe_of_the_catalogue_is_complete() {
    assert!(recipes().len() >= 190, "the catalogue has shrunk");
    for recipe in recipes() {
        let name = recipe.name();
        assert_eq!(super::recipe(name).map(Recipe::title), Some(recipe.title()));
        assert!(!recipe.title().is_empty(), "{name}");
        assert!(recipe.facts().docs.is_empty() || recipe.facts().docs.starts_with("https://"), "{name}");
        assert!(recipe.keys().iter().all(|key| !key.doc.is_empty()), "{name}");
        assert!(recipe.samples.iter().all(|sample| sample.event != "sample"), "{name} has no sample");
        // Unsigned parts must be documented.
        assert!(
            recipe.coverage() == Coverage::Full || !recipe.facts().traps.is_empty(),
            "{name} has no trap"
        );
    }
    assert!(recipe("GitHub").is_none());
}

#[test]
fn new_recipe_works_without_code() {
    let good = GOOD.replace("{header:X-Method}", "v0");
    let recipe: &'static Recipe = Box::leak(Box::new(Recipe::parse("good", &good).unwrap()));
    let verifier = Verifier::bind(recipe, &settings(&[("secret", "00ff")])).unwrap();
    let mut sent = SentRequest::sample(&verifier, Some("b"));
    assert_eq!(sent.verdict(&verifier), Ok(()));
    assert_eq!(sent.description(&verifier).event_type, "b");
    assert_eq!(verifier.rejection_reply(Cause::MissingHeader).status, 401);
    sent.now += time::Duration::milliseconds(60_001);
    assert_eq!(sent.verdict(&verifier), Err(Cause::StaleTimestamp));
    let other = Verifier::bind(recipe, &settings(&[("secret", "00fe")])).unwrap();
    assert_eq!(sent.verdict(&other), Err(Cause::SignatureMismatch));
}

#[test]
fn invalid_recipe_is_rejected_with_field_name() {
    let rows = [
        ("title = \"Good\"", "titel = \"Good\"", "titel"),
        ("encoding = \"base64url\"", "encoding = \"base65\"", "base65"),
        ("encoding = \"base64url\"", "encoding = \"hex\"\nlayout = \"t={ts}\"", "signature.layout"),
        ("header X-Signature", "hedder X-Signature", "signature.at"),
        ("header X-Signature", "header X Signature", "signature.at"),
        ("hmac-sha512", "sha512", "sha512"),
        ("hmac-sha512", "sha256", "signature.text"),
        ("{body}", "{boddy}", "signature.text"),
        ("{body}", "{body}{secret}", "signature.text"),
        ("{body}", "{body}{setting:account}", "signature.text"),
        ("{ts}:", "", "signature.text"),
        ("header X-Time", "layout t", "timestamp.at"),
        ("title = \"Good\"", "title = \"Good\"\nquery_payload = \"p\"", "query_payload"),
        ("title = \"Good\"", "title = \"Good\"\nmethods = [\"HEAD\"]", "methods"),
        (
            "title = \"Good\"",
            "title = \"Good\"\ncloudevents = true\ndelivery_id = \"json source.id\"",
            "cloudevents",
        ),
        ("header X-Time", "X-Time", "timestamp.at"),
        ("unit = \"ms\"", "unit = \"minutes\"", "minutes"),
        ("title = \"Good\"", "title = \"Good\"\nunconfirmed = [\"weather\"]", "unconfirmed"),
        ("title = \"Good\"", "title = \"Good\"\ncode = \"magic\"", "code"),
        ("setting = \"secret\"", "setting = \"sekret\"", "signature.key"),
        ("text = \"", "enabled_by = \"secret\"\ntext = \"", "signature.enabled_by"),
        ("data.type\"", "data..type\"", "event_type"),
        ("status = 200", "status = 404", "accepted.status"),
        ("status = 200", "event = \"a\"\nstatus = 200", "accepted"),
        ("status = 200", "status = 200\njson = \"{\"", "accepted.json"),
        ("status = 200", "status = 200\njson = \"{}\"\ntext = \"a\"", "accepted"),
        ("status = 200", "status = 204\ntext = \"a\"", "accepted"),
        ("status = 401", "causes = [\"weather\"]\nstatus = 401", "weather"),
        ("status = 401", "causes = [\"stale_timestamp\"]\nstatus = 401", "refused"),
        ("[timestamp]", "[[token]]\nat = \"cookie a\"\n[timestamp]", "token.at"),
        ("[timestamp]", "[[handshake]]\nreply = { status = 200 }\n[timestamp]", "handshake.when"),
        (
            "[timestamp]",
            "[[handshake]]\nmethod = \"GET\"\nreply = { status = 300 }\n[timestamp]",
            "handshake.reply.status",
        ),
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
fn list_in_template_is_rejected() {
    let with = |kind: &str| {
        let text = format!(
            "title = \"T\"\n[[key]]\nname = \"urls\"\nkind = \"{kind}\"\ndoc = \"d\"\n[fetch]\nurl = \"{{setting:urls}}\""
        );
        Recipe::parse("mine", &text).map(|_| ()).map_err(|error| error.field)
    };
    assert_eq!(with("text"), Ok(()));
    assert_eq!(with("list"), Err("fetch.url".to_owned()));
}

/// Other algorithms would ignore the timestamp, which would then be unsigned.
#[test]
fn timestamp_in_key_needs_sha_hmac() {
    let prepended = GOOD.replace("{ts}:", "").replace("encoding = \"hex\"", "prepend_timestamp = true");
    assert!(Recipe::parse("good", &prepended).is_ok());
    let md5 = prepended.replace("hmac-sha512", "hmac-md5");
    let error = Recipe::parse("wrong", &md5).unwrap_err().to_string();
    assert!(error.contains("signature.key") && error.contains("prepend_timestamp"), "{error}");
}

#[test]
fn every_cause_is_named_as_in_recipes() {
    let all = [
        Cause::MissingHeader,
        Cause::MalformedSignature,
        Cause::UnknownAlgorithm,
        Cause::StaleTimestamp,
        Cause::SignatureMismatch,
        Cause::TokenMismatch,
        Cause::ClaimMismatch,
        Cause::WrongAccount,
        Cause::UnknownKey,
        Cause::CertificateNotTrusted,
        Cause::HandshakeRefused,
        Cause::NotConfirmed,
        Cause::TooLarge,
        Cause::AddressNotAllowed,
    ];
    for cause in all {
        assert_eq!(serde_json::from_value::<Cause>(cause.name().into()).unwrap(), cause);
    }
}

#[test]
fn handshake_with_untrusted_value_to_sign_is_rejected() {
    let key = "[[key]]\nname = \"secret\"\nkind = \"secret\"\ndoc = \"d\"\n";
    let answer = "answer = { algorithm = \"hmac-sha256\", encoding = \"hex\", key = \"secret\", text = \"{query:c}\" }";
    let rows = [
        (
            format!("[[handshake]]\nmethod = \"GET\"\n{answer}\nreply = {{ status = 200 }}"),
            "handshake.challenge",
        ),
        (
            "[[handshake]]\nmethod = \"GET\"\nvisit = \"query u\"\nreply = { status = 200 }".to_owned(),
            "handshake.visit",
        ),
        (
            "[[jwt]]\nat = \"header A\"\nkey = \"secret\"\nalgorithms = [\"HS256\", \"RS256\"]".to_owned(),
            "jwt.algorithms",
        ),
    ];
    for (table, field) in rows {
        let error = Recipe::parse("wrong", &format!("title = \"T\"\n{key}{table}")).unwrap_err();
        assert_eq!(error.field, field, "{table}");
    }
}

#[test]
fn recipe_signing_challenges_rejects_messages_shaped_like_one() {
    let recipe = |proof: &str, answer: &str, more: &str| {
        let text = format!(
            "title = \"T\"\n{proof}\n[[handshake]]\nmethod = \"GET\"\nchallenge = \"query c\"\n\
             answer = {{ algorithm = \"hmac-sha256\", encoding = \"hex\", key = \"secret\", text = \"{answer}\" }}\n\
             {more}\nreply = {{ status = 200 }}\n[[key]]\nname = \"secret\"\nkind = \"secret\"\ndoc = \"d\""
        );
        Recipe::parse("mine", &text).map_err(|error| error.field)
    };
    let signature = |text: &str| {
        format!(
            "[[signature]]\nat = \"header A\"\nencoding = \"hex\"\nalgorithm = \"hmac-sha256\"\nkey = \"secret\"\ntext = \"{text}\""
        )
    };
    for safe in [signature("{body}"), signature("v0:{body}"), "code = \"braintree\"".to_owned()] {
        assert!(recipe(&safe, "{query:c}", "").is_ok(), "{safe}");
        assert!(recipe(&safe, "{query:c}", "challenge_hex_digits = [20, 32]").is_ok(), "{safe}");
    }
    for unsafe_proof in [
        signature("{form:payload}"),
        signature("{header:B}{body}"),
        signature("v1{body}"),
        "code = \"payfast\"".to_owned(),
    ] {
        assert_eq!(
            recipe(&unsafe_proof, "{query:c}", "").err().as_deref(),
            Some("handshake.answer"),
            "{unsafe_proof}"
        );
        // With `signed`, only a client with the secret receives a signature.
        assert!(recipe(&unsafe_proof, "{query:c}", "signed = true").is_ok(), "{unsafe_proof}");
    }
    for text in ["{query:d}", "{query:c}{query:d}", "a{query:c}"] {
        let rejected = recipe(&signature("{body}"), text, "").err();
        assert_eq!(rejected.as_deref(), Some("handshake.answer.text"), "{text}");
    }
    for digits in ["[0, 4]", "[5, 4]", "[1, 101]"] {
        let rejected =
            recipe(&signature("{body}"), "{query:c}", &format!("challenge_hex_digits = {digits}")).err();
        assert_eq!(rejected.as_deref(), Some("handshake.challenge_hex_digits"), "{digits}");
    }
}

#[test]
fn file_can_contain_one_or_several_recipes() {
    let one = Recipe::parse_file("title = \"One\"", "one").unwrap();
    assert_eq!(one[0].name(), "one");
    let several =
        Recipe::parse_file("[first]\ntitle = \"First\"\n[second]\ntitle = \"Second\"", "file").unwrap();
    assert_eq!(several.iter().map(Recipe::name).collect::<Vec<_>>(), ["first", "second"]);
    let wrong = Recipe::parse_file("[first]\ntitle = \"First\"\nevent_type = \"x\"", "file").unwrap_err();
    assert_eq!((wrong.recipe.as_str(), wrong.field.as_str()), ("first", "event_type"));
    assert_eq!(add_file("[custom]\ntitle = \"Mine\"", "x").unwrap_err().field, "name");
}

#[test]
fn examples_of_the_documentation_are_recipes() {
    let text = include_str!("../../../docs/recipes.md");
    let (_, own_sender) = text.split_once("\n## Your own sender\n").unwrap();
    let blocks: Vec<&str> =
        own_sender.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let names = |text: &str| -> Vec<String> {
        let recipes = Recipe::parse_file(text, "parcel-shop").unwrap();
        recipes.iter().map(|recipe| recipe.name().to_owned()).collect()
    };
    assert_eq!(blocks.len(), 2);
    assert_eq!(names(blocks[0]), ["parcel-shop"]);
    assert_eq!(names(blocks[1]), ["letters", "parcel-shop"]);
}
