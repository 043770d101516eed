//! Connections and messages that several targets share.

use super::server::ScriptedReply;
use super::*;
use std::sync::Arc;

use crate::store::{DuePage, DueQuery, TargetState, Timestamp};

#[test]
fn targets_of_one_host_keep_their_connections() {
    const CONCURRENCY: u32 = 24;
    with_engine(|store| async move {
        let server = Server::start(|_| ScriptedReply::Status(204));
        for name in ["a", "b"] {
            create(&store, TargetSettings { concurrency: CONCURRENCY, ..settings(name, &server.url) }).await;
        }
        for _ in 0..10 {
            let kept = (0..200).map(|_| keep(&store, message("github.push", "{}")));
            futures_util::future::join_all(kept).await;
        }
        let deadline = Instant::now() + LIMIT;
        while store.stats().attempts_delivered < 4_000 {
            assert!(Instant::now() < deadline, "not delivered in time");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // A connection may be opened while another one becomes idle.
        let (connections, max_connections) = (server.connections(), 2 * 2 * CONCURRENCY as usize);
        assert!(connections <= max_connections, "{connections}");
    });
}

#[test]
fn targets_of_one_message_share_its_copy() {
    with_engine(|store| async move {
        let mut queries = Vec::new();
        for name in ["a", "b"] {
            let target = create(&store, settings(name, "http://127.0.0.1:1/")).await;
            let paused = TargetState::Paused;
            store.target_registry().set_target_state(target, paused, None, clock()).await.unwrap();
            queries.push(DueQuery {
                target,
                ordering: DeliveryOrdering::Any,
                now: Timestamp::MAX,
                held: Vec::new(),
                limit: 8,
                bytes: 1 << 20,
            });
        }
        keep(&store, message("github.push", "1")).await;
        let (sender, pages) = std::sync::mpsc::channel();
        let read = async |queries| {
            let sender = sender.clone();
            let send = move |_, mut page: DuePage| sender.send(page.deliveries.remove(0).message).unwrap();
            assert!(store.delivery_queue().due_pages(queries, send).await.is_empty());
        };
        read(queries.clone()).await;
        let [first, second] = [pages.try_recv().unwrap(), pages.try_recv().unwrap()];
        read(vec![queries.remove(0)]).await;
        let later = pages.try_recv().unwrap();
        assert!(Arc::ptr_eq(&first, &second) && Arc::ptr_eq(&first, &later));
    });
}
