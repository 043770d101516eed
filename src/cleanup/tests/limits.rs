//! The size limit: which messages are deleted, which stay, and when new ones are rejected.

use super::*;
use crate::store::{DeliveryState, Disposition, MessageId, NewRejection, Origin, RejectionKind, TargetKind};

const LIMIT: u64 = 4_000_000;
const BODY: usize = 20_000;

impl CleanupSetup {
    /// Stores large messages and returns their ids.
    pub async fn keep_large(&self, count: usize) -> Vec<MessageId> {
        let body = format!("\"{}\"", "x".repeat(BODY));
        let mut ids = Vec::new();
        for _ in 0..count {
            match self.keep("acme", Duration::ZERO, &body).await {
                Receipt::New { id } => ids.push(id),
                other => panic!("{other:?}"),
            }
        }
        ids
    }

    async fn used(&self) -> u64 {
        self.store.cleanup().used_and_free_bytes().await.unwrap().0
    }

    async fn is_rejected(&self) -> bool {
        let kept = self
            .store
            .ingest()
            .keep(message("acme", Duration::ZERO, "1", "refused"), Instant::now() + Duration::from_secs(20))
            .await;
        assert_eq!(kept.err().map(IngestError::unavailable), self.store.ready().err());
        self.store.ready() == Err(Unavailable::DatabaseFull)
    }
}

async fn limited() -> (CleanupSetup, Cleaner) {
    (CleanupSetup::new(), cleaner(Retention::Keep, &[], Some(LIMIT)))
}

#[test]
fn released_message_is_retained_from_its_release() {
    run(async {
        let setup = CleanupSetup::new();
        let now = OffsetDateTime::now_utc();
        let rejection = NewRejection {
            received_at: now - 10 * DAY,
            source: "acme".into(),
            cause: "signature_mismatch",
            kind: RejectionKind::Candidate,
            remote_ip: IpAddr::V4(Ipv4Addr::LOCALHOST),
            method: "POST".to_owned(),
            query: None,
            headers: "{}".to_owned(),
            body: Some(Bytes::from_static(b"1")),
            credentials: None,
        };
        setup.store.ingest().quarantine(rejection).await;
        let until = Instant::now() + Duration::from_secs(20);
        while setup.store.reads().newest_rejection().await.unwrap() == 0 {
            assert!(Instant::now() < until, "the rejection was not written");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let late = NewMessage { received_at: now - 10 * DAY, ..message("acme", Duration::ZERO, "1", "late") };
        let old = NewMessage { received_at: now - 10 * DAY, ..message("acme", Duration::ZERO, "1", "old") };
        assert_eq!(setup.keep_message(old).await, Receipt::New { id: 1.into() });
        assert_eq!(
            setup.store.ingest().release(1.into(), late, until).await,
            Ok(Receipt::New { id: 2.into() })
        );
        let policy =
            Policy { of_sources: vec![("acme".to_owned(), Retention::For(DAY))], ..policy(Retention::Keep) };
        let mut cleaner = Cleaner::new(policy.clone(), CleanupPace::Alone, now, Duration::ZERO);
        // Simulates a restart.
        let mut restarted = Cleaner::new(policy, CleanupPace::Alone, now, Duration::ZERO);
        for cleaner in [&mut cleaner, &mut restarted] {
            cleaner.run_once(&setup.store.cleanup(), now, Duration::ZERO).await.unwrap();
            assert_eq!(setup.ids_left().await, [2]);
        }
        let later = 2 * DAY;
        cleaner.run_once(&setup.store.cleanup(), now + later, later).await.unwrap();
        assert_eq!(setup.left().await, 0);
    });
}

#[test]
fn size_limit_deletes_finished_and_dead_before_pending() {
    run(async {
        let (setup, mut cleaner) = limited().await;
        let target = setup.target(TargetKind::Http, Origin::Api).await;
        let ids = setup.keep_large(300).await;
        for id in &ids[..100] {
            setup.deliver(*id, target, NOW).await;
        }
        let dead = setup.deliver(ids[100], target, NOW).await;
        setup.attempt(dead, Disposition::Dead, NOW).await;
        let outcome = cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        assert!(outcome.messages > 100, "{outcome:?}");
        let left = setup.ids_left().await;
        assert_eq!(left[..100], ids[..100]);
        assert!(!left.contains(&ids[100]) && left.contains(&ids[299]), "{left:?}");
        assert!(setup.used().await <= LIMIT);
        assert!(!setup.is_rejected().await);
    });
}

#[test]
fn only_pending_messages_block_ingest_until_space_is_free() {
    run(async {
        let (setup, mut cleaner) = limited().await;
        let target = setup.target(TargetKind::Http, Origin::Api).await;
        cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        let mut deliveries = Vec::new();
        for id in setup.keep_large(250).await {
            deliveries.push(setup.deliver(id, target, NOW).await);
        }
        assert!(!setup.is_rejected().await, "rejected before the first cleanup");
        cleaner.make_room(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        assert!(setup.is_rejected().await);
        assert_eq!(setup.state(deliveries[0]).await, Some(DeliveryState::Pending));
        for delivery in &deliveries[..2] {
            setup.attempt(*delivery, Disposition::Delivered, NOW).await;
        }
        let minute = Duration::from_secs(60);
        assert_eq!(
            cleaner.make_room(&setup.store.cleanup(), NOW + minute, minute).await.unwrap().messages,
            2
        );
        assert!(setup.is_rejected().await, "accepted without enough space");
        for delivery in &deliveries[2..100] {
            setup.attempt(*delivery, Disposition::Dead, NOW + minute).await;
        }
        assert!(
            cleaner.make_room(&setup.store.cleanup(), NOW + 2 * minute, 2 * minute).await.unwrap().messages
                > 40
        );
        assert!(!setup.is_rejected().await);
        assert!(setup.ids_left().await.contains(&250.into()));
    });
}

#[test]
fn replay_is_accepted_while_messages_are_rejected() {
    run(async {
        let setup = CleanupSetup::new();
        let target = setup.target(TargetKind::Http, Origin::Api).await;
        let mut cleaner = cleaner(Retention::For(DAY), &[], Some(LIMIT));
        let ids = setup.keep_large(250).await;
        for id in &ids {
            setup.deliver(*id, target, NOW).await;
        }
        cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        assert!(setup.is_rejected().await);
        let delivery = setup.deliver(ids[0], target, NOW).await;
        assert_eq!(setup.state(delivery).await, Some(DeliveryState::Pending));
    });
}

#[test]
fn space_used_by_other_data_does_not_reject_messages() {
    run(async {
        let setup = CleanupSetup::new();
        let mut cleaner = cleaner(Retention::Keep, &[], Some(50_000));
        setup.keep_large(3).await;
        cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        assert_eq!(setup.left().await, 0);
        assert!(setup.used().await > 50_000, "an empty database is larger");
        assert!(!setup.is_rejected().await);
    });
}

#[test]
fn write_above_the_limit_is_detected() {
    run(async {
        let setup = CleanupSetup::new();
        setup.store.cleanup().limit_size(LIMIT);
        setup.keep_large(100).await;
        let noticed =
            tokio::time::timeout(Duration::from_millis(50), setup.store.cleanup().beyond_size_limit()).await;
        assert!(noticed.is_err(), "{} bytes are within the limit", setup.used().await);
        let more = async {
            loop {
                setup.keep_large(10).await;
            }
        };
        let cleanup = setup.store.cleanup();
        tokio::select! {
            () = cleanup.beyond_size_limit() => {}
            () = more => {}
            () = tokio::time::sleep(Duration::from_secs(30)) => panic!("it was not noticed"),
        }
        assert!(setup.used().await > LIMIT);
    });
}

/// Pages that the deletion of one message may free beyond its body.
const MAX_OVERHEAD_BYTES: u64 = 6 * 4096;

#[test]
fn size_limit_deletes_no_message_too_many() {
    const MEGABYTE: usize = 1_000_000;
    let small = || std::iter::repeat_n(1_000, 3_000);
    let shapes: [(&str, u64, Vec<usize>); 5] = [
        ("40 of 1 MB", 20 << 20, vec![MEGABYTE; 40]),
        ("few just above the limit", 5 << 20, vec![MEGABYTE; 6]),
        ("one huge, newest", 4 << 20, small().chain([2 * MEGABYTE]).collect()),
        (
            "one huge, among small ones",
            4 << 20,
            small().take(1_500).chain([2 * MEGABYTE]).chain(small()).collect(),
        ),
        ("small ones", 2 << 20, small().collect()),
    ];
    for (name, limit, sizes) in shapes {
        run(async {
            let setup = CleanupSetup::new();
            for size in &sizes {
                let body = format!("\"{}\"", "x".repeat(*size));
                setup.keep("acme", Duration::ZERO, &body).await;
            }
            let mut cleaner = cleaner(Retention::Keep, &[], Some(limit));
            let outcome = cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
            let used = setup.used().await;
            assert!(used <= limit, "{name}: {used} bytes");
            let left = setup.ids_left().await;
            assert_eq!(left.len() + outcome.messages, sizes.len(), "{name}");
            assert_eq!(
                left.first(),
                Some(&(outcome.messages as i64 + 1).into()),
                "{name}: the oldest are deleted first"
            );
            // With the newest deleted message, the database would still exceed its limit.
            let last_deleted = sizes[outcome.messages - 1] as u64;
            assert!(used + last_deleted + MAX_OVERHEAD_BYTES > limit, "{name}: {used} bytes, {outcome:?}");
            let again = cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
            assert_eq!(again.messages, 0, "{name}");
        });
    }
}

#[test]
fn size_limit_counts_deliveries_and_attempts() {
    run(async {
        let (setup, mut cleaner) = limited().await;
        let target = setup.target(TargetKind::Http, Origin::Api).await;
        for id in setup.keep_large(200).await {
            for _ in 0..5 {
                let delivery = setup.deliver(id, target, NOW).await;
                setup.attempt(delivery, Disposition::Delivered, NOW).await;
            }
        }
        let before = setup.used().await;
        let outcome = cleaner.run_once(&setup.store.cleanup(), NOW, Duration::ZERO).await.unwrap();
        let used = setup.used().await;
        assert!(before > LIMIT && used <= LIMIT, "{before}, then {used} bytes");
        assert!(used + BODY as u64 + 2 * MAX_OVERHEAD_BYTES > LIMIT, "{used} bytes, {outcome:?}");
    });
}
