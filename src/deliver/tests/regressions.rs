//! Regression tests for defects that a review found.

use std::sync::atomic::{AtomicBool, Ordering};

use super::super::lane::MemoryPressure;
use super::super::replays;
use super::lanes::lane;
use super::server::{RecordedRequest, ScriptedReply};
use super::*;
use crate::store::test_support;
use crate::store::{
    AttemptOutcome, AttemptRecord, DeliveryId, Disposition, DueQuery, MessageFilter, NewReplay, ReplayStep,
    RetentionRule, TargetState, Timestamp,
};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn retry_recorded_during_page_read_is_delivered() {
    let (now, mut lane) = (OffsetDateTime::now_utc(), lane(DeliveryOrdering::Any));
    assert!(
        lane.query(now, MemoryPressure::Free, Duration::ZERO).is_some(),
        "the page is being read; delivery 7 is held"
    );
    lane.recorded(7.into(), Some(now + SECOND * 5));
    lane.loaded(Some(Default::default()));
    assert!(lane.next_due().is_some(), "nothing wakes the lane for the retry of delivery 7");
    assert!(
        lane.query(now + SECOND * 60, MemoryPressure::Free, SECOND * 60).is_some(),
        "it is not read a minute later either"
    );
}

#[test]
fn retries_run_despite_concurrent_messages() {
    with_engine(|store| async move {
        let first: std::sync::Mutex<std::collections::HashSet<Vec<u8>>> = Default::default();
        let server = Server::start(move |request| {
            let fails =
                request.body.starts_with(b"\"a") && first.lock().unwrap().insert(request.body.clone());
            ScriptedReply::Status(if fails { 404 } else { 200 })
        });
        for number in 0..40 {
            let wanted = vec![Pattern::new(&format!("t{number}.x"))];
            create(&store, TargetSettings { events: wanted, ..settings(&format!("t{number}"), &server.url) })
                .await;
        }
        for number in 0..40 {
            let event = format!("t{number}.x");
            keep(&store, message(&event, &format!("\"a{number}\""))).await;
            while !server.requests().iter().any(|request| request.body == format!("\"a{number}\"").as_bytes())
            {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
            keep(&store, message(&event, &format!("\"b{number}\""))).await;
        }
        tokio::time::sleep(SECOND * 12).await;
        let left = all(&store).await.into_iter().filter(|one| one.state == DeliveryState::Pending);
        let left: Vec<(DeliveryId, u32, Timestamp)> =
            left.map(|one| (one.id, one.attempts, one.due_at.to_timestamp().unwrap())).collect();
        assert!(left.is_empty(), "12 s later, due after 5 s: {left:?}");
    });
}

#[test]
fn orphan_at_head_does_not_block_strict_queue() {
    with_engine(|store| async move {
        let server = Server::start(|_| ScriptedReply::Status(200));
        let strict = TargetSettings { ordering: DeliveryOrdering::Strict, ..settings("app", &server.url) };
        let target = create(&store, strict).await;
        let deleted = keep(&store, message("github.push", "1")).await;
        let remaining = keep(&store, message("github.push", "2")).await;
        until(&store, "delivered", are_all(DeliveryState::Delivered, 2)).await;
        let new =
            NewReplay { filter: MessageFilter::default(), target: Some(target), rate: 1, through: None };
        let replay = store.delivery_queue().create_replay(new, clock()).await.unwrap();
        // The cleanup runs between the read and the write of the replay's step.
        while !store.cleanup().merge_keys(deleted).await.unwrap() {}
        assert_eq!(
            store.cleanup().delete_messages(vec![deleted], RetentionRule::default()).await.unwrap().changed,
            1
        );
        let messages = vec![(deleted, vec![target]), (remaining, vec![target])];
        let step = ReplayStep {
            replay,
            from: 0.into(),
            to: remaining,
            messages,
            only_dead_letters: false,
            is_last: true,
        };
        assert!(store.delivery_queue().step_replay(step, clock()).await.unwrap());
        tokio::time::sleep(SECOND * 5).await;
        assert_eq!(server.requests().len(), 3, "{:#?}", all(&store).await);
    });
}

#[test]
fn formerly_strict_queue_skips_failing_head() {
    with_engine(|store| async move {
        let server = Server::start(|_| ScriptedReply::Hang);
        let strict = TargetSettings { ordering: DeliveryOrdering::Strict, ..settings("app", &server.url) };
        let target = create(&store, strict.clone()).await;
        store.target_registry().set_target_state(target, TargetState::Paused, None, clock()).await.unwrap();
        keep(&store, message("github.push", "1")).await;
        keep(&store, message("github.push", "2")).await;
        let head = all(&store).await[0].id;
        let record = AttemptRecord {
            delivery: head,
            number: 11,
            began_at: Timestamp::from(clock()),
            took_ms: 1,
            outcome: AttemptOutcome::Failed,
            status: Some(500),
            error: None,
            excerpt: None,
            next: Disposition::Again {
                at: Timestamp::from(clock() + SECOND * 86_400),
                ordering: DeliveryOrdering::Strict,
            },
        };
        store.delivery_queue().record_attempts(vec![record].into(), clock()).await.unwrap();
        let any = TargetSettings { ordering: DeliveryOrdering::Any, ..strict };
        store.target_registry().update_target(target, any, clock()).await.unwrap();
        let query = DueQuery {
            target,
            ordering: DeliveryOrdering::Any,
            now: Timestamp::from(clock()),
            held: Vec::new(),
            limit: 8,
            bytes: 1 << 20,
        };
        let page = store.delivery_queue().due_deliveries(query).await.unwrap();
        assert_eq!(page.deliveries.len(), 1, "nothing before {:?}", page.next_due);
    });
}

#[test]
fn target_without_readable_secrets_gets_no_messages() {
    with_engine(|store| async move {
        let server = Server::start(|_| ScriptedReply::Status(200));
        let target = create(&store, settings("app", &server.url)).await;
        test_support::change(store.path(), "UPDATE targets SET sealed_secrets = 'AAAA'");
        // Any change of a target makes the engine read all targets again.
        store.target_registry().set_target_state(target, TargetState::Paused, None, clock()).await.unwrap();
        store.target_registry().set_target_state(target, TargetState::Active, None, clock()).await.unwrap();
        keep(&store, message("github.push", "1")).await;
        tokio::time::sleep(SECOND).await;
        let unsigned = server
            .requests()
            .into_iter()
            .filter(|request| !request.headers.contains_key("webhook-signature"))
            .count();
        assert_eq!(unsigned, 0, "unsigned, and without the target's own headers");
    });
}

#[test]
fn shutdown_completes_with_locked_database() {
    CLOCK_OFFSET.set(Duration::ZERO);
    let directory = TempDir::new().unwrap();
    let store = open(&directory);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ended = tokio::task::LocalSet::new().block_on(&runtime, async {
        let (stop, stopping) = watch::channel(false);
        let mut running = tokio::task::spawn_local(run(store.clone(), stopping));
        let server = Server::start(|_| {
            std::thread::sleep(Duration::from_millis(500));
            ScriptedReply::Status(200)
        });
        create(&store, settings("app", &server.url)).await;
        keep(&store, message("github.push", "1")).await;
        let other = test_support::Lock::take(store.path());
        tokio::time::sleep(SECOND).await;
        stop.send(true).unwrap();
        let ended = tokio::time::timeout(SECOND * 20, &mut running).await;
        drop(other);
        ended.is_ok()
    });
    assert!(ended, "the engine still runs 20 s after the stop");
}

fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

#[test]
fn bodies_in_all_lanes_are_bounded() {
    with_engine(|store| async move {
        let server = Server::start(|_| ScriptedReply::Hang);
        for number in 0..40 {
            create(&store, settings(&format!("t{number}"), &server.url)).await;
        }
        let before = resident();
        keep(&store, message("github.push", &format!("\"{}\"", "x".repeat(8 << 20)))).await;
        let mut peak = 0;
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(50)).await;
            peak = peak.max(resident());
        }
        // The test server stores a copy of every request.
        let kept: usize = server.requests().iter().map(|request| request.body.len()).sum();
        let held = peak.saturating_sub(before).saturating_sub(kept) >> 20;
        println!("{held} MiB held (without {} MiB of the test server)", kept >> 20);
        assert!(held < 128, "{held} MiB for one message of 8 MiB and 40 targets");
    });
}

#[test]
fn lane_loads_one_message_under_memory_pressure() {
    let mut lane = lane(DeliveryOrdering::Any);
    let query = lane.query(OffsetDateTime::now_utc(), MemoryPressure::Scarce, Duration::ZERO).unwrap();
    assert_eq!(
        query.limit, 1,
        "each lane without deliveries loads {} messages, {} bytes",
        query.limit, query.bytes
    );
}

#[test]
fn new_delivery_starts_immediately_after_clock_rollback() {
    with_engine(|store| async move {
        let server = Server::start(|_| ScriptedReply::Status(200));
        let target = create(&store, settings("app", &server.url)).await;
        let id = keep(&store, message("github.push", "1")).await;
        until(&store, "delivered", are_all(DeliveryState::Delivered, 1)).await;
        let ten_years = SECOND * 86_400 * 3_650;
        store.delivery_queue().deliver_again(id, vec![target], clock() + ten_years).await.unwrap().unwrap();
        tokio::time::sleep(SECOND * 2).await;
        assert_eq!(server.requests().len(), 2, "due at {}", all(&store).await[1].due_at);
    });
}

#[test]
fn replay_does_not_delay_messages() {
    with_engine(|store| async move {
        let server = Server::start(|_| ScriptedReply::Status(200));
        for number in 0..20 {
            let id = create(&store, settings(&format!("t{number}"), &server.url)).await;
            store.target_registry().set_target_state(id, TargetState::Paused, None, clock()).await.unwrap();
        }
        // All 20 targets receive each message, now and in the replay.
        for number in 0..1_000 {
            keep(&store, message("github.push", &number.to_string())).await;
        }
        let new = NewReplay { filter: MessageFilter::default(), target: None, rate: 10_000, through: None };
        let id = store.delivery_queue().create_replay(new, clock()).await.unwrap();
        let replay = store.reads().replay(id).await.unwrap().unwrap();
        let is_done = std::rc::Rc::new(AtomicBool::new(false));
        let (flag, own) = (is_done.clone(), store.clone());
        let acks = tokio::task::spawn_local(async move {
            let mut longest = Duration::ZERO;
            while !flag.load(Ordering::SeqCst) {
                let began = Instant::now();
                keep(&own, message("github.push", "0")).await;
                longest = longest.max(began.elapsed());
            }
            longest
        });
        tokio::time::sleep(SECOND / 2).await;
        let _ = replays::step(&store.delivery_queue(), clock, &replay).await;
        is_done.store(true, Ordering::SeqCst);
        let longest = acks.await.unwrap();
        assert!(longest < Duration::from_millis(150), "{longest:?}");
    });
}

#[test]
fn echoed_secret_is_not_stored() {
    with_engine(|store| async move {
        let server = Server::start(|request| {
            let shown = format!("500: {:?}", request.headers);
            ScriptedReply::With(500, "", Box::leak(shown.into_boxed_str()))
        });
        create(&store, settings("app", &server.url)).await;
        keep(&store, message("github.push", "1")).await;
        let tried = until(&store, "tried", |all| all.len() == 1 && all[0].attempts == 1).await;
        let excerpt = store.reads().attempts(tried[0].id).await.unwrap().remove(0).excerpt.unwrap();
        assert!(!excerpt.contains("payments"), "{excerpt}");
    });
}

#[test]
fn new_credential_is_never_sent_to_old_url() {
    with_engine(|store| async move {
        let (a, b) =
            (Server::start(|_| ScriptedReply::Status(200)), Server::start(|_| ScriptedReply::Status(200)));
        let quiet = TargetSettings { events: vec![Pattern::new("none.x")], ..settings("t0", &a.url) };
        let first = create(&store, quiet.clone()).await;
        for number in 1..150 {
            create(&store, TargetSettings { name: format!("t{number}"), ..quiet.clone() }).await;
        }
        let rate = crate::store::DeliveryRate::from_text("20/s");
        let moving = create(&store, TargetSettings { rate, ..settings("moving", &a.url) }).await;
        for number in 0..150 {
            keep(&store, message("github.push", &number.to_string())).await;
        }
        let change = async |url: String, credential: &'static str| {
            let change = move |settings: &mut TargetSettings, secrets: &mut TargetSecrets| {
                settings.url = Some(url);
                secrets.headers = vec![("X-Credential".to_owned(), credential.to_owned())];
            };
            store.target_registry().change_target(moving, change, clock()).await.unwrap();
        };
        for round in 0..40 {
            // A change of any other target makes the engine read all targets again.
            store.target_registry().update_target(first, quiet.clone(), clock()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(3)).await;
            if round % 2 == 0 {
                change(b.url.clone(), "of b").await
            } else {
                change(a.url.clone(), "of a").await
            }
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
        let got = |server: &Server, credential: &str| {
            let is_wrong = |credential: &str, request: &RecordedRequest| {
                request.headers.get("x-credential").is_some_and(|given| given == credential)
            };
            server.requests().iter().filter(|request| is_wrong(credential, request)).count()
        };
        println!("{} went to a with b's, {} to b with a's", got(&a, "of b"), got(&b, "of a"));
        assert_eq!((got(&a, "of b"), got(&b, "of a")), (0, 0));
    });
}

#[test]
fn replay_to_current_targets_excludes_conflicts() {
    with_engine(|store| async move {
        let server = Server::start(|_| ScriptedReply::Status(200));
        create(&store, settings("app", &server.url)).await;
        for body in ["1", "2"] {
            let new = NewMessage {
                identity: Identity::DeliveryId("id".to_owned()),
                ..message("github.push", body)
            };
            store.ingest().keep(new, Instant::now() + LIMIT).await.unwrap();
        }
        until(&store, "delivered", are_all(DeliveryState::Delivered, 1)).await;
        let new = NewReplay { filter: MessageFilter::default(), target: None, rate: 50, through: None };
        let id = store.delivery_queue().create_replay(new, clock()).await.unwrap();
        while !replays::step(
            &store.delivery_queue(),
            clock,
            &store.reads().replay(id).await.unwrap().unwrap(),
        )
        .await
        .unwrap()
        {}
        until(&store, "replayed", |all| {
            all.len() >= 2 && all.iter().all(|one| one.state == DeliveryState::Delivered)
        })
        .await;
        let bodies: Vec<Vec<u8>> = server.requests().into_iter().map(|request| request.body).collect();
        assert_eq!(bodies, [b"1".to_vec(), b"1".to_vec()]);
    });
}

#[test]
fn late_410_from_old_url_keeps_target_active() {
    with_engine(|store| async move {
        let old = Server::start(|_| {
            std::thread::sleep(SECOND);
            ScriptedReply::Status(410)
        });
        let new = Server::start(|_| ScriptedReply::Status(200));
        let target = create(&store, settings("app", &old.url)).await;
        keep(&store, message("github.push", "1")).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        store.target_registry().update_target(target, settings("app", &new.url), clock()).await.unwrap();
        tokio::time::sleep(SECOND * 2).await;
        assert_eq!(store.reads().target(target).await.unwrap().unwrap().state, TargetState::Active);
    });
}
