//! The commands about providers: the catalogue, the settings of a source, and samples of every
//! shape.

use crate::harness::sign::SECRET;
use crate::harness::{Builder, TestApp};

#[test]
fn providers_lists_the_catalogue() {
    let list = Builder::bare().run(&["providers"]).succeeded();
    for name in ["github ", "stripe ", "standard-webhooks ", "token "] {
        assert!(list.lines().any(|line| line.starts_with(name)), "{name}: {list}");
    }
    let line = |name: &str| list.lines().find(|line| line.starts_with(name)).unwrap();
    assert!(line("gitlab ").contains("body not fully signed") && !line("github ").contains("signed"));
}

#[test]
fn provider_page_shows_settings_and_signed_parts() {
    let page = Builder::bare().run(&["providers", "stripe"]).succeeded();
    for part in ["# Stripe", "CREEL_SOURCE_STRIPE_SECRET", "{ts}.{body}", "stripe-signature", "300"] {
        assert!(page.to_lowercase().contains(&part.to_lowercase()), "{part}: {page}");
    }
    let custom = Builder::bare().run(&["providers", "custom"]).succeeded();
    assert!(custom.contains("SIGNATURE_AT") && custom.contains("CREEL_RECIPES"), "{custom}");
}

#[test]
fn search_lists_matching_providers() {
    let found = Builder::bare().run(&["providers", "--search", "Stand"]).succeeded();
    assert!(found.contains("standard-webhooks") && !found.contains("github"), "{found}");
    let part = Builder::bare().run(&["providers", "mollie"]).succeeded();
    assert!(part.starts_with("# Mollie"), "a whole name is a page: {part}");
}

#[test]
fn unknown_name_suggests_the_nearest() {
    let output = Builder::bare().run(&["providers", "strpe"]).failed();
    assert!(output.contains("strpe") && output.contains("stripe"), "{output}");
    let output = Builder::bare().run(&["send", "githbu", "--url", "http://127.0.0.1:1/"]).failed();
    assert!(output.contains("github"), "{output}");
    let source = Builder::bare().set("CREEL_SOURCE_SHOP_PROVIDER", "shopfy").run(&["check"]).failed();
    assert!(source.contains("CREEL_SOURCE_SHOP_PROVIDER") && source.contains("shopify"), "{source}");
}

#[test]
fn unrelated_name_gets_hint_instead_of_suggestion() {
    for name in ["zzz", "kubernetes"] {
        let commands: [&[&str]; 2] = [&["providers", name], &["send", name, "--url", "http://127.0.0.1:1/"]];
        let mut output = commands.map(|command| Builder::bare().run(command).failed()).to_vec();
        output.push(Builder::bare().set("CREEL_SOURCE_SHOP_PROVIDER", name).run(&["check"]).failed());
        for output in output {
            assert!(
                output.contains("no provider has a similar name") && output.contains("`token`"),
                "{output}"
            );
            assert!(!output.contains("box") && !output.contains("did you mean"), "{output}");
        }
    }
}

#[test]
fn alias_works_as_source_provider_and_sample() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let builder = TestApp::builder()
        .set("CREEL_SOURCE_BEEHIIV_SECRET", secret)
        .set("CREEL_SOURCE_CARDS_PROVIDER", "brex")
        .set("CREEL_SOURCE_CARDS_SECRET", secret);
    let app = builder.start();
    let sender = builder.set("CREEL_LISTEN", app.address.to_string());
    for source in ["beehiiv", "cards"] {
        assert!(sender.run(&["send", source]).succeeded().starts_with('2'), "{source}");
        assert_eq!(app.database().newest_message().event, format!("{source}.invoice.paid"));
    }
    let page = sender.run(&["providers", "beehiiv"]).succeeded();
    assert!(page.contains("provider `svix`") && page.contains("CREEL_SOURCE_BEEHIIV_SECRET"), "{page}");
}

#[test]
fn provider_page_needs_no_valid_configuration() {
    let builder = Builder::bare().set("CREEL_MAX_BODY", "1 elephant");
    assert!(builder.run(&["providers", "github"]).succeeded().contains("X-Hub-Signature-256"));
}

#[test]
fn check_reports_sources_with_unsigned_body() {
    let output = TestApp::github().set("CREEL_SOURCE_MAILGUN_SECRET", SECRET).run(&["check"]).succeeded();
    let warnings: Vec<&str> = output.lines().filter(|line| line.starts_with("warning: ")).collect();
    let of_mailgun = warnings.iter().find(|line| line.contains("source mailgun"));
    assert!(of_mailgun.is_some_and(|line| line.contains("body is not covered")), "{output}");
    assert!(!warnings.iter().any(|line| line.contains("source github")), "{output}");
    assert!(!output.contains(SECRET), "{output}");
}

/// One source of each shape: digests of the body, with a timestamp, over the URL and within the
/// body; tokens, basic authentication, and a signed token.
fn of_every_shape() -> Builder {
    let builder = TestApp::builder()
        .set("CREEL_PUBLIC_URL", "https://hooks.example.com/in")
        .set("CREEL_SOURCE_CHARGEBEE_USERNAME", "zoë")
        .set("CREEL_SOURCE_CHARGEBEE_PASSWORD", "pass:word");
    let with_secret =
        ["STRIPE", "SLACK", "SHOPIFY", "TWILIO", "MAILGUN", "GITLAB", "OKTA", "NETLIFY", "TYPEFORM"];
    with_secret.iter().fold(builder, |builder, name| {
        builder.set(&format!("CREEL_SOURCE_{name}_SECRET"), format!("secret of {name}"))
    })
}

#[test]
fn send_is_accepted_for_every_shape() {
    let builder = of_every_shape();
    let app = builder.start();
    let sender = builder.set("CREEL_LISTEN", app.address.to_string());
    let expected = [
        ("stripe", None),
        ("slack", Some("slack.app_mention")),
        ("shopify", Some("shopify.orders/create")),
        ("twilio", Some("twilio.message")),
        ("mailgun", Some("mailgun.delivered")),
        ("gitlab", Some("gitlab.Push Hook")),
        ("okta", Some("okta.user.lifecycle.create")),
        ("chargebee", Some("chargebee.payment_succeeded")),
        ("netlify", Some("netlify.deploy_created")),
        ("typeform", Some("typeform.form_response")),
    ];
    for (count, (provider, event)) in (1..).zip(expected) {
        let output = sender.run(&["send", provider]).succeeded();
        assert!(output.starts_with('2'), "{provider}: {output}");
        assert_eq!(app.database().count("messages"), count, "{provider}");
        let kept = app.database().newest_message();
        assert_eq!(kept.source, provider);
        assert!(event.is_none_or(|event| kept.event == event), "{}", kept.event);
    }
}

#[test]
fn sample_with_other_signature_is_rejected() {
    let builder = of_every_shape();
    let app = builder.start();
    let mut sender = builder.set("CREEL_LISTEN", app.address.to_string());
    let providers = ["stripe", "slack", "twilio", "mailgun", "okta", "netlify"];
    for provider in providers {
        sender = sender.set(&format!("CREEL_SOURCE_{}_SECRET", provider.to_uppercase()), "another");
    }
    for provider in providers {
        let output = sender.run(&["send", provider]).failed();
        assert!(output.contains("answered 4"), "{provider}: {output}");
    }
    assert_eq!(app.database().count("messages"), 0);
}

#[test]
fn sample_without_known_secret_is_an_error() {
    let app = TestApp::builder().set("CREEL_SOURCE_TASKS_PROVIDER", "asana");
    let builder = app.set("CREEL_SOURCE_TASKS_PATH", "random-path-part-of-the-tasks");
    let app = builder.start();
    let output = builder.set("CREEL_LISTEN", app.address.to_string()).run(&["send", "tasks"]).failed();
    assert!(
        output.contains("cannot create a sample") && output.contains("creel learn tasks --show"),
        "{output}"
    );
}
