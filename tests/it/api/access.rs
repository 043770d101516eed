//! Access rights of no token, a wrong token and the read token, on all routes of the API
//! description.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{LISTENER_TOKEN, READ_TOKEN, get, json, push, reject_some, service, with_token};
use crate::harness::{ADMIN_TOKEN, Connection, Request, TestApp, allow, sign};

/// GET paths that require the admin token.
const ADMIN_ONLY: [&str; 4] = [
    "/messages/{id}/body",
    "/messages/{id}/diff/{other}",
    "/rejections/{id}/body",
    "/rejections/{id}/explanation",
];

fn document(app: &TestApp) -> Value {
    json(&app.get("/api/v1/openapi.json"))
}

/// Method and path of all operations except the description itself.
fn operations(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let methods: Vec<String> = item.as_object().unwrap().keys().cloned().collect();
        methods.into_iter().map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).filter(|(_, path)| path != "/openapi.json").collect()
}

/// The operations whose responses end, which excludes streams.
fn answered_operations(document: &Value) -> Vec<(String, String)> {
    let mut operations = operations(document);
    operations.retain(|(_, path)| !path.ends_with("/stream"));
    operations
}

fn request(method: &str, path: &str) -> Request {
    let path = path.replace("{id}", "1").replace("{other}", "1").replace("{name}", "laptop");
    Request::new(method, &format!("/api/v1{path}")).header("Content-Type", "application/json").body("{}")
}

#[test]
fn description_needs_no_token() {
    let app = service();
    let document = document(&app);
    assert_eq!(document["openapi"], "3.1.0");
    assert!(operations(&document).len() >= 6, "{document}");
}

#[test]
fn routes_without_token_return_401_with_challenge() {
    let app = service();
    push(&app, "one", "{}");
    // Each operation uses its own client address, because wrong tokens slow down their address. The
    // chunks are small because pending wrong tokens are also limited across all addresses.
    let all: Vec<_> = (1..).zip(operations(&document(&app))).collect();
    for few in all.chunks(16) {
        std::thread::scope(|scope| {
            for (number, (method, path)) in few {
                let client = Ipv4Addr::new(127, 0, 6, *number);
                let app = &app;
                scope.spawn(move || assert_closed(app, client, method, path));
            }
        });
    }
}

fn assert_closed(app: &TestApp, client: Ipv4Addr, method: &str, path: &str) {
    {
        let wrong = |header: &str| request(method, path).header("Authorization", header);
        let requests = [
            request(method, path),
            wrong("Bearer"),
            wrong("Bearer wrong"),
            wrong(&format!("Basic {ADMIN_TOKEN}")),
            wrong(&format!("Bearer {}", &ADMIN_TOKEN[1..])),
        ];
        for request in requests {
            let reply = Connection::open_from(client, app.address).exchange(&request);
            assert_eq!(
                (reply.status, reply.header("www-authenticate")),
                (401, Some("Bearer")),
                "{method} {path}"
            );
            assert_eq!(json(&reply)["code"], "unauthorized", "{method} {path}");
        }
    }
}

#[test]
fn read_token_opens_only_readable_routes() {
    let app = service();
    push(&app, "one", "{}");
    for (method, path) in answered_operations(&document(&app)) {
        let reply = app.send(&with_token(request(&method, &path), READ_TOKEN));
        let is_listening = path.starts_with("/listeners");
        let may = method == "GET" && !is_listening && !ADMIN_ONLY.contains(&path.as_str());
        if may {
            assert!(matches!(reply.status, 200 | 404), "{method} {path}: {reply:?}");
        } else {
            assert_eq!(reply.status, 403, "{method} {path}: {reply:?}");
            assert_eq!(json(&reply)["code"], "forbidden", "{method} {path}");
            let names_listener_token =
                json(&reply)["detail"].as_str().unwrap().contains("CREEL_LISTENER_TOKEN");
            assert_eq!(names_listener_token, is_listening, "{method} {path}");
        }
    }
}

#[test]
fn listener_token_opens_only_listeners() {
    let app = service();
    push(&app, "one", "{}");
    let send = |method: &str, path: &str| app.send(&with_token(request(method, path), LISTENER_TOKEN));
    for (method, path) in answered_operations(&document(&app)) {
        let reply = send(&method, &path);
        let is_listening = path.starts_with("/listeners");
        assert_eq!(reply.status != 403, is_listening, "{method} {path}: {reply:?}");
    }
    let metrics = with_token(Request::get("/metrics"), LISTENER_TOKEN);
    assert_eq!(app.send(&metrics).status, 401);
    let stream = with_token(Request::get("/api/v1/messages/stream"), LISTENER_TOKEN);
    assert_eq!(app.send(&stream).status, 403);
    let stream = with_token(Request::get("/api/v1/listeners/laptop/stream"), READ_TOKEN);
    assert_eq!(app.send(&stream).status, 403);
    assert_eq!(app.database().count("targets"), 0, "the read token made no listener");
}

#[test]
fn paths_accept_exactly_the_described_methods() {
    let app = service();
    let document = document(&app);
    for (path, item) in document["paths"].as_object().unwrap() {
        let mut described: Vec<String> =
            item.as_object().unwrap().keys().map(|method| method.to_uppercase()).collect();
        // The response to HEAD on a stream would not end either.
        if described.contains(&"GET".to_owned()) && !path.ends_with("/stream") {
            described.push("HEAD".to_owned());
        }
        described.sort();
        for method in ["TRACE", "OPTIONS", "PUT"] {
            let reply = app.send(&with_token(request(method, path), ADMIN_TOKEN));
            let mut allowed: Vec<&str> = reply.header("allow").unwrap_or_default().split(", ").collect();
            allowed.sort_unstable();
            assert_eq!(
                (reply.status, allowed),
                (405, described.iter().map(String::as_str).collect()),
                "{method} {path}"
            );
        }
    }
}

#[test]
fn operations_describe_their_responses_to_each_token() {
    let app = service();
    let document = document(&app);
    for (method, path) in operations(&document) {
        let operation = &document["paths"][&path][method.to_lowercase()];
        for status in ["401", "403", "500", "503"] {
            let content = &operation["responses"][status]["content"]["application/problem+json"];
            assert!(content.is_object(), "{method} {path} {status}");
        }
        assert!(operation["summary"].is_string(), "{method} {path} has no summary");
    }
}

#[test]
fn read_token_sees_no_content() {
    let app = service();
    let body = r#"{"needle":"in the payload"}"#;
    let (id, digest) = (push(&app, "one", body), sign::hex(&sign::sha256(body.as_bytes())));
    let shown = |path: &str, token: &str| {
        app.send(&with_token(Request::get(&format!("/api/v1{path}")), token)).text()
    };
    let one = format!("/messages/{id}");
    assert!(shown(&one, ADMIN_TOKEN).contains("in the payload"));
    reject_some(&app);
    for path in ["/messages", one.as_str(), "/deliveries", "/dead-letters", "/rejections", "/rejections/1"] {
        let text = shown(path, READ_TOKEN);
        assert!(
            !text.contains("needle") && !text.contains("forged") && !text.contains("x-hub-signature"),
            "{path}: {text}"
        );
        // The digest would confirm a guessed body, and the query of a GET is its content.
        assert!(!text.contains(&digest), "{path}: {text}");
    }
    app.database().change("UPDATE messages SET query = 'card=hidden'");
    assert!(shown(&one, ADMIN_TOKEN).contains("card=hidden") && shown(&one, ADMIN_TOKEN).contains(&digest));
    for path in ["/messages", one.as_str()] {
        assert!(!shown(path, READ_TOKEN).contains("hidden"), "{path}");
    }
    let replay = serde_json::json!({"filter": {"q": "needle"}, "confirm": 1});
    assert_eq!(app.send(&super::post("/replays", &replay)).status, 201);
    for path in ["/replays", "/replays/1"] {
        assert!(shown(path, ADMIN_TOKEN).contains("needle"), "{path}");
        let text = shown(path, READ_TOKEN);
        assert!(text.contains("\"messages\"") && !text.contains("needle"), "{path}: {text}");
    }
    let tail = with_token(Request::get("/api/v1/messages/stream?from=0"), READ_TOKEN);
    let mut tail = crate::harness::events::EventStream::open(app.address, &tail);
    let head = tail.until("message").data;
    assert!(head["query"].is_null() && head["body_sha256"].is_null(), "{head}");
    for (search, status) in [
        ("?text=needle", 403),
        ("?owner=bob", 403),
        ("?q=owner:bob", 403),
        ("?source=github&event=github.push&since=2h&dead=false", 200),
        ("?q=needle", 403),
        ("?q=.card:*", 403),
        ("?q=header.x:y", 403),
        ("?q=larger:5", 403),
        ("?q=-forged", 403),
        ("?q=event:pussh+needle", 403),
        ("?q=ip:127.0.0.1", 403),
        ("?q=-id:one", 403),
        ("?q=source:github+event:push+after:2h+-is:dead", 200),
    ] {
        for path in ["messages", "messages/stream", "rejections"] {
            // Streams and rejections have only the query, and an accepted stream does not end.
            let is_query = search.starts_with("?q");
            if path == "messages" || (is_query && (path == "rejections" || status == 403)) {
                let reply =
                    app.send(&with_token(Request::get(&format!("/api/v1/{path}{search}")), READ_TOKEN));
                assert_eq!(reply.status, status, "{path}{search}: {}", reply.text());
                let is_explained = reply.text().contains("source, event, time and state");
                assert_eq!(is_explained, status == 403, "{path}{search}: {}", reply.text());
            }
        }
    }
}

#[test]
fn no_response_contains_a_secret() {
    let app = service();
    push(&app, "one", "{}");
    reject_some(&app);
    let stored = Request::post(&format!("/webhooks/shop/{}", super::SHOP_PATH))
        .header("Shop-Token", super::SHOP_TOKEN)
        .body("{}");
    assert_eq!(app.send(&stored).status, 200);
    let target = serde_json::json!({
        "events": ["*"], "url": "http://127.0.0.1:9/", "secret": "secret-of-the-target", "headers": {"a": "header-of-the-target"},
    });
    assert_eq!(app.send(&super::post("/targets", &target)).status, 201);
    let secrets = [
        ADMIN_TOKEN,
        READ_TOKEN,
        sign::SECRET,
        super::SHOP_TOKEN,
        "wrong-token-of-a-stranger",
        "secret-of-the-target",
        "header-of-the-target",
    ];
    for (method, path) in answered_operations(&document(&app)) {
        for id in 1..=3 {
            let target =
                path.replace("{id}", &id.to_string()).replace("{other}", "1").replace("{name}", "laptop");
            let reply = app.send(&get(&target).method(&method));
            let text = reply.text();
            for secret in secrets {
                assert!(!text.contains(secret), "{method} {target} shows {secret}: {text}");
            }
        }
    }
    assert!(!app.log().contains(super::SHOP_PATH), "{}", app.log());
}

#[test]
fn wrong_tokens_are_slowed_down_correct_ones_are_not() {
    let app = service();
    let list = request("GET", "/messages");
    let unknown_client = Ipv4Addr::new(127, 0, 6, 200);
    let timed_status = |client, token: &str| {
        let begun = Instant::now();
        let reply = Connection::open_from(client, app.address).exchange(&with_token(list.clone(), token));
        (reply.status, begun.elapsed())
    };
    let taken: Vec<Duration> = (0..4)
        .map(|_| {
            let (status, took) = timed_status(unknown_client, "wrong");
            assert_eq!(status, 401);
            took
        })
        .collect();
    // An operator can share the address, as behind an untrusted proxy.
    assert_eq!(timed_status(unknown_client, ADMIN_TOKEN).0, 200);
    assert!(taken[0] >= Duration::from_millis(100) && taken[3] >= Duration::from_millis(800), "{taken:?}");
    std::thread::scope(|scope| {
        let guesses: Vec<_> =
            (0..12).map(|_| scope.spawn(|| timed_status(unknown_client, "wrong"))).collect();
        let (status, took) = timed_status(Ipv4Addr::new(127, 0, 6, 201), ADMIN_TOKEN);
        assert_eq!(status, 200);
        assert!(took < allow(Duration::from_millis(200)), "{took:?}");
        // The first guesses that end are those over the limit on pending wrong tokens.
        while !guesses.iter().any(|guess| guess.is_finished()) {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(timed_status(unknown_client, ADMIN_TOKEN).0, 200, "while wrong ones wait");
        let statuses: Vec<u16> = guesses.into_iter().map(|guess| guess.join().unwrap().0).collect();
        assert!(statuses.contains(&429) && statuses.contains(&401), "{statuses:?}");
    });
    let (status, _) = timed_status(unknown_client, ADMIN_TOKEN);
    assert_eq!(status, 200, "once no wrong ones wait");
}
