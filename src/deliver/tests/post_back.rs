//! Confirmation by posting back: the exact body, and a login that is shared and renewed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::confirm::ConfirmationSource;
use super::confirmation::{
    PAUSES_SECONDS, confirm_through, confirmation, confirmer, sources, values, with_store,
};
use super::server::{RecordedRequest, ScriptedReply};
use super::*;
use crate::store::{ConfirmationRequest, ConfirmationState};

const VERIFY: &str = "/v1/notifications/verify-webhook-signature";

/// PayPal API with numbered tokens, which rejects a token after it was revoked.
struct Paypal {
    server: Server,
    issued: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

impl Paypal {
    fn start(seconds: &'static str) -> Self {
        let (issued, ended): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
        let (given, taken) = (Arc::clone(&issued), Arc::clone(&ended));
        let server = Server::start(move |request| {
            if request.target.ends_with("/v1/oauth2/token") {
                let number = given.fetch_add(1, Ordering::Relaxed) + 1;
                let text = format!(r#"{{"access_token":"token-{number}","expires_in":{seconds}}}"#);
                return ScriptedReply::With(200, "", Box::leak(text.into_boxed_str()));
            }
            let number: usize =
                request.headers["authorization"].trim_start_matches("Bearer token-").parse().unwrap();
            match number > taken.load(Ordering::Relaxed) {
                true => ScriptedReply::With(200, "", r#"{"verification_status":"SUCCESS"}"#),
                false => ScriptedReply::Status(401),
            }
        });
        Self { server, issued, ended }
    }

    fn sources(&self) -> Vec<ConfirmationSource> {
        sources(&[
            ("CREEL_SOURCE_SHOP_PROVIDER", "paypal-postback"),
            ("CREEL_SOURCE_SHOP_WEBHOOK_ID", "WH-\"1\""),
            ("CREEL_SOURCE_SHOP_CLIENT_ID", "client"),
            ("CREEL_SOURCE_SHOP_CLIENT_SECRET", "secret"),
            ("CREEL_SOURCE_SHOP_API_URL", &self.server.url),
        ])
    }

    fn requests_at(&self, path: &str) -> Vec<RecordedRequest> {
        self.server.requests().into_iter().filter(|request| request.target.ends_with(path)).collect()
    }
}

fn posted(body: &str) -> NewMessage {
    let confirm_query = values(&[
        ("header paypal-auth-algo", "SHA256withRSA"),
        ("header paypal-cert-url", "https://api.paypal.com/cert"),
        ("header paypal-transmission-id", "69cd13f0-d67a"),
        ("header paypal-transmission-sig", "a\"b"),
        ("header paypal-transmission-time", "2025-10-09T08:53:20Z"),
    ]);
    let confirmation_request = ConfirmationRequest { request: confirm_query.to_text(), max_awaiting: None };
    NewMessage { confirmation_request: Some(confirmation_request), ..message("shop.paid", body) }
}

#[test]
fn post_backs_have_exact_body_and_share_login() {
    let paypal = Paypal::start("31668");
    let body = "{ \"id\": \"WH-1\",\n  \"amount\": 1.50, \"name\": \"Zo\u{eb} \\u00eb\" }";
    with_store(async |store| {
        for _ in 0..9 {
            keep(&store, posted(body)).await;
        }
        assert_eq!(confirmer(&store, paypal.sources()).run_once(clock()).await, None);
        assert_eq!(all(&store).await.len(), 9);
    });
    assert_eq!(paypal.issued.load(Ordering::Relaxed), 1);
    let login = &paypal.requests_at("/v1/oauth2/token")[0];
    assert_eq!(login.headers["authorization"], "Basic Y2xpZW50OnNlY3JldA==");
    assert_eq!(login.headers["content-type"], "application/x-www-form-urlencoded");
    assert_eq!(login.body, b"grant_type=client_credentials");
    let request = &paypal.requests_at(VERIFY)[0];
    let expected = format!(
        r#"{{"auth_algo":"SHA256withRSA","cert_url":"https://api.paypal.com/cert","transmission_id":"69cd13f0-d67a","transmission_sig":"a\"b","transmission_time":"2025-10-09T08:53:20Z","webhook_id":"WH-\"1\"","webhook_event":{body}}}"#
    );
    assert_eq!(String::from_utf8_lossy(&request.body), expected);
    assert_eq!(request.headers["content-type"], "application/json");
}

#[test]
fn ended_login_is_renewed_within_same_attempt() {
    let paypal = Paypal::start("31668");
    with_store(async |store| {
        let mut confirmer = confirmer(&store, paypal.sources());
        keep(&store, posted("{}")).await;
        confirmer.run_once(clock()).await;
        paypal.ended.store(1, Ordering::Relaxed);
        let ids = [keep(&store, posted("{}")).await, keep(&store, posted("{}")).await];
        assert_eq!(confirmer.run_once(clock()).await, None);
        for id in ids {
            let confirmed = confirmation(&store, id).await;
            assert_eq!((confirmed.state, confirmed.tries), (ConfirmationState::Confirmed, 1));
        }
        assert_eq!(paypal.issued.load(Ordering::Relaxed), 2, "both use the new one");
        // If the API rejects every token, an attempt requests only one new token.
        paypal.ended.store(usize::MAX, Ordering::Relaxed);
        let id = keep(&store, posted("{}")).await;
        confirmer.run_once(clock()).await;
        assert_eq!(confirmation(&store, id).await.reason.as_deref(), Some("answered 401"));
        assert_eq!(paypal.issued.load(Ordering::Relaxed), 3);
    });
}

#[test]
fn expired_login_is_not_used() {
    let paypal = Paypal::start("0");
    with_store(async |store| {
        let mut confirmer = confirmer(&store, paypal.sources());
        for number in 1..=2 {
            keep(&store, posted("{}")).await;
            confirmer.run_once(clock()).await;
            assert_eq!(paypal.issued.load(Ordering::Relaxed), number);
        }
    });
}

#[test]
fn third_paypal_failure_rejects_the_message() {
    let api = Server::start(|request| match request.target.ends_with(VERIFY) {
        true => ScriptedReply::With(200, "", r#"{"verification_status":"FAILURE"}"#),
        false => ScriptedReply::With(200, "", r#"{"access_token":"t","expires_in":31668}"#),
    });
    let paypal = Paypal { server: api, issued: Arc::default(), ended: Arc::default() };
    with_store(async |store| {
        let id = keep(&store, posted("{}")).await;
        confirm_through(&mut confirmer(&store, paypal.sources()), &PAUSES_SECONDS[..3]).await;
        let refused = confirmation(&store, id).await;
        assert_eq!((refused.state, refused.tries), (ConfirmationState::Refused, 3));
        let reason = r#"answered 200, but /verification_status is "FAILURE", not SUCCESS, 3 times"#;
        assert_eq!(refused.reason.as_deref(), Some(reason));
    });
}

#[test]
fn failed_login_does_not_count_as_answer() {
    for (status, body, reason) in [(401, "", "its login answered 401"), (200, "{}", "its login answered 200")]
    {
        let api = Server::start(move |_| ScriptedReply::With(status, "", body));
        let paypal = Paypal { server: api, issued: Arc::default(), ended: Arc::default() };
        with_store(async |store| {
            let id = keep(&store, posted("{}")).await;
            confirmer(&store, paypal.sources()).run_once(clock()).await;
            let waiting = confirmation(&store, id).await;
            assert_eq!((waiting.state, waiting.tries), (ConfirmationState::Awaiting, 1));
            assert_eq!(waiting.reason.as_deref(), Some(reason));
        });
        assert!(paypal.requests_at(VERIFY).is_empty());
    }
}
