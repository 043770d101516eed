//! Senders with JSON in a form or in the query: Git servers, Mailgun routes, and Slack
//! interactions.

use std::time::Duration;

use crate::harness::sign::{self, SECRET, hex, hmac_sha256};
use crate::harness::target::Target;
use crate::harness::{ADMIN_TOKEN, Builder, Request, TestApp, eventually};

const FORM: &str = "application/x-www-form-urlencoded";
const PUSH: &str = r#"{"ref":"refs/heads/main","pusher":{"login":"Zoë"}}"#;
const SOON: Duration = Duration::from_secs(30);

fn encoded(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn server(name: &str) -> Builder {
    TestApp::builder().set(&format!("CREEL_SOURCE_{}_SECRET", name.to_uppercase()), SECRET)
}

/// The head of a delivery of Gitea, Forgejo or Gogs, signed over `PUSH`.
fn signed(method: &str, name: &str, query: &str, id: &str) -> Request {
    Request::new(method, &format!("/webhooks/{name}{query}"))
        .header(&format!("X-{name}-Delivery"), id)
        .header(&format!("X-{name}-Event"), "push")
        .header(&format!("X-{name}-Signature"), hex(&hmac_sha256(SECRET.as_bytes(), PUSH.as_bytes())))
}

fn as_json(name: &str, id: &str) -> Request {
    signed("POST", name, "", id).header("Content-Type", "application/json").body(PUSH)
}

fn as_form(name: &str, id: &str) -> Request {
    signed("POST", name, "", id).header("Content-Type", FORM).body(encoded(&[("payload", PUSH)]))
}

fn as_get(name: &str, id: &str) -> Request {
    signed("GET", name, &format!("?{}", encoded(&[("token", "x"), ("payload", PUSH)])), id)
}

#[test]
fn git_servers_are_verified_over_their_json() {
    for name in ["gitea", "forgejo", "gogs"] {
        let app = server(name).start();
        let mut requests = vec![as_json(name, "1"), as_form(name, "2")];
        if name != "gogs" {
            requests.push(as_get(name, "3"));
        }
        for (request, id) in requests.iter().zip(1..) {
            assert_eq!(app.send(request).status, 200, "{name} {id}");
            let kept = app.database().newest_message();
            assert_eq!((kept.id, kept.event.as_str()), (id, format!("{name}.push").as_str()));
            assert_eq!(kept.delivery_id, Some(id.to_string()));
            assert_eq!(kept.payload.as_deref(), Some(PUSH), "{name} {id}");
            assert!(!kept.not_json && !kept.body_unsigned, "{name} {id}");
        }
    }
}

#[test]
fn gogs_rejects_get() {
    let app = server("gogs").start();
    let reply = app.send(&as_get("gogs", "1"));
    assert_eq!((reply.status, reply.header("allow")), (405, Some("POST")));
}

#[test]
fn get_of_gitea_is_stored_as_its_payload() {
    let app = server("gitea").start();
    let request = as_get("gitea", "1");
    for _ in 0..2 {
        assert_eq!(app.send(&request).status, 200);
    }
    let kept = app.database().only_message();
    assert_eq!((kept.method.as_str(), kept.duplicates, kept.conflict_of), ("GET", 1, None));
    assert_eq!((kept.body.as_slice(), kept.body_sha256), (PUSH.as_bytes(), sign::sha256(PUSH.as_bytes())));
    assert_eq!(kept.query.as_deref(), Some(encoded(&[("token", "x"), ("payload", PUSH)]).as_str()));
    // The same delivery as a POST is a duplicate.
    assert_eq!(app.send(&as_json("gitea", "1")).status, 200);
    assert_eq!(app.database().only_message().duplicates, 2);
    let server = format!("http://{}", app.address);
    let shown = TestApp::builder().run(&["show", "1", "--server", &server]).succeeded();
    assert!(shown.contains("refs/heads/main") && shown.contains("GET"), "{shown}");
}

#[test]
fn get_of_gitea_is_delivered_as_json() {
    let target = Target::start();
    let app = server("gitea")
        .set("CREEL_TARGET_MAIN_URL", target.url("/main"))
        .set("CREEL_TARGET_MAIN_FILTER", "/ref=refs/heads/main")
        .set("CREEL_TARGET_OTHER_URL", target.url("/other"))
        .set("CREEL_TARGET_OTHER_FILTER", "/ref=refs/heads/other")
        .set(
            "CREEL_TARGET_COMMAND_EXEC",
            r#"sh -c 'cat; printf "|%s|%s" "$HOOK_QUERY" "$HOOK_CONTENT_TYPE"'"#,
        )
        .start();
    assert_eq!(app.send(&as_get("gitea", "1")).status, 200);
    let received = target.wait_for(1).remove(0);
    assert_eq!((received.target(), received.text().as_str()), ("/main", PUSH));
    assert_eq!(received.header("content-type"), Some("application/json"));
    assert_eq!(
        (received.header("creel-method"), received.header("creel-query")),
        (Some("GET"), Some("token=x"))
    );
    eventually("the command has run", SOON, || {
        let excerpts: Vec<String> =
            app.database().column("SELECT excerpt FROM attempts WHERE excerpt IS NOT NULL");
        excerpts.iter().any(|excerpt| excerpt.ends_with(&format!("{PUSH}|token=x|application/json")))
    });
    assert_eq!(target.received().len(), 1);
}

#[test]
fn rejected_get_becomes_a_message_after_secret_rotation() {
    let app = TestApp::builder().set("CREEL_SOURCE_GITEA_SECRET", "the old secret").start();
    assert_eq!(app.send(&as_get("gitea", "1")).status, 403);
    eventually("the rejection is stored", SOON, || app.database().count("rejections") == 1);
    let app = app.stop().set("CREEL_SOURCE_GITEA_SECRET", SECRET).start();
    let recheck = Request::post("/api/v1/rejections/1/recheck")
        .header("Authorization", format!("Bearer {ADMIN_TOKEN}"));
    let reply = app.send(&recheck);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let kept = app.database().only_message();
    assert_eq!((kept.method.as_str(), kept.payload.as_deref()), ("GET", Some(PUSH)));
}

#[test]
fn second_payload_next_to_the_signed_one_is_rejected() {
    let app = server("gitea").start();
    let evil = encoded(&[("payload", r#"{"ref":"refs/heads/evil"}"#)]);
    let genuine = encoded(&[("payload", PUSH)]);
    let form = |body: String| signed("POST", "gitea", "", "1").header("Content-Type", FORM).body(body);
    let requests = [
        form(format!("{genuine}&{evil}")),
        form(format!("{evil}&{genuine}")),
        form(format!("{genuine}&ref=refs%2Fheads%2Fevil")),
        form(evil.clone()),
        signed("GET", "gitea", &format!("?{genuine}&{evil}"), "1"),
        signed("GET", "gitea", &format!("?{evil}&{genuine}"), "1"),
        signed("GET", "gitea", &format!("?{evil}"), "1"),
        signed("GET", "gitea", "", "1"),
        signed("GET", "gitea", &format!("?{genuine}"), "1").header("Content-Type", FORM).body(evil.clone()),
        signed("POST", "gitea", &format!("?{genuine}"), "1").header("Content-Type", FORM).body(evil.clone()),
        as_json("gitea", "1").target(&format!("/webhooks/gitea?{evil}")),
        as_form("gitea", "1").target(&format!("/webhooks/gitea?{evil}")),
        signed("POST", "gitea", &format!("?{genuine}"), "1"),
    ];
    for (number, request) in requests.iter().enumerate() {
        assert_eq!(app.send(request).status, 403, "{number}");
    }
    assert_eq!(app.database().count("messages"), 0);
}

/// The request that Mailgun posts for a received mail.
fn route(token: &str, multipart: bool) -> Request {
    route_with_text(token, multipart, "Is it in stock?")
}

fn route_with_text(token: &str, multipart: bool, text: &str) -> Request {
    let time = sign::now().to_string();
    let signature = hex(&hmac_sha256(SECRET.as_bytes(), format!("{time}{token}").as_bytes()));
    let fields = [
        ("recipient", "zoe@example.com"),
        ("subject", "Ä question"),
        ("body-plain", text),
        ("timestamp", &time),
        ("token", token),
        ("signature", &signature),
    ];
    let request = Request::post("/webhooks/mailgun");
    if !multipart {
        return request.header("Content-Type", FORM).body(encoded(&fields));
    }
    let mut body = String::new();
    for (name, value) in fields {
        body.push_str(&format!(
            "--xYzZY\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    body.push_str(
        "--xYzZY\r\nContent-Disposition: form-data; name=\"attachment-1\"; filename=\"a.txt\"\r\n\
         Content-Type: text/plain\r\n\r\nattached\r\n--xYzZY--\r\n",
    );
    request.header("Content-Type", "multipart/form-data; boundary=xYzZY").body(body)
}

#[test]
fn mailgun_route_is_accepted_as_form_and_multipart() {
    let app = server("mailgun").start();
    for (multipart, id) in [(false, 1), (true, 2)] {
        let token = format!("token-{id}");
        let request = route(&token, multipart);
        for _ in 0..2 {
            assert_eq!(app.send(&request).status, 200, "{id}");
        }
        let kept = app.database().newest_message();
        assert_eq!((kept.id, kept.duplicates), (id, 1));
        assert_eq!((kept.event.as_str(), kept.delivery_id), ("mailgun.message", Some(token)));
        assert!(kept.body_unsigned && !kept.not_json);
        assert_eq!(kept.body, request.content());
        let payload: serde_json::Value = serde_json::from_str(&kept.payload.unwrap()).unwrap();
        assert_eq!(payload["subject"], "Ä question");
        // A filter such as `!/attachment-1` must not match a message that has the file.
        let file = serde_json::json!({"filename": "a.txt", "content_type": "text/plain", "size": 8});
        assert_eq!(payload["attachment-1"], if multipart { file } else { ().into() });
    }
    let forged = route("token-3", true);
    let other = String::from_utf8(forged.content().to_vec()).unwrap().replace("token-3", "token-4");
    assert_eq!(app.send(&forged.body(other)).status, 403);
}

#[test]
fn mailgun_route_with_long_text_keeps_its_id() {
    let app = server("mailgun").start();
    for (multipart, id) in [(false, 1), (true, 2)] {
        let token = format!("token-{id}");
        let request = route_with_text(&token, multipart, &"text ".repeat(250_000));
        for _ in 0..2 {
            assert_eq!(app.send(&request).status, 200, "{id}");
        }
        let kept = app.database().newest_message();
        assert_eq!((kept.id, kept.duplicates, kept.delivery_id), (id, 1, Some(token)));
        assert_eq!((kept.payload, kept.not_json), (None, true));
    }
}

#[test]
fn slack_interaction_is_unwrapped_and_signed_as_a_form() {
    let app = server("slack").start();
    let interaction = r#"{"type":"block_actions","trigger_id":"1.2.x","actions":[{"value":"ä"}]}"#;
    let body = encoded(&[("payload", interaction)]);
    let sent = |signed: &str| {
        let time = sign::now();
        let tag = hmac_sha256(SECRET.as_bytes(), format!("v0:{time}:{signed}").as_bytes());
        Request::post("/webhooks/slack")
            .header("Content-Type", FORM)
            .header("X-Slack-Request-Timestamp", time.to_string())
            .header("X-Slack-Signature", format!("v0={}", hex(&tag)))
            .body(body.as_str())
    };
    assert_eq!(app.send(&sent(interaction)).status, 403);
    assert_eq!(app.send(&sent(&body)).status, 200);
    let kept = app.database().only_message();
    assert_eq!((kept.event.as_str(), kept.delivery_id.as_deref()), ("slack.block_actions", Some("1.2.x")));
    assert_eq!((kept.payload.as_deref(), kept.body.as_slice()), (Some(interaction), body.as_bytes()));
}

/// A replacement character would merge two ids that differ in a byte that is invalid in UTF-8.
#[test]
fn id_with_invalid_bytes_is_ignored() {
    let app = TestApp::builder()
        .set("CREEL_SOURCE_SHOP_PROVIDER", "custom")
        .set("CREEL_SOURCE_SHOP_SECRET", SECRET)
        .set("CREEL_SOURCE_SHOP_TOKEN_AT", "header Shop-Token")
        .set("CREEL_SOURCE_SHOP_EVENT_TYPE", "json event")
        .set("CREEL_SOURCE_SHOP_DELIVERY_ID", "json id")
        .start();
    let rows = [
        ("id=n%E9&event=paid", None),
        ("id=n%E8&event=paid", None),
        // Fields without such bytes are still read.
        ("id=7&event=paid&name=Jos%E9", Some("7")),
        ("id=n%E9&event=paid&charset=windows-1252", Some("né")),
        ("id=n%E8&event=paid&charset=windows-1252", Some("nè")),
    ];
    for (body, id) in rows {
        let request =
            Request::post("/webhooks/shop").header("Shop-Token", SECRET).header("Content-Type", FORM);
        assert_eq!(app.send(&request.body(body)).status, 200, "{body}");
        let kept = app.database().newest_message();
        let seen = (kept.event.as_str(), kept.delivery_id.as_deref(), kept.conflict_of);
        assert_eq!(seen, ("shop.paid", id, None), "{body}");
    }
    assert_eq!(app.database().count("messages"), 5);
}

/// Replacing the invalid byte would give the form the same text as the signed one.
#[test]
fn invalid_byte_does_not_match_replacement_character() {
    let signed_text = "{\"ref\":\"\u{fffd}\"}";
    let tag = hex(&hmac_sha256(SECRET.as_bytes(), signed_text.as_bytes()));
    let app = server("gitea").start();
    let genuine = encoded(&[("payload", signed_text)]);
    assert!(genuine.contains("%EF%BF%BD"));
    for (field, status) in [(genuine.clone(), 200), (genuine.replace("%EF%BF%BD", "%FF"), 403)] {
        for request in [
            Request::post("/webhooks/gitea").header("Content-Type", FORM).body(field.as_str()),
            Request::get(&format!("/webhooks/gitea?{field}")),
        ] {
            let request = request.header("X-Gitea-Event", "push").header("X-Gitea-Signature", &tag);
            assert_eq!(app.send(&request).status, status, "{field}");
        }
    }
}
