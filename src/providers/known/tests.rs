//! Known event types.

use super::*;
use crate::providers::recipe;

#[test]
fn patterns_overlap_if_a_text_matches_both() {
    let rows = [
        ("push", "push", true),
        ("push", "pull", false),
        ("pu*", "push", true),
        ("*", "", true),
        ("", "*", true),
        ("", "a", false),
        ("*.opened", "issues.*", true),
        ("issues.*.x", "issues.*", true),
        ("issue*", "issues.*", true),
        ("a*b", "*c", false),
        ("a*b*c", "*b", false),
        ("*a*", "*b*", true),
        ("v2.core", "v2.*", true),
        ("issues", "issues.*", false),
    ];
    for (one, other, expected) in rows {
        assert_eq!(overlap(one, other), expected, "{one} {other}");
        assert_eq!(overlap(other, one), expected, "{other} {one}");
    }
    assert!(overlap(&"*a".repeat(150), &"b*".repeat(150)));
    assert!(!overlap(&"a*".repeat(150), &"b*".repeat(150)));
}

#[test]
fn only_unknown_events_are_reported() {
    let check = |provider, pattern| recipe(provider).unwrap().check_event(pattern);
    for (provider, pattern) in [
        ("github", "push"),
        ("github", "issues"),
        ("github", "issues.opened"),
        ("github", "issues.new_action"),
        ("github", "repository_dispatch.opend"),
        ("github", "pull_request*"),
        ("github", "*.opened"),
        ("github", "*"),
        ("github", "message"),
        ("github", "dismissal_request_code_scanning.created"),
        ("stripe", "invoice.paid"),
        ("stripe", "customer.subscription.*"),
        ("stripe", "v2.core.event_destination.ping"),
        ("token", "message"),
        // The recipe lists no events, so none can be unknown.
        ("typeform", "form_response"),
        ("typeform", "something_else"),
        ("typeform", "form_*"),
    ] {
        assert_eq!(check(provider, pattern), Ok(()), "{provider} {pattern}");
    }
    for (provider, pattern, nearest) in [
        ("github", "pusj", "push"),
        ("github", "isues.opened", "issues"),
        ("github", "pull-request.*", "pull_request"),
        ("stripe", "invoice.payed", "invoice.paid"),
        ("stripe", "Invoice.*", "invoice.paid"),
        ("token", "order", "message"),
        ("typeform", "form_respons", "form_response"),
        ("github", "push.x", "push"),
        ("github", "push.*", "push"),
        ("github", "pull_request.opend", "pull_request.opened"),
        ("github", "pull_request.syncronize", "pull_request.synchronize"),
    ] {
        let unknown = check(provider, pattern).unwrap_err();
        assert_eq!(unknown.nearest.as_deref(), Some(nearest), "{provider} {pattern}");
    }
}

#[test]
fn misspelt_endings_are_found() {
    let github = recipe("github").unwrap();
    assert_eq!(github.misspelt_ending("pushh"), Some("push"));
    assert_eq!(github.misspelt_ending("opend"), Some("opened"));
    for ending in ["push", "opened", "created", "deleted", "message", "something"] {
        assert!(github.misspelt_ending(ending).is_none() || github.has_ending(ending), "{ending}");
    }
    assert!(recipe("stripe").unwrap().has_ending("paid"));
}

#[test]
fn pattern_for_untyped_messages_gets_an_example() {
    let instead = |provider, pattern| recipe(provider).unwrap().event_instead_of(pattern);
    assert_eq!(instead("ghost", "message"), Some("post.published"));
    for (provider, pattern) in
        [("ghost", "post.*"), ("slack", "message"), ("telegram", "message"), ("token", "message")]
    {
        assert_eq!(instead(provider, pattern), None, "{provider} {pattern}");
    }
}

#[test]
fn event_that_always_has_an_action_is_known() {
    let github = recipe("github").unwrap();
    for event in ["pull_request", "issues", "repository_dispatch"] {
        assert!(github.needs_action(event), "{event}");
    }
    for event in ["push", "ping", "workflow_dispatch", "pull_request.opened", "other"] {
        assert!(!github.needs_action(event), "{event}");
    }
    let recipes_with_a_list = crate::providers::recipes().filter(|one| !one.events_without_action.is_empty());
    for recipe in recipes_with_a_list {
        for event in &recipe.events_without_action {
            assert!(recipe.events.contains(event), "{event}");
        }
    }
}

#[test]
fn secret_length_is_length_of_derived_key() {
    let bytes =
        |provider, setting, value: &str| recipe(provider).unwrap().secret_bytes(setting, value.as_bytes());
    assert_eq!(bytes("github", "secret", "hunter2"), Some(7));
    assert_eq!(bytes("github", "allow_sha1", "yes"), None);
    assert_eq!(bytes("svix", "secret", "whsec_YWJjZGVmZ2g="), Some(8));
    assert_eq!(bytes("token", "secret", "abc"), Some(3));
    assert_eq!(bytes("postmark", "password", "abc"), Some(3));
    assert_eq!(bytes("discord", "public_key", "00"), None);
    assert_eq!(bytes("twilio", "secret", "abc"), Some(3));
}
