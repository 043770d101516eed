//! A custom sender that is described by a recipe file.

use crate::harness::sign::{SECRET, hex, hmac_sha256};
use crate::harness::{Builder, Request, TestApp};

const BODY: &str = r#"{"kind":"parcel.sent"}"#;

const FIELDS: &str = r#"
title = "The parcel shop"
event_type = "json kind"

[[KEYS]]
name = "secret"
kind = "secret"
required = true
doc = "the secret of the parcel shop"

[[SIGNATURES]]
at = "header Parcel-Signature"
encoding = "hex"
algorithm = "hmac-sha256"
key = "secret"
text = "{body}"

[[SAMPLES]]
event = "parcel.sent"
body = '{"kind":"$type"}'
"#;

/// The fields at the top level of a file.
fn alone() -> String {
    FIELDS.replace("KEYS", "key").replace("SIGNATURES", "signature").replace("SAMPLES", "sample")
}

/// The fields in a table.
fn below(name: &str) -> String {
    let nested = |field: &str| format!("{name}.{field}");
    let fields = FIELDS.replace("KEYS", &nested("key")).replace("SIGNATURES", &nested("signature"));
    format!("[{name}]{}", fields.replace("SAMPLES", &nested("sample")))
}

fn with_file(file: &str, text: &str) -> Builder {
    let builder = TestApp::builder().set("CREEL_RECIPES", file);
    std::fs::write(builder.path().join(file), text).unwrap();
    builder
}

fn parcel(source: &str) -> Request {
    Request::post(&format!("/webhooks/{source}"))
        .header("Parcel-Signature", hex(&hmac_sha256(SECRET.as_bytes(), BODY.as_bytes())))
        .body(BODY)
}

#[test]
fn recipe_at_top_level_is_named_after_its_file() {
    let builder = with_file("parcels.toml", &alone()).set("CREEL_SOURCE_PARCELS_SECRET", SECRET);
    let app = builder.start();
    assert_eq!(app.send(&parcel("parcels").body("{}")).status, 403);
    assert_eq!(app.send(&parcel("parcels")).status, 200);
    let kept = app.database().only_message();
    assert_eq!((kept.event.as_str(), kept.body_unsigned), ("parcels.parcel.sent", false));
}

#[test]
fn several_recipes_are_in_tables_with_their_names() {
    let text = format!("{}\n{}", below("parcels"), below("letters"));
    let builder = with_file("own.toml", &text)
        .set("CREEL_SOURCE_PARCELS_SECRET", SECRET)
        .set("CREEL_SOURCE_POST_PROVIDER", "letters")
        .set("CREEL_SOURCE_POST_SECRET", SECRET);
    let app = builder.start();
    for source in ["parcels", "post"] {
        assert_eq!(app.send(&parcel(source)).status, 200);
        assert_eq!(app.database().newest_message().event, format!("{source}.parcel.sent"));
    }
}

#[test]
fn providers_shows_custom_recipes() {
    let builder = with_file("parcels.toml", &alone());
    let list = builder.run(&["providers"]).succeeded();
    let own = list.lines().find(|line| line.starts_with("parcels "));
    assert!(own.is_some_and(|line| line.contains("The parcel shop")), "{list}");
    assert!(list.lines().any(|line| line.starts_with("github ")), "{list}");
    let page = builder.run(&["providers", "parcels"]).succeeded();
    for part in ["The parcel shop", "CREEL_SOURCE_PARCELS_SECRET", "Parcel-Signature"] {
        assert!(page.to_lowercase().contains(&part.to_lowercase()), "{part}: {page}");
    }
    assert!(!TestApp::builder().run(&["providers"]).succeeded().contains("parcels"));
}

#[test]
fn send_signs_for_a_custom_recipe() {
    let builder = with_file("parcels.toml", &alone()).set("CREEL_SOURCE_PARCELS_SECRET", SECRET);
    let app = builder.start();
    let sender = builder.set("CREEL_LISTEN", app.address.to_string());
    sender.run(&["send", "parcels"]).succeeded();
    sender.run(&["send", "parcels", "parcel.lost"]).succeeded();
    let events: Vec<String> = app.database().column("SELECT event FROM messages ORDER BY id");
    assert_eq!(events, ["parcels.parcel.sent", "parcels.parcel.lost"]);
}

#[test]
fn invalid_recipe_names_recipe_and_field() {
    let of_tables = |old: &str, new: &str| {
        let text = format!("{}\n{}", below("letters"), below("parcels").replace(old, new));
        ("own.toml", text)
    };
    let of_one = |old: &str, new: &str| ("parcels.toml", alone().replace(old, new));
    for ((file, text), parts) in [
        (of_one("header Parcel-Signature", "head Parcel-Signature"), ["signature.at", "head"]),
        (of_one("\"{body}\"", "\"{bdy}\""), ["signature.text", "bdy"]),
        (of_one("hmac-sha256", "hmac-sha257"), ["algorithm", "hmac-sha257"]),
        (of_tables("header Parcel-Signature", "head Parcel-Signature"), ["signature.at", "head"]),
        (of_tables("json kind", "jsn kind"), ["event_type", "jsn"]),
        (of_tables("encoding = \"hex\"", "encoding = \"hexagon\""), ["encoding", "hexagon"]),
        (of_tables("required = true", "requird = true"), ["key", "requird"]),
    ] {
        let output = with_file(file, &text).run(&["serve"]).failed();
        let named = ["CREEL_RECIPES", "parcels"].iter().chain(&parts).all(|part| output.contains(part));
        assert!(named, "{parts:?}: {output}");
        assert!(!output.contains("letters"), "{output}");
    }
}

#[test]
fn broken_recipe_file_is_the_only_problem() {
    let text = format!("{}\n{}", below("letters"), below("parcels").replace("\"{body}\"", "\"{bdy}\""));
    let output = with_file("own.toml", &text)
        .set("CREEL_SOURCE_PARCELS_SECRET", SECRET)
        .set("CREEL_SOURCE_POST_PROVIDER", "letters")
        .set("CREEL_SOURCE_POST_SECRET", SECRET)
        .set("CREEL_SOURCE_POST_PARCEL_NUMBER", "1042")
        .set("CREEL_TARGET_APP_URL", "http://127.0.0.1:1/")
        .set("CREEL_TARGET_APP_EVENTS", "parcels.* post.parcel.sent")
        .run(&["check"])
        .failed();
    assert!(output.contains("1 problem ") && output.contains("signature.text"), "{output}");
    let other = with_file("own.toml", &text)
        .set("CREEL_SOURCE_GITHUB_SECRET", SECRET)
        .set("CREEL_SOURCE_GITHUB_PATH", "short")
        .run(&["check"])
        .failed();
    assert!(other.contains("2 problems") && other.contains("CREEL_SOURCE_GITHUB_PATH"), "{other}");
}

#[test]
fn recipe_needs_neither_title_nor_unit() {
    let text = alone().replace("title = \"The parcel shop\"", "").replace("\"{body}\"", "\"{ts}.{body}\"");
    let builder = with_file("parcels.toml", &format!("{text}\n[timestamp]\nat = \"header Parcel-Time\"\n"))
        .set("CREEL_SOURCE_PARCELS_SECRET", SECRET);
    let app = builder.start();
    let sender = builder.set("CREEL_LISTEN", app.address.to_string());
    assert!(sender.run(&["send", "parcels"]).succeeded().starts_with('2'));
    let page = sender.run(&["providers", "parcels"]).succeeded();
    assert!(page.starts_with("# parcels\n"), "{page}");
}

#[test]
fn own_recipe_replaces_a_builtin_one() {
    let builder = with_file("github.toml", &alone()).set("CREEL_SOURCE_GITHUB_SECRET", SECRET);
    let app = builder.start();
    assert_eq!(app.send(&parcel("github")).status, 200);
    assert_eq!(app.database().only_message().event, "github.parcel.sent");
    let output = builder.run(&["check"]).succeeded();
    assert!(output.contains("CREEL_RECIPES: the recipe github replaces the built-in one"), "{output}");
    let list = builder.run(&["providers", "--search", "github"]).succeeded();
    assert_eq!(list.lines().filter(|line| line.starts_with("github ")).count(), 1, "{list}");
}

#[test]
fn own_recipe_hides_an_alias_of_its_name() {
    let builder = with_file("prometheus.toml", &alone()).set("CREEL_SOURCE_PROMETHEUS_SECRET", SECRET);
    let app = builder.start();
    assert_eq!(app.send(&parcel("prometheus")).status, 200);
    let list = builder.run(&["providers", "--search", "prometheus"]).succeeded();
    assert!(list.contains("The parcel shop") && !list.contains("same as"), "{list}");
}

#[test]
fn unusable_recipe_file_prevents_start() {
    let output = with_file("empty.toml", "# nothing\n").run(&["check"]).failed();
    assert!(output.contains("CREEL_RECIPES") && output.contains("contains no recipe"), "{output}");
    let output = TestApp::builder().set("CREEL_RECIPES", "absent.toml").run(&["serve"]).failed();
    assert!(output.contains("CREEL_RECIPES") && output.contains("absent.toml"), "{output}");
    let output = with_file("custom.toml", &alone()).run(&["serve"]).failed();
    assert!(output.contains("custom") && output.contains("reserved"), "{output}");
}

#[test]
fn check_warns_of_signed_text_shared_by_two_requests() {
    let check = |text: &str| {
        let recipe = alone().replace("text = \"{body}\"", &format!("text = \"{text}\""));
        let builder = with_file("parcels.toml", &recipe).set("CREEL_SOURCE_PARCELS_SECRET", SECRET);
        builder.run(&["check"]).succeeded()
    };
    let output = check("{header:Parcel-Id}{body}");
    assert!(
        output.contains("source parcels: ") && output.contains("divided in more than one way"),
        "{output}"
    );
    for text in ["{header:Parcel-Id}.{body}", "{header:Parcel-Id}{body:structured}"] {
        let output = check(text);
        assert!(!output.contains("divided"), "{text}: {output}");
    }
}

#[test]
fn bytes_cannot_move_between_signed_header_and_body() {
    let recipe = alone().replace("text = \"{body}\"", "text = \"{header:Parcel-Id}.{body}\"");
    let app = with_file("parcels.toml", &recipe).set("CREEL_SOURCE_PARCELS_SECRET", SECRET).start();
    let body = r#"{"kind":"parcel.sent"}"#;
    let signature = hex(&hmac_sha256(SECRET.as_bytes(), format!("7.{body}").as_bytes()));
    let sent = |id: &str, body: &str| {
        let request = Request::post("/webhooks/parcels").header("Parcel-Signature", signature.clone());
        app.send(&request.header("Parcel-Id", id).body(body)).status
    };
    assert_eq!(sent("7.{\"kind\":\"parcel", "sent\"}"), 403);
    assert_eq!(sent("7", body), 200);
}
