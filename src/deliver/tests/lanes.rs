//! A lane and its reads, without the engine.

use super::super::lane::{Lane, MemoryPressure};
use super::super::route::Route;
use super::*;
use crate::store::{
    AttemptOutcome, AttemptRecord, Disposition, DuePage, DueQuery, StoredTarget, TargetState, Timestamp,
};

const SECOND: Duration = Duration::from_secs(1);

pub fn lane(ordering: DeliveryOrdering) -> Lane {
    let target = StoredTarget {
        id: 1.into(),
        kind: TargetKind::Http,
        origin: Origin::Api,
        state: TargetState::Active,
        state_since: Timestamp::MIN.into(),
        state_reason: None,
        settings: TargetSettings { ordering, ..settings("app", "http://127.0.0.1:1/") },
        created_at: Timestamp::MIN.into(),
        updated_at: Timestamp::MIN.into(),
    };
    Lane::new(target, Some(Route::Command(Vec::new(), command_environment())))
}

#[test]
fn orphan_is_not_read_again_before_it_ends() {
    let now = OffsetDateTime::now_utc();
    for ordering in [DeliveryOrdering::Any, DeliveryOrdering::Strict] {
        let mut lane = lane(ordering);
        assert!(lane.query(now, MemoryPressure::Free, Duration::ZERO).is_some());
        lane.loaded(Some(DuePage { orphans: vec![7.into()], is_full: true, ..DuePage::default() }));
        let next = lane.query(now, MemoryPressure::Free, Duration::ZERO).unwrap();
        assert_eq!(next.held, [7]);
        lane.loaded(Some(DuePage::default()));
        assert!(lane.query(now, MemoryPressure::Free, Duration::ZERO).is_none(), "nothing has happened");
        lane.discarded();
        assert!(lane.query(now, MemoryPressure::Free, Duration::ZERO).unwrap().held.is_empty());
    }
}

#[test]
fn strict_queue_keeps_order_over_restart() {
    with_engine(|store| async move {
        let strict =
            TargetSettings { ordering: DeliveryOrdering::Strict, ..settings("app", "http://127.0.0.1:1/") };
        let target = create(&store, strict).await;
        store.target_registry().set_target_state(target, TargetState::Paused, None, clock()).await.unwrap();
        keep(&store, message("github.push", "1")).await;
        keep(&store, message("github.push", "2")).await;
        let [head, second]: [StoredDelivery; 2] = all(&store).await.try_into().unwrap();
        let again = Disposition::Again {
            at: Timestamp::from(clock() + SECOND * 60),
            ordering: DeliveryOrdering::Strict,
        };
        let failed = AttemptRecord {
            delivery: head.id,
            number: 1,
            began_at: Timestamp::from(clock()),
            took_ms: 1,
            outcome: AttemptOutcome::Failed,
            status: Some(500),
            error: None,
            excerpt: None,
            next: again,
        };
        store.delivery_queue().record_attempts(std::sync::Arc::new(vec![failed]), clock()).await.unwrap();
        // Builds the query of an engine that has just started, and therefore holds no deliveries.
        let query = |at: OffsetDateTime| DueQuery {
            target,
            ordering: DeliveryOrdering::Strict,
            now: Timestamp::from(at),
            held: Vec::new(),
            limit: 8,
            bytes: 1 << 20,
        };
        let page = store.delivery_queue().due_deliveries(query(clock())).await.unwrap();
        assert!(page.deliveries.is_empty() && page.next_due.is_some(), "{second:?} must wait: {page:?}");
        let page = store.delivery_queue().due_deliveries(query(clock() + SECOND * 61)).await.unwrap();
        assert_eq!(page.deliveries[0].id, head.id);
    });
}
