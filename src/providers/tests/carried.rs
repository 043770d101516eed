//! For every provider: requests of a genuine sender with another secret carry proof, and noise does
//! not.

use std::sync::LazyLock;

use super::own::OwnRequest;
use super::*;

static OWN: LazyLock<Vec<OwnRequest>> = LazyLock::new(own_requests);

fn is_carried(sent: &SentRequest, verifier: &Verifier) -> bool {
    sent.put(|request| verifier.is_proof_carried(request))
}

fn verifying_requests() -> impl Iterator<Item = &'static OwnRequest> {
    OWN.iter().filter(|request| request.verifier.verifies_sender())
}

#[test]
fn every_accepted_request_carries_proof() {
    for request in verifying_requests() {
        assert!(is_carried(&request.sent, &request.verifier), "{}", request.provider);
    }
}

#[test]
fn scanner_carries_proof_for_no_provider() {
    let scanner =
        SentRequest::new(&[("user-agent", "curl/8"), ("content-type", "application/json")], "{\"a\":1}");
    let empty = SentRequest::new(&[], "");
    for request in verifying_requests() {
        for sent in [&scanner, &empty] {
            let sent = SentRequest { now: request.sent.now, url: request.sent.url.clone(), ..sent.clone() };
            assert!(!is_carried(&sent, &request.verifier), "{}", request.provider);
        }
    }
}

#[test]
fn another_secret_leaves_the_proof_carried() {
    let mut mismatches = 0;
    for request in verifying_requests().filter(|request| request.settings.values.contains_key("secret")) {
        let mut settings = request.settings.clone();
        let secrets = settings.values.get_mut("secret").unwrap();
        for secret in secrets.iter_mut() {
            // Replaces one character by another of the same alphabet, so that the secret stays
            // valid for the provider.
            let mut text = secret.expose().to_vec();
            let middle = text.len() / 2;
            text[middle] = if text[middle] == b'1' { b'2' } else { b'1' };
            *secret = Secret::new(text);
        }
        let Ok(other) = Verifier::bind(recipe(&request.provider).unwrap(), &settings) else { continue };
        let rejected = request.sent.put(|sent| other.authenticate(sent, &request.world).is_err());
        assert!(!rejected || is_carried(&request.sent, &other), "{}", request.provider);
        mismatches += usize::from(rejected);
    }
    assert!(mismatches > 50, "only {mismatches} providers were tried");
}

#[test]
fn stale_request_carries_no_proof() {
    let mut stale = 0;
    for request in verifying_requests() {
        let late = SentRequest { now: request.sent.now + time::Duration::days(2), ..request.sent.clone() };
        if late.verdict_in(&request.verifier, &request.world) == Err(Cause::StaleTimestamp) {
            assert!(!is_carried(&late, &request.verifier), "{}", request.provider);
            stale += 1;
        }
    }
    assert!(stale > 10, "only {stale} providers have a timestamp");
}

#[test]
fn body_is_requested_if_authentication_needs_it() {
    let mut in_body = Vec::new();
    for request in verifying_requests().filter(|request| is_carried(&request.sent, &request.verifier)) {
        let head = SentRequest { body: String::new().into(), ..request.sent.clone() };
        let needs_body = !is_carried(&head, &request.verifier);
        assert!(!needs_body || request.verifier.has_proof_in_body(), "{}", request.provider);
        in_body.extend(needs_body.then_some(request.provider.as_str()));
    }
    for provider in ["adyen", "aws-sns", "braintree", "mailgun"] {
        assert!(in_body.contains(&provider), "{provider} is not among {in_body:?}");
    }
    assert!(!bind("github", &[("secret", "s")]).has_proof_in_body());
}

#[test]
fn malformed_proof_is_not_carried() {
    let github = bind("github", &[("secret", "s")]);
    let token = bind("token", &[("header", "X-Token"), ("secret", "correct horse")]);
    let basic = bind("chargebee", &[("username", "u"), ("password", "p")]);
    let rows: [(&Verifier, &str, String, bool); 8] = [
        (&github, "X-Hub-Signature-256", format!("sha256={}", "0".repeat(64)), true),
        (&github, "X-Hub-Signature-256", format!("sha256={}", "0".repeat(63)), false),
        (&github, "X-Hub-Signature-256", "0".repeat(64), false),
        (&github, "X-Hub-Signature-256", "sha256=".to_owned(), false),
        (&token, "X-Token", "another token".to_owned(), true),
        (&token, "X-Token", " ".to_owned(), false),
        (&basic, "Authorization", "Basic YTpi".to_owned(), true),
        (&basic, "Authorization", "Bearer YTpi".to_owned(), false),
    ];
    for (verifier, name, value, carried) in rows {
        assert_eq!(
            is_carried(&SentRequest::new(&[(name, &value)], "{}"), verifier),
            carried,
            "{name}: {value}"
        );
    }
}

#[test]
fn token_in_json_is_carried_only_after_its_prefix() {
    let text = "title = \"T\"\n[[key]]\nname = \"secret\"\nkind = \"secret\"\ndoc = \"d\"\n\
        [[token]]\nat = \"json auth\"\nscheme = \"Bearer\"";
    let recipe: &'static Recipe = Box::leak(Box::new(Recipe::parse("mine", text).unwrap()));
    let verifier = Verifier::bind(recipe, &settings(&[("secret", "correct horse")])).unwrap();
    for (token, carried) in [("Bearer x", true), ("x", false), ("Bearer ", false), (" ", false)] {
        let sent = SentRequest::new(&[], &format!(r#"{{"auth":"{token}"}}"#));
        assert_eq!(is_carried(&sent, &verifier), carried, "{token:?}");
    }
}

#[test]
fn signature_list_on_several_lines_carries_proof() {
    let stripe = bind("stripe", &[("secret", "s")]);
    let (time, signature) = (format!("t={NOW}"), format!("v1={}", "0".repeat(64)));
    let header = "Stripe-Signature";
    let rows: [(TestSettings<'_>, bool); 4] = [
        (&[(header, &time), (header, &signature)], true),
        (&[(header, ""), (header, &format!("{time},{signature}"))], true),
        (&[(header, &time), (header, &time)], false),
        (&[(header, &time)], false),
    ];
    for (headers, carried) in rows {
        assert_eq!(is_carried(&SentRequest::new(headers, "{}"), &stripe), carried, "{headers:?}");
    }
}
