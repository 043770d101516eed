//! Handshakes and their limits.

use super::*;

type HandshakeRow = Option<Result<Handshake, Cause>>;

fn before(verifier: &Verifier, sent: &SentRequest, learning: LearningWindow) -> HandshakeRow {
    sent.put(|request| verifier.handshake(request, HandshakePhase::BeforeAuthentication, learning))
}

fn get(query: &str) -> SentRequest {
    SentRequest { method: "GET".to_owned(), query: query.to_owned(), ..SentRequest::new(&[], "") }
}

fn text(answered: HandshakeRow) -> String {
    answered.unwrap().unwrap().reply.body
}

#[test]
fn signed_challenge_is_not_accepted_as_body() {
    let x = bind("x", &[("secret", "consumer secret")]);
    assert!(text(before(&x, &get("crc_token=uzwcfYtzr9"), LearningWindow::Closed)).contains("sha256="));
    let forged = r#"{"tweet_create_events":[]}"#;
    let encoded: String = form_urlencoded::byte_serialize(forged.as_bytes()).collect();
    for challenge in [encoded.as_str(), "", "a.b", "a+b", &"a".repeat(101), "%00"] {
        let answer = before(&x, &get(&format!("crc_token={challenge}")), LearningWindow::Closed);
        assert!(answer.is_none_or(|answer| answer == Err(Cause::HandshakeRefused)), "{challenge}");
    }
}

/// `<notification><kind>check</kind></notification> ` in base64, which has none of `+`, `/` and
/// `=`.
const BRAINTREE_PAYLOAD: &str = "PG5vdGlmaWNhdGlvbj48a2luZD5jaGVjazwva2luZD48L25vdGlmaWNhdGlvbj4g";

#[test]
fn signed_braintree_challenge_is_not_a_payload() {
    let braintree = bind("braintree", &[("public_key", "public"), ("secret", "private key")]);
    let challenge = |text: &str| {
        before(&braintree, &get(&format!("bt_challenge={text}")), LearningWindow::Closed).unwrap()
    };
    let reply = challenge("20f9f8ed05f77439fe955c977e4c8a53").unwrap().reply.body;
    // Braintree's libraries publish this answer for these test keys.
    let theirs =
        bind("braintree", &[("public_key", "integration_public_key"), ("secret", "integration_private_key")]);
    let published =
        before(&theirs, &get("bt_challenge=20f9f8ed05f77439fe955c977e4c8a53"), LearningWindow::Closed)
            .unwrap();
    assert_eq!(
        published.unwrap().reply.body,
        "integration_public_key|d9b899556c966b3f06945ec21311865d35df3ce4"
    );
    for forged in [
        BRAINTREE_PAYLOAD,
        "0123456789abcdef012",
        "0123456789abcdef0123456789abcdef0",
        "0123456789ABCDEF0123",
        "0123456789abcdef012g",
    ] {
        assert_eq!(challenge(forged), Err(Cause::HandshakeRefused), "{forged}");
    }
    // Even a signed challenge is not accepted as a message.
    let answered = form_urlencoded::Serializer::new(String::new())
        .append_pair("bt_signature", &reply)
        .append_pair("bt_payload", "20f9f8ed05f77439fe955c977e4c8a53")
        .finish();
    let sent = SentRequest::new(&[("content-type", "application/x-www-form-urlencoded")], &answered);
    assert_eq!(sent.verdict(&braintree), Err(Cause::ClaimMismatch));
}

#[test]
fn zoom_and_smartcar_sign_challenges_but_no_bodies() {
    let zoom = bind("zoom", &[("secret", "secret token")]);
    let sent = |token: &str| {
        SentRequest::new(
            &[],
            &format!(r#"{{"event":"endpoint.url_validation","payload":{{"plainToken":{token}}}}}"#),
        )
    };
    let after = |sent: &SentRequest| {
        sent.put(|request| {
            zoom.handshake(request, HandshakePhase::AfterAuthentication, LearningWindow::Closed)
        })
    };
    assert!(text(after(&sent(r#""qgg8vlvZRS6UYooatFL8Aw""#))).contains("encryptedToken"));
    for forged in [
        r#""v0:1760000000:{\"event\":\"meeting.started\"}""#,
        r#""""#,
        "{}",
        &format!("\"{}\"", "a".repeat(101)),
    ] {
        let answer = after(&sent(forged));
        assert!(
            matches!(answer, Some(Err(Cause::HandshakeRefused | Cause::MissingHeader))),
            "{forged}: {answer:?}"
        );
    }
    let smartcar = bind("smartcar", &[("secret", "management token")]);
    let verify = |challenge: &str| {
        SentRequest::new(&[], &format!(r#"{{"eventName":"verify","payload":{{"challenge":{challenge}}}}}"#))
    };
    assert!(
        text(before(&smartcar, &verify(r#""1158201444""#), LearningWindow::Closed)).contains("challenge")
    );
    let forged = verify(r#""{\"eventName\":\"schedule\"}""#);
    assert_eq!(before(&smartcar, &forged, LearningWindow::Closed), Some(Err(Cause::HandshakeRefused)));
}

#[test]
fn verify_token_must_match_configured_one() {
    let meta = bind("meta", &[("secret", "app secret"), ("verify_token", "meatyhamhock")]);
    let subscribe =
        |token: &str| get(&format!("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token={token}"));
    assert_eq!(text(before(&meta, &subscribe("meatyhamhock"), LearningWindow::Closed)), "1158201444");
    for wrong in ["", "meatyhamhoc", "meatyhamhock2", "Meatyhamhock", "meatyhamhock&hub.verify_token=x"] {
        let answer = before(&meta, &subscribe(wrong), LearningWindow::Closed);
        assert!(matches!(answer, Some(Err(_))), "{wrong}: {answer:?}");
    }
}

#[test]
fn echo_contains_no_script_or_other_header() {
    let meta = bind("meta", &[("secret", "app secret"), ("verify_token", "t")]);
    let script = get("hub.mode=subscribe&hub.verify_token=t&hub.challenge=%3Cscript%3Ealert(1)%3C/script%3E");
    let answer = before(&meta, &script, LearningWindow::Closed).unwrap().unwrap();
    assert_eq!(answer.reply.content_type, Some("text/plain"));
    let asana = bind("asana", &[]);
    let split = SentRequest::new(&[("X-Hook-Secret", "a\r\nSet-Cookie: b")], "{}");
    assert_eq!(before(&asana, &split, LearningWindow::Open), Some(Err(Cause::HandshakeRefused)));
}

#[test]
fn secret_is_learned_only_in_open_window() {
    for (provider, sent) in [
        ("asana", SentRequest::new(&[("X-Hook-Secret", "s3cr3t")], "{}")),
        ("notion", SentRequest::new(&[], r#"{"verification_token":"s3cr3t"}"#)),
    ] {
        let verifier = bind(provider, &[]);
        let learned = before(&verifier, &sent, LearningWindow::Open).unwrap().unwrap();
        assert_eq!(learned.first, HandshakeAction::Learn(Secret::new("s3cr3t")), "{provider}");
        assert_eq!(
            before(&verifier, &sent, LearningWindow::Closed),
            Some(Err(Cause::HandshakeRefused)),
            "{provider}"
        );
        // A source without a secret accepts nothing.
        assert_eq!(
            SentRequest::new(&[], r#"{"events":[]}"#).verdict(&verifier),
            Err(Cause::MissingHeader),
            "{provider}"
        );
        let long = "a".repeat(1_000);
        let long = match provider {
            "asana" => SentRequest::new(&[("X-Hook-Secret", &long)], "{}"),
            _ => SentRequest::new(&[], &format!(r#"{{"verification_token":"{long}"}}"#)),
        };
        assert_eq!(
            before(&verifier, &long, LearningWindow::Open),
            Some(Err(Cause::HandshakeRefused)),
            "{provider}"
        );
    }
}

#[test]
fn cloudevents_are_granted_only_to_configured_origins() {
    let verifier =
        bind("cloudevents", &[("allowed_origins", "a.example b.example"), ("allowed_rate", "120")]);
    let options = |origin: &str| SentRequest {
        method: "OPTIONS".to_owned(),
        ..SentRequest::new(&[("WebHook-Request-Origin", origin)], "")
    };
    let granted = before(&verifier, &options("b.example"), LearningWindow::Closed).unwrap().unwrap();
    assert!(
        granted.reply.headers.contains(&("WebHook-Allowed-Rate".to_owned(), "120".to_owned())),
        "{granted:?}"
    );
    for other in ["c.example", "a.example b.example", "a.example.evil"] {
        assert_eq!(
            before(&verifier, &options(other), LearningWindow::Closed),
            Some(Err(Cause::HandshakeRefused)),
            "{other}"
        );
    }
}

#[test]
fn subscription_is_confirmed_only_if_signed_and_at_amazon() {
    let verifier = bind("aws-sns", &[("topic_arn", "arn:aws:sns:us-east-1:1:a")]);
    let confirmation = |url: &str| {
        SentRequest::new(
            &[("x-amz-sns-message-type", "SubscriptionConfirmation")],
            &format!(r#"{{"Type":"SubscriptionConfirmation","SubscribeURL":"{url}"}}"#),
        )
    };
    let after = |url: &str| {
        let sent = confirmation(url);
        sent.put(|request| {
            verifier.handshake(request, HandshakePhase::AfterAuthentication, LearningWindow::Closed)
        })
    };
    let good = "https://sns.us-east-1.amazonaws.com/?Action=ConfirmSubscription&Token=t";
    assert_eq!(before(&verifier, &confirmation(good), LearningWindow::Open), None, "unsigned");
    assert_eq!(after(good).unwrap().unwrap().first, HandshakeAction::Visit(good.to_owned()));
    for url in [
        "http://sns.us-east-1.amazonaws.com/",
        "https://sns.us-east-1.amazonaws.com.evil.example/",
        "https://sns.evil.example/?.amazonaws.com",
        "https://sns.a.b.amazonaws.com/",
        "https://169.254.169.254/latest/meta-data",
        "https://sns.us-east-1.amazonaws.com@evil.example/",
    ] {
        assert_eq!(after(url), Some(Err(Cause::HandshakeRefused)), "{url}");
    }
}
