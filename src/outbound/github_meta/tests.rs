//! The address list against a real server on loopback.

use tokio::sync::mpsc::unbounded_channel;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

use super::*;
use crate::outbound::loopback::{Loopback, reply, run};

const ANSWER: &str =
    r#"{"verifiable_password_authentication":false,"hooks":["198.51.100.0/24","2001:db8::/32"],"web":[]}"#;

fn holds(addresses: &GithubAddresses, address: &str) -> bool {
    addresses.contains(address.parse().unwrap())
}

#[test]
fn compiled_in_list_contains_only_github() {
    let addresses = GithubAddresses::new();
    for address in ["192.30.252.0", "192.30.255.255", "140.82.115.9", "2a0a:a440::1", "2606:50c0:8000::153"] {
        assert!(holds(&addresses, address), "{address}");
    }
    for address in ["192.30.251.255", "193.0.0.1", "127.0.0.1", "::1", "2a0a:a448::1"] {
        assert!(!holds(&addresses, address), "{address}");
    }
}

#[test]
fn mapped_ipv4_address_counts_as_ipv4() {
    let addresses = GithubAddresses::new();
    assert!(holds(&addresses, "::ffff:192.30.252.1"));
    assert!(!holds(&addresses, "::ffff:203.0.113.1"));
}

#[test]
fn responses_are_parsed_strictly() {
    let parsed = GithubAddresses::parse(ANSWER.as_bytes()).unwrap();
    assert_eq!(
        parsed.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["198.51.100.0/24", "2001:db8::/32"]
    );

    let rows = [
        ("", "not the expected JSON"),
        ("<html>", "not the expected JSON"),
        ("{}", "not the expected JSON"),
        (r#"{"hooks":"198.51.100.0/24"}"#, "not the expected JSON"),
        (r#"{"hooks":[1]}"#, "not the expected JSON"),
        (r#"{"hooks":[]}"#, "the list is empty"),
        (r#"{"hooks":["198.51.100.0/24","garbage\u001b"]}"#, r#"not a network: "garbage\u{1b}""#),
        (r#"{"hooks":["198.51.100.0/33"]}"#, "not a network"),
        (r#"{"hooks":["0.0.0.0/0"]}"#, "0.0.0.0/0 is too wide"),
        (r#"{"hooks":["2000::/3"]}"#, "2000::/3 is too wide"),
    ];
    for (answer, expected) in rows {
        let error = GithubAddresses::parse(answer.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{answer}: {error}");
    }
}

#[test]
fn refresh_replaces_the_list_in_every_clone() {
    let server = Loopback::start(vec![reply("200 OK", "etag: \"one\"\r\n", ANSWER)]);
    let addresses = GithubAddresses::new();
    let clone = addresses.clone();
    assert_eq!(run(addresses.refresh(&Client::new(), &server.url)).unwrap(), RefreshOutcome::Updated);

    assert!(holds(&clone, "198.51.100.7") && holds(&clone, "2001:db8::7"));
    assert!(!holds(&clone, "192.30.252.1"), "an address that is no longer published is not allowed");
    assert!(!server.request().contains("if-none-match"), "the compiled-in list has no tag");
}

#[test]
fn tag_survives_the_cache_and_saves_a_transfer() {
    let server = Loopback::start(vec![
        reply("200 OK", "ETag: W/\"one\"\r\n", ANSWER),
        reply("304 Not Modified", "", ""),
    ]);
    let first = GithubAddresses::new();
    run(first.refresh(&Client::new(), &server.url)).unwrap();
    server.request();

    let second = GithubAddresses::from_cache(&first.to_cache()).unwrap();
    assert_eq!(run(second.refresh(&Client::new(), &server.url)).unwrap(), RefreshOutcome::Unchanged);
    assert!(server.request().contains("if-none-match: W/\"one\"\r\n"));
    assert!(holds(&second, "198.51.100.7"));
}

#[test]
fn tag_is_sent_only_to_its_own_address() {
    let one = Loopback::start(vec![reply("200 OK", "etag: \"one\"\r\n", ANSWER)]);
    let other = Loopback::start(vec![reply("304 Not Modified", "", "")]);
    let addresses = GithubAddresses::new();
    run(addresses.refresh(&Client::new(), &one.url)).unwrap();

    let error = run(addresses.refresh(&Client::new(), &other.url)).unwrap_err().to_string();
    assert_eq!(error, "the answer has status 304", "the request was not conditional");
    assert!(!other.request().contains("if-none-match"));
}

#[test]
fn invalid_response_keeps_the_last_valid_list() {
    let replies =
        [("200 OK", r#"{"hooks":[]}"#), ("200 OK", "<html>"), ("500 Oops", ANSWER), ("302 Found", "")];
    let server = Loopback::start(replies.map(|(status, body)| reply(status, "", body)).into());
    let addresses = GithubAddresses::new();
    for _ in replies {
        assert!(run(addresses.refresh(&Client::new(), &server.url)).is_err());
        assert!(holds(&addresses, "192.30.252.1") && !holds(&addresses, "198.51.100.7"));
    }
    // The server has stopped.
    assert!(
        run(addresses.refresh(&Client::new(), &server.url))
            .unwrap_err()
            .to_string()
            .starts_with("cannot connect")
    );
    assert!(holds(&addresses, "192.30.252.1"));
}

#[test]
fn cache_restores_the_list_and_rejects_garbage() {
    let addresses = GithubAddresses::new();
    let restored = GithubAddresses::from_cache(&addresses.to_cache()).unwrap();
    assert_eq!(restored.current(), addresses.current());
    for garbage in ["", "{}", r#"{"hooks":[]}"#, r#"{"hooks":["x"]}"#] {
        assert!(GithubAddresses::from_cache(garbage).is_err(), "{garbage}");
    }
}

#[test]
fn refresh_loop_starts_immediately_and_persists_new_list() {
    let server = Loopback::start(vec![reply("200 OK", "", ANSWER)]);
    let url = server.url.clone();
    let (sender, mut kept) = unbounded_channel();
    let text = run(LocalSet::new().run_until(async {
        spawn_local(async move {
            let persist = async |text| sender.send(text).unwrap();
            GithubAddresses::new().keep_fresh(&Client::new(), &url, persist).await;
        });
        timeout(REQUEST_TIMEOUT, kept.recv()).await.unwrap().unwrap()
    }));
    assert!(holds(&GithubAddresses::from_cache(&text).unwrap(), "198.51.100.7"));
}

#[test]
fn pause_after_failures_is_shorter_but_bounded() {
    let waits: Vec<u64> = (0..8).map(|failures| wait_after(failures).as_secs()).collect();
    assert_eq!(waits, [3600, 30, 60, 120, 240, 480, 900, 900]);
    assert_eq!(wait_after(u32::MAX), MAX_RETRY_PAUSE);
}
