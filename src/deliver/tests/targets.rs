//! Requests that targets receive, and the outcome of deliveries to failing targets.

use std::sync::atomic::{AtomicUsize, Ordering};

use standardwebhooks::Webhook;

use super::server::{RecordedRequest, ScriptedReply};
use super::*;
use crate::store::{ContentType, LARGE_BYTES, TargetState};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn delivery_has_exact_body_provider_headers_and_signature() {
    with_engine(|store| async move {
        let server = Server::start(|_| ScriptedReply::With(200, "", "thank you"));
        create(&store, settings("app", &server.url)).await;
        let body = "{ \"name\":\"Zo\u{eb}\",\n \"n\": 1e400 }";
        let id =
            keep(&store, NewMessage { query: Some("a=1&b=%20".to_owned()), ..message("github.push", body) })
                .await;
        let delivered = until(&store, "delivered", are_all(DeliveryState::Delivered, 1)).await;
        let requests = server.requests();
        assert_eq!(requests.len(), 1);
        assert_eq!((requests[0].target.as_str(), &requests[0].body[..]), ("/hooks", body.as_bytes()));
        let header = |name: &str| requests[0].headers.get(name).map(String::as_str);
        for (name, value) in [
            ("content-type", Some("application/json")),
            ("x-github-event", Some("push")),
            ("x-team", Some("payments")),
            ("creel-event", Some("github.push")),
            ("creel-source", Some("github")),
            ("creel-attempt", Some("1")),
            ("creel-query", Some("a=1&b=%20")),
            ("webhook-id", Some(store.reads().instances().webhook_id(id).as_str())),
            ("authorization", None),
        ] {
            assert_eq!(header(name), value, "{name}");
        }
        assert_ne!(header("host"), Some("example.com"));
        let mut signed = ::http::HeaderMap::new();
        for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
            signed.insert(name, header(name).unwrap().parse().unwrap());
        }
        Webhook::new(SECRET).unwrap().verify(&requests[0].body, &signed).unwrap();
        let attempts = store.reads().attempts(delivered[0].id).await.unwrap();
        assert_eq!(attempts.len(), 1);
        assert_eq!((attempts[0].status, attempts[0].excerpt.as_deref()), (Some(200), Some("thank you")));
    });
}

#[test]
fn emitted_event_is_sent_as_json_or_form() {
    with_engine(|store| async move {
        let server = Server::start(|_| ScriptedReply::Status(204));
        create(&store, settings("json", &format!("{}/json", server.url))).await;
        let form = TargetSettings {
            content_type: Some(ContentType::Form),
            ..settings("form", &format!("{}/form", server.url))
        };
        create(&store, form).await;
        keep(&store, emitted("pay_info.paid", Some("ann"), r#"{"id":7,"who":"Zoë & co","items":[1,2]}"#))
            .await;
        until(&store, "delivered", are_all(DeliveryState::Delivered, 2)).await;
        let mut requests = server.requests();
        requests.sort_by_key(|one| one.target.clone());
        let of = |one: &RecordedRequest| {
            (one.headers["content-type"].clone(), String::from_utf8(one.body.clone()).unwrap())
        };
        let form = "id=7&items=%5B1%2C2%5D&who=Zo%C3%AB+%26+co";
        assert_eq!(of(&requests[0]).0, "application/x-www-form-urlencoded");
        let mut fields: Vec<String> = of(&requests[0]).1.split('&').map(str::to_owned).collect();
        fields.sort();
        assert_eq!(fields.join("&"), form);
        assert_eq!(
            of(&requests[1]),
            ("application/json".to_owned(), r#"{"id":7,"who":"Zoë & co","items":[1,2]}"#.to_owned())
        );
    });
}

/// A large form that waits for another is not signed yet, and smaller deliveries overtake it.
#[test]
fn waiting_large_form_is_signed_late_and_overtaken() {
    with_engine(|store| async move {
        let server = Server::start(|request| {
            if request.body.len() > LARGE_BYTES {
                std::thread::sleep(SECOND * 2);
            }
            ScriptedReply::Status(204)
        });
        let form = TargetSettings {
            content_type: Some(ContentType::Form),
            concurrency: 2,
            ..settings("form", &server.url)
        };
        let target = create(&store, form).await;
        store.target_registry().set_target_state(target, TargetState::Paused, None, clock()).await.unwrap();
        let large = format!(r#"{{"a":"{}"}}"#, "x".repeat(LARGE_BYTES));
        for body in [&large, &large, r#"{"a":"1"}"#, r#"{"a":"2"}"#] {
            keep(&store, emitted("pay_info.paid", Some("ann"), body)).await;
        }
        store.target_registry().set_target_state(target, TargetState::Active, None, clock()).await.unwrap();
        until(&store, "delivered", are_all(DeliveryState::Delivered, 4)).await;
        let requests = server.requests();
        let is_large: Vec<bool> = requests.iter().map(|one| one.body.len() > LARGE_BYTES).collect();
        assert_eq!(is_large, [false, false, true, true]);
        let signed_at = |one: &RecordedRequest| one.headers["webhook-timestamp"].parse::<i64>().unwrap();
        assert!(
            signed_at(&requests[3]) - signed_at(&requests[2]) >= 1,
            "signed after the first was delivered"
        );
    });
}

#[test]
fn failing_target_is_retried_until_it_answers() {
    with_engine(|store| async move {
        let tries = AtomicUsize::new(0);
        let server = Server::start(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
            0 => ScriptedReply::Reset,
            1 => ScriptedReply::With(500, "", "no"),
            2 => ScriptedReply::With(302, "location: http://169.254.169.254/\r\n", ""),
            _ => ScriptedReply::Status(200),
        });
        create(&store, settings("app", &server.url)).await;
        keep(&store, message("github.push", "{}")).await;
        for (tries, pause) in [(1, 6), (2, 34), (3, 140)] {
            let waiting = until(&store, "tried", |all| all.len() == 1 && all[0].attempts == tries).await;
            assert_eq!(waiting[0].state, DeliveryState::Pending);
            pass(&store, SECOND * pause).await;
        }
        let delivered = until(&store, "delivered", are_all(DeliveryState::Delivered, 1)).await;
        let attempts = store.reads().attempts(delivered[0].id).await.unwrap();
        let statuses: Vec<Option<i64>> = attempts.iter().map(|attempt| attempt.status).collect();
        assert_eq!(statuses, [None, Some(500), Some(302), Some(200)]);
        let ids: Vec<String> =
            server.requests().iter().map(|request| request.headers["webhook-id"].clone()).collect();
        assert_eq!(ids.len(), 4);
        assert!(ids.iter().all(|id| *id == ids[0]));
    });
}

#[test]
fn failing_delivery_is_dead_after_twelve_attempts() {
    with_engine(|store| async move {
        let server = Server::start(|_| ScriptedReply::Status(400));
        create(&store, settings("app", &server.url)).await;
        keep(&store, message("github.push", "{}")).await;
        for tries in 1..=12 {
            until(&store, "tried", |all| all.len() == 1 && all[0].attempts == tries).await;
            pass(&store, SECOND * 100_000).await;
        }
        let dead = until(&store, "dead", are_all(DeliveryState::Dead, 1)).await;
        assert_eq!(dead[0].outcome.as_deref(), Some("400"));
        assert_eq!(server.requests().len(), 12);
    });
}

#[test]
fn pause_requested_by_target_is_respected() {
    with_engine(|store| async move {
        let tries = AtomicUsize::new(0);
        let server = Server::start(move |_| match tries.fetch_add(1, Ordering::SeqCst) {
            0 => ScriptedReply::With(503, "retry-after: 3600\r\n", ""),
            _ => ScriptedReply::Status(200),
        });
        create(&store, settings("app", &server.url)).await;
        keep(&store, message("github.push", "{}")).await;
        let waiting = until(&store, "tried", |all| all.len() == 1 && all[0].attempts == 1).await;
        let due = waiting[0].due_at.to_timestamp().unwrap().to_time();
        assert!((due - clock()).whole_minutes() >= 58, "{due}");
        pass(&store, SECOND * 3_601).await;
        until(&store, "delivered", are_all(DeliveryState::Delivered, 1)).await;
    });
}

#[test]
fn target_answering_410_is_disabled_with_pending_deliveries() {
    with_engine(|store| async move {
        let server = Server::start(|_| ScriptedReply::Status(410));
        let id = create(&store, settings("app", &server.url)).await;
        keep(&store, message("github.push", "{}")).await;
        let deadline = Instant::now() + LIMIT;
        while store.reads().target(id).await.unwrap().unwrap().state != TargetState::Disabled {
            assert!(Instant::now() < deadline);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        keep(&store, message("github.push", "{}")).await;
        pass(&store, SECOND * 1_000).await;
        // By the time the healthy target has received the message, this one would have received it,
        // too, if it were still active.
        let healthy = Server::start(|_| ScriptedReply::Status(200));
        create(&store, settings("healthy", &healthy.url)).await;
        keep(&store, message("github.push", "{}")).await;
        until(&store, "the other target has received it", |_| !healthy.requests().is_empty()).await;
        let waiting = all(&store).await;
        let waiting: Vec<_> = waiting.into_iter().filter(|delivery| delivery.target == id).collect();
        assert!(are_all(DeliveryState::Pending, 3)(&waiting), "{waiting:#?}");
        assert_eq!(waiting.iter().map(|delivery| delivery.attempts).sum::<u32>(), 1);
        assert_eq!(server.requests().len(), 1);
        store.target_registry().set_target_state(id, TargetState::Active, None, clock()).await.unwrap();
        until(&store, "delivered after the resume", |_| server.requests().len() >= 2).await;
    });
}

#[test]
fn strict_target_keeps_order_despite_failure() {
    with_engine(|store| async move {
        let tries = AtomicUsize::new(0);
        let server = Server::start(move |request| {
            let is_second = request.body == b"2";
            if is_second && tries.fetch_add(1, Ordering::SeqCst) < 2 {
                ScriptedReply::Status(500)
            } else {
                ScriptedReply::Status(200)
            }
        });
        let strict = TargetSettings { ordering: DeliveryOrdering::Strict, ..settings("app", &server.url) };
        create(&store, strict).await;
        for number in 1..=5 {
            keep(&store, message("github.push", &number.to_string())).await;
        }
        for (tries, pause) in [(1, 6), (2, 34)] {
            let waiting = until(&store, "tried", |all| all.len() == 5 && all[1].attempts == tries).await;
            assert!(waiting[2..].iter().all(|delivery| delivery.attempts == 0));
            pass(&store, SECOND * pause).await;
        }
        until(&store, "delivered", are_all(DeliveryState::Delivered, 5)).await;
        let bodies: Vec<u8> = server.requests().iter().map(|request| request.body[0]).collect();
        assert_eq!(bodies, *b"1222345");
    });
}

#[test]
fn failing_message_does_not_block_others() {
    with_engine(|store| async move {
        let server = Server::start(|request| {
            if request.body == b"1" { ScriptedReply::Status(500) } else { ScriptedReply::Status(200) }
        });
        let serial = TargetSettings { concurrency: 1, ..settings("app", &server.url) };
        create(&store, serial).await;
        for number in 1..=4 {
            keep(&store, message("github.push", &number.to_string())).await;
        }
        let all = until(&store, "three delivered", |all| {
            all.iter().filter(|delivery| delivery.state == DeliveryState::Delivered).count() == 3
        })
        .await;
        assert_eq!((all[0].state, all[0].attempts), (DeliveryState::Pending, 1));
    });
}

#[test]
fn open_breaker_uses_no_attempts_and_permits_one_probe() {
    with_engine(|store| async move {
        let is_healthy = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let answers = is_healthy.clone();
        let server = Server::start(move |_| {
            ScriptedReply::Status(if answers.load(Ordering::SeqCst) { 200 } else { 503 })
        });
        create(&store, TargetSettings { concurrency: 1, ..settings("app", &server.url) }).await;
        for number in 1..=20 {
            keep(&store, message("github.push", &number.to_string())).await;
        }
        let failed =
            until(&store, "opened", |all| all.iter().filter(|one| one.attempts == 1).count() == 5).await;
        assert_eq!(failed.len(), 20);
        // The failed deliveries are due again, but the breaker is still open.
        pass(&store, SECOND * 10).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(server.requests().len(), 5);
        is_healthy.store(true, Ordering::SeqCst);
        pass(&store, SECOND * 6).await;
        until(&store, "delivered", are_all(DeliveryState::Delivered, 20)).await;
    });
}

#[test]
fn delivery_to_unavailable_target_is_dead_after_a_week() {
    with_engine(|store| async move {
        let server = Server::start(|_| ScriptedReply::Status(503));
        create(&store, TargetSettings { concurrency: 1, ..settings("app", &server.url) }).await;
        for number in 1..=20 {
            keep(&store, message("github.push", &number.to_string())).await;
        }
        // On a slow machine, the first retry is due before the fifth delivery starts.
        until(&store, "opened", |all| all.iter().map(|one| one.attempts).sum::<u32>() >= 5).await;
        pass(&store, SECOND * 8 * 86_400).await;
        let dead = until(&store, "dead after a week", are_all(DeliveryState::Dead, 20)).await;
        assert_eq!(dead[19].outcome.as_deref(), Some("pending for a week, and the target is failing"));
        assert!(server.requests().len() < 12, "{}", server.requests().len());
    });
}

#[test]
fn deliveries_in_flight_stay_within_target_limit() {
    with_engine(|store| async move {
        static NOW: AtomicUsize = AtomicUsize::new(0);
        static MOST: AtomicUsize = AtomicUsize::new(0);
        let server = Server::start(|_| {
            MOST.fetch_max(NOW.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(5));
            NOW.fetch_sub(1, Ordering::SeqCst);
            ScriptedReply::Status(200)
        });
        let id = create(&store, TargetSettings { concurrency: 3, ..settings("app", &server.url) }).await;
        store.target_registry().set_target_state(id, TargetState::Paused, None, clock()).await.unwrap();
        for number in 1..=60 {
            keep(&store, message("github.push", &number.to_string())).await;
        }
        store.target_registry().set_target_state(id, TargetState::Active, None, clock()).await.unwrap();
        until(&store, "delivered", are_all(DeliveryState::Delivered, 60)).await;
        assert_eq!(MOST.load(Ordering::SeqCst), 3);
        assert_eq!(server.requests().len(), 60);
    });
}

#[test]
fn hanging_target_does_not_delay_others() {
    with_engine(|store| async move {
        let (hanging, healthy) =
            (Server::start(|_| ScriptedReply::Hang), Server::start(|_| ScriptedReply::Status(200)));
        let hangs = TargetSettings { timeout: Duration::from_secs(1), ..settings("hangs", &hanging.url) };
        let hanging_id = create(&store, hangs).await;
        create(&store, settings("healthy", &healthy.url)).await;
        for number in 1..=50 {
            keep(&store, message("github.push", &number.to_string())).await;
        }
        let all = until(&store, "delivered to the healthy target", |all| {
            all.iter().filter(|one| one.state == DeliveryState::Delivered).count() == 50
        })
        .await;
        assert!(
            all.iter().filter(|one| one.target == hanging_id).all(|one| one.state == DeliveryState::Pending)
        );
        let timed_out = until(&store, "timed out", |all| {
            all.iter().any(|one| one.attempts == 1 && one.target == hanging_id)
        })
        .await;
        let one = timed_out.iter().find(|one| one.attempts == 1 && one.target == hanging_id).unwrap();
        assert!(one.outcome.as_deref().unwrap().contains("within 1s"), "{one:?}");
    });
}

#[test]
fn paused_target_gets_all_deliveries_after_resume() {
    with_engine(|store| async move {
        let server = Server::start(|_| ScriptedReply::Status(200));
        let id = create(&store, settings("app", &server.url)).await;
        store.target_registry().set_target_state(id, TargetState::Paused, None, clock()).await.unwrap();
        for number in 1..=10 {
            keep(&store, message("github.push", &number.to_string())).await;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(server.requests().is_empty());
        store.target_registry().set_target_state(id, TargetState::Active, None, clock()).await.unwrap();
        until(&store, "delivered", are_all(DeliveryState::Delivered, 10)).await;
    });
}

#[test]
fn delivery_rate_is_respected() {
    with_engine(|store| async move {
        let server = Server::start(|_| ScriptedReply::Status(200));
        let rate = crate::store::DeliveryRate { count: 50, per: Duration::from_secs(1) };
        create(&store, TargetSettings { rate: Some(rate), ..settings("app", &server.url) }).await;
        let began = Instant::now();
        for number in 1..=100 {
            keep(&store, message("github.push", &number.to_string())).await;
        }
        until(&store, "delivered", are_all(DeliveryState::Delivered, 100)).await;
        assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    });
}

#[test]
fn api_target_needs_permission_for_private_address() {
    with_engine(|store| async move {
        create(&store, settings("app", "http://169.254.169.254/latest/meta-data")).await;
        keep(&store, message("github.push", "{}")).await;
        let rejected = until(&store, "rejected", |all| all.len() == 1 && all[0].attempts == 1).await;
        let outcome = rejected[0].outcome.as_deref().unwrap();
        assert!(outcome.contains("169.254.169.254"), "{outcome}");
    });
}
